"""Lives that trial 45 found to end badly, step by step."""

from __future__ import annotations

from service.engine import State
from tests.trials.simulation import Simulation


def test_a_study_is_missed_whose_worker_died_before_saying_that_the_engine_has_it() -> None:
    life = Simulation()
    for study in (0, 1):
        life.arrives(content="a", dies=False, image=0, study=study)
        life.sender_says_done(more=None, study=study)
    life.worker_looks_round(dies_after=1)
    [attempt] = life.engine.waiting()
    life.worker_dies_in_a_step(crash_at=0, is_done_first=True, goes_on=False, which=0)
    life.engine_gives_up_or_forgets(how=None, which=0, is_missed=False)

    life.teardown()  # everything ends, or this raises

    assert life.engine.states([attempt]) == {attempt: State.DONE}
