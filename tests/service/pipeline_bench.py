"""The pipeline on real tables, a real archive and real children, walked step by step without an engine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydicom import Dataset
from sqlalchemy import RowMapping, Table, select

from models.package import ModelPackage, load_package
from service import site_records, tables
from service.attempt import Attempt, StepFailed
from service.inference.breaker import Breaker
from service.inference.decoding import DecodeLimits, DecodePool, Prepared
from service.inference.run import Runner
from service.inference.scoring import Scoring
from service.intake.settling import settle_due
from service.pipeline import Parts as PipelineParts
from service.pipeline import Pipeline
from service.workspace import Workspace
from tests.factories import Clock, Parts, make_radiograph, open_parts, phantom
from tests.service.inference import recipes
from tests.service.inference.packages import write_gate, write_package

T = TypeVar("T")

PIXELS = phantom(240, 200)


class CountingPool(DecodePool):
    """A pool that counts what it decodes."""

    decoded = 0

    def prepare(self, path: Path, header: Mapping[str, object], recipe: str) -> Prepared:
        self.decoded += 1
        return super().prepare(path, header, recipe)


@dataclass
class Tools:
    """What is slow to start and holds nothing of a test: children, packages, workspace."""

    packages: dict[str, ModelPackage]
    workspace: Workspace
    pool: CountingPool
    scoring: Scoring


@contextmanager
def open_tools(folder: Path) -> Iterator[Tools]:
    made = [
        write_package(folder / "models", "findings", gate="gate"),
        write_package(folder / "models", "second", logits=(-2.0, 1.0)),
        write_package(folder / "models", "behind_wall", gate="wall"),
        write_package(folder / "models", "silent", logits=(-3.0, -3.0)),
        write_package(folder / "models", "nan", is_nan=True),
        write_package(folder / "models", "careful", raises_from=0.99),
        write_package(folder / "models", "trial", logits=(3.0, 2.0), experimental=(1,)),
        write_package(folder / "models", "trial_only", logits=(3.0, 2.0), experimental=(0, 1), uncalibrated=True),
        write_package(folder / "models", "trial_nan", experimental=(0, 1), is_nan=True),
        write_gate(folder / "models", "gate"),
        write_gate(folder / "models", "wall", lets_through=False),
    ]
    packages = {path.name: load_package(path) for path in made}
    work = folder / "work"
    pool = CountingPool(
        processes=2, limits=DecodeLimits(1 << 30, 2, 2.0), workspace_folder=work, recipes=recipes.MODULE
    )
    scoring = Scoring(
        list(packages.values()), workspace_folder=work, provider="cpu", threads=1, max_batch=1, timeout_s=10
    )
    pool.start()
    scoring.start()
    try:
        yield Tools(packages, Workspace(work), pool, scoring)
    finally:
        pool.close()
        scoring.close()


class Bench:
    """One service's parts and its pipeline."""

    def __init__(self, parts: Parts, tools: Tools, clock: Clock) -> None:
        self.parts, self.tools, self.clock = parts, tools, clock
        packages = {package.sha256: package for package in tools.packages.values()}
        self.runner = Runner(
            database=parts.database,
            archive=parts.archive,
            workspace=tools.workspace,
            packages=packages,
            pool=tools.pool,
            scoring=tools.scoring,
            breaker=Breaker(time.monotonic),
            provider="cpu",
            clock=clock,
        )
        self.pipeline = Pipeline(
            PipelineParts(parts.settings, parts.database, parts.archive, tools.workspace, packages, self.runner, clock)
        )
        self.steps: list[str] = []
        self.before: dict[str, Callable[[], object]] = {}
        """Called before a step of this name, once: what happens meanwhile elsewhere."""

    def release(self, *names: str, shows: Sequence[str] | None = None) -> None:
        with self.parts.database.transaction() as tx:
            for name in names:
                package, now = self.tools.packages[name], self.clock()
                site_records.release_package(tx, self.parts.site_id, package, shows=shows, now=now, released_by="test")

    def send(self, *, seed: int = 0, study: Dataset | None = None, **attributes: Any) -> Dataset:
        dataset = make_radiograph(PIXELS + seed, **attributes)
        if study is not None:
            dataset.StudyInstanceUID = study.StudyInstanceUID
        assert self.parts.send(dataset).is_kept
        return dataset

    def settle(self) -> list[Attempt]:
        self.clock.advance(3_600)
        with self.parts.database.transaction() as tx:
            return [Attempt(one.study_id, one.number, 1) for one in settle_due(tx, self.clock())]

    def score(self, attempt: Attempt) -> None:
        self.pipeline.score(self.step, attempt)

    def settle_and_score(self) -> None:
        for attempt in self.settle():
            self.score(attempt)

    def step(self, name: str, function: Callable[[], T]) -> T:
        self.steps.append(name)
        self.before.pop(name, lambda: None)()
        try:
            return function()
        except Exception as error:
            raise StepFailed(name) from error

    def rows(self, table: Table) -> list[RowMapping]:
        with self.parts.database.reading() as tx:
            return list(tx.execute(select(table).order_by(table.c.id)).mappings())

    def row(self, table: Table) -> RowMapping:
        (row,) = self.rows(table)
        return row

    def study(self) -> tuple[str, str | None]:
        row = self.row(tables.study)
        return row["state"], row["reason"]


@contextmanager
def open_bench(folder: Path, tools: Tools, **policy: Any) -> Iterator[Bench]:
    clock = Clock()
    with open_parts(folder, clock, policy=policy, step_attempts=1) as parts:
        yield Bench(parts, tools, clock)


__all__ = ["Bench", "Tools", "open_bench", "open_tools"]
