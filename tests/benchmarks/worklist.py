"""The worklist with 10,000 open studies: every sort and filter over HTTP, beside the bare indexed query.

    python -m tests.benchmarks.worklist [--studies 10000] [--rounds 40]

Pages of 100 (and one of 500) for a reader of each policy and for the administrator; the page of the benchmarks holds
the slowest and the plain one of each. Processor time is the server's and the client's together: other programs on the
machine do not change it.
"""

from __future__ import annotations

import argparse
import functools
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import insert, select

from service import tables
from service.intake.studies import fold
from service.roles import Role
from service.worklist.items import due_at, priority_class
from tests.benchmarks.rows import Row, p95, p95_limit, report
from tests.service.house import House, open_house

BUDGET_MS = 300.0
PAGE = 100
ASKED: list[dict[str, str]] = [
    {}, {"sort": "due"}, {"sort": "received"}, {"sort": "patient"}, {"sort": "site"}, {"state": "scored"},
    {"modality": "CR"}, {"site": "two"}, {"priority": "urgent"}, {"claim": "free"}, {"claim": "mine"},
    {"due": "overdue"}, {"due": "today"}, {"q": "kim 77"}, {"q": "P-000123"},
    {"priority": "routine", "modality": "DX", "claim": "free", "sort": "due"}, {"limit": "500"},
]  # fmt: skip


def fill(house: House, studies: int) -> None:
    """Write open studies of two sites, a third of them with findings, as intake and pipeline leave them."""
    chance, now = random.Random(1), house.clock()
    names = ("KIM", "LEE", "PARK", "NGUYEN", "TRAN", "IVANOV", "PETROVA")
    with house.database.transaction() as tx:
        for number in range(1, studies + 1):
            site_id = chance.choice([house.site_id, house.other_site_id])
            arrived = now - chance.uniform(0, 80 * 3600)
            center, ai = chance.choices([1, 2, 3], [1, 4, 20])[0], chance.choices([None, 1, 2], [20, 1, 3])[0]
            name = f"{chance.choice(names)}^{number}"
            modality = chance.choice(["CR", "DX", "CT"])
            _study(tx, number, site_id, arrived, name=name, modality=modality, center=center)
            values = {"site_id": site_id, "study_id": number, "public_id": f"{number:032x}", "state": "scheduled"}
            classes = priority_class(center, ai), priority_class(center, None)
            due, by_center = (due_at(arrived, one, house.settings.due_minutes) for one in classes)
            tx.execute(
                insert(tables.worklist_item).values(
                    **values, ai_priority=ai, priority_class=int(classes[0]), due_at=due, center_due_at=by_center,
                    created_at=arrived, updated_at=now,
                )
            )  # fmt: skip
            if number % 3 == 0:
                _score(tx, number, site_id, now)
        tx.exec_driver_sql("ANALYZE")


def _study(tx: Any, number: int, site_id: int, at: float, *, name: str, modality: str, center: int) -> None:
    row = {
        "id": number, "site_id": site_id, "public_id": f"{number:032x}", "study_instance_uid": f"1.2.3.{number}",
        "patient_name": name, "patient_name_folded": fold(name), "patient_id": f"P-{number:06}", "modalities": modality,
        "series_count": 1, "instance_count": 1, "flags": [], "state": "scored" if number % 3 == 0 else "settled",
        "revision": 1, "first_image_at": at, "last_instance_at": at, "arriving_since": at, "settle_by": "quiet",
        "center_priority": center,
    }  # fmt: skip
    tx.execute(insert(tables.study).values(**row))
    series = {"id": number, "site_id": site_id, "study_id": number, "series_instance_uid": f"1.2.4.{number}"}
    tx.execute(insert(tables.series).values(**series, modality=modality, instance_count=1, is_result=False))


