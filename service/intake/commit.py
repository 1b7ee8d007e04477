"""Makes received instances durable: file, directory, rows; syncs run side by side, commits are grouped."""

from __future__ import annotations

import errno
import logging
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.archive import Archive
from service.database import Database, is_refused_by_disk, is_refused_sync
from service.intake import records
from service.intake.outcomes import IntakeReason, Kind
from service.intake.spool import Spooled

log = logging.getLogger("pandok.intake")

BATCH = 64
"""Most instances in one commit: with 8 senders it fills only when the disk is slow."""

_THREADS = 5
"""One of them commits, the others have files synced."""
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Want of room, of descriptors or of memory, or a signal: nothing that was written is in doubt."""
_ROW_FAILURES = (SQLAlchemyError, OSError, ValueError, TypeError, ArithmeticError)
"""What the tables or their driver raise for one instance's values."""

Ending = tuple[Kind, IntakeReason | None]
FULL: Ending = (Kind.REFUSED, IntakeReason.OUT_OF_RESOURCES)
FAILED: Ending = (Kind.REFUSED, IntakeReason.PROCESSING_FAILURE)


@dataclass(frozen=True, slots=True)
class Pending:
    """One verified instance that is not durable yet."""

    spooled: Spooled
    arrival: records.Arrival
    ending: Future[Ending]


class Committer:
    """A few threads put files under their names on the disk; one at a time commits the rows of those, and answers.

    Nobody waits for a batch to fill: what is stored while one commit runs makes the next.
    """

    def __init__(self, database: Database, archive: Archive, rules: records.Rules, clock: Callable[[], float]) -> None:
        self.is_suspect = False
        """The disk refused a sync: what it holds is unknown, so nothing more is taken in before a restart."""
        self._database = database
        self._archive = archive
        self._rules = rules
        self._clock = clock
        self._stored: deque[Pending] = deque()
        self._committing = threading.Lock()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="store")

    def stop(self) -> None:
        """Finish what was submitted, then end."""
        self._pool.shutdown()

    def submit(self, spooled: Spooled, arrival: records.Arrival) -> Future[Ending]:
        """Take one instance; the future tells its end, after what it says is durable."""
        ending: Future[Ending] = Future()
        ending.set_running_or_notify_cancel()  # a sender that goes away cannot cancel what others' answers wait for
        self._pool.submit(self._store, Pending(spooled, arrival, ending))
        return ending

    def _store(self, pending: Pending) -> None:
        """Have one file under its name on the disk; when the disk refuses, it is given up and never synced again."""
        spooled, arrival = pending.spooled, pending.arrival
        try:
            self._archive.place(spooled.path, spooled.descriptor, arrival.sender.site_id, arrival.content_sha256)
        except OSError as failure:
            if failure.errno not in _PASSING:
                self.is_suspect = True
            log.error("disk refused", extra={"errno": failure.errno})  # noqa: TRY400 - a trace adds only our frames
            spooled.abandon()
            pending.ending.set_result(FULL)
        except BaseException as failure:
            log.error("file not stored", extra={"error": type(failure).__name__})  # noqa: TRY400
            spooled.abandon()
            pending.ending.set_result(FAILED)
            raise
        else:
            spooled.close()
            self._stored.append(pending)
            self._commit_stored()

    def _commit_stored(self) -> None:
        """Commit whatever is stored, unless another thread is at it: then that one takes ours too.

        It looks again after it has let go, so nothing that was stored meanwhile is left behind.
        """
        while self._stored and self._committing.acquire(blocking=False):
            try:
                batch = [self._stored.popleft() for _ in range(min(BATCH, len(self._stored)))]
                self._commit(batch)
            finally:
                self._committing.release()

    def _commit(self, batch: Sequence[Pending]) -> None:
        try:
            try:
                endings = self._write_rows(batch)
            except _ROW_FAILURES as failure:
                # One bad instance takes no other with it; a disk that refused is not asked again.
                alone = len(batch) > 1 and not is_refused_by_disk(failure)
                endings = [self._write_row(p) for p in batch] if alone else [self._failed(failure)] * len(batch)
        except Exception as failure:  # noqa: BLE001 - every sender gets an answer, whatever went wrong
            log.error("commit failed", extra={"error": type(failure).__name__})  # noqa: TRY400
            endings = [FAILED] * len(batch)
        for pending, ending in zip(batch, endings, strict=True):
            pending.ending.set_result(ending)

    def _write_rows(self, batch: Sequence[Pending]) -> list[Ending]:
        now = self._clock()
        with self._database.transaction() as tx:
            return [records.keep(tx, pending.arrival, self._rules, now) for pending in batch]

    def _write_row(self, pending: Pending) -> Ending:
        try:
            [ending] = self._write_rows([pending])
        except _ROW_FAILURES as failure:
            return self._failed(failure)
        return ending

    def _failed(self, failure: Exception) -> Ending:
        """Say how instances end whose rows could not be written."""
        self.is_suspect = self.is_suspect or is_refused_sync(failure)
        # No trace: one of SQL would carry the patient's attributes.
        log.error(
            "commit failed",
            extra={"error": type(failure).__name__, "state": "suspect" if self.is_suspect else "in use"},
        )
        return FULL if is_refused_by_disk(failure) else FAILED
