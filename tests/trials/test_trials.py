"""Each trial at the size that the test command can afford; its figures are printed, its faults fail.

How long things took is told, and judged by its real limit only where nothing else runs: by `python -m tests.trials`.
Here it is judged generously, where a trial says how.
"""

from __future__ import annotations

import gc
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from service.settings import Settings
from tests.conftest import missing
from tests.trials import __main__ as sittings
from tests.trials import invariants, seeded_bugs, t01_kills
from tests.trials.trial import Counts, Missing, Trial, add_up, all_trials

AT_ONCE = 25
"""Most seeds in one test, so that several processes can share them."""


def _portions(trial: Trial) -> Iterator[object]:
    for first in range(0, len(trial.quick), AT_ONCE):
        seeds = trial.quick[first : first + AT_ONCE]
        name = trial.number if len(trial.quick) <= AT_ONCE else f"{trial.number}-{first}"
        yield pytest.param(trial, seeds, id=name, marks=pytest.mark.timeout(len(seeds) * trial.timeout_s))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("trial", "seeds"), [portion for trial in all_trials() for portion in _portions(trial)])
def test_trial(
    trial: Trial, seeds: Sequence[int], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    every = []
    for seed in seeds:
        folder = tmp_path / str(seed)
        folder.mkdir()
        try:
            every.append(trial.run(seed, folder))
        except Missing as what:
            missing(str(what))
    gc.collect()  # what a trial left open is told of here, and not in the test that comes next
    counts = add_up(every)
    told = ", ".join(f"{name} {value:g}" for name, value in counts.items())
    record_property("figures", f"{trial.number} {trial.title}: {told}")
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


def test_where_other_work_shares_the_machine_generous_bounds_hold_where_a_trial_has_them() -> None:
    trial = Trial(
        "99",
        "nothing",
        lambda _seed, _folder: {},
        "tries",
        10,
        (),
        at_most={"wait_s_max": 1.0},
        at_least={"speed_percent_min": 80.0},
        quick_bounds={"wait_s_max": 5.0, "speed_percent_min": 40.0},
    )

    within, beyond = {"wait_s_max": 4.0, "speed_percent_min": 50.0}, {"wait_s_max": 6.0, "speed_percent_min": 30.0}
    assert trial.faults({"tries": 10, **within}, is_timed=False) == []
    assert len(trial.faults({"tries": 10, **within})) == 2
    assert trial.faults({"tries": 10, **beyond}, is_timed=False) == [
        "wait_s_max is 6.0, more than 5.0",
        "speed_percent_min is 30.0, less than 40.0",
    ]


def _ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sittings, "LEDGER", tmp_path / "trials.jsonl")


def test_sittings_go_on_with_the_seeds_that_are_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ledger(tmp_path, monkeypatch)
    trial = Trial("99", "nothing", lambda seed, _folder: {"tries": 4, "lost": 0}, "tries", 10, ("lost",))

    done = []
    for seed in sittings.seeds_left(trial, 2, 3):
        assert sittings.sit(trial, seed)
        done.append(seed)

    assert done == [1, 4, 7]
    assert "| 12 tries | 10 | passed |" in sittings.page([trial], sittings.rows(), sittings.every_row())


def test_runs_of_earlier_commits_need_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ledger(tmp_path, monkeypatch)
    trial = Trial("99", "nothing", lambda _seed, _folder: {"tries": 4, "lost": 0}, "tries", 8, ("lost",))
    for made in ("old", "new"):
        monkeypatch.setattr(sittings, "commit", lambda made=made: made)
        assert sittings.sit(trial, 0)
        assert sittings.sit(trial, 1 + (made == "new"))

    assert list(sittings.seeds_left(trial, 1, 1)) == []
    assert next(sittings.seeds_left(trial, 1, 1, {"newer"})) == 0
    assert list(sittings.seeds_left(trial, 1, 1, {"new"})) == []