def _score(tx: Any, number: int, site_id: int, now: float) -> None:
    ids = {"site_id": site_id, "study_id": number}
    tx.execute(
        insert(tables.revision).values(
            id=number, **ids, number=1, state="scored", settled_by="quiet", settled_at=now, attempt=1
        )
    )
    tx.execute(
        insert(tables.instance).values(
            id=number, **ids, series_id=number, sop_instance_uid=f"1.2.5.{number}", sop_class_uid="1.2",
            transfer_syntax_uid="1.2", content_sha256="0" * 64, size_bytes=1, header={}, revision=1, door="dimse",
            received_at=now, is_result=False,
        )
    )  # fmt: skip
    tx.execute(
        insert(tables.run).values(
            id=number, **ids, revision_id=number, instance_id=number, package="chest_radiograph",
            package_version="1.0.0", package_sha256="ab" * 32, outcome="done", notes=[], started_at=now,
            finished_at=now,
        )
    )  # fmt: skip
    findings = [
        {**ids, "revision_id": number, "run_id": number, "channel": channel, "finding": f"finding_{channel}",
         "presence": "present" if channel < 2 else "absent", "probability": 0.7, "operating_point": "default",
         "threshold": 0.5, "raises_priority": False, "experimental": False}
        for channel in range(17)
    ]  # fmt: skip
    tx.execute(insert(tables.finding), findings)


def timed(act: Callable[[], object], rounds: int) -> tuple[list[float], float]:
    """Return the times in milliseconds, and the processor's time for one."""
    act()
    times = []
    worked = time.process_time()
    for _ in range(rounds):
        started = time.perf_counter()
        act()
        times.append((time.perf_counter() - started) * 1000)
    return times, (time.process_time() - worked) * 1000 / rounds


def bare(house: House) -> Callable[[], object]:
    """Return the least that a page costs: its ids by the index of the order."""
    t = tables.worklist_item.c
    query = select(t.id).where(t.state == "scheduled").order_by(t.priority_class, t.due_at, t.id).limit(PAGE)

    def ask() -> object:
        with house.database.reading() as rx:
            return rx.execute(query).all()

    return ask


def readers(house: House) -> Iterator[tuple[str, Any]]:
    """Give a reader of each policy, and the administrator."""
    for role, policy in ((Role.RADIOLOGIST, "triage"), (Role.RADIOLOGIST, "blind"), (Role.ADMINISTRATOR, None)):
        yield policy or role.value, house.account(role, policy=policy)[0]


def all_rows(house: House, studies: int, rounds: int) -> Iterator[Row]:
    """Ask for every page of every reader."""
    for who, client in readers(house):
        for query in ASKED:
            times, worked = timed(functools.partial(_page, client, query), rounds)
            words = " ".join(f"{key}={value}" for key, value in query.items()) or "all, in reading order"
            print(f"{who}: {words}: p95 {p95(times):.0f} ms, processor {worked:.0f} ms", flush=True)
            yield p95_limit(f"worklist of {studies:,} open, {who}: {words}", times, unit="ms", must=BUDGET_MS)


def measure(studies: int = 10_000, rounds: int = 40) -> list[Row]:
    """Return the bare query, the plain page of each reader, and the slowest page of all."""
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder)) as house:
        fill(house, studies)
        first = p95_limit("worklist: bare indexed query of a page", timed(bare(house), rounds)[0], unit="ms", must=None)
        rows = list(all_rows(house, studies, rounds))
    slowest = max(rows, key=lambda row: row.ours)
    plain = [row for row in rows if "reading order" in row.work and row is not slowest]
    told = replace(slowest, work=f"{slowest.work} (the slowest of {len(rows)} pages)")
    return [first, *plain, told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("worklist", lambda: measure(options.studies, options.rounds), kept=options.keep)


def _page(client: Any, query: dict[str, str]) -> None:
    answer = client.get("/api/worklist", params={"limit": PAGE, **query})
    assert answer.status_code == 200, answer.text


if __name__ == "__main__":
    main()
