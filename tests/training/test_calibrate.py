"""Calibration and operating points."""

from __future__ import annotations

import numpy as np
import pytest

from training.calibrate import calibrate, probabilities_of, rates, threshold_for


def scores(seed: int, films: int = 300) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random(films) < 0.4).astype(float)
    return rng.normal(size=films) + 1.5 * labels, labels


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("wanted", [0.9, 0.95])
def test_the_operating_point_reaches_its_sensitivity_and_no_higher_one_does(seed: int, wanted: float) -> None:
    logits, labels = scores(seed)

    reading = calibrate("x", logits, labels, least_sensitivity=wanted, chosen_on="val", version="1")

    probabilities = probabilities_of(logits, reading.calibration)
    threshold = reading.operating_point.threshold
    next_higher = np.sort(probabilities[(probabilities > threshold) & (labels == 1)])[0] + 1e-9
    assert rates(probabilities, labels, threshold)[0] >= wanted
    assert rates(probabilities, labels, next_higher)[0] < wanted


def test_rounding_does_not_tip_the_film_on_the_edge() -> None:
    probabilities, labels = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.0, 1.0, 1.0, 1.0])

    threshold = threshold_for(probabilities, labels, 1.0)

    assert threshold == pytest.approx(0.3)


def test_a_calibrated_probability_matches_how_often_it_is_true() -> None:
    logits, labels = scores(1, films=20_000)
    reading = calibrate("x", 3 * logits - 1, labels, least_sensitivity=0.9, chosen_on="val", version="1")

    probabilities = probabilities_of(3 * logits - 1, reading.calibration)

    middle = (probabilities > 0.4) & (probabilities < 0.6)
    assert labels[middle].mean() == pytest.approx(0.5, abs=0.05)


def test_scores_that_point_the_wrong_way_are_not_turned_around() -> None:
    logits, labels = scores(2)

    reading = calibrate("x", -logits, labels, least_sensitivity=0.9, chosen_on="val", version="1")

    assert (reading.calibration.method, reading.calibration.slope) == ("none", 1.0)
