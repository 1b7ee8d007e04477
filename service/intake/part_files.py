"""Files of uploads that go on after a break: one each beside the spool, for one request at a time."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from sqlalchemy import Connection

from service import audit
from service.archive import make_durable_folder, sync_folders
from service.database import Database
from service.intake import resumable_records as records
from service.intake.outcomes import Door, IntakeReason
from service.intake.problem_records import note_problem
from service.intake.resumable_records import Unfinished

log = logging.getLogger("pandok.intake")

SUFFIX = ".upload"
STRAY_S = 3_600.0
"""A file that no row knows is left alone so long: its row may be about to be written."""


def folder_in(spool_folder: Path) -> Path:
    """Return where the bytes of uploads stand."""
    return spool_folder / "uploads"


def path_in(spool_folder: Path, public_id: str) -> Path:
    """Return the file of an upload."""
    return folder_in(spool_folder) / f"{public_id}{SUFFIX}"


def make_part_file(path: Path) -> None:
    """Make an upload's empty file; its name is on the disk on return. Raises OSError."""
    make_durable_folder(path.parent)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    sync_folders([path.parent])


@contextmanager
def held(path: Path) -> Iterator[FileIO]:
    """Open an upload's file for one caller alone. Raises FileNotFoundError, BlockingIOError while another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield file


def clear_part_files(spool_folder: Path, database: Database, *, now: float) -> None:
    """Remove uploads whose time is over, and files that belong to none; who lost one is told among the problems."""
    with database.reading() as rx:
        expired = records.list_expired(rx, now)
    for one in expired:
        path = path_in(spool_folder, one.public_id)
        try:
            with contextlib.suppress(BlockingIOError), held(path):
                if _forget(database, one, now):
                    path.unlink()
        except FileNotFoundError:
            _forget(database, one, now)
    for path in folder_in(spool_folder).glob(f"*{SUFFIX}"):
        with contextlib.suppress(FileNotFoundError, BlockingIOError):
            if time.time() - path.stat().st_mtime > STRAY_S and not _is_known(database, path.stem):
                with held(path):  # only now: a sender who comes at this moment would be told that it is in use
                    path.unlink()


def _is_known(database: Database, public_id: str) -> bool:
    with database.reading() as rx:
        return records.find(rx, public_id) is not None


def remove_part_file(spool_folder: Path, database: Database, public_id: str, *, now: float) -> bool:
    """Let the operator take an upload away; False when there is none. Its site is told of one that was not taken.

    Raises:
        BlockingIOError: A request is at it.
    """
    path = path_in(spool_folder, public_id)
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(FileNotFoundError):
            stack.enter_context(held(path))
        with database.transaction() as tx:
            one = records.find(tx, public_id)  # only now does it stand still
            if one is None:
                return False
            records.remove(tx, public_id)
            audit.note(
                tx, audit.SYSTEM, "upload_removed", now=now, site_id=one.site_id, object_type="upload",
                object_id=public_id,
            )  # fmt: skip
            if one.taken_at is None:
                _tell(tx, one, now, "an upload was removed by the operator before it was finished")
        path.unlink(missing_ok=True)
    return True


def _forget(database: Database, one: Unfinished, now: float) -> bool:
    """Remove the row, and tell of one that was not taken; False when somebody has gone on with it meanwhile."""
    with database.transaction() as tx:
        if not records.remove_expired(tx, one.public_id, now=now):
            return False
        if one.taken_at is None:
            _tell(tx, one, now, "an upload was not finished in time")
    if one.taken_at is None:
        log.warning("upload not finished", extra={"site_id": one.site_id})
    return True


def _tell(tx: Connection, one: Unfinished, now: float, what: str) -> None:
    """Put an upload that never became images among its site's problems."""
    note_problem(
        tx,
        kind="aborted",
        reason=IntakeReason.ABORTED,
        site_id=one.site_id,
        door=Door.UPLOAD,
        sender=one.sender,
        detail=f"{what}: {one.offset_bytes:,} of {one.size_bytes:,} bytes came",
        now=now,
    )
