"""Targets, and the figures of others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.training.evaluations import around, some_evaluation
from training.cases import ANY_FINDING, CHILD_OPACITY, NIH_FINDINGS
from training.evaluate_published import CHEXNET, outcomes

ROW = next(row for row in some_evaluation()[0].findings if (row.finding, row.group) == (CHILD_OPACITY, "all"))


@pytest.mark.parametrize(
    ("auroc", "reached"), [(0.986, "target reached"), (0.98, "least reached, target missed"), (0.97, "missed")]
)
def test_a_target_is_reached_nearly_or_missed(auroc: float, reached: str) -> None:
    (outcome,) = outcomes([replace(ROW, auroc=around(auroc))])

    assert outcome.reached == reached
    assert (outcome.wanted, outcome.least) == (0.985, 0.975)


@pytest.mark.parametrize(("gain", "beats"), [(around(0.05), True), (around(0.03), False), (around(-0.1), False)])
def test_only_an_interval_above_zero_beats_the_thumbnail_model(gain: object, beats: bool) -> None:
    (outcome,) = outcomes([replace(ROW, auroc_gain=gain)])  # type: ignore[arg-type]

    assert outcome.beats_thumbnail is beats


def test_targets_of_films_that_were_not_judged_are_left_out() -> None:
    assert outcomes([replace(ROW, finding=ANY_FINDING)]) == ()


def test_others_figures_are_marked_as_theirs() -> None:
    (outcome,) = outcomes([ROW])

    assert {stated.model: stated.auroc for stated in outcome.stated} == {
        "Inception V3, ImageNet weights": 0.968,
        "ResNet-18, 224 pixels": 0.956,
        "ResNet-50, 224 pixels": 0.962,
        "Google AutoML Vision": 0.991,
        "linear, 32x32 thumbnail": 0.915,
    }
    assert all(stated.source for stated in outcome.stated)


def test_chexnets_figure_is_there_for_each_of_the_fourteen() -> None:
    assert set(CHEXNET) == set(NIH_FINDINGS)
    assert sum(CHEXNET.values()) / 14 == pytest.approx(0.8414, abs=1e-3)  # the mean that is usually quoted
