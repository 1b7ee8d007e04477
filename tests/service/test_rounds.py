import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import RowMapping, select, update

from service import tables
from service.archive import Archive
from service.attempt import Attempt, Step
from service.clock import ClockWatch
from service.engine import Engine, State
from service.inference import revision_records
from service.intake.outcomes import Door, Sender
from service.intake.spool import Spooled
from service.pipeline import Parts as PipelineParts
from service.rounds import MISSING_AFTER_S, SILENT_S, Rounds
from service.workspace import Workspace
from tests.factories import Clock, Parts, make_radiograph, open_parts
from tests.service.test_clock import Machine
from tests.service.worker_site import PIXELS, until


class Stepped:
    """A worker's rounds, done by hand, over an engine whose path tests decide."""

    def __init__(self, parts: Parts, clock: Clock, folder: Path) -> None:
        self.parts, self.clock = parts, clock
        self.walk: Callable[[Step, Attempt], None] = lambda step, attempt: None
        self.engine = Engine(
            url=f"sqlite:///{folder / 'engine.db'}",
            executor_id="stepped-0",
            path=lambda step, attempt: self.walk(step, attempt),
            concurrency=1,
            poll_s=0.02,
            step_attempts=1,
            step_retry_s=0.01,
        )
        pipeline_parts = PipelineParts(
            settings=parts.settings,
            database=parts.database,
            archive=Archive(folder),
            workspace=Workspace(folder / "work"),
            packages={},
            runner=None,  # type: ignore[arg-type]  # rounds run nothing themselves
            clock=clock,
        )
        self.rounds = Rounds(pipeline_parts, self.engine, FakeScoring(), "stepped-0")  # type: ignore[arg-type]

    def revision(self) -> RowMapping:
        with self.parts.database.reading() as tx:
            return tx.execute(select(tables.revision)).mappings().one()

    def settled_study(self) -> Attempt:
        assert self.parts.send(make_radiograph(PIXELS)).is_kept
        self.clock.advance(3_600)
        self.rounds.settle_and_queue()
        return Attempt(1, 1, 1)

    def await_engine(self, attempt: Attempt, state: State) -> None:
        until(lambda: self.engine.states([attempt]).get(attempt) is state)


class FakeScoring:
    provider = "CPUExecutionProvider"
    alarm = None


@pytest.fixture
def stepped(tmp_path: Path) -> Iterator[Stepped]:
    clock = Clock()
    with open_parts(tmp_path, clock) as parts:
        stepped = Stepped(parts, clock, tmp_path)
        stepped.engine.start()
        yield stepped
        stepped.engine.stop(5)


def test_dead_letter_becomes_an_unscored_study_with_a_row_for_the_operator(stepped: Stepped) -> None:
    def walk(step: Step, attempt: Attempt) -> None:
        raise RuntimeError("a mistake of ours")

    stepped.walk = walk
    attempt = stepped.settled_study()
    stepped.await_engine(attempt, State.DEAD)

    stepped.rounds.reconcile()

    revision = stepped.revision()
    assert (revision["state"], revision["reason"]) == ("unscored", "pipeline_failed")
    with stepped.parts.database.reading() as tx:
        assert tx.execute(select(tables.study.c.state)).scalar_one() == "unscored"
        assert tx.execute(select(tables.problem.c.kind)).scalar_one() == "dead_letter"
        assert tx.execute(select(tables.worklist_item.c.state)).scalar_one() == "scheduled"
    assert stepped.engine.dead() == []


def test_revision_that_the_engine_forgot_is_queued_again(stepped: Stepped) -> None:
    attempt = stepped.settled_study()
    stepped.await_engine(attempt, State.DONE)
    stepped.engine.forget([attempt])
    stepped.clock.advance(MISSING_AFTER_S + 1)

    stepped.rounds.reconcile()
    stepped.rounds.settle_and_queue()

    stepped.await_engine(attempt, State.DONE)
    assert stepped.revision()["queued_at"] == stepped.clock()


def test_revision_that_was_canceled_meanwhile_is_not_queued_again(stepped: Stepped) -> None:
    stepped.settled_study()
    with stepped.parts.database.transaction() as tx:
        tx.execute(update(tables.revision).values(state="canceled"))
        revision_records.queue_again(tx, 1, 1, 1)

    assert stepped.revision()["state"] == "canceled"


def test_revision_whose_workflow_ended_without_an_outcome_is_not_hidden(stepped: Stepped) -> None:
    attempt = stepped.settled_study()
    stepped.await_engine(attempt, State.DONE)
    stepped.clock.advance(MISSING_AFTER_S + 1)

    stepped.rounds.reconcile()

    assert stepped.revision()["state"] == "unscored"


