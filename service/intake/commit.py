"""Makes received instances durable: file, directory, rows; syncs and commits are grouped across senders."""

from __future__ import annotations

import errno
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.archive import Archive, sync_folders
from service.database import Database, is_refused_by_disk, is_refused_sync
from service.intake import records
from service.intake.outcomes import IntakeReason, Kind
from service.intake.spool import Spooled

log = logging.getLogger("pandok.intake")

BATCH = 64
"""Most instances in one commit: with 8 senders it fills only when the disk is slow."""

_SYNC_THREADS = 4
_PASSING = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR})
"""Want of room, of descriptors or of memory, or a signal: nothing that was written is in doubt."""
_ROW_FAILURES = (SQLAlchemyError, OSError, ValueError, TypeError, ArithmeticError)
"""What the tables or their driver raise for one instance's values."""

Ending = tuple[Kind, IntakeReason | None]
FULL: Ending = (Kind.REFUSED, IntakeReason.OUT_OF_RESOURCES)
FAILED: Ending = (Kind.REFUSED, IntakeReason.PROCESSING_FAILURE)


@dataclass(frozen=True, slots=True)
class Pending:
    """One verified instance that waits for its commit."""

    spooled: Spooled
    arrival: records.Arrival
    ending: Future[Ending]


class Committer:
    """One thread: takes what has gathered, syncs the files, names them, commits the rows, then answers all.

    Nobody waits for a batch to fill: what arrives while one commit runs makes the next.
    """

    def __init__(self, database: Database, archive: Archive, rules: records.Rules, clock: Callable[[], float]) -> None:
        self.is_suspect = False
        """The disk refused a sync: what it holds is unknown, so nothing more is taken in before a restart."""
        self._database = database
        self._archive = archive
        self._rules = rules
        self._clock = clock
        self._queue: queue.SimpleQueue[Pending | None] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(_SYNC_THREADS, thread_name_prefix="sync")
        self._thread = threading.Thread(target=self._loop, name="commit", daemon=True)

    def start(self) -> None:
        """Begin to take instances."""
        self._thread.start()

    def stop(self) -> None:
        """Finish what was submitted, then end."""
        self._queue.put(None)
        self._thread.join()
        self._pool.shutdown()

    def submit(self, spooled: Spooled, arrival: records.Arrival) -> Future[Ending]:
        """Queue one instance; the future tells its end, after what it says is durable."""
        ending: Future[Ending] = Future()
        ending.set_running_or_notify_cancel()  # a sender that goes away cannot cancel what others' answers wait for
        self._queue.put(Pending(spooled, arrival, ending))
        return ending

    def _loop(self) -> None:
        while (first := self._queue.get()) is not None:
            batch = [first]
            is_last = False
            while len(batch) < BATCH and not self._queue.empty():
                following = self._queue.get()
                if following is None:
                    is_last = True
                    break
                batch.append(following)
            try:
                self._commit(batch)
            except Exception as failure:  # noqa: BLE001 - the loop outlives any batch; every sender gets an answer
                log.error("commit failed", extra={"error": type(failure).__name__})  # noqa: TRY400
                for pending in batch:
                    if not pending.ending.done():
                        pending.ending.set_result(FAILED)
            if is_last:
                return

    def _commit(self, batch: Sequence[Pending]) -> None:
        sync = self._pool.map if len(batch) > 1 else map
        synced = [pending for pending, ok in zip(batch, sync(self._sync, batch), strict=True) if ok]
        placed = self._place(synced)
        if not placed:
            return
        try:
            endings = self._write_rows(placed)
        except _ROW_FAILURES as failure:
            # One bad instance takes no other with it; a disk that refused is not asked again.
            alone = len(placed) > 1 and not is_refused_by_disk(failure)
            endings = [self._write_row(p) for p in placed] if alone else [self._failed(failure)] * len(placed)
        for pending, ending in zip(placed, endings, strict=True):
            pending.ending.set_result(ending)

    def _sync(self, pending: Pending) -> bool:
        """Have one file on the disk; when the disk refuses, the file is given up and never synced again."""
        try:
            pending.spooled.sync()
        except OSError as failure:
            self._give_up([pending], failure)
            return False
        pending.spooled.close()
        return True

    def _place(self, synced: Sequence[Pending]) -> list[Pending]:
        """Name the files in the archive and have their names on the disk."""
        placed, folders = [], set()
        for pending in synced:
            try:
                folders.add(
                    self._archive.place(
                        pending.spooled.path, pending.arrival.sender.site_id, pending.arrival.content_sha256
                    )
                )
                placed.append(pending)
            except OSError as failure:
                self._give_up([pending], failure)
        try:
            sync_folders(sorted(folders))
        except OSError as failure:
            self._give_up(placed, failure)
            return []
        return placed

    def _give_up(self, given_up: Sequence[Pending], failure: OSError) -> None:
        if failure.errno not in _PASSING:
            self.is_suspect = True
        log.error("disk refused", extra={"errno": failure.errno, "instances": len(given_up)})
        for pending in given_up:
            pending.spooled.abandon()
            pending.ending.set_result(FULL)

    def _write_rows(self, placed: Sequence[Pending]) -> list[Ending]:
        now = self._clock()
        with self._database.transaction() as tx:
            return [records.keep(tx, pending.arrival, self._rules, now) for pending in placed]

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
        log.error("commit failed", extra={"error": type(failure).__name__, "is_suspect": self.is_suspect})
        return FULL if is_refused_by_disk(failure) else FAILED
