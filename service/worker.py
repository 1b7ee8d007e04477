"""Runs the pipeline's steps; decodes and scores in child processes."""

from __future__ import annotations

import fcntl
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from models.package import ModelPackage, PackageRefused, load_package
from service.archive import Archive
from service.attempt import Attempt
from service.database import Database
from service.engine import Engine, State
from service.inference import records, revision_records, worker_records
from service.inference.breaker import Breaker
from service.inference.decoding import DecodeLimits, DecodePool, DecodeUnavailable
from service.inference.run import Runner
from service.inference.scoring import PackageUnusable, Scoring
from service.intake.records import settle_due
from service.metrics import QUEUE_DEPTH, STUDIES_SETTLED_TOTAL
from service.pipeline import Parts, Pipeline, end_as_failed
from service.settings import Settings
from service.sites import package_folders
from service.startup import CannotStart
from service.worklist.records import update_item
from service.workspace import Workspace

log = logging.getLogger("pandok.worker")

TICK_S = 0.2
BEAT_S = 5.0
SILENT_S = 60.0
"""A worker that was not heard of for so long is taken for dead; DBOS fences one that was only slow."""
RECONCILE_S = 5.0
MISSING_AFTER_S = 30.0
SWEEP_S = 3_600.0
KEEP_ENDED_S = 7 * 86_400.0
KEEP_WORK_S = 3 * 86_400.0

RECIPES = "preprocessing.recipes"


def run_worker(settings: Settings, stop: threading.Event, ready: Callable[[], None], *, recipes: str = RECIPES) -> None:
    """Take durable jobs until `stop` is set; what is then in hand is finished within the time for stopping.

    Args:
        settings: The service's settings.
        stop: Set by whoever wants the worker to end.
        ready: Called once, when it takes jobs.
        recipes: Module whose RECIPES the decode children use.

    Raises:
        CannotStart: A released package cannot be loaded, or the children do not start.
    """
    with ExitStack() as stack:
        database = Database(settings.sqlalchemy_url)
        stack.callback(database.close)
        settings.work_folder.mkdir(parents=True, exist_ok=True)
        slot = stack.enter_context(_Slot(settings.data_folder))
        packages = load_packages(settings)
        _require_released(database, packages)
        workspace = Workspace(settings.work_folder)
        pool = DecodePool(
            processes=settings.decode_processes,
            limits=DecodeLimits(settings.decode_memory_bytes, settings.decode_cpu_s, settings.decode_wall_s),
            workspace_folder=settings.work_folder,
            recipes=recipes,
        )
        stack.callback(pool.close)
        scoring = Scoring(
            list(packages.values()),
            workspace_folder=settings.work_folder,
            provider=settings.execution_provider,
            threads=settings.scoring_threads,
            max_batch=settings.max_batch,
            timeout_s=settings.scoring_timeout_s,
        )
        stack.callback(scoring.close)
        runner = Runner(
            database=database,
            archive=Archive(settings.archive_folder),
            workspace=workspace,
            packages=packages,
            pool=pool,
            scoring=scoring,
            breaker=Breaker(time.monotonic),
            provider=settings.execution_provider,
            clock=time.time,
        )
        parts = Parts(
            settings, database, Archive(settings.archive_folder), workspace, packages, runner, clock=time.time
        )
        engine = Engine(
            url=settings.engine_url,
            executor_id=slot.executor_id,
            path=Pipeline(parts).score,
            concurrency=settings.worker_concurrency,
            poll_s=settings.engine_poll_s,
            step_attempts=settings.step_attempts,
            step_retry_s=settings.step_retry_s,
        )
        try:
            pool.start()
            scoring.start()
        except (DecodeUnavailable, PackageUnusable) as error:
            raise CannotStart(str(error)) from error
        engine.start()
        try:
            _Rounds(parts, engine, scoring, slot.executor_id).go(stop, ready)
        finally:
            log.info("worker stopping")
            engine.stop(settings.shutdown_s)


def load_packages(settings: Settings) -> dict[str, ModelPackage]:
    """Load every package that is present, shipped ones and the installation's own; a broken one is only logged."""
    packages: dict[str, ModelPackage] = {}
    for folder in package_folders(settings):
        try:
            package = load_package(folder)
        except PackageRefused:
            log.exception("package refused", extra={"package": folder.name})
        else:
            packages[package.sha256] = package
    return packages


def _require_released(database: Database, packages: Mapping[str, ModelPackage]) -> None:
    """No half-ready service: every package that serves a site must be here. Raises CannotStart."""
    with database.reading() as tx:
        released = records.list_released(tx, time.time())
    gates = {package.name for package in packages.values() if package.kind == "scope_gate"}
    for release in released:
        package = packages.get(release.package_sha256)
        if package is None:
            raise CannotStart(
                f"package {release.package} {release.package_version} is released for a site but is not here or does "
                "not load as it was released; put it back, or release another version"
            )
        if package.gate is not None and package.gate not in gates:
            raise CannotStart(f"package {package.name} needs the scope gate {package.gate}, which is not here")


