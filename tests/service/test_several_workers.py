"""Several worker processes on one machine: each takes studies, and none is taken twice."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.benchmarks.films import chest_film
from tests.driver import Service, c_store, running, wait_until

pytestmark = pytest.mark.slow

STUDIES = 12


def test_two_workers_share_a_backlog(tmp_path: Path) -> None:
    with running(tmp_path, PANDOK_WORKER_PROCESSES="2") as service:
        assert service.get("/ready")["alarms"] == []
        c_store(service.dicom_port, [chest_film(number, shrunk=4) for number in range(STUDIES)])

        rows = service.wait_scored(STUDIES)

        assert {row["state"] for row in rows} == {"scored"}
        wait_until("both have worked", lambda: len(workers_that_worked(service)) == 2, 10)
        assert [count for _, count in runs(service)] == [1] * STUDIES


def workers_that_worked(service: Service) -> set[str]:
    with closing(sqlite3.connect(service.folder / "engine.db")) as engine:
        return {name for (name,) in engine.execute("SELECT DISTINCT executor_id FROM workflow_status") if name}


def runs(service: Service) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(service.folder / "pandok.db")) as tables:
        return list(tables.execute("SELECT study_id, count(*) FROM run GROUP BY study_id"))
