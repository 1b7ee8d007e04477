"""Searches over HTTP in an archive of 1,000,000 studies and 5,000,000 instances (python -m tests.benchmarks.qido).

Each search is asked, with a connection kept open, by who sees least and most: a site's key, an administrator, and a
reader to whom results are shown after his own impression; the slowest of the three counts. Beside them stands the
bare indexed query: the ids of a page, in SQLite's own words. `--keep-tables FILE` makes the tables once (3.5 GB).
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from service.access import new_key, new_sign_in_link
from service.access.account_records import add_account
from service.access.accounts import NewAccount
from service.database import Database
from service.roles import Role
from service.settings import Settings
from tests.benchmarks import large_tables
from tests.benchmarks.dicomweb import Server, serving
from tests.benchmarks.rows import Row, p95_limit, report
from tests.driver import free_port

MUST_MS = 20.0
STUDIES = 1_000_000
FREE_BYTES_EACH = 8_000
"""On the disk for each study, while the tables are made."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One kind of search.

    Attributes:
        words: What is looked for.
        address: With `{n}` for the number of a study, a new one each time.
        why_slow: Why it cannot keep to the limit; empty when it must.
    """

    words: str
    address: str
    why_slow: str = ""


PART = "reads an index through"
WALK = "no index: walks the page's order"
SEARCHES = (
    Asked("newest page", "studies?limit=100"),
    Asked("newest page, every attribute", "studies?limit=100&includefield=all"),
    Asked("a later page", "studies?limit=100&offset=2000"),
    Asked("patient id", "studies?PatientID=P{n}"),
    Asked("patient id within dates", "studies?PatientID=P{n}&StudyDate=20220101-20251231"),
    Asked("accession number", "studies?AccessionNumber=A{n}"),
    Asked("study UID", "studies?StudyInstanceUID=1.2.3.{n}"),
    Asked("twenty study UIDs", "studies?StudyInstanceUID=" + ",".join(f"1.2.3.{{n}}{k}" for k in range(20))),
    Asked("study ID", "studies?StudyID=S{n}"),
    Asked("name", "studies?PatientName=nguyen van anh {n}"),
    Asked("name begins with, few", "studies?PatientName=nguyen van anh {n}*"),
    Asked("name begins with, many", "studies?PatientName=nguyen*&limit=100"),
    Asked("referring physician", "studies?ReferringPhysicianName=nguyen van anh 77&limit=100"),
    Asked("description, common", "studies?StudyDescription=Chest PA&limit=100"),
    Asked("description, absent", "studies?StudyDescription=Knee&limit=100"),
    Asked("a day", "studies?StudyDate=20240215&limit=100"),
    Asked("a week", "studies?StudyDate=20240215-20240221&limit=100"),
    Asked("a day, one modality", "studies?StudyDate=20240215&ModalitiesInStudy=CR&limit=100"),
    Asked("a month, rare modality", "studies?StudyDate=20240201-20240229&ModalitiesInStudy=MG&limit=100"),
    Asked("a year, rare modality", "studies?StudyDate=20240101-20241231&ModalitiesInStudy=MG&limit=100"),
    Asked("common modality", "studies?ModalitiesInStudy=CR&limit=100"),
    Asked("rare modality", "studies?ModalitiesInStudy=MG&limit=100"),
    Asked("absent modality", "studies?ModalitiesInStudy=US&limit=100"),
    Asked("birth date and sex", "studies?PatientBirthDate=19600412&PatientSex=M&limit=100"),
    Asked("series by UID", "series?SeriesInstanceUID=1.2.4.{n}"),
    Asked("series of a patient", "series?PatientID=P{n}"),
    Asked("series of a rare modality", "series?Modality=MG&limit=100"),
    Asked("series of a requested procedure", "series?RequestAttributesSequence.RequestedProcedureID=RP{n}"),
    Asked("instance by UID", "instances?SOPInstanceUID=1.2.5.{n}.3"),
    Asked("instances of a patient", "instances?PatientID=P{n}"),
    Asked("instances of a series UID", "instances?SeriesInstanceUID=1.2.4.{n}"),
    Asked("instances of a study, by address", "studies/1.2.3.{n}/instances"),
    Asked("part of a name", "studies?PatientName=*bich {n}*&limit=100", PART),
    Asked("part of a Korean name", "studies?PatientName=*김 {n}*&limit=100", PART),
    Asked("part of an accession number", "studies?AccessionNumber=*{n}&limit=100", PART),
    Asked("a sex that nobody has", "studies?PatientSex=O&limit=100", WALK),
)


@contextmanager
def archive(folder: Path, kept: Path | None, studies: int) -> Iterator[Path]:
    """Give a data folder whose tables hold so many studies: kept ones, or ones made in the folder."""
    tables = kept or folder / "tables.db"
    if not tables.exists():
        if shutil.disk_usage(tables.parent).free < studies * FREE_BYTES_EACH:
            raise SystemExit(
                f"The tables need {studies * FREE_BYTES_EACH / 1e9:.0f} GB in {tables.parent} or elsewhere."
            )
        started = time.perf_counter()
        large_tables.fill(tables, studies)
        size_gb = tables.stat().st_size / 1e9
        print(f"{studies:,} studies, {size_gb:.1f} GB, made in {time.perf_counter() - started:.0f} s", flush=True)
    data = folder / "data"
    data.mkdir()
    (data / "pandok.db").symlink_to(tables.resolve())
    yield data


def callers(settings: Settings) -> dict[str, dict[str, str]]:
    """Make who asks; return the headers or the one-time link of each."""
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    now, links = time.time(), {}
    with database.transaction() as tx:
        site_id = tx.exec_driver_sql("SELECT min(id) FROM site").scalar_one()
        key = new_key(tx, site_id=site_id, name="bench", now=now).text
        for role in (Role.ADMINISTRATOR, Role.RADIOLOGIST):
            new = NewAccount(f"{role.value}-{int(now)}", "Bench", role, None, "en", "UTC")
            account_id = add_account(tx, new, now=now).id
            tx.exec_driver_sql(f"UPDATE account SET password_hash = 'chosen before' WHERE id = {account_id:d}")
            links[role.value] = new_sign_in_link(tx, settings, account_id=account_id, now=now).rpartition("=")[2]
    database.close()
    return {"site key": {"Authorization": f"Bearer {key}"}, **{who: {"token": token} for who, token in links.items()}}


def sign_in(server: Server, who: dict[str, str]) -> httpx.Client:
    """Return a client of a caller, with its connection open."""
    client = httpx.Client(base_url=server.address, headers={"X-Pandok": "1"}, timeout=120)
    if token := who.get("token"):
        answer = client.post(server.address.removesuffix("/dicomweb") + "/api/sign-in", json={"token": token})
        assert answer.status_code == 204, answer.text
    else:
        client.headers.update(who)
    return client


def times_of(client: httpx.Client, asked: Asked, *, studies: int, rounds: int) -> list[float]:
    """Return milliseconds of each answer; a search that has to be slow is asked less often."""
    dice, times = random.Random(1), []
    for _ in range(3 if asked.why_slow == WALK else rounds):
        address = asked.address.format(n=dice.randrange(1, studies))
        started = time.perf_counter()
        answer = client.get(address)
        times.append((time.perf_counter() - started) * 1000)
        assert answer.status_code in (200, 204), answer.text[:300]
    return times


def bare(tables: Path, studies: int, rounds: int) -> list[float]:
    """Return milliseconds of the least that any search costs: a page's ids from an index."""
    dice, times = random.Random(1), []
    ask = "SELECT id FROM study WHERE site_id = 1 AND study_date >= ? ORDER BY study_date DESC, id DESC LIMIT 100"
    with sqlite3.connect(tables) as connection:
        for _ in range(rounds):
            date = f"2023{dice.randrange(1, 13):02}{dice.randrange(1, 29):02}"
            started = time.perf_counter()
            connection.execute(ask, (date,)).fetchall()
            times.append((time.perf_counter() - started) * 1000)
    connection.close()
    return times


