"""Runs the pipeline's steps; decodes and scores in child processes."""

from __future__ import annotations

import fcntl
import importlib
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from models.package import ModelPackage, PackageRefused, load_package
from service.archive import Archive
from service.clock import ClockWatch, open_clock
from service.database import Database
from service.engine import Engine
from service.inference import records
from service.inference.breaker import Breaker
from service.inference.decoding import DecodeLimits, DecodePool
from service.inference.forked import ForkServer
from service.inference.run import Runner
from service.inference.scoring import PackageUnusable, Scoring
from service.intake.commitments import Commitments
from service.part import CannotStart
from service.pipeline import Parts, Pipeline
from service.rounds import Rounds
from service.settings import Settings
from service.sites import package_folders
from service.workspace import Workspace

log = logging.getLogger("pandok.worker")

RECIPES = "preprocessing.recipes"


def run_worker(
    settings: Settings,
    stop: threading.Event,
    ready: Callable[[], None],
    *,
    recipes: str = RECIPES,
    server: ForkServer | None = None,
) -> None:
    """Take durable jobs until `stop` is set; what is then in hand is finished within the time for stopping.

    Args:
        settings: The service's settings.
        stop: Set by whoever wants the worker to end.
        ready: Called once, when it takes jobs.
        recipes: Module whose RECIPES the decode children use.
        server: Forks the children; one that was started beforehand saves waiting for it.

    Raises:
        CannotStart: A released package cannot be loaded: starting again changes nothing.
        DecodeUnavailable: The decode children do not start; a fresh process may have more luck.
        ScoringFailed: The scoring child does not start; likewise.
    """
    with ExitStack() as stack:
        database = Database(settings.sqlalchemy_url)
        stack.callback(database.close)
        settings.work_folder.mkdir(parents=True, exist_ok=True)
        slot = stack.enter_context(Slot(settings.data_folder))
        server = server or ForkServer()
        stack.callback(server.close)
        packages = load_packages(settings)
        required = _require_released(database, packages)
        pool = _make_pool(settings, recipes, server)
        stack.callback(pool.close)
        scoring = _make_scoring(settings, packages, required, server)
        stack.callback(scoring.close)
        try:
            with ThreadPoolExecutor(1) as beside:
                pool_started = beside.submit(pool.start)
                scoring.start()
                pool_started.result()
        except PackageUnusable as error:
            raise CannotStart(str(error)) from error
        clock = open_clock(settings.clock_file)
        parts = _make_parts(settings, database, packages, pool, scoring, clock=clock)
        engine = Engine(
            url=settings.engine_url,
            executor_id=slot.executor_id,
            path=Pipeline(parts).score,
            concurrency=settings.worker_concurrency,
            poll_s=settings.engine_poll_s,
            step_attempts=settings.step_attempts,
            step_retry_s=settings.step_retry_s,
        )
        engine.start()
        ending = threading.Event()
        commitments = Commitments(settings, database, parts.archive, clock)
        telling = threading.Thread(target=commitments.go, args=(ending,), name="commitments", daemon=True)
        telling.start()
        try:
            rounds = Rounds(parts, engine, scoring, slot.executor_id, ClockWatch(clock))
            rounds.go(stop, lambda: _ready_then_load(ready))
        finally:
            ending.set()
            log.info("worker stopping")
            engine.stop(settings.shutdown_s)


def _ready_then_load(ready: Callable[[], None]) -> None:
    """Say that we are ready, then load what only the first result needs: a third of a second for highdicom."""
    ready()
    threading.Thread(target=importlib.import_module, args=("service.results.publish",), daemon=True).start()


def _make_pool(settings: Settings, recipes: str, server: ForkServer) -> DecodePool:
    return DecodePool(
        processes=settings.decode_processes,
        limits=DecodeLimits(settings.decode_memory_bytes, settings.decode_cpu_s, settings.decode_wall_s),
        workspace_folder=settings.work_folder,
        recipes=recipes,
        server=server,
    )


def _make_scoring(
    settings: Settings, packages: Mapping[str, ModelPackage], required: Collection[str], server: ForkServer
) -> Scoring:
    return Scoring(
        list(packages.values()),
        required=required,
        workspace_folder=settings.work_folder,
        provider=settings.execution_provider,
        precision=settings.scoring_precision,
        threads=settings.scoring_threads,
        max_batch=settings.max_batch,
        timeout_s=settings.scoring_timeout_s,
        server=server,
    )


def _make_parts(
    settings: Settings,
    database: Database,
    packages: Mapping[str, ModelPackage],
    pool: DecodePool,
    scoring: Scoring,
    *,
    clock: Callable[[], float],
) -> Parts:
    archive, workspace = Archive(settings.archive_folder), Workspace(settings.work_folder)
    runner = Runner(
        database=database,
        archive=archive,
        workspace=workspace,
        packages=packages,
        pool=pool,
        scoring=scoring,
        breaker=Breaker(time.monotonic),
        provider=f"{settings.execution_provider}/{settings.scoring_precision}",
        clock=clock,
    )
    return Parts(settings, database, archive, workspace, packages, runner, clock=clock)


def load_packages(settings: Settings) -> dict[str, ModelPackage]:
    """Load every package that is present, shipped ones and the installation's own; a broken one is only logged."""
    packages: dict[str, ModelPackage] = {}
    for folder in package_folders(settings):
        try:
            package = load_package(folder)
        except PackageRefused as refusal:
            log.error("package refused", extra={"package": folder.name, "reason": str(refusal)[:120]})  # noqa: TRY400
        else:
            packages[package.sha256] = package
    return packages


def _require_released(database: Database, packages: Mapping[str, ModelPackage]) -> set[str]:
    """No half-ready service: every package that serves a site must be here, with its gate; returns their hashes.

    Raises CannotStart.
    """
    with database.reading() as tx:
        released = records.list_released(tx, time.time())
    gates = {package.name: package.sha256 for package in packages.values() if package.kind == "scope_gate"}
    required = set()
    for release in released:
        package = packages.get(release.package_sha256)
        if package is None:
            raise CannotStart(
                f"package {release.package} {release.package_version} is released for a site but is not here or does "
                "not load as it was released; put it back, or release another version"
            )
        if package.gate is not None and package.gate not in gates:
            raise CannotStart(f"package {package.name} needs the scope gate {package.gate}, which is not here")
        required |= {package.sha256} if package.gate is None else {package.sha256, gates[package.gate]}
    return required


class Slot:
    """A worker's place on this machine: the first number that no other living worker holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self.executor_id = ""

    def __enter__(self) -> Slot:
        self._folder.mkdir(parents=True, exist_ok=True)
        for number in range(256):
            file = os.open(self._folder / f"worker-{number}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                continue
            self._file, self.executor_id = file, f"{socket.gethostname()[:48]}-{number}"
            return self
        raise CannotStart("256 workers run on this machine already")

    def __exit__(self, *_: object) -> None:
        os.close(self._file)
