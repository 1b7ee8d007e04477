"""After a loss of power: stores again what was acknowledged and whose rows were not on the disk yet."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Collection
from io import BufferedReader
from pathlib import Path

from preprocessing.elements import HeaderRefused, find_data_set
from preprocessing.header import InstanceHeader, read_header
from service.archive import PREAMBLE, Archive
from service.database import Database
from service.intake import records
from service.intake.commit import ROW_FAILURES
from service.intake.outcomes import Kind
from service.intake.spool import DATASET_OFFSET, KEPT, file_meta, read_kept

log = logging.getLogger("pandok.intake")

NEWEST_FOR_EACH = 4
NEWEST_AT_LEAST = 1_000
"""Among so many of the newest rows those of a kept file are looked for: it was kept a moment ago."""


def recover(
    database: Database, archive: Archive, *, spool_folder: Path, rules: records.Rules, clock: Callable[[], float]
) -> list[Path]:
    """Store again every whole file that still has its name in the spool, unless it is stored.

    Returns the names that may go as soon as the archive's names and the rows are on the disk.

    A file that is not whole was never acknowledged: it loses its name. One that the disk, the tables or a newer reader
    refuse keeps it until the next start. What has its rows already gets no second ones, so that nothing is harmed by
    doing this beside another process that is storing the same file just now. When only a process died, and not the
    machine, nearly all are stored: that is seen without reading their data sets, since senders wait for this.
    """
    kept = sorted(spool_folder.glob(f"*{KEPT}"), key=_written_at)
    if not kept:
        return []
    with database.reading() as rx:
        stored = records.newest_contents(rx, max(NEWEST_AT_LEAST, NEWEST_FOR_EACH * len(kept)))
    done: list[Path] = []
    again = 0
    for path in kept:
        try:
            if not _is_stored(path, archive, stored):
                if not _store_again(path, database, archive, rules=rules, now=clock()):
                    path.unlink(missing_ok=True)
                    continue
                again += 1
        except FileNotFoundError:  # another process was quicker
            continue
        except (HeaderRefused, *ROW_FAILURES) as failure:  # a trace of SQL would carry the patient's attributes
            log.error("file not stored again", extra={"error": type(failure).__name__})  # noqa: TRY400
            continue
        done.append(path)
    if again:
        log.warning("stored again", extra={"instances": again})
    return done


def _is_stored(path: Path, archive: Archive, stored: Collection[tuple[int, str, str]]) -> bool:
    """Tell whether a file has its rows, and the archive's name stands for it. Raises OSError."""
    named = read_kept(path)
    if named is None:
        return False
    sender, content_sha256 = named
    try:
        with path.open("rb") as file:
            syntax, _ = find_data_set(file)
        is_there = path.samefile(archive.path(sender.site_id, content_sha256))
    except (HeaderRefused, FileNotFoundError):
        return False
    return is_there and (sender.site_id, content_sha256, syntax) in stored


def _written_at(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _store_again(path: Path, database: Database, archive: Archive, *, rules: records.Rules, now: float) -> bool:
    """Store one file; False when it is not whole."""
    named = read_kept(path)
    if named is None:
        return False
    sender, content_sha256 = named
    with path.open("rb") as file:
        header = _whole(file, content_sha256)
        if header is None:
            return False
        os.fsync(file.fileno())
        size_bytes = os.fstat(file.fileno()).st_size - DATASET_OFFSET
    archive.restore(path, site_id=sender.site_id, content_sha256=content_sha256)
    with database.transaction(is_durable=False) as tx:
        kind, _ = records.keep(tx, records.Arrival(sender, header, content_sha256, size_bytes), rules, now)
    if kind in (Kind.STORED, Kind.DUPLICATE):
        with path.open("rb") as file:
            archive.claim(path, descriptor=file.fileno(), site_id=sender.site_id, content_sha256=content_sha256)
    return True


def _whole(file: BufferedReader, content_sha256: str) -> InstanceHeader | None:
    """Return the header of a file whose every byte is as we wrote it, else None.

    Raises HeaderRefused for a data set that has its hash: it was taken, by a reader that has changed since.
    """
    head = file.read(DATASET_OFFSET)
    if hashlib.file_digest(file, "sha256").hexdigest() != content_sha256:
        return None
    try:
        syntax, offset = find_data_set(file)
    except HeaderRefused:
        return None
    if syntax is None or offset != DATASET_OFFSET:
        return None
    length = os.fstat(file.fileno()).st_size - offset
    header = read_header(file, transfer_syntax_uid=syntax, offset=offset, length=length)
    meta = file_meta(
        sop_class_uid=header.sop_class_uid or "",
        sop_instance_uid=header.sop_instance_uid or "",
        transfer_syntax_uid=syntax,
        size_bytes=DATASET_OFFSET - len(PREAMBLE),
    )
    return header if head == PREAMBLE + meta else None
