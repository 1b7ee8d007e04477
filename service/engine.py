"""The one file that knows the durable engine (DBOS): one workflow per attempt at one study revision."""

from __future__ import annotations

import logging
import math
import sqlite3
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from dbos import (
    DBOS,
    DBOSConfig,
    DBOSPortableJSONSerializer,
    EnqueueOptions,
    PortableWorkflowError,
    StepOptions,
)
from dbos import error as dbos_error
from sqlalchemy import make_url

from service.attempt import Attempt, Path, StepFailed

log = logging.getLogger("pandok.engine")

T = TypeVar("T")

APPLICATION = "pandok"
APPLICATION_VERSION = "pipeline-1"
"""Fixed by hand: the engine's own default is a hash of the source, which would strand all work under way at every
upgrade. Raise it only after a drain, when an old workflow cannot be finished by the new code."""

QUEUE = "study_revisions"
WORKFLOW = "study_revision"
MAX_RECOVERY_ATTEMPTS = 3
"""After so many crashes of a worker with the same workflow it is dead-lettered."""

PRIORITIES = {1: 1, 2: 10, 3: 50}
"""Of the center's priority (stat, urgent, routine). Lower goes first; the engine's default 0 would beat all."""


class State(StrEnum):
    """What became of a workflow."""

    WAITING = "waiting"
    DONE = "done"
    CANCELED = "canceled"
    DEAD = "dead"


_STATES = {
    "SUCCESS": State.DONE,
    "CANCELLED": State.CANCELED,
    "ERROR": State.DEAD,
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": State.DEAD,
}


class Engine:
    """The durable engine of one worker.

    Args:
        url: SQLAlchemy URL of the engine's own tables.
        executor_id: Stable name of this worker's slot: what it left behind is taken up at its next start.
        path: What a workflow does.
        concurrency: How many revisions this worker has in hand at a time.
        poll_s: How often it looks for new ones.
        step_attempts: How often a step is tried.
        step_retry_s: Wait before the second attempt; doubled for each further one.
    """

    def __init__(
        self,
        *,
        url: str,
        executor_id: str,
        path: Path,
        concurrency: int,
        poll_s: float,
        step_attempts: int,
        step_retry_s: float,
    ) -> None:
        self._url = url
        self._path = path
        self._concurrency = concurrency
        self._poll_s = poll_s
        self._step_attempts = step_attempts
        self._step_retry_s = step_retry_s
        self._active = 0
        self._lock = threading.Lock()
        _quiet_logger()
        DBOS(
            config=DBOSConfig(
                name=APPLICATION,
                system_database_url=url,
                application_version=APPLICATION_VERSION,
                executor_id=executor_id,
                serializer=DBOSPortableJSONSerializer(),
                enable_otlp=False,
                log_level="WARNING",
                notification_listener_polling_interval_sec=poll_s,
            )
        )

        def run(study_id: int, revision: int, number: int) -> None:  # the engine takes no bound methods
            self._run(Attempt(study_id, revision, number))

        DBOS.workflow(name=WORKFLOW, max_recovery_attempts=MAX_RECOVERY_ATTEMPTS)(run)

    def start(self) -> None:
        """Open the engine's tables, take up what this worker's slot left behind, and begin to take work."""
        _use_write_ahead_log(self._url)
        DBOS.listen_queues([QUEUE])
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self._concurrency,
            polling_interval_sec=self._poll_s,
            on_conflict="always_update",
        )

    def stop(self, timeout_s: float) -> None:
        """Take no more work, wait for what is in hand, and close; what is not done in time is done after a start."""
        with self._lock:
            is_idle = self._active == 0
        # The engine's own wait sleeps a second at a time; without anything in hand there is nothing to wait for.
        DBOS.destroy(destroy_registry=True, workflow_completion_timeout_sec=0 if is_idle else math.ceil(timeout_s))

    def enqueue(self, attempt: Attempt, *, asked_class: int) -> None:
        """Queue an attempt; doing so again changes nothing."""
        DBOS.enqueue_workflow_with_options(
            EnqueueOptions(
                workflow_name=WORKFLOW,
                queue_name=QUEUE,
                workflow_id=attempt.workflow_id,
                priority=PRIORITIES.get(asked_class, max(PRIORITIES.values())),
            ),
            attempt.study_id,
            attempt.revision,
            attempt.number,
        )

    def cancel(self, attempts: Iterable[Attempt]) -> None:
        """Take attempts off the queue; one that runs ends at its next step."""
        ids = [attempt.workflow_id for attempt in attempts]
        if ids:
            DBOS.cancel_workflows(ids)

    def recover(self, executor_ids: Iterable[str]) -> int:
        """Queue again what executors had in hand that are dead; safe to repeat. Returns how many."""
        # Private in the open-source engine, whose public `resume` would reset the count that dead-letters poison.
        return len(DBOS._recover_pending_workflows(list(executor_ids)))

    def states(self, attempts: Iterable[Attempt]) -> dict[Attempt, State]:
        """Tell what became of attempts; one that the engine does not know is left out."""
        ids = [attempt.workflow_id for attempt in attempts]
        found = DBOS.list_workflows(workflow_ids=ids, load_input=False, load_output=False) if ids else []
        return {Attempt.of(status.workflow_id): _STATES.get(status.status, State.WAITING) for status in found}

    def dead(self) -> list[Attempt]:
        """Return the attempts that the engine gave up, by error or after too many crashes."""
        found = DBOS.list_workflows(
            status=[name for name, state in _STATES.items() if state is State.DEAD],
            load_input=False,
            load_output=False,
        )
        return [Attempt.of(status.workflow_id) for status in found]

    def forget(self, attempts: Iterable[Attempt]) -> None:
        """Delete what the engine keeps of attempts."""
        ids = [attempt.workflow_id for attempt in attempts]
        if ids:
            DBOS.delete_workflows(ids)

    def sweep(self, *, before: float, limit: int = 500) -> int:
        """Delete what ended before a time; returns how many. The engine itself keeps everything for ever."""
        found = DBOS.list_workflows(
            status=["SUCCESS", "CANCELLED"],
            completed_before=datetime.fromtimestamp(before, UTC).isoformat(),
            limit=limit,
            load_input=False,
            load_output=False,
        )
        self.forget(Attempt.of(status.workflow_id) for status in found)
        return len(found)

    def _run(self, attempt: Attempt) -> None:
        with self._lock:
            self._active += 1
        try:
            self._path(self._step, attempt)
        finally:
            with self._lock:
                self._active -= 1

    def _step(self, name: str, function: Callable[[], T]) -> T:
        options = StepOptions(
            name=name,
            retries_allowed=True,
            max_attempts=self._step_attempts,
            interval_seconds=self._step_retry_s,
            backoff_rate=2.0,
        )
        try:
            return DBOS.run_step(options, function)
        except (dbos_error.DBOSMaxStepRetriesExceeded, PortableWorkflowError) as error:
            # The second is what the first reads as when a recorded failure is replayed.
            raise StepFailed(name) from error


def _quiet_logger() -> None:
    """Let the engine's records go where all others go, instead of to a console handler of its own."""
    logger = logging.getLogger("dbos")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    logger.addHandler(logging.NullHandler())
    logger.propagate = True


def _use_write_ahead_log(url: str) -> None:
    """Set WAL before the engine opens its SQLite file; the engine does not, and its readers would block."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or not parsed.database:
        return
    connection = sqlite3.connect(parsed.database, timeout=30)
    try:
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()
