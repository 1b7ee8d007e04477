"""Completion, intake and pipeline as one state machine: fake clock, fake disk, fake engine that crashes where it likes.

The rows are written by the service's own code into real tables. A failing run prints the steps that lead to it.
"""

from __future__ import annotations

import contextlib
import functools
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import event, func, select

from preprocessing.header import InstanceHeader, read_header
from service import tables
from service.attempt import Attempt, StepFailed
from service.database import Database
from service.engine import State
from service.intake import records, settling
from service.intake.outcomes import Door, Kind, Sender
from service.interventions import cancel_study, restart_study
from service.pipeline import Parts, Pipeline
from service.rounds import Rounds
from service.routing.records import RuleBook
from service.settings import Settings
from service.worklist.records import update_item
from tests.factories import Clock, add_site, dataset_bytes, make_ct_slice

T = TypeVar("T")
STUDIES = some.integers(0, 2)
IMAGES = some.integers(0, 4)
STEPS = some.integers(0, 9)
ENDED = ("scored", "unscored")
UNFINISHED = ("settled", "running")
DRAIN_ROUNDS = 12


class Crash(Exception):
    """The worker died."""


@dataclass
class FakeArchive:
    """A disk that keeps what is placed on it."""

    placed: set[tuple[int, str]] = field(default_factory=set)

    def is_intact(self, site_id: int, content_sha256: str) -> bool:
        return (site_id, content_sha256) in self.placed


