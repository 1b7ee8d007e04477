"""A site on real time, and a worker for it in a thread of this process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydicom import Dataset
from sqlalchemy import RowMapping, Table, select

from models.package import load_package
from service import site_records, tables
from service.worker import run_worker
from tests.factories import Parts, make_radiograph, open_parts, phantom
from tests.service.inference import recipes

PIXELS = phantom(240, 200)
FAST = {
    "quiet_s": {"default": 0.1},
    "engine_poll_s": 0.05,
    "step_retry_s": 0.01,
    "step_attempts": 2,
    "decode_wall_s": 5.0,
}


def until(is_so: Callable[[], bool], timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.02)


class Site:
    """One site's parts on real time, with packages released."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def release(self, *folders: Path) -> None:
        packages = [load_package(folder) for folder in folders]
        with self.parts.database.transaction() as tx:
            for package in packages:
                site_records.release_package(
                    tx, self.parts.site_id, package, shows=None, now=time.time(), released_by="test"
                )

    def send(self, *, seed: int = 0, study: Dataset | None = None, **attributes: Any) -> Dataset:
        dataset = make_radiograph(PIXELS + seed, **attributes)
        if study is not None:
            dataset.StudyInstanceUID = study.StudyInstanceUID
        assert self.parts.send(dataset).is_kept
        return dataset

    def study(self, dataset: Dataset) -> RowMapping:
        query = select(tables.study).where(tables.study.c.study_instance_uid == dataset.StudyInstanceUID)
        with self.parts.database.reading() as tx:
            return tx.execute(query).mappings().one()

    def rows(self, table: Table, study_id: int) -> list[RowMapping]:
        with self.parts.database.reading() as tx:
            return list(tx.execute(select(table).where(table.c.study_id == study_id)).mappings())

    def await_state(self, dataset: Dataset, state: str, revision: int = 1) -> RowMapping:
        def is_so() -> bool:
            row = self.study(dataset)
            return row["state"] == state and row["revision"] == revision

        until(is_so)
        return self.study(dataset)


@contextmanager
def open_site(folder: Path, **settings: Any) -> Iterator[Site]:
    (folder / "models").mkdir(exist_ok=True)
    wanted = {**FAST, "models_folder": folder / "models", **settings}
    with open_parts(folder, time.time, **wanted) as parts:
        yield Site(parts)


@contextmanager
def working(site: Site) -> Iterator[None]:
    """Run a worker in a thread of this process."""
    stop, ready = threading.Event(), threading.Event()
    failed: list[BaseException] = []

    def work() -> None:
        try:
            run_worker(site.parts.settings, stop, ready.set, recipes=recipes.MODULE)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            failed.append(error)
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(30)
        if failed:
            raise failed[0]
        yield
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()
