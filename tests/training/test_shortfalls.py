"""What was not reached is said, and nothing else is."""

from __future__ import annotations

from dataclasses import replace

from tests.training.evaluations import around, some_evaluation
from training.cases import CHILD_OPACITY
from training.evaluate_published import TARGETS, outcomes
from training.evaluate_record import Evaluation
from training.shortfalls import REASONS, shortfalls

EVALUATION, _ = some_evaluation()
CHILDREN = next(row for row in EVALUATION.findings if (row.finding, row.group) == (CHILD_OPACITY, "all"))


def with_children(auroc: float, gain: float) -> Evaluation:
    row = replace(CHILDREN, auroc=around(auroc), auroc_gain=around(gain))
    return replace(EVALUATION, findings=(row,), outcomes=outcomes([row]), occlusion=(), pointing=())


def test_what_reached_everything_is_no_shortfall() -> None:
    assert shortfalls(with_children(0.99, 0.1)) == []


def test_a_missed_target_is_named_with_figure_and_reason() -> None:
    (shortfall,) = shortfalls(with_children(0.967, 0.1))

    assert "0.967 (0.927–1.007); 0.985 was aimed at, at least 0.975: missed." in shortfall.why
    assert REASONS[CHILD_OPACITY, "all"] in shortfall.why
    assert "Not shown to be better" not in shortfall.why


def test_a_reached_target_that_a_thumbnail_may_reach_too_is_named() -> None:
    (shortfall,) = shortfalls(with_children(0.99, 0.01))

    assert "target reached. Not shown to be better" in shortfall.why


def test_where_a_thumbnail_model_is_better_is_named() -> None:
    found = {shortfall.what: shortfall.why for shortfall in shortfalls(with_children(0.99, -0.1))}

    assert f"0.990 against {CHILDREN.better_thumbnail.value:.3f}" in found["Worse than a thumbnail model"]


def test_a_proof_that_failed_is_named_with_what_was_allowed() -> None:
    found = {shortfall.what: shortfall.why for shortfall in shortfalls(EVALUATION)}

    assert "AUROC is still 0.790; 0.650 was allowed" in found["Any finding (adults), lungs covered"]
    assert "Pneumonia-like opacity (children 1–5 years), lungs covered" not in found


def test_heat_maps_no_better_than_the_usual_place_are_named() -> None:
    found = {shortfall.what: shortfall.why for shortfall in shortfalls(EVALUATION)}

    assert "In 50 of 100 films" in found["Heat maps"]
    sharp = tuple(replace(row, accuracy=around(0.9)) for row in EVALUATION.pointing)
    assert "Heat maps" not in {each.what for each in shortfalls(replace(EVALUATION, pointing=sharp))}


def test_every_target_has_its_reason() -> None:
    assert set(REASONS) == {(target.finding, target.group) for target in TARGETS}
    assert all(reason.endswith(".") for reason in REASONS.values())