@dataclass
class FakeEngine:
    """The durable engine as it promises to be: answers of steps are kept, a step that died is done again."""

    path: Callable[..., None] | None = None
    attempts: dict[Attempt, State] = field(default_factory=dict)
    kept: dict[Attempt, list[tuple[str, Any]]] = field(default_factory=dict)
    enqueues_left: int | None = None

    def enqueue(self, attempt: Attempt, *, asked_class: int) -> None:
        if self.enqueues_left == 0:
            raise Crash
        self.enqueues_left = None if self.enqueues_left is None else self.enqueues_left - 1
        self.attempts.setdefault(attempt, State.WAITING)

    def cancel(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            if self.attempts.get(attempt) is State.WAITING:
                self.attempts[attempt] = State.CANCELED

    def states(self, attempts: Iterable[Attempt]) -> dict[Attempt, State]:
        return {attempt: self.attempts[attempt] for attempt in attempts if attempt in self.attempts}

    def dead(self) -> list[Attempt]:
        return [attempt for attempt, state in self.attempts.items() if state is State.DEAD]

    def forget(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self.attempts.pop(attempt, None)
            self.kept.pop(attempt, None)

    def waiting(self) -> list[Attempt]:
        return [attempt for attempt, state in self.attempts.items() if state is State.WAITING]

    def run(self, attempt: Attempt, *, crash_at: int = -1, is_done_first: bool = False, fail_at: int = -1) -> None:
        """Walk the path of an attempt; die at a step, before or after its work, or let one fail for good."""
        kept = self.kept.setdefault(attempt, [])
        place = -1

        def step(name: str, function: Callable[[], T]) -> T:
            nonlocal place
            place += 1
            if place < len(kept):
                assert kept[place][0] == name, "the path is not the same when it is walked again"
                if kept[place][1] is StepFailed:
                    raise StepFailed(name)
                return kept[place][1]  # type: ignore[no-any-return]
            if place == fail_at and name != "fail":
                kept.append((name, StepFailed))
                raise StepFailed(name)
            if place == crash_at and not is_done_first:
                raise Crash
            answer = function()
            if place == crash_at:
                raise Crash
            kept.append((name, answer))
            return answer

        assert self.path is not None
        with contextlib.suppress(Crash):
            self.path(step, attempt)
            self.attempts[attempt] = State.DONE


class Simulation(RuleBasedStateMachine):
    """What happens to a few studies, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self._closing = contextlib.ExitStack()
        folder = Path(self._closing.enter_context(tempfile.TemporaryDirectory(dir=_memory())))
        (folder / "pandok.db").write_bytes(_made_tables())
        self.settings = Settings(data_folder=folder, min_free_bytes=0)
        self.database = _hurried(Database(self.settings.sqlalchemy_url))
        self._closing.callback(self.database.close)
        self.clock, self.archive, self.engine = Clock(), FakeArchive(), FakeEngine()
        self.site_id = add_site(self.database)
        runner: Any = SimpleNamespace(prepare_all=lambda *_, **__: None)
        parts = Parts(self.settings, self.database, self.archive, SimpleNamespace(), {}, runner, self.clock)  # type: ignore[arg-type]
        self.engine.path = Pipeline(parts).score
        self.rounds = Rounds(parts, self.engine, SimpleNamespace(), "simulated")  # type: ignore[arg-type]
        self.rules = records.Rules(
            self.settings.quiet_s, self.settings.partial_after_s, 1_000, self._tell_list, RuleBook()
        )
        self.kept: dict[str, str] = {}
        self.held: set[tuple[str, str]] = set()
        self.studies_of: dict[str, int] = {}
        self.settle_not_before: dict[int, float] = {}

    def teardown(self) -> None:
        try:
            self._drain()
        finally:
            self._closing.close()

    # ------------------------------------------------------------ what may happen

    @rule(study=STUDIES, image=IMAGES, content=some.sampled_from("aab"), dies=some.booleans())
    def arrives(self, study: int, image: int, content: str, dies: bool) -> None:
        """An instance comes in; now and then its process dies between the file and the rows."""
        uid = f"1.2.{study}.1.{image}"
        sha256 = f"{study}{image}{content}".ljust(64, "0")
        header = replace(_header(), study_instance_uid=f"1.2.{study}", series_instance_uid=f"1.2.{study}.1",
                         sop_instance_uid=uid)  # fmt: skip
        self.archive.placed.add((self.site_id, sha256))
        arrival = records.Arrival(Sender(self.site_id, Door.DIMSE, "SIM"), header, sha256, 100)
        with contextlib.suppress(Crash), self.database.transaction() as tx:
            kind, _ = records.keep(tx, arrival, self.rules, self.clock())
            if dies:
                raise Crash
        if dies:
            return
        known = self.kept.get(uid)
        assert kind is (Kind.STORED if known is None else Kind.DUPLICATE if known == sha256 else Kind.HELD)
        if kind is Kind.STORED:
            self.kept[uid], self.studies_of[uid] = sha256, study
            self.settle_not_before[study] = self.clock() + 60.0
        elif kind is Kind.HELD:
            self.held.add((uid, sha256))

    @rule(seconds=some.sampled_from((1, 10, 29, 31, 61, 301, 1_801)))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(study=STUDIES, expected=some.none() | some.integers(1, 6))
    def sender_says_done(self, study: int, expected: int | None) -> None:
        with self.database.transaction() as tx:
            settling.mark_done(tx, site_id=self.site_id, study_instance_uid=f"1.2.{study}",
                               expected_instances=expected, now=self.clock())  # fmt: skip
        self.settle_not_before.pop(study, None)  # a count or a word may settle it sooner

    @rule(dies_after=some.none() | some.integers(0, 2))
    def worker_looks_round(self, dies_after: int | None) -> None:
        self.engine.enqueues_left = dies_after
        with contextlib.suppress(Crash):
            self.rounds.settle_and_queue()
        self.engine.enqueues_left = None

    @rule(which=some.integers(0, 5), crash_at=STEPS, is_done_first=some.booleans())
    def worker_dies_in_a_step(self, which: int, crash_at: int, is_done_first: bool) -> None:
        if waiting := self.engine.waiting():
            self.engine.run(waiting[which % len(waiting)], crash_at=crash_at, is_done_first=is_done_first)

    @rule(which=some.integers(0, 5), fail_at=STEPS)
    def a_step_fails_for_good(self, which: int, fail_at: int) -> None:
        if waiting := self.engine.waiting():
            self.engine.run(waiting[which % len(waiting)], fail_at=fail_at)

    @rule(which=some.integers(0, 5))
    def worker_finishes_one(self, which: int) -> None:
        if waiting := self.engine.waiting():
            self.engine.run(waiting[which % len(waiting)])

    @rule(which=some.integers(0, 5), how=some.sampled_from((State.DEAD, State.DONE, None)))
    def engine_gives_up_or_forgets(self, which: int, how: State | None) -> None:
        if waiting := self.engine.waiting():
            attempt = waiting[which % len(waiting)]
            if how is None:
                self.engine.forget([attempt])
            else:
                self.engine.attempts[attempt] = how

    @rule()
    def worker_reconciles(self) -> None:
        self.rounds.tell_canceled()
        self.rounds.reconcile()

    @rule(study=STUDIES, restarts=some.booleans())
    def operator_steps_in(self, study: int, restarts: bool) -> None:
        public_id = self._public_id(study)
        if public_id is not None:
            (restart_study if restarts else cancel_study)(self.database, self.settings, public_id, self.clock())

    # ------------------------------------------------------------ what must hold

    @invariant()
    def nothing_acknowledged_is_lost(self) -> None:
        i, p = tables.instance.c, tables.problem.c
        with self.database.reading() as rx:
            rows = rx.execute(select(i.sop_instance_uid, i.content_sha256)).all()
            held = rx.execute(select(p.sop_instance_uid, p.content_sha256).where(p.kind == "held")).all()
        assert {row.sop_instance_uid: row.content_sha256 for row in rows} == self.kept
        assert len(rows) == len(self.kept)
        assert sorted(tuple(row) for row in held) == sorted(self.held)

    @invariant()
    def every_study_is_in_one_state_that_its_rows_bear_out(self) -> None:
        with self.database.reading() as rx:
            studies = rx.execute(select(tables.study)).mappings().all()
            revisions = rx.execute(select(tables.revision).order_by(tables.revision.c.number)).mappings().all()
            images = dict(rx.execute(_grouped(tables.instance)).tuples().all())
            newest = dict(rx.execute(_grouped(tables.instance, func.max(tables.instance.c.revision))).tuples().all())
            items = dict(rx.execute(_grouped(tables.worklist_item)).tuples().all())
        for study in studies:
            own = [one for one in revisions if one["study_id"] == study["id"]]
            is_arriving = study["state"] == "arriving"
            assert study["instance_count"] == images[study["id"]]
            assert newest[study["id"]] == study["revision"]
            assert items.get(study["id"]) == 1
            assert is_arriving == (study["settle_at"] is not None)
            assert [one["number"] for one in own] == list(range(1, study["revision"] + (not is_arriving)))
            self._check_ends(study, own)

    def _check_ends(self, study: Any, own: list[Any]) -> None:
        """An ended study has an ended newest revision and says why it is not scored; one that waits does not."""
        if study["state"] in ENDED:
            assert own[-1]["state"] in (*ENDED, "canceled"), own[-1]["state"]
            assert (study["reason"] is None) == (study["state"] == "scored")
        if study["state"] == "settled":
            assert own[-1]["state"] in UNFINISHED
        number = int(study["study_instance_uid"].rpartition(".")[2])
        if study["state"] != "arriving" and number in self.settle_not_before and own[-1]["settled_by"] == "quiet":
            assert own[-1]["settled_at"] >= self.settle_not_before[number]

    def _drain(self) -> None:
        """When nothing more comes, every study ends, and the engine has nothing left."""
        for _ in range(DRAIN_ROUNDS):
            self.clock.advance(2_000)
            self.rounds.settle_and_queue()
            for attempt in self.engine.waiting():
                self.engine.run(attempt)
            self.worker_reconciles()
        self.nothing_acknowledged_is_lost()
        self.every_study_is_in_one_state_that_its_rows_bear_out()
        with self.database.reading() as rx:
            states = set(rx.execute(select(tables.study.c.state)).scalars())
            left = set(rx.execute(select(tables.revision.c.state)).scalars()) & set(UNFINISHED)
        assert states <= set(ENDED), states
        assert not left

    # ------------------------------------------------------------ small things

    def _tell_list(self, tx: Any, study_id: int, now: float) -> None:
        update_item(tx, study_id=study_id, now=now, settings=self.settings)

    def _public_id(self, study: int) -> str | None:
        with self.database.reading() as rx:
            where = tables.study.c.study_instance_uid == f"1.2.{study}"
            found: str | None = rx.execute(select(tables.study.c.public_id).where(where)).scalar_one_or_none()
        return found


def simulate(number: int, *, runs: int, steps: int, explains: bool = True) -> None:
    """Run so many simulations of a seed. Raises what broke; with `explains` the fewest steps that lead to it."""
    phases = (Phase.generate, Phase.shrink) if explains else (Phase.generate,)
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        seed(number)(Simulation),
        settings=settings(
            max_examples=runs, stateful_step_count=steps, database=None, deadline=None, print_blob=True,
            phases=phases, suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def _grouped(table: Any, what: Any = None) -> Any:
    return select(table.c.study_id, func.count() if what is None else what).group_by(table.c.study_id)


@functools.cache
def _header() -> InstanceHeader:
    with tempfile.TemporaryFile() as file:
        data = dataset_bytes(make_ct_slice(rows=4, Modality="CR"))
        file.write(data)
        file.seek(0)
        return read_header(file, transfer_syntax_uid="1.2.840.10008.1.2.1", offset=0, length=len(data))


@functools.cache
def _made_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/pandok.db")
        database.migrate()
        database.close()
        return (Path(folder) / "pandok.db").read_bytes()


def _hurried(database: Database) -> Database:
    """Let the fake disk be fast: power does not fail in a simulation."""

    @event.listens_for(database.engine, "connect")
    def hurry(connection: Any, _record: object) -> None:
        connection.cursor().execute("PRAGMA synchronous=OFF")

    return database


def _memory() -> str | None:
    return "/dev/shm" if Path("/dev/shm").is_dir() else None
