"""What a worker does beside its workflows: settle, queue, say that it lives, look after what others left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from service import audit
from service.archive import clear_incoming
from service.attempt import Attempt
from service.clock import ClockWatch
from service.engine import Engine, State
from service.inference import records, revision_records, worker_records
from service.inference.scoring import Scoring
from service.intake.part_files import clear_part_files
from service.intake.settling import is_any_due, settle_due
from service.intake.spool import clear_spool
from service.interventions import end_as_failed
from service.metrics import QUEUE_DEPTH, STUDIES_SETTLED_TOTAL
from service.pipeline import Parts
from service.worklist import claims
from service.worklist.records import update_item

log = logging.getLogger("pandok.worker")

TICK_S = 0.1
BEAT_S = 5.0
RECONCILE_S = 5.0
MISSING_AFTER_S = 30.0
"""How long a queued revision may be without an end before the engine is asked whether it knows it."""
SILENT_S = 60.0
"""A worker that was not heard of for so long is taken for dead; the engine fences one that was only slow."""
SWEEP_S = 3_600.0
CLAIMS_S = 20.0
CLOCK_S = 1.0
CLOCK_WORDS = (
    "the machine's clock differs from the time by which the service works; set the clock right, then start the whole "
    "service again"
)
SPOOL_S = 60.0
KEEP_ENDED_S = 7 * 86_400.0
KEEP_WORK_S = 3 * 86_400.0


class Rounds:
    """The duties of one worker, each done again and again.

    Args:
        parts: What the steps work with.
        engine: The durable engine, started.
        scoring: Says what scores are really made on.
        executor_id: This worker's name.
        clock_watch: Tells when the machine's clock has jumped.
    """

    def __init__(
        self, parts: Parts, engine: Engine, scoring: Scoring, executor_id: str, clock_watch: ClockWatch | None = None
    ) -> None:
        self._parts = parts
        self._database = parts.database
        self._engine = engine
        self._scoring = scoring
        self._executor_id = executor_id
        self._clock_watch = clock_watch

    def go(self, stop: threading.Event, ready: Callable[[], None]) -> None:
        """Go round until told to stop; an error of one round never ends the worker."""
        duties: dict[Callable[[], None], float] = {
            self.settle_and_queue: TICK_S,
            self.tell_canceled: TICK_S,
            self.watch_clock: CLOCK_S,
            self.beat: BEAT_S,
            self.reconcile: RECONCILE_S,
            self.reap: SILENT_S / 4,
            self.end_claims: CLAIMS_S,
            self.clear_spool: SPOOL_S,
            self.sweep: SWEEP_S,
        }
        due = dict.fromkeys(duties, 0.0)
        with self._database.transaction() as tx:
            worker_records.begin_executor(tx, self._executor_id)
        self.beat()
        ready()
        log.info("worker ready", extra={"executor": self._executor_id})
        while not stop.is_set():
            for duty, every_s in duties.items():
                if time.monotonic() >= due[duty]:
                    due[duty] = time.monotonic() + every_s
                    try:
                        duty()
                    except Exception:
                        log.exception("round failed", extra={"stage": duty.__name__})
            stop.wait(TICK_S)

    def settle_and_queue(self) -> None:
        """Settle what is due and give every waiting revision to the engine; each is there once whatever happens."""
        now = self._parts.clock()
        with self._database.reading() as tx:
            is_due = is_any_due(tx, now)
        if is_due:
            self._settle(now)
        with self._database.reading() as tx:
            waiting = revision_records.list_waiting(tx)
        for one in waiting:
            if one.attempt > 1:
                self._engine.cancel([Attempt(one.study_id, one.number, one.attempt - 1)])
            attempt = Attempt(one.study_id, one.number, one.attempt)
            self._engine.enqueue(attempt, asked_class=one.asked_class)
        if waiting:
            with self._database.transaction() as tx:
                revision_records.mark_queued(tx, waiting, now)

    def tell_canceled(self) -> None:
        """Tell the engine what an operator canceled."""
        with self._database.reading() as tx:
            canceled = revision_records.list_canceled(tx)
        for study_id, number, attempt in canceled:
            self._engine.cancel([Attempt(study_id, number, attempt)])
            with self._database.transaction() as tx:
                revision_records.end_canceled(tx, study_id, number, attempt, self._parts.clock())

    def watch_clock(self) -> None:
        """Tell people when the machine's clock has jumped; the service's own time has not (RELIABILITY 5.10)."""
        jump_s = self._clock_watch.jump_s() if self._clock_watch else None
        if jump_s is None:
            return
        log.error("clock jumped", extra={"duration_s": round(jump_s, 1)})
        now = self._parts.clock()
        with self._database.transaction() as tx:
            worker_records.note_clock(tx, CLOCK_WORDS, now=now)
            audit.note(tx, audit.SYSTEM, "clock_jumped", now=now, detail={"seconds": round(jump_s, 1)})
        self.beat()

    def beat(self) -> None:
        """Say that this worker lives, what it scores on, and what is wrong with it."""
        with self._database.reading() as tx:
            released = records.list_released(tx, self._parts.clock())
            QUEUE_DEPTH.set(revision_records.count_unfinished(tx))
        missing = sorted({one.package for one in released if one.package_sha256 not in self._parts.packages})
        # A release made while we run, of a package that came later: its runs fail visibly until the next start.
        unloaded = f"released but not loaded: {', '.join(missing)}; start the worker again" if missing else None
        with self._database.transaction() as tx:
            clock = CLOCK_WORDS if self._clock_watch and self._clock_watch.is_off else None
            alarm = self._scoring.alarm or unloaded or clock
            now = self._parts.clock()
            worker_records.beat(tx, self._executor_id, now=now, provider=self._scoring.provider, alarm=alarm)

    def reconcile(self) -> None:
        """Bring our tables and the engine's together, so that no case is hidden in a queue that forgot it."""
        for attempt in self._engine.dead():
            self._end(attempt, "the pipeline could not finish this study")
            self._engine.forget([attempt])
        with self._database.reading() as tx:
            old = revision_records.list_unfinished(tx, queued_before=self._parts.clock() - MISSING_AFTER_S)
        states = self._engine.states(Attempt(*key) for key in old)
        for key in old:
            match states.get(Attempt(*key)):
                case None:
                    with self._database.transaction() as tx:
                        revision_records.queue_again(tx, *key)
                case State.DONE | State.CANCELED:
                    self._end(Attempt(*key), "the engine ended this study without an outcome")
                case _:
                    continue

    def reap(self) -> None:
        """Take over what workers had in hand that are dead."""
        with self._database.reading() as tx:
            silent = worker_records.list_silent(tx, now=self._parts.clock(), silent_s=SILENT_S)
        for executor_id in silent:
            if executor_id == self._executor_id:
                continue
            log.warning("worker taken for dead", extra={"executor": executor_id})
            self._engine.recover([executor_id])
            with self._database.transaction() as tx:
                worker_records.forget_executor(tx, executor_id, now=self._parts.clock(), silent_s=SILENT_S)

    def end_claims(self) -> None:
        """Tidy away claims that ran out: their studies were free from that moment on, now the lists are told."""
        with self._database.transaction() as tx:
            claims.expire(tx, now=self._parts.clock())

    def clear_spool(self) -> None:
        """Remove half-received files of doors that died: a door that started again at once found them too young.

        And uploads that nobody has gone on with.
        """
        clear_spool(self._parts.settings.spool_folder)
        clear_part_files(self._parts.settings.spool_folder, self._database, now=self._parts.clock())

    def sweep(self) -> None:
        """Remove what nobody needs any more: ended workflows, tensors that can be made again, files half stored."""
        now = self._parts.clock()
        while self._engine.sweep(before=now - KEEP_ENDED_S):
            continue
        self._parts.workspace.sweep(now=now, max_age_s=KEEP_WORK_S)
        settings = self._parts.settings
        for store in (settings.archive_folder, settings.documents_folder):
            clear_incoming(store)

    def _settle(self, now: float) -> None:
        with self._database.transaction() as tx:
            settled = settle_due(tx, now)
            for study in settled:
                update_item(tx, study_id=study.study_id, now=now, settings=self._parts.settings)
        for study in settled:
            STUDIES_SETTLED_TOTAL.labels(study.by).inc()

    def _end(self, attempt: Attempt, detail: str) -> None:
        parts = self._parts
        end_as_failed(self._database, attempt, detail, now=parts.clock(), settings=parts.settings)