class _Slot:
    """A worker's place on this machine: the first number that no other living worker holds."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = -1
        self.executor_id = ""

    def __enter__(self) -> _Slot:
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


class _Rounds:
    """What a worker does beside its workflows: settle, queue, say that it lives, look after what others left."""

    def __init__(self, parts: Parts, engine: Engine, scoring: Scoring, executor_id: str) -> None:
        self._parts = parts
        self._database = parts.database
        self._engine = engine
        self._scoring = scoring
        self._executor_id = executor_id

    def go(self, stop: threading.Event, ready: Callable[[], None]) -> None:
        """Go round until told to stop; an error of one round never ends the worker."""
        duties: dict[Callable[[], None], float] = {
            self.settle_and_queue: TICK_S,
            self.beat: BEAT_S,
            self.tell_canceled: TICK_S,
            self.reconcile: RECONCILE_S,
            self.reap: SILENT_S / 4,
            self.sweep: SWEEP_S,
        }
        due = dict.fromkeys(duties, 0.0)
        with self._database.transaction() as tx:
            worker_records.begin_executor(tx, self._executor_id)
        self.beat()
        ready()
        log.info("worker ready", extra={"executor": self._executor_id})
        while not stop.is_set():
            for duty, every_s in duties.items():
                if time.monotonic() >= due[duty]:
                    due[duty] = time.monotonic() + every_s
                    try:
                        duty()
                    except Exception:
                        log.exception("round failed", extra={"stage": duty.__name__})
            stop.wait(TICK_S)

    def settle_and_queue(self) -> None:
        """Settle what is due and give every waiting revision to the engine; each is there once whatever happens."""
        now = self._parts.clock()
        with self._database.reading() as tx:
            is_due = revision_records.is_any_due(tx, now)
        if is_due:
            with self._database.transaction() as tx:
                settled = settle_due(tx, now)
                for study in settled:
                    update_item(tx, study_id=study.study_id, now=now, settings=self._parts.settings)
            for study in settled:
                STUDIES_SETTLED_TOTAL.labels(study.by).inc()
        with self._database.reading() as tx:
            waiting = revision_records.list_waiting(tx)
        for one in waiting:
            if one.attempt > 1:
                self._engine.cancel([Attempt(one.study_id, one.number, one.attempt - 1)])
            attempt = Attempt(one.study_id, one.number, one.attempt)
            self._engine.enqueue(attempt, center_priority=one.center_priority)
        if waiting:
            with self._database.transaction() as tx:
                revision_records.mark_queued(tx, waiting, now)

    def tell_canceled(self) -> None:
        """Tell the engine what an operator canceled."""
        with self._database.reading() as tx:
            canceled = revision_records.list_canceled(tx)
        for study_id, number, attempt in canceled:
            self._engine.cancel([Attempt(study_id, number, attempt)])
            with self._database.transaction() as tx:
                revision_records.end_canceled(tx, study_id, number, attempt, self._parts.clock())

    def beat(self) -> None:
        """Say that this worker lives and what it scores on."""
        with self._database.transaction() as tx:
            worker_records.beat(tx, self._executor_id, provider=self._scoring.provider, alarm=self._scoring.alarm)
        with self._database.reading() as tx:
            QUEUE_DEPTH.set(revision_records.count_unfinished(tx))

    def reap(self) -> None:
        """Take over what workers had in hand that are dead."""
        with self._database.reading() as tx:
            silent = worker_records.list_silent(tx, silent_s=SILENT_S)
        for executor_id in silent:
            if executor_id == self._executor_id:
                continue
            log.warning("worker taken for dead", extra={"executor": executor_id})
            self._engine.recover([executor_id])
            with self._database.transaction() as tx:
                worker_records.forget_executor(tx, executor_id, silent_s=SILENT_S)

    def reconcile(self) -> None:
        """Bring our tables and the engine's together, so that no case is hidden in a queue that forgot it."""
        now, settings = self._parts.clock(), self._parts.settings
        for attempt in self._engine.dead():
            end_as_failed(
                self._database, attempt, "the pipeline could not finish this study", now=now, settings=settings
            )
            self._engine.forget([attempt])
        with self._database.reading() as tx:
            old = revision_records.list_unfinished(tx, queued_before=now - MISSING_AFTER_S)
        states = self._engine.states(Attempt(*key) for key in old)
        for key in old:
            attempt = Attempt(*key)
            match states.get(attempt):
                case None:
                    with self._database.transaction() as tx:
                        revision_records.queue_again(tx, *key)
                case State.DONE | State.CANCELED:
                    detail = "the engine ended this study without an outcome"
                    end_as_failed(self._database, attempt, detail, now=now, settings=settings)
                case _:
                    continue

    def sweep(self) -> None:
        """Remove what nobody needs any more: ended workflows, tensors that can be made again."""
        now = self._parts.clock()
        while self._engine.sweep(before=now - KEEP_ENDED_S):
            continue
        self._parts.workspace.sweep(now=now, max_age_s=KEEP_WORK_S)