def rows_of(server: Server, who: dict[str, dict[str, str]], studies: int, rounds: int) -> Iterator[tuple[Asked, Row]]:
    """Ask everything; yield the slowest caller's row of each search."""
    clients = {name: sign_in(server, one) for name, one in who.items()}
    for client in clients.values():
        times_of(client, SEARCHES[0], studies=studies, rounds=10)
    for asked in SEARCHES:
        found = []
        for name, client in clients.items():
            times = times_of(client, asked, studies=studies, rounds=rounds)
            work = f"QIDO at {studies:,} studies, {asked.words} ({asked.why_slow or name})"
            found.append(p95_limit(work, times, unit="ms", must=None if asked.why_slow else MUST_MS))
        slowest = max(found, key=lambda row: row.ours)
        print(f"{asked.words:34} p95 {slowest.ours:8.1f} ms  {asked.why_slow}", flush=True)
        yield asked, slowest
    for client in clients.values():
        client.close()


def measure(studies: int = STUDIES, rounds: int = 30, kept: Path | None = None) -> list[Row]:
    """Return the bare query, the slowest search that has an index, each other one above the limit, and the rest."""
    with tempfile.TemporaryDirectory() as work, archive(Path(work), kept, studies) as data:
        settings = Settings(data_folder=data, web_port=free_port())
        who = callers(settings)
        first = p95_limit("bare indexed query of a page", bare(data / "pandok.db", studies, 200), unit="ms", must=None)
        with serving(settings, Path(work), {}) as server:
            rows = list(rows_of(server, who, studies, rounds))
    fast = sorted((row for asked, row in rows if not asked.why_slow), key=lambda row: -row.ours)
    told = replace(fast[0], work=f"{fast[0].work}, the slowest of {len(fast)}")
    others = [row for row in fast[1:] if not row.is_reached or "patient id" in row.work or "newest page" in row.work]
    return [first, told, *others, *(row for asked, row in rows if asked.why_slow)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=STUDIES)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--keep-tables", type=Path, help="a file of tables to make once and use again")
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    asked = parser.parse_args()
    report("qido", lambda: measure(asked.studies, asked.rounds, asked.keep_tables), kept=asked.keep)


if __name__ == "__main__":
    main()
