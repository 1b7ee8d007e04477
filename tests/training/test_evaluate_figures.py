"""Figures per finding and group of films."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics import roc_curve as reference_curve

from tests.training.evaluations import CHILD, NIH, case, logits_of, some_cases, some_readings, thumbnails_of
from training.calibrate import probabilities_of
from training.cases import ANY_FINDING, FINDINGS
from training.evaluate_baselines import ThumbnailScores
from training.evaluate_figures import (
    calibration_error,
    calibration_parts,
    evaluate_findings,
    finding_curves,
    groups,
    roc_curve,
)
from training.films import stack_labels

CASES = some_cases()
READINGS = some_readings(some_cases(seed=9))


def test_a_row_holds_what_can_be_counted_by_hand() -> None:
    logits, thumbnail = logits_of(CASES), thumbnails_of(CASES, skill=0.2)
    column = FINDINGS.index(ANY_FINDING)
    film = np.flatnonzero([one.data_set == NIH for one in CASES])
    truth = stack_labels(CASES)[film, column]
    present = probabilities_of(logits[film, column], READINGS[column].calibration) >= (
        READINGS[column].operating_point.threshold
    )

    rows = evaluate_findings(CASES, logits, thumbnail, READINGS)

    row = next(row for row in rows if (row.finding, row.group) == (ANY_FINDING, NIH))
    assert (row.films, row.positives) == (len(film), truth.sum())
    assert row.data_sets == (NIH,)
    assert row.auroc.value == pytest.approx(roc_auc_score(truth, logits[film, column]))
    assert row.thumbnail_auroc.value == pytest.approx(roc_auc_score(truth, thumbnail.all_sets[film, column]))
    assert row.own_thumbnail_auroc is not None
    assert row.own_thumbnail_auroc.value == pytest.approx(roc_auc_score(truth, thumbnail.own_set[film, column]))
    assert row.sensitivity.value == pytest.approx(present[truth == 1].mean())
    assert row.specificity.value == pytest.approx((~present)[truth == 0].mean())
    assert row.raise_sensitivity.value <= row.sensitivity.value
    assert row.raise_specificity.value >= row.specificity.value


@pytest.mark.parametrize("better", ["all_sets", "own_set"])
def test_the_gain_is_over_the_better_thumbnail_model(better: str) -> None:
    good, poor = logits_of(CASES, 3, skill=0.9), logits_of(CASES, 4, skill=0.1)
    scores = ThumbnailScores(good, poor) if better == "all_sets" else ThumbnailScores(poor, good)

    rows = evaluate_findings(CASES, logits_of(CASES), scores, READINGS)

    row = next(row for row in rows if (row.finding, row.group) == (ANY_FINDING, NIH))
    assert row.own_thumbnail_auroc is not None
    assert row.better_thumbnail.value == max(row.thumbnail_auroc.value, row.own_thumbnail_auroc.value)
    assert row.auroc_gain.value == pytest.approx(row.auroc.value - row.better_thumbnail.value)


def test_films_of_several_sets_have_no_thumbnail_model_of_one() -> None:
    rows = evaluate_findings(CASES, logits_of(CASES), thumbnails_of(CASES), READINGS)

    for row in rows:
        assert (row.own_thumbnail_auroc is None) == (len(row.data_sets) > 1), row.group


def test_every_interval_holds_its_figure() -> None:
    for row in evaluate_findings(CASES, logits_of(CASES), thumbnails_of(CASES), READINGS):
        for name in ("auroc", "auprc", "sensitivity", "specificity", "thumbnail_auroc", "auroc_gain"):
            interval = getattr(row, name)
            assert interval.low <= interval.value <= interval.high


def test_small_groups_are_left_out_but_no_finding_is() -> None:
    labels = stack_labels(CASES)
    column = FINDINGS.index("hernia")
    positive = np.flatnonzero(labels[:, column] == 1)
    labels[positive[3:], column] = 0
    cases = [
        case(one.patient_id, labels=row, data_set=one.data_set, sex=one.sex)
        for one, row in zip(CASES, labels.tolist(), strict=True)
    ]

    rows = evaluate_findings(cases, logits_of(cases), thumbnails_of(cases), READINGS)

    assert [row.group for row in rows if row.finding == "hernia"] == ["all"]
    assert {row.finding for row in rows if row.group == "all"} == set(FINDINGS)


def test_the_same_films_are_not_listed_under_a_second_name() -> None:
    rows = evaluate_findings(CASES, logits_of(CASES), thumbnails_of(CASES), READINGS)

    assert [row.group for row in rows if row.finding == FINDINGS[0]] == ["all"]  # all children are of one set


def test_groups_are_by_set_year_view_sex_and_age() -> None:
    cases = [
        case("a", age_years=39.0, sex="M", view="AP", era_matched=False),
        case("b", age_years=40.0),
        case("c", age_years=None, age_band="1-5 years", data_set=CHILD, sex="", view="AP"),
    ]

    found = {name: np.flatnonzero(member).tolist() for name, member in groups(cases).items()}

    assert found["all"] == [0, 1, 2]
    assert (found[NIH], found[CHILD], found[f"{NIH}, era matched"]) == ([0, 1], [2], [1])
    assert f"{CHILD}, era matched" not in found
    assert (found["adults, AP"], found["adults, PA"]) == ([0], [1])
    assert (found["adults, sex M"], found["adults, sex F"]) == ([0], [1])
    assert (found["adults, 18 to 39 years"], found["adults, 40 to 59 years"]) == ([0], [1])
    assert found["adults, 75 years and older"] == []


def test_the_calibration_error_is_the_one_counted_by_hand() -> None:
    said = np.repeat([0.1, 0.3, 0.5, 0.7, 0.9], 20)
    truth = np.concatenate([np.arange(20) < count for count in (2, 8, 10, 14, 16)]).astype(float)

    parts = calibration_parts(said, truth)

    assert [part.films for part in parts] == [10] * 10
    # The positives come first in each twenty, and each twenty makes two parts: 0.2 and 0 were found for 0.1, and so on.
    assert calibration_error(parts) == pytest.approx((0.1 + 0.1 + 0.5 + 0.3 + 0.5 + 0.5 + 0.3 + 0.3 + 0.1 + 0.3) / 10)


def test_the_calibration_error_of_honest_probabilities_is_small() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.random(20_000)
    truth = (rng.random(20_000) < probabilities).astype(float)

    assert calibration_error(calibration_parts(probabilities, truth)) < 0.02
    assert calibration_error(calibration_parts(1 - probabilities, truth)) == pytest.approx(0.5, abs=0.02)


def test_fewer_films_than_parts_give_as_many_parts() -> None:
    assert len(calibration_parts(np.array([0.2, 0.4, 0.9]), np.array([0.0, 1.0, 1.0]))) == 3


def test_the_drawn_curve_is_the_roc_curve() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random(90) < 0.4).astype(float)
    scores = (rng.normal(size=90) + truth).round(1)
    false_alarms, sensitivity, _ = reference_curve(truth, scores, drop_intermediate=False)

    points = roc_curve(truth, scores)

    np.testing.assert_allclose(points, np.column_stack([false_alarms, sensitivity]), atol=1e-4)


def test_a_long_curve_is_thinned_and_keeps_its_ends() -> None:
    rng = np.random.default_rng(4)

    points = roc_curve((rng.random(5_000) < 0.5).astype(float), rng.normal(size=5_000))

    assert len(points) == 151
    assert (points[0], points[-1]) == ((0.0, 0.0), (1.0, 1.0))


def test_a_finding_of_one_kind_only_has_no_curve() -> None:
    cases = [case(str(number), labels=[math.nan, 1.0, *[float(number % 2)] * 15]) for number in range(20)]

    drawn = finding_curves(cases, logits_of(cases), thumbnails_of(cases), READINGS)

    assert [curves.finding for curves in drawn] == [FINDINGS[2]]
