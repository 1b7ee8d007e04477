"""Trial 03: power fails at every moment of a recording; is all that was acknowledged there when it comes back?

The method of ALICE (Pillai et al., OSDI 2014): the real processes run once under strace, then thousands of disks are
made that could have been left by a power cut, and a service starts on each: what it finds in the spool it stores again.
"""

from __future__ import annotations

import hashlib
import random
import shutil
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from service.archive import Archive
from service.database import Database
from service.intake.spool import DATASET_OFFSET, KEPT
from service.receiving import make_intake
from service.settings import Settings
from tests.trials.disk import Disk, moments
from tests.trials.nursery import Nursery
from tests.trials.place import Place, film, make_place, sha256_of
from tests.trials.recording import Event, read_trace, tracer_of_everything
from tests.trials.t04_order import answers_to
from tests.trials.trial import Counts, Trial

POINTS = 400
SENT = 24
"""Instances of each entrance."""
SIGNED = 2
FULL_CHECK_EVERY = 10
"""SQLite's integrity check, which is slow, is made at each so-manieth disk."""
REACHED = (0.0, 0.0, 0.2, 0.5, 0.8, 1.0)
"""How much of what was not synced reached the disk: nothing, some, all."""


@dataclass(frozen=True)
class Promise:
    """What the outside was told, and in which line of the trace."""

    instances: Mapping[str, int]
    sha256s: Mapping[str, str]
    reports: Mapping[str, int]
    """By the fingerprint of the signed version."""


def run(seed: int, folder: Path) -> Counts:
    """Record one busy minute of the service, then cut the power of its disk at many moments."""
    base = folder / "base"
    with Nursery() as nursery:
        place = make_place(folder, nursery)
        cases = place.arrived([film(seed * 1000 + n) for n in range(SIGNED)])
        link = place.link()
        shutil.copytree(place.settings.data_folder, base)
        events, promise = _record(place, folder, seed, cases, link)
    root = place.settings.data_folder
    shutil.rmtree(root)
    shutil.copytree(base, root)  # the disk is read from where the recording says that it is
    disk, chance = Disk(root), random.Random(seed)
    first = min(promise.instances.values()) - 400
    last = max(event.begin for event in events)
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    wanted = sorted(chance.randint(max(first, 0), last) for _ in range(POINTS))
    with tempfile.TemporaryDirectory(dir=_memory()) as scratch:
        for number, line in enumerate(moments(events, disk, wanted)):
            found = disk.after_power_loss(chance, chance.choice(REACHED))
            told = f"{root}/"
            counts.update(
                judge({path.removeprefix(told): content for path, content in found.items()}, promise, line,
                      Path(scratch), whole=number % FULL_CHECK_EVERY == 0)
            )  # fmt: skip
            counts["power_cuts"] += 1
    return {**counts, "acknowledged": len(promise.instances), "signed": len(promise.reports)}


