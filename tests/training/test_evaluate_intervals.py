"""Figures and their bootstrap intervals, held against scikit-learn and against drawing patients one by one."""

from __future__ import annotations

import time

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate_intervals import (
    DRAWS,
    area_under_roc,
    average_precision,
    draw_patients,
    share,
    wilson,
)


def films(seed: int, count: int = 200, *, positive: float = 0.4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = (rng.random(count) < positive).astype(float)
    return truth, rng.normal(size=count) + truth


def own_patients(count: int) -> list[str]:
    return [str(film) for film in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("digits", [0, 1, 9])
def test_areas_are_those_of_scikit_learn_with_and_without_ties(seed: int, digits: int) -> None:
    truth, scores = films(seed)
    scores = scores.round(digits)
    weights = draw_patients(own_patients(200), draws=20)

    area, precision = area_under_roc(truth, scores, weights), average_precision(truth, scores, weights)

    assert area.value == pytest.approx(roc_auc_score(truth, scores))
    assert precision.value == pytest.approx(average_precision_score(truth, scores))
    for draw in range(20):
        counts = weights[draw + 1]
        assert area.draws[draw] == pytest.approx(roc_auc_score(truth, scores, sample_weight=counts))
        assert precision.draws[draw] == pytest.approx(average_precision_score(truth, scores, sample_weight=counts))


def test_intervals_are_those_of_drawing_patients_one_by_one() -> None:
    truth, scores = films(3, 120)
    patients = [f"patient {film // 3}" for film in range(120)]
    numbers = np.arange(120).reshape(40, 3)
    rng = np.random.default_rng(99)
    slow = []
    for _ in range(4_000):
        drawn = numbers[rng.integers(40, size=40)].ravel()
        slow.append(roc_auc_score(truth[drawn], scores[drawn]))

    interval = area_under_roc(truth, scores, draw_patients(patients, draws=4_000)).interval()

    low, high = np.percentile(slow, [2.5, 97.5])
    assert (interval.low, interval.high) == (pytest.approx(low, abs=0.01), pytest.approx(high, abs=0.01))


def test_a_patients_films_are_drawn_together_and_every_draw_holds_as_many_patients() -> None:
    weights = draw_patients(["a", "b", "a", "c"], draws=50)

    assert (weights[0] == 1).all()
    assert (weights[:, 0] == weights[:, 2]).all()
    assert (weights[:, [0, 1, 3]].sum(axis=1) == 3).all()


def test_many_films_of_one_patient_do_not_narrow_the_interval() -> None:
    truth, scores = (np.repeat(values, 10) for values in films(1, 40))

    by_film = area_under_roc(truth, scores, draw_patients(own_patients(400))).interval()
    by_patient = area_under_roc(truth, scores, draw_patients([str(film // 10) for film in range(400)])).interval()

    assert by_patient.high - by_patient.low > 1.5 * (by_film.high - by_film.low)


def test_a_difference_is_paired() -> None:
    truth, scores = films(2)
    weights = draw_patients(own_patients(200))
    area = area_under_roc(truth, scores, weights)

    same = area.minus(area_under_roc(truth, scores * 2 + 1, weights)).interval()
    better = area.minus(area_under_roc(truth, np.zeros(200), weights)).interval()

    assert (same.value, same.low, same.high) == (0, 0, 0)
    assert better.value == pytest.approx(area.value - 0.5)
    assert better.low > 0


def test_draws_without_a_positive_film_count_for_nothing() -> None:
    truth = np.zeros(30)
    truth[:2] = 1
    scores = np.arange(30.0)[::-1]

    drawn = area_under_roc(truth, scores, draw_patients(own_patients(30)))

    assert 0 < np.isnan(drawn.draws).sum() < DRAWS / 2
    assert (drawn.interval().low, drawn.interval().high) == (1.0, 1.0)


def test_a_share_has_the_bootstraps_interval_and_keeps_a_doubt_where_all_are_hits() -> None:
    hits = np.arange(100) < 80
    every = np.ones(100, dtype=bool)
    weights = draw_patients(own_patients(100))

    some, all_hits = (
        share(hits, every, weights, own_patients(100)),
        share(every, every, weights, ["p"] * 5 + own_patients(95)),
    )

    assert some.value == 0.8
    assert (some.low, some.high) == (pytest.approx(0.72, abs=0.02), pytest.approx(0.88, abs=0.02))
    assert (all_hits.value, all_hits.high) == (1.0, 1.0)
    assert all_hits.low == pytest.approx(wilson(96, 96).low)  # patients, not films


def test_wilsons_interval_is_the_published_one() -> None:
    interval = wilson(8, 10)  # Newcombe 1998's formula by hand

    assert (interval.low, interval.high) == (pytest.approx(0.4902, abs=1e-4), pytest.approx(0.9433, abs=1e-4))
    assert wilson(0, 10).low == 0
    assert wilson(10, 10).high == 1


def test_a_thousand_draws_of_a_thousand_films_take_a_blink() -> None:
    truth, scores = films(4, 1_000)
    weights = draw_patients(own_patients(1_000))

    started = time.process_time()
    area_under_roc(truth, scores, weights)

    assert time.process_time() - started < 0.5