def test_silent_worker_s_work_is_taken_over(stepped: Stepped) -> None:
    done: list[int] = []
    holding, let_go = threading.Event(), threading.Event()

    def walk(step: Step, attempt: Attempt) -> None:
        step("first", lambda: done.append(1))
        holding.set()
        assert let_go.wait(10)

    stepped.walk = walk
    attempt = stepped.settled_study()
    assert holding.wait(10)
    holding.clear()
    hand_over(stepped, "gone-3")

    stepped.rounds.reap()
    let_go.set()

    stepped.await_engine(attempt, State.DONE)
    assert done == [1]
    with stepped.parts.database.reading() as tx:
        assert tx.execute(select(tables.executor.c.id)).all() == []


def hand_over(stepped: Stepped, executor_id: str) -> None:
    """Make it look as if another worker had the work in hand and fell silent."""
    connection = sqlite3.connect(str(stepped.engine._url).removeprefix("sqlite:///"), timeout=10)
    connection.execute("UPDATE workflow_status SET executor_id = ?", (executor_id,))
    connection.commit()
    connection.close()
    with stepped.parts.database.transaction() as tx:
        long_ago = time.time() - SILENT_S - 10
        tx.execute(tables.executor.insert().values(id=executor_id, started_at=long_ago, seen_at=long_ago))


def test_worker_that_was_heard_of_lately_keeps_its_work(stepped: Stepped) -> None:
    with stepped.parts.database.transaction() as tx:
        tx.execute(tables.executor.insert().values(id="alive-1", started_at=0.0, seen_at=stepped.clock()))

    stepped.rounds.reap()

    with stepped.parts.database.reading() as tx:
        assert tx.execute(select(tables.executor.c.id)).scalars().all() == ["alive-1"]


def test_canceled_revision_is_told_to_the_engine_once(stepped: Stepped) -> None:
    let_go = threading.Event()
    stepped.walk = lambda step, attempt: step("wait", lambda: let_go.wait(10)) and None
    attempt = stepped.settled_study()
    with stepped.parts.database.transaction() as tx:
        tx.execute(update(tables.revision).values(state="canceled"))

    stepped.rounds.tell_canceled()
    let_go.set()

    stepped.await_engine(attempt, State.CANCELED)
    assert stepped.revision()["finished_at"] == stepped.clock()


def test_settling_twice_queues_once(stepped: Stepped) -> None:
    walks: list[Attempt] = []
    stepped.walk = lambda step, attempt: walks.append(attempt)
    attempt = stepped.settled_study()
    with stepped.parts.database.transaction() as tx:
        tx.execute(update(tables.revision).values(queued_at=None))  # as after a crash before it was noted

    stepped.rounds.settle_and_queue()

    stepped.await_engine(attempt, State.DONE)
    assert walks == [attempt]


def test_a_jump_of_the_machine_s_clock_is_noted_once_and_shown_while_it_lasts(stepped: Stepped) -> None:
    machine = Machine()
    rounds = stepped.rounds
    rounds._clock_watch = ClockWatch(machine.clock())
    machine.set_by = 3_600

    rounds.watch_clock()
    rounds.watch_clock()

    with stepped.parts.database.reading() as tx:
        assert tx.execute(select(tables.problem.c.kind, tables.problem.c.reason)).all() == [("clock", "clock_jumped")]
        [event] = tx.execute(select(tables.audit_event.c.action, tables.audit_event.c.detail)).all()
        alarm = tx.execute(select(tables.executor.c.alarm)).scalar_one()
    assert (event.action, event.detail) == ("clock_jumped", {"seconds": 3_600.0})
    assert "clock" in alarm
    machine.set_by = 0
    rounds.watch_clock()
    with stepped.parts.database.reading() as tx:
        assert tx.execute(select(tables.executor.c.alarm)).scalar_one() is None
        assert tx.execute(select(tables.problem.c.count)).scalar_one() == 2


def test_half_received_files_of_doors_that_died_are_removed_while_young_ones_stay(stepped: Stepped) -> None:
    spool = stepped.parts.settings.spool_folder
    for name, age_s in (("old", 301), ("young", 10)):
        (spool / f"{name}.part").write_bytes(b"half")
        os.utime(spool / f"{name}.part", (time.time() - age_s,) * 2)

    stepped.rounds.clear_spool()

    assert [path.name for path in spool.iterdir()] == ["young.part"]


def test_a_file_that_is_being_received_stays_when_the_clock_has_jumped(stepped: Stepped) -> None:
    spool = stepped.parts.settings.spool_folder
    sender = Sender(1, Door.DIMSE, "TESTER")
    spooled = Spooled(spool, sender=sender, transfer_syntax_uid="1.2.840.10008.1.2.1", max_bytes=100)
    os.utime(spooled.path, (time.time() - 3_600,) * 2)

    stepped.rounds.clear_spool()
    stays = spooled.path.exists()
    spooled.close()
    stepped.rounds.clear_spool()

    assert stays
    assert not spooled.path.exists()
