import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from service.attempt import Attempt, Step, StepFailed
from service.engine import MAX_RECOVERY_ATTEMPTS, Engine, State

Walk = Callable[[Step, Attempt], None]


class Bench:
    """One engine for all tests of this file; each test has studies of its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "engine.db"
        self.walks: dict[int, Walk] = {}
        self._next = 0
        self.engine = Engine(
            url=f"sqlite:///{self.file}",
            executor_id="bench-0",
            path=lambda step, attempt: self.walks[attempt.study_id](step, attempt),
            concurrency=2,
            poll_s=0.02,
            step_attempts=2,
            step_retry_s=0.01,
        )
        self.engine.start()

    def study(self, walk: Walk) -> Attempt:
        self._next += 1
        self.walks[self._next] = walk
        return Attempt(self._next, 1, 1)

    def run(self, walk: Walk) -> Attempt:
        attempt = self.study(walk)
        self.engine.enqueue(attempt, asked_class=3)
        return attempt

    def state(self, attempt: Attempt) -> State | None:
        return self.engine.states([attempt]).get(attempt)

    def await_state(self, attempt: Attempt, state: State) -> None:
        until(lambda: self.state(attempt) is state)

    def sql(self, statement: str, *values: object) -> list[tuple[object, ...]]:
        connection = sqlite3.connect(self.file, timeout=10)
        try:
            rows = connection.execute(statement, values).fetchall()
            connection.commit()
        finally:
            connection.close()
        return rows


def until(is_so: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline, "did not come about in time"
        time.sleep(0.01)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    bench = Bench(tmp_path_factory.mktemp("engine"))
    yield bench
    bench.engine.stop(5)


def test_path_runs_once_however_often_it_is_queued(bench: Bench) -> None:
    runs: list[Attempt] = []
    attempt = bench.study(lambda step, attempt: step("note", lambda: runs.append(attempt)))

    for _ in range(3):
        bench.engine.enqueue(attempt, asked_class=3)
    bench.await_state(attempt, State.DONE)
    bench.engine.enqueue(attempt, asked_class=3)

    bench.await_state(bench.run(lambda step, attempt: None), State.DONE)
    assert runs == [attempt]


def test_engine_s_file_has_a_write_ahead_log_and_holds_json_only(bench: Bench) -> None:
    attempt = bench.run(lambda step, attempt: step("answer", lambda: {"instances": [1, 2]}))
    bench.await_state(attempt, State.DONE)

    assert bench.sql("PRAGMA journal_mode") == [("wal",)]
    ((inputs,),) = bench.sql("SELECT inputs FROM workflow_input WHERE workflow_uuid = ?", attempt.workflow_id)
    assert json.loads(str(inputs))["positionalArgs"] == [attempt.study_id, 1, 1]
    ((output,),) = bench.sql("SELECT output FROM operation_outputs WHERE workflow_uuid = ?", attempt.workflow_id)
    assert json.loads(str(output)) == {"instances": [1, 2]}


def test_step_is_tried_again_before_it_fails(bench: Bench) -> None:
    tries: list[int] = []

    def moody() -> str:
        tries.append(1)
        if len(tries) < 2:
            raise OSError("not now")
        return "done"

    attempt = bench.run(lambda step, attempt: step("moody", moody) and None)

    bench.await_state(attempt, State.DONE)
    assert len(tries) == 2


def test_failed_step_is_told_to_the_path_which_goes_on(bench: Bench) -> None:
    seen: list[str] = []

    def walk(step: Step, attempt: Attempt) -> None:
        try:
            step("never", lambda: 1 / 0)
        except StepFailed as failed:
            name = failed.step
            step("tell", lambda: seen.append(name))

    attempt = bench.run(walk)

    bench.await_state(attempt, State.DONE)
    assert seen == ["never"]


def test_recorded_steps_are_not_done_again_after_a_crash_and_a_recorded_failure_stays_one(bench: Bench) -> None:
    done: list[str] = []
    reached, go_on = threading.Event(), threading.Event()

    def walk(step: Step, attempt: Attempt) -> None:
        try:
            step("fails", lambda: (done.append("fails"), 1 / 0))
        except StepFailed:
            done.append("told")
        step("first", lambda: done.append("first"))
        reached.set()
        assert go_on.wait(10)
        step("second", lambda: done.append("second"))

    attempt = bench.run(walk)
    assert reached.wait(10)
    reached.clear()

    # As after a crash: the row says that a worker has it in hand, which is dead.
    bench.sql("UPDATE workflow_status SET executor_id = 'dead-7' WHERE workflow_uuid = ?", attempt.workflow_id)
    recovered = bench.engine.recover(["dead-7"])
    assert reached.wait(10)
    again = bench.engine.recover(["dead-7"])
    go_on.set()

    bench.await_state(attempt, State.DONE)
    assert (recovered, again) == (1, 0)
    assert done.count("fails") == 2  # two tries of one step, in the first life only
    assert done.count("told") == 2
    assert done.count("first") == 1


def test_study_that_keeps_crashing_workers_is_given_up(bench: Bench) -> None:
    holding, let_go = threading.Event(), threading.Event()
    blockers = [bench.run(lambda step, attempt: holding.set() or (let_go.wait(10) and None)) for _ in range(2)]
    assert holding.wait(10)
    attempt = bench.run(lambda step, attempt: None)

    bench.sql(
        "UPDATE workflow_status SET recovery_attempts = ? WHERE workflow_uuid = ?",
        MAX_RECOVERY_ATTEMPTS + 1,
        attempt.workflow_id,
    )
    let_go.set()

    bench.await_state(attempt, State.DEAD)
    assert attempt in bench.engine.dead()
    bench.engine.forget([attempt])
    assert bench.engine.dead() == []
    for blocker in blockers:
        bench.await_state(blocker, State.DONE)


def test_path_that_breaks_is_given_up_and_not_lost(bench: Bench) -> None:
    def walk(step: Step, attempt: Attempt) -> None:
        raise RuntimeError("a mistake of ours")

    attempt = bench.run(walk)

    bench.await_state(attempt, State.DEAD)
    assert attempt in bench.engine.dead()
    bench.engine.forget([attempt])


def test_urgent_studies_go_first(bench: Bench) -> None:
    order: list[int] = []
    holding, let_go = threading.Semaphore(0), threading.Event()

    def block(step: Step, attempt: Attempt) -> None:
        holding.release()
        assert let_go.wait(10)

    blockers = [bench.run(block) for _ in range(2)]
    assert holding.acquire(timeout=10)
    assert holding.acquire(timeout=10)
    lock = threading.Lock()

    def note(priority: int) -> Walk:
        def walk(step: Step, attempt: Attempt) -> None:
            with lock:
                order.append(priority)

        return walk

    queued = []
    for priority in (3, 2, 3, 1):
        attempt = bench.study(note(priority))
        bench.engine.enqueue(attempt, asked_class=priority)
        queued.append(attempt)
    let_go.set()

    for attempt in (*blockers, *queued):
        bench.await_state(attempt, State.DONE)
    assert set(order[:2]) == {1, 2}


def test_canceled_attempt_stops_before_its_next_step(bench: Bench) -> None:
    reached, go_on = threading.Event(), threading.Event()
    late: list[int] = []

    def walk(step: Step, attempt: Attempt) -> None:
        step("first", lambda: reached.set() or (go_on.wait(10) and None))
        step("second", lambda: late.append(1))

    attempt = bench.run(walk)
    assert reached.wait(10)

    bench.engine.cancel([attempt])
    go_on.set()

    bench.await_state(attempt, State.CANCELED)
    bench.await_state(bench.run(lambda step, attempt: None), State.DONE)
    assert late == []


def test_cancelling_what_ended_or_never_was_changes_nothing(bench: Bench) -> None:
    attempt = bench.run(lambda step, attempt: None)
    bench.await_state(attempt, State.DONE)

    bench.engine.cancel([attempt, Attempt(10_000, 1, 1)])

    assert bench.engine.states([attempt, Attempt(10_000, 1, 1)]) == {attempt: State.DONE}


def test_ended_workflows_are_swept_after_their_time_and_not_before(bench: Bench) -> None:
    attempt = bench.run(lambda step, attempt: None)
    bench.await_state(attempt, State.DONE)

    bench.engine.sweep(before=time.time() - 3600)
    assert bench.state(attempt) is State.DONE

    assert bench.engine.sweep(before=time.time() + 1) > 0
    assert bench.state(attempt) is None