def test_page_tells_what_is_not_judged_where_it_was_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _ledger(tmp_path, monkeypatch)

    def told(counts: Counts) -> str:
        return f"waited {counts['waited_s']:.0f} s." if "waited_s" in counts else ""

    trial = Trial(
        "99", "nothing", lambda seed, _folder: [{"tries": 1}, {"waited_s": 7}][seed], "tries", 2, (), told=told
    )

    sittings.sit(trial, 0)
    before = sittings.page([trial], sittings.rows(), sittings.every_row())
    sittings.sit(trial, 1)
    after = sittings.page([trial], sittings.rows(), sittings.every_row())

    assert "not judged" not in before
    assert "- 99: waited 7 s." in after


def test_how_long_all_but_one_in_a_hundred_took_is_told_in_whole_seconds() -> None:
    counts: Counts = {
        "kills": 200, "ready_in_1_s": 150, "ready_in_5_s": 47, "ready_in_9_s": 1, "ready_in_12_s": 2,
        "ready_s_max": 11.5, "limit_s_max": 8.5, "ready_after_web_s_max": 4.0, "ready_after_supervisor_s_max": 11.5,
    }  # fmt: skip

    words = t01_kills.told(counts)

    assert "99 % of 200 kills within 9 s" in words
    assert "3 took longer than 5 s" in words
    assert "8.5 s" in words
    assert "supervisor 11.5 s, web 4.0 s" in words
    assert t01_kills.told({"kills": 200, "ready_s_max": 11.5}) == ""


def test_temporaries_that_no_sweep_takes_are_counted(tmp_path: Path) -> None:
    settings = Settings(data_folder=tmp_path)
    half = [settings.spool_folder / "a.part", settings.work_folder / "tensors/ab/.b.part", tmp_path / "lost/c.part"]
    for path in half:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"half")

    assert invariants.temporaries(settings) == (3, 1)
    assert [path.exists() for path in half] == [False, False, True]


def test_a_seed_that_does_not_end_is_a_fault_until_it_was_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _ledger(tmp_path, monkeypatch)
    naps = [10.0, 0.0]

    def run(_seed: int, _folder: Path) -> Counts:
        time.sleep(naps.pop(0))
        return {"tries": 4, "lost": 0}

    trial = Trial("99", "nothing", run, "tries", 10, ("lost",), timeout_s=0.05)

    assert not sittings.sit(trial, 0)
    assert "broke off: 1" in sittings.page([trial], sittings.rows(), sittings.every_row())
    assert sittings.sit(trial, 0)
    told = sittings.page([trial], sittings.rows(), sittings.every_row())
    assert "| 4 tries | 10 | so far passed |" in told
    assert "- 99, seed 0, " in told  # it may come again


def test_page_tells_which_seeded_bugs_were_missed(tmp_path: Path) -> None:
    told = tmp_path / "bugs.json"
    missed = [{"file": "rounds.py", "right": "if due:\n    go()", "wrong": ""}]
    told.write_text(json.dumps({"commit": "abc", "hours": 0.5, "tried": 10, "caught": 9, "missed": missed}))

    lines = sittings.seeded_bugs(told)

    assert any("9 of 10 (90 %" in line for line in lines)
    assert lines[-1] == "- `rounds.py`: `if due: go()` → `(nothing)`"
    assert sittings.seeded_bugs(tmp_path / "none") == []


def test_bugs_that_were_tried_on_the_same_sources_are_not_tried_again(tmp_path: Path) -> None:
    first, second, *_ = (seeded_bugs.key_of(bug) for bug in seeded_bugs.BUGS)
    path = tmp_path / "bugs.json"

    told = seeded_bugs.told({first: True, second: False}, 0.5, "these")
    path.write_text(json.dumps(told))

    assert (told["tried"], told["caught"], len(told["missed"])) == (2, 1, 1)
    assert seeded_bugs.judged_before(path, "these") == ({first: True, second: False}, 0.5)
    assert seeded_bugs.judged_before(path, "others") == ({}, 0.0)
    assert seeded_bugs.judged_before(tmp_path / "none", "these") == ({}, 0.0)


def test_each_seeded_bug_still_has_its_place() -> None:
    for name, right, wrong in seeded_bugs.BUGS:
        source = (sittings.ROOT / "service" / name).read_text()
        assert right in source, f"{name} no longer holds {right!r}"
        compile(source.replace(right, wrong, 1), name, "exec")
