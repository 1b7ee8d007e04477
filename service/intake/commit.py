"""Makes received instances durable: file and name side by side, rows meanwhile; commits are grouped.

An answer waits for the file's bytes and its name in the spool, which says enough to write its rows again. Rows are
committed after that, without a sync of their own; once they and the archive's names are on the disk the name in the
spool goes. After a loss of power `service.intake.recovery` stores again whatever still has one.
"""

from __future__ import annotations

import errno
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError

from service.archive import Archive, sync_folders
from service.database import Database, is_refused_by_disk, is_refused_sync
from service.intake import records
from service.intake.outcomes import IntakeReason, Kind
from service.intake.spool import Spooled, kept_path
from service.write_back import sync_file_system

log = logging.getLogger("pandok.intake")

BATCH = 64
"""Most instances in one commit: with 8 senders it fills only when the disk is slow."""
RELEASE_S = 1.0
"""How long names in the spool are kept before rows and archive are synced for all of them at once."""

_FILE_THREADS = 4
_PASSING = frozenset(
    {
        errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EINTR, errno.ENOENT,
    }
)  # fmt: skip
"""Want of room, of descriptors or of memory, a signal, a name that somebody removed: no synced byte is in doubt."""
ROW_FAILURES = (SQLAlchemyError, OSError, ValueError, TypeError, ArithmeticError)
"""What the tables or their driver raise for one instance's values."""

Ending = tuple[Kind, IntakeReason | None]
FULL: Ending = (Kind.REFUSED, IntakeReason.OUT_OF_RESOURCES)
FAILED: Ending = (Kind.REFUSED, IntakeReason.PROCESSING_FAILURE)
_Work = TypeVar("_Work")


@dataclass(slots=True)
class Pending:
    """One verified instance that is not durable yet."""

    spooled: Spooled
    arrival: records.Arrival
    tell: Callable[[Ending], object]
    kept: Path
    """Its name in the spool from when it has one in the archive."""
    is_new: bool = False
    """Its name in the archive was free: nobody else's bytes stood there."""
    is_in_doubt: bool = False
    """Its rows may be in the tables although their commit failed."""
    steps: SimpleQueue[Exception | None] = field(default_factory=SimpleQueue)
    """What became of naming the file, then of syncing it."""
    steps_left: int = 2
    failure: Exception | None = None
    """Why the file or its name is not on the disk."""

    def wait(self, *, steps_left: int = 0) -> None:
        """Wait until so few steps are left."""
        while self.steps_left > steps_left:
            self.failure = self.steps.get() or self.failure
            self.steps_left -= 1


class _NotSynced(Exception):
    """A file of the batch, or its name, is not on the disk: none of its rows may be committed."""


