"""Calibration, operating points and raise points."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.calibrate import (
    FEW,
    Calibrated,
    calibrate,
    calibrate_all,
    common_slope,
    load_calibration,
    probabilities_of,
    save_calibration,
    threshold_for,
    threshold_for_specificity,
)
from training.cases import FINDINGS, NIH_FINDINGS, ManifestRefused


def scores(seed: int, films: int = 300, *, positive: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(films) < positive).astype(float)
    return rng.normal(size=films) + 1.5 * labels, labels


def read(logits: np.ndarray, labels: np.ndarray, *, least: float = 0.9, slope: float = 1.0) -> Calibrated:
    return calibrate("x", logits, labels, least_sensitivity=least, chosen_on="val", version="1", slope_when_few=slope)


def rates(probabilities: np.ndarray, labels: np.ndarray, threshold: float) -> tuple[float, float]:
    present = probabilities >= threshold
    return float(present[labels == 1].mean()), float((~present[labels == 0]).mean())


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("wanted", [0.9, 0.95])
def test_the_operating_point_reaches_its_sensitivity_and_no_higher_one_does(seed: int, wanted: float) -> None:
    logits, labels = scores(seed)

    reading = read(logits, labels, least=wanted)

    probabilities = probabilities_of(logits, reading.calibration)
    threshold = reading.operating_point.threshold
    next_higher = np.sort(probabilities[(probabilities > threshold) & (labels == 1)])[0] + 1e-9
    assert rates(probabilities, labels, threshold)[0] >= wanted
    assert rates(probabilities, labels, next_higher)[0] < wanted


@pytest.mark.parametrize("seed", range(10))
def test_the_raise_point_reaches_its_specificity_and_no_lower_one_does(seed: int) -> None:
    logits, labels = scores(seed)

    reading = read(logits, labels)

    probabilities = probabilities_of(logits, reading.calibration)
    threshold = reading.raise_point.threshold
    next_lower = np.sort(probabilities[(probabilities < threshold) & (labels == 0)])[-1]
    assert rates(probabilities, labels, threshold)[1] >= 0.9
    assert rates(probabilities, labels, next_lower)[1] < 0.9
    assert reading.raise_point.specificity == rates(probabilities, labels, threshold)[1]


def test_the_raise_point_never_lies_below_the_operating_point() -> None:
    labels = np.repeat([0.0, 1.0], 100)
    logits = np.concatenate([np.linspace(-9, -5, 100), np.linspace(4, 9, 100)])

    reading = read(logits, labels)

    assert reading.operating_point.specificity == 1.0
    assert reading.raise_point.threshold == reading.operating_point.threshold


def test_rounding_does_not_tip_the_film_on_the_edge() -> None:
    probabilities, labels = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 1.0, 1.0, 1.0])

    assert threshold_for(probabilities, labels, 1.0) == pytest.approx(0.3)
    assert threshold_for_specificity(probabilities, labels, 1.0) == pytest.approx(0.3)
    assert threshold_for_specificity(probabilities, 1 - labels, 1.0) == pytest.approx(0.9)


def test_a_calibrated_probability_matches_how_often_it_is_true() -> None:
    logits, labels = scores(1, films=20_000)
    reading = read(3 * logits - 1, labels)

    probabilities = probabilities_of(3 * logits - 1, reading.calibration)

    middle = (probabilities > 0.4) & (probabilities < 0.6)
    assert labels[middle].mean() == pytest.approx(0.5, abs=0.05)


def test_scores_that_point_the_wrong_way_are_not_turned_around() -> None:
    logits, labels = scores(2)

    reading = read(-logits, labels)

    assert (reading.calibration.method, reading.calibration.slope) == ("none", 1.0)


def test_a_few_positive_films_take_the_common_slope_and_promise_no_sensitivity() -> None:
    logits, labels = scores(3)
    labels[np.flatnonzero(labels)[FEW - 1 :]] = 0

    reading = read(logits, labels, slope=0.4)

    probabilities = probabilities_of(logits, reading.calibration)
    assert reading.calibration.slope == 0.4
    assert probabilities.mean() == pytest.approx(10 / 302)  # Laplace: one more of each kind
    assert reading.operating_point.name == "specificity_0.80"
    assert "too few" in reading.operating_point.chosen_on
    assert rates(probabilities, labels, reading.operating_point.threshold)[1] >= 0.8


def test_a_finding_without_any_positive_film_has_no_sensitivity_at_all() -> None:
    logits, labels = scores(4)

    reading = read(logits, np.zeros_like(labels))

    assert reading.operating_point.sensitivity is None
    assert 0 < probabilities_of(logits, reading.calibration).mean() < 0.01


def test_a_finding_that_every_film_has_can_not_be_calibrated() -> None:
    with pytest.raises(ManifestRefused, match="without x"):
        read(np.zeros(5), np.ones(5))


def test_platts_targets_keep_separated_films_from_certainty() -> None:
    labels = np.repeat([0.0, 1.0], 12)

    reading = read(np.where(labels == 1, 30.0, -30.0), labels)

    probabilities = probabilities_of(np.array([-30.0, 30.0]), reading.calibration)
    assert probabilities == pytest.approx([1 / 14, 13 / 14], abs=0.005)


def test_the_common_slope_is_found_whatever_the_intercepts() -> None:
    rng = np.random.default_rng(5)
    logits = rng.normal(size=(4_000, 3)) * 2
    labels = (rng.random((4_000, 3)) < 1 / (1 + np.exp(-(0.7 * logits + [-3, 0, 2])))).astype(float)
    labels[::7, 0] = np.nan

    assert common_slope(logits, labels) == pytest.approx(0.7, abs=0.05)


def test_every_finding_is_read_with_its_own_sensitivity_and_survives_the_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    labels = (rng.random((300, len(FINDINGS))) < 0.3).astype(float)
    labels[:, FINDINGS.index("hernia")] = np.arange(300) < 2
    labels[:150, 0] = np.nan

    readings = calibrate_all(rng.normal(size=labels.shape) + labels, labels, version="3")
    save_calibration(tmp_path, readings)

    names = {reading.finding: reading.operating_point.name for reading in readings}
    assert list(names) == list(FINDINGS)
    assert names[FINDINGS[0]] == "sensitivity_0.95"
    assert names["hernia"] == "specificity_0.80"
    assert {names[finding] for finding in NIH_FINDINGS if finding != "hernia"} == {"sensitivity_0.90"}
    assert readings[0].operating_point.chosen_on.startswith("150 validation films")
    assert load_calibration(tmp_path) == readings
