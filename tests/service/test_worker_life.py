import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from service import tables
from service.inference.decoding import DecodeUnavailable
from service.part import CannotStart
from service.worker import Slot, run_worker
from tests.service.inference.packages import write_gate, write_package
from tests.service.worker_site import Site, open_site, until, working

# ------------------------------------------------------------ starting


def test_missing_gpu_is_an_alarm_and_its_cases_stand_unscored(tmp_path: Path) -> None:
    with open_site(tmp_path, execution_provider="cuda") as site:
        site.release(write_package(tmp_path / "models", "tiny"))
        with working(site):
            film = site.send()

            study = site.await_state(film, "unscored")

            assert study["reason"] == "model_failed"
            (run,) = site.rows(tables.run, study["id"])
            assert "CUDAExecutionProvider" in run["detail"]
            with site.parts.database.reading() as tx:
                executor = tx.execute(select(tables.executor)).mappings().one()
            assert "CUDAExecutionProvider" in executor["alarm"]
            assert executor["provider"] is None


@pytest.mark.parametrize("damage", ["gone", "altered", "gate"])
def test_released_package_that_does_not_load_stops_the_start(tmp_path: Path, damage: str) -> None:
    with open_site(tmp_path) as site:
        folder = write_package(tmp_path / "models", "tiny", gate="tiny_gate")
        write_gate(tmp_path / ("elsewhere" if damage == "gate" else "models"), "tiny_gate")
        site.release(folder)
        match damage:
            case "gone":
                folder.rename(tmp_path / "tiny")
            case "altered":
                (folder / "docs/README.md").write_text("altered")

        with pytest.raises(CannotStart, match="tiny"):
            run_worker(site.parts.settings, threading.Event(), lambda: None)


def test_children_that_die_at_the_start_are_worth_another_try(tmp_path: Path) -> None:
    with open_site(tmp_path) as site, pytest.raises(DecodeUnavailable):
        run_worker(site.parts.settings, threading.Event(), lambda: None, recipes="no.such.recipes")


def test_workers_of_one_machine_have_stable_names_of_their_own(tmp_path: Path) -> None:
    with Slot(tmp_path) as first:
        with Slot(tmp_path) as second:
            names = (first.executor_id, second.executor_id)
        with Slot(tmp_path) as again:
            assert again.executor_id == names[1]

    assert names[0] != names[1]
    with Slot(tmp_path) as next_life:
        assert next_life.executor_id == names[0]


# ------------------------------------------------------------ killed


class Process:
    """A worker in a process of its own."""

    def __init__(self, site: Site, folder: Path) -> None:
        file = folder / "settings.json"
        file.write_text(site.parts.settings.model_dump_json())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.service.worker_process", str(file)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"

    def kill(self) -> None:
        self._process.kill()
        self._end()

    def stop(self) -> int:
        assert self._process.stdin is not None
        self._process.stdin.close()
        return self._end()

    def _end(self) -> int:
        status = self._process.wait(30)
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return status


@pytest.mark.slow
def test_worker_killed_in_the_middle_leaves_nothing_undone_and_nothing_done_twice(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        site.release(write_package(tmp_path / "models", "tiny"))
        films = [site.send(seed=seed, PatientID="SLOW") for seed in range(4)]
        for _ in range(3):
            process = Process(site, tmp_path)
            until(lambda: any(site.rows(tables.revision, site.study(film)["id"]) for film in films))
            time.sleep(0.3)
            process.kill()

        process = Process(site, tmp_path)
        for film in films:
            site.await_state(film, "scored")
        assert process.stop() == 0

        for film in films:
            study_id = site.study(film)["id"]
            assert [row["state"] for row in site.rows(tables.revision, study_id)] == ["scored"]
            assert len(site.rows(tables.run, study_id)) == 1
            assert len(site.rows(tables.finding, study_id)) == 2
            results = [row for row in site.rows(tables.instance, study_id) if row["is_result"]]
            assert len(results) == 2


@pytest.mark.slow
def test_killed_worker_leaves_no_child_behind(tmp_path: Path) -> None:
    with open_site(tmp_path) as site:
        site.release(write_package(tmp_path / "models", "tiny"))
        process = Process(site, tmp_path)
        children = descendants(process._process.pid)
        film = site.send(PatientID="SLEEP")
        until(lambda: any(row["state"] == "running" for row in site.rows(tables.revision, site.study(film)["id"])))

        process.kill()

        assert len(children) >= 3
        until(lambda: not any(is_alive(pid) for pid in children), timeout_s=10)


def descendants(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text().split():
            found += [int(child), *descendants(int(child))]
    return found


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
