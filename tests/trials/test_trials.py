"""Each trial at the size that the test command can afford; its figures are printed, its faults fail.

How long things took is told, and judged only where nothing else runs: by `python -m tests.trials`.
"""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

from tests.conftest import missing
from tests.trials.trial import Missing, Trial, add_up, all_trials


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("trial", all_trials(), ids=lambda trial: trial.number)
def test_trial(trial: Trial, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    every = []
    for seed in trial.quick:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            every.append(trial.run(seed, folder))
        except Missing as what:
            missing(str(what))
    gc.collect()  # what a trial left open is told of here, and not in the test that comes next
    counts = add_up(every)
    with capsys.disabled():
        print(f"\n{trial.number} {trial.title}: " + ", ".join(f"{name} {value:g}" for name, value in counts.items()))
    assert trial.faults(counts, is_timed=False) == []


def test_a_count_that_was_never_made_is_a_fault() -> None:
    trial = Trial("99", "nothing", lambda _seed, _folder: {}, "tries", 10, ("lost",), at_most={"wait_s_max": 1.0})

    assert len(trial.faults({})) == 3
    assert trial.faults({"tries": 10, "lost": 0, "wait_s_max": 0.5}) == []
    assert trial.faults({"tries": 10, "lost": 1, "wait_s_max": 2}) == [
        "lost is 1, not 0",
        "wait_s_max is 2, more than 1.0",
    ]


def test_the_worst_is_kept_and_the_rest_adds_up() -> None:
    assert add_up([{"tries": 2, "wait_s_max": 3}, {"tries": 5, "wait_s_max": 1}]) == {"tries": 7, "wait_s_max": 3}


def test_where_other_work_shares_the_machine_times_are_told_and_not_judged() -> None:
    trial = Trial("99", "nothing", lambda _seed, _folder: {}, "tries", 10, ("lost",), at_most={"wait_s_max": 1.0})

    assert trial.faults({"tries": 10, "lost": 0, "wait_s_max": 2}, is_timed=False) == []
    assert len(trial.faults({"tries": 10, "lost": 0}, is_timed=False)) == 1
