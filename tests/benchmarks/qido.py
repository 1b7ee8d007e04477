"""Searches in large tables (python -m tests.benchmarks.qido --studies 100000).

Each study has one series of five instances. A search is timed from the query's text to the JSON of its answer.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import Any

from preprocessing.header import from_json
from service.access import Caller
from service.database import Database
from service.intake.studies import fold
from service.results.dicomweb import qido, records
from service.results.dicomweb.attributes import Level
from service.results.dicomweb.records import Place
from service.results.visibility import Rule, Scope, Sight
from tests.factories import add_site

FAMILIES = ("Kim=김", "Lee=이", "Park=박", "Nguyễn", "Trần", "Lê", "Иванов", "Петрова", "Смирнов", "Phạm", "Choi=최")
GIVEN = ("Minjun", "Seoyeon", "Văn Anh", "Thị Bích", "Анна", "Сергей", "Jiwoo", "Hà", "Ольга", "Đức")
INSTANCES = 5

SEARCHES: tuple[tuple[str, Level, str], ...] = (
    ("newest page", Level.STUDY, "limit=100"),
    ("patient id", Level.STUDY, "PatientID=P{n}"),
    ("accession number", Level.STUDY, "AccessionNumber=A{n}"),
    ("study uid", Level.STUDY, "StudyInstanceUID=1.2.3.{n}"),
    ("name begins with", Level.STUDY, "PatientName=nguyen van anh {n}*"),
    ("a day", Level.STUDY, "StudyDate=20240215&limit=100"),
    ("a day, one modality", Level.STUDY, "StudyDate=20240215&ModalitiesInStudy=CR&limit=100"),
    ("a later page", Level.STUDY, "limit=100&offset=2000"),
    ("part of a name", Level.STUDY, "PatientName=*bich {n}*&limit=100"),
    ("part of a Korean name", Level.STUDY, "PatientName=*김 {n}*&limit=100"),
    ("part of an accession number", Level.STUDY, "AccessionNumber=*{n}&limit=100"),
    ("series by uid", Level.SERIES, "SeriesInstanceUID=1.2.4.{n}"),
    ("instances of a patient", Level.INSTANCE, "PatientID=P{n}"),
    ("instance by uid", Level.INSTANCE, "SOPInstanceUID=1.2.5.{n}.3"),
)


def fill(path: Path, studies: int, sites: int) -> None:
    """Write synthetic rows straight into SQLite."""
    database = Database(f"sqlite:///{path}")
    database.migrate()
    site_ids = [add_site(database, f"site{number}") for number in range(sites)]
    database.close()
    header = json.dumps({**asdict(from_json({})), "rows": 2048, "columns": 2048, "bits_allocated": 16})
    with sqlite3.connect(path) as raw:
        raw.execute("PRAGMA synchronous=OFF")
        raw.execute("PRAGMA journal_mode=MEMORY")
        for table, rows in (
            ("study", study_rows(site_ids, studies)),
            ("series", series_rows(site_ids, studies)),
            ("instance", instance_rows(site_ids, studies, header)),
        ):
            while batch := list(islice(rows, 20_000)):
                names = ", ".join(batch[0])
                marks = ", ".join(f":{name}" for name in batch[0])
                raw.executemany(f"INSERT INTO {table} ({names}) VALUES ({marks})", batch)
        raw.commit()
        raw.execute("PRAGMA journal_mode=WAL")


def study_rows(site_ids: list[int], studies: int) -> Iterator[dict[str, Any]]:
    dice = random.Random(7)
    for n in range(1, studies + 1):
        name = f"{dice.choice(FAMILIES)}^{dice.choice(GIVEN)} {n}"
        yield {
            "id": n, "site_id": site_ids[n % len(site_ids)],
            "public_id": f"{n:032x}", "study_instance_uid": f"1.2.3.{n}",
            "patient_id": f"P{n}", "patient_name": name, "patient_name_folded": fold(name),
            "study_date": f"202{dice.randrange(2, 6)}{dice.randrange(1, 13):02}{dice.randrange(1, 29):02}",
            "study_time": "101500", "accession_number": f"A{n}", "modalities": "CR", "series_count": 1,
            "instance_count": INSTANCES, "flags": "[]", "state": "scored", "revision": 1, "first_image_at": n,
            "last_instance_at": n, "arriving_since": n, "settle_by": "quiet", "center_priority": 3,
        }  # fmt: skip


def series_rows(site_ids: list[int], studies: int) -> Iterator[dict[str, Any]]:
    for n in range(1, studies + 1):
        yield {
            "id": n, "site_id": site_ids[n % len(site_ids)],
            "study_id": n, "series_instance_uid": f"1.2.4.{n}", "modality": "CR",
            "series_number": 1, "instance_count": INSTANCES, "is_result": 0,
        }  # fmt: skip


def instance_rows(site_ids: list[int], studies: int, header: str) -> Iterator[dict[str, Any]]:
    for n in range(1, studies + 1):
        for k in range(INSTANCES):
            yield {
                "id": n * INSTANCES + k, "site_id": site_ids[n % len(site_ids)], "study_id": n, "series_id": n,
                "sop_instance_uid": f"1.2.5.{n}.{k}", "sop_class_uid": "1.2.840.10008.5.1.4.1.1.1",
                "transfer_syntax_uid": "1.2.840.10008.1.2.1", "instance_number": k,
                "content_sha256": f"{n:032x}{k:032x}", "size_bytes": 1, "header": header, "revision": 1,
                "door": "stow", "received_at": n, "is_result": 0,
            }  # fmt: skip


def measure(database: Database, scope: Scope, level: Level, query: str) -> tuple[float, int]:
    """Ask once; return milliseconds of processor time, and how many were found."""
    started = time.process_time()
    pairs = [tuple(pair.split("=", 1)) for pair in query.split("&")]
    search = qido.parse_search(level, None, pairs)  # type: ignore[arg-type]  # each pair is two texts
    with database.reading() as rx:
        page = records.search(rx, scope, Place(), search)
    json.dumps(qido.answer(search, page.rows, "http://x"))
    return (time.process_time() - started) * 1000, len(page.rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000)
    parser.add_argument("--sites", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep", type=Path, help="a file of tables to make once and use again")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = asked.keep or Path(folder) / "pandok.db"
        if not path.exists():
            started = time.perf_counter()
            fill(path, asked.studies, asked.sites)
            print(f"{asked.studies:,} studies written in {time.perf_counter() - started:.0f} s")
        database = Database(f"sqlite:///{path}")
        with database.reading() as rx:
            sites = records.all_sites(rx)
        scope = Scope(Caller.__new__(Caller), sites, Sight(Rule.ALWAYS))
        dice = random.Random(1)
        for words, level, query in SEARCHES:
            took = [
                measure(database, scope, level, query.format(n=dice.randrange(1, asked.studies)))
                for _ in range(asked.rounds)
            ]
            times = sorted(ms for ms, _ in took)
            p95 = times[int(len(times) * 0.95)]
            found = statistics.median(count for _, count in took)
            print(f"{words:28} {found:5.0f} found   median {statistics.median(times):8.1f} ms   p95 {p95:8.1f} ms")


if __name__ == "__main__":
    main()