def _record(place: Place, folder: Path, seed: int, cases: list[str], link: str) -> tuple[list[Event], Promise]:
    """Send over both entrances and sign, under the tracer; returns what happened and what was promised."""
    trace = folder / "trace"
    tracer = tracer_of_everything(trace, [place.start(part, traced=True) for part in ("listener", "web")])
    for part in ("listener", "web"):
        place.wait_ready(part)
    place.open_link(link)
    films = [film(seed * 1000 + 100 + n) for n in range(2 * SENT)]
    with ThreadPoolExecutor(3) as pool:
        half = pool.submit(lambda: [one for one in films[:SENT] if place.c_store(one) == 0])
        other = pool.submit(lambda: [place.stow(*films[n : n + 2])[0] for n in range(SENT, 2 * SENT, 2)])
        signed = pool.submit(lambda: [place.sign(case, place.read(case)) for case in cases])
        assert (len(half.result()), other.result(), signed.result()) == (SENT, [200] * (SENT // 2), [200] * SIGNED)
    place.close()
    tracer.wait()
    with place.tables() as database, database.reading() as rx:
        versions = [row.sha256 for row in rx.exec_driver_sql("SELECT sha256 FROM report_version")]
    events = read_trace(trace)
    sha256s = {str(one.SOPInstanceUID): sha256_of(one) for one in films}
    return events, Promise(answers_to(events, list(sha256s)), sha256s, answers_to(events, versions))


def judge(found: Mapping[str, bytes], promise: Promise, line: int, scratch: Path, *, whole: bool) -> Counter[str]:
    """Start as a service would, and compare its tables with the files and the promises."""
    counts: Counter[str] = Counter()
    shutil.rmtree(scratch)
    scratch.mkdir()
    for name in ("pandok.db", "pandok.db-wal", "pandok.db-journal"):
        if name in found:
            (scratch / name).write_bytes(found[name])
    try:
        counts["without_their_file_before"] += _torn(scratch, found)
        stored_again = _start(scratch, found)
        counts["stored_again"] += len(stored_again)
        found = {**found, **stored_again}
        with closing(sqlite3.connect(scratch / "pandok.db")) as tables:
            counts["corrupt"] += whole and tables.execute("PRAGMA integrity_check").fetchone() != ("ok",)
            counts.update(_compare(tables, found, promise, line))
    except (sqlite3.Error, SQLAlchemyError):
        counts["corrupt"] += 1
    return counts


def _torn(scratch: Path, found: Mapping[str, bytes]) -> int:
    """Count rows whose file is not whole before anything is stored again: no row goes ahead of its file."""
    with closing(sqlite3.connect(scratch / "pandok.db")) as tables:
        rows = tables.execute("SELECT site_id, content_sha256 FROM instance").fetchall()
    kept = {name.removesuffix(KEPT).rpartition(".")[2]: content for name, content in found.items() if KEPT in name}
    return sum(
        _sha256(_data_set(kept.get(sha256, b""))) != sha256
        and _sha256(_data_set(found.get(f"archive/{site_id}/{sha256[:2]}/{sha256}.dcm", b""))) != sha256
        for site_id, sha256 in rows
    )


def _start(scratch: Path, found: Mapping[str, bytes]) -> dict[str, bytes]:
    """Do on this disk what each start does; returns the files of the archive that were stored again."""
    settings = Settings(data_folder=scratch)
    kept = [name for name in found if name.startswith("spool/") and name.endswith(KEPT)]
    settings.spool_folder.mkdir()
    settings.archive_folder.mkdir()
    for name in kept:
        (scratch / name).write_bytes(found[name])
    database = Database(settings.sqlalchemy_url)
    try:
        intake = make_intake(settings, database, Archive(settings.archive_folder), time.time)
        intake.start()
        intake.stop()
    finally:
        database.close()
    return {str(path.relative_to(scratch)): path.read_bytes() for path in settings.archive_folder.rglob("*.dcm")}


def _compare(tables: sqlite3.Connection, found: Mapping[str, bytes], promise: Promise, line: int) -> Counter[str]:
    counts: Counter[str] = Counter()
    rows = tables.execute("SELECT sop_instance_uid, site_id, content_sha256 FROM instance").fetchall()
    by_uid = {uid: sha256 for uid, _, sha256 in rows}
    for uid, answered in promise.instances.items():
        counts["lost"] += answered < line and by_uid.get(uid) != promise.sha256s[uid]
    for _, site_id, sha256 in rows:
        file = found.get(f"archive/{site_id}/{sha256[:2]}/{sha256}.dcm", b"")
        counts["rows_without_their_file"] += _sha256(_data_set(file)) != sha256
    signed = {sha256 for (sha256,) in tables.execute("SELECT sha256 FROM report_version")}
    counts["signatures_lost"] += sum(answered < line and one not in signed for one, answered in promise.reports.items())
    for site_id, sha256 in tables.execute("SELECT site_id, pdf_sha256 FROM report_document"):
        page = found.get(f"documents/{site_id}/{sha256[:2]}/{sha256}.pdf", b"")
        counts["rows_without_their_file"] += _sha256(page) != sha256
    return counts


def _data_set(file: bytes) -> bytes:
    """Return what stands behind the file meta group, whatever its length."""
    if len(file) < DATASET_OFFSET // 2:
        return b""
    return file[144 + int.from_bytes(file[140:144], "little") :]


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


NEVER = ("lost", "signatures_lost", "rows_without_their_file", "without_their_file_before", "corrupt")

TRIAL = Trial(
    number="03",
    title="power cuts: what was not synced is dropped or torn",
    run=run,
    counted="power_cuts",
    full=10_000,
    never=NEVER,
)