class Committer:
    """Some threads name and sync files, one writes rows meanwhile and answers, one lets go of the spool's names.

    Nobody waits for a batch to fill: what is stored while one commit runs makes the next.
    """

    def __init__(
        self,
        database: Database,
        archive: Archive,
        *,
        spool_folder: Path,
        rules: records.Rules,
        clock: Callable[[], float],
    ) -> None:
        self.is_suspect = False
        """The disk refused a sync: what it holds is unknown, so nothing more is taken in before a restart."""
        self._database = database
        self._archive = archive
        self._spool_folder = spool_folder
        self._rules = rules
        self._clock = clock
        self._files: SimpleQueue[Pending | None] = SimpleQueue()
        self._rows: SimpleQueue[Pending | None] = SimpleQueue()
        self._kept: deque[Path] = deque()
        self._is_stopping = threading.Event()
        self._threads: dict[str, list[threading.Thread]] = {}

    def start(self) -> None:
        """Begin to take instances."""
        self._is_stopping.clear()
        self._run("files", lambda: _serve(self._files, self._store, at_most=1), threads=_FILE_THREADS)
        self._run("rows", lambda: _serve(self._rows, self._commit))
        self._run("release", self._release_now_and_then)

    def stop(self) -> None:
        """Finish what was submitted, then end."""
        for room, queue in (("files", self._files), ("rows", self._rows)):
            threads = self._threads.pop(room, [])
            for _ in threads:
                queue.put(None)
            for thread in threads:
                thread.join()
        self._is_stopping.set()
        for thread in self._threads.pop("release", []):
            thread.join()

    def submit(self, spooled: Spooled, arrival: records.Arrival, tell: Callable[[Ending], object]) -> None:
        """Take one instance; `tell` is called with its end, from a thread, after what it says is durable."""
        pending = Pending(spooled, arrival, tell, kept_path(spooled, arrival.content_sha256))
        self._files.put(pending)
        self._rows.put(pending)

    def let_go(self, kept: Iterable[Path]) -> None:
        """Take names from the spool once the archive's names and the rows that they stood in for are on the disk."""
        self._kept.extend(kept)

    def _run(self, room: str, work: Callable[[], None], *, threads: int = 1) -> None:
        made = [threading.Thread(target=work, name=f"{room}-{n}", daemon=True) for n in range(threads)]
        self._threads[room] = made
        for thread in made:
            thread.start()

    # Files and names

    def _store(self, batch: Sequence[Pending]) -> None:
        """Give a file its names and sync it; its rows are written meanwhile."""
        [pending] = batch
        failure = _failure_of(lambda: self._place(pending))
        pending.steps.put(failure)
        pending.steps.put(failure or _failure_of(lambda: os.fsync(pending.spooled.descriptor)))

    def _place(self, pending: Pending) -> None:
        pending.is_new = self._archive.place(
            pending.spooled.path,
            pending.kept,
            descriptor=pending.spooled.descriptor,
            site_id=pending.arrival.sender.site_id,
            content_sha256=pending.arrival.content_sha256,
        )

    def _claim(self, pending: Pending) -> None:
        self._archive.claim(
            pending.kept,
            descriptor=pending.spooled.descriptor,
            site_id=pending.arrival.sender.site_id,
            content_sha256=pending.arrival.content_sha256,
        )

    def _finish_syncs(self, batch: Sequence[Pending]) -> None:
        """Return when files and names of all are on the disk. Raises _NotSynced, and each knows whether it failed."""
        waiting = [pending for pending in batch if pending.steps_left]
        for pending in waiting:
            pending.wait(steps_left=1)
        failure = _failure_of(lambda: sync_folders([self._spool_folder])) if waiting else None
        for pending in waiting:
            pending.wait()
            pending.failure = pending.failure or failure
        if any(pending.failure for pending in batch):
            raise _NotSynced

    # Rows

    def _commit(self, batch: Sequence[Pending]) -> None:
        try:
            try:
                endings = self._write_rows(batch)
            except _NotSynced:
                endings = [self._write_row(pending) for pending in batch]
            except ROW_FAILURES as failure:
                # One bad instance takes no other with it; a disk that refused is not asked again.
                alone = len(batch) > 1 and not is_refused_by_disk(failure)
                endings = [self._write_row(p) for p in batch] if alone else self._failed(failure, batch)
        except Exception as failure:  # noqa: BLE001 - every sender gets an answer, whatever went wrong
            log.error("commit failed", extra={"error": type(failure).__name__})  # noqa: TRY400
            endings = [FAILED] * len(batch)
        for pending, ending in zip(batch, endings, strict=True):
            self._end(pending, ending)

    def _write_rows(self, batch: Sequence[Pending]) -> list[Ending]:
        now = self._clock()
        with self._database.transaction(is_durable=False) as tx:
            endings = [records.keep(tx, pending.arrival, self._rules, now) for pending in batch]
            self._finish_syncs(batch)
            for pending, (kind, _) in zip(batch, endings, strict=True):
                if kind is Kind.STORED and not pending.is_new:
                    self._claim(pending)
                pending.is_in_doubt = True
        for pending, (kind, _) in zip(batch, endings, strict=True):
            if kind is Kind.REFUSED:
                self._take_back(pending)
        return endings

    def _write_row(self, pending: Pending) -> Ending:
        try:
            if pending.failure is None:
                return self._write_rows([pending])[0]
        except _NotSynced:
            pass
        except ROW_FAILURES as failure:
            return self._failed(failure, [pending])[0]
        self._take_back(pending)
        return self._not_stored(pending.failure)

    def _take_back(self, pending: Pending) -> None:
        """Remove the name in the archive of what is refused. One that it took over may stand for acknowledged bytes."""
        if pending.is_new:
            self._archive.take_back(
                pending.spooled.descriptor,
                site_id=pending.arrival.sender.site_id,
                content_sha256=pending.arrival.content_sha256,
            )

    def _end(self, pending: Pending, ending: Ending) -> None:
        with suppress(RuntimeError):  # the loop that asked is gone
            pending.tell(ending)
        pending.wait()
        if ending[0] is not Kind.REFUSED:
            self._kept.append(pending.kept)
        with suppress(OSError):
            pending.spooled.close()
            if ending[0] is Kind.REFUSED:
                pending.spooled.abandon()
                pending.kept.unlink(missing_ok=True)

    def _not_stored(self, failure: Exception | None) -> Ending:
        """Say how an instance ends that is not on the disk."""
        if not isinstance(failure, OSError):
            log.error("file not stored", extra={"error": type(failure).__name__})
            return FAILED
        self.is_suspect = self.is_suspect or failure.errno not in _PASSING
        log.error("disk refused", extra={"errno": failure.errno})
        return FULL

    def _failed(self, failure: Exception, batch: Sequence[Pending] = ()) -> list[Ending]:
        """Say how instances end whose rows could not be written, and leave no file behind that no row can know."""
        for pending in batch:
            pending.wait()
            if not pending.is_in_doubt:
                self._take_back(pending)
        self.is_suspect = self.is_suspect or is_refused_sync(failure)
        # No trace: one of SQL would carry the patient's attributes.
        log.error(
            "commit failed",
            extra={"error": type(failure).__name__, "state": "suspect" if self.is_suspect else "in use"},
        )
        return [FULL if is_refused_by_disk(failure) else FAILED] * len(batch)

    # Letting go

    def _release_now_and_then(self) -> None:
        while not self._is_stopping.wait(RELEASE_S):
            self._release()
        self._release()

    def _release(self) -> None:
        """Sync the archive's names and the rows, then take the names from the spool that stood in for both."""
        kept = [self._kept.popleft() for _ in range(len(self._kept))]
        if not kept:
            return
        try:
            sync_file_system(self._archive.folder)
            self._database.make_durable()
            for path in kept:
                path.unlink(missing_ok=True)
        except (OSError, SQLAlchemyError) as failure:
            self._kept.extendleft(reversed(kept))
            if isinstance(failure, OSError):
                self._not_stored(failure)
            else:
                self._failed(failure)


def _serve(queue: SimpleQueue[_Work | None], do: Callable[[Sequence[_Work]], None], *, at_most: int = BATCH) -> None:
    """Do what is queued, as much at once as there is, until a None."""
    work: _Work | None
    while (work := queue.get()) is not None:
        batch = [work]
        with suppress(Empty):
            while len(batch) < at_most and work is not None:
                if (work := queue.get_nowait()) is not None:
                    batch.append(work)
        do(batch)
        if work is None:
            return


def _failure_of(do: Callable[[], None]) -> Exception | None:
    try:
        do()
    except Exception as failure:  # noqa: BLE001 - told to the thread that answers the sender
        return failure
    return None
