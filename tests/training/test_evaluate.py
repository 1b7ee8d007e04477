"""Figures and their intervals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from training.evaluate import area_under_roc, average_precision, bootstrap, calibration_error, thumbnail_scores


def test_an_interval_holds_its_figure() -> None:
    rng = np.random.default_rng(0)
    truth = (rng.random(200) < 0.5).astype(float)
    scores = rng.normal(size=200) + truth

    interval = bootstrap([str(i) for i in range(200)], truth, lambda f: float(roc_auc_score(truth[f], scores[f])))

    assert interval.low < interval.value < interval.high


def test_many_films_of_one_patient_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(1)
    truth = np.repeat((rng.random(40) < 0.5).astype(float), 10)
    scores = np.repeat(rng.normal(size=40), 10) + truth
    films = [str(i) for i in range(400)]
    patients = [str(i // 10) for i in range(400)]

    def area(chosen: np.ndarray) -> float:
        return float(roc_auc_score(truth[chosen], scores[chosen]))

    by_film, by_patient = bootstrap(films, truth, area), bootstrap(patients, truth, area)

    assert by_patient.high - by_patient.low > 1.5 * (by_film.high - by_film.low)


def test_the_thumbnail_model_sees_brightness_but_no_detail() -> None:
    torch.manual_seed(0)
    labels = (torch.arange(120) % 2).double().numpy()[:, None]
    bright = torch.rand(120, 1, 224, 224) * 0.1 + torch.from_numpy(labels).float()[..., None, None] * 0.5
    fine = torch.rand(120, 1, 224, 224)
    fine[..., ::2, :] = torch.where(
        torch.from_numpy(labels == 1)[..., None, None], fine[..., 1::2, :], fine[..., ::2, :]
    )

    seen = roc_auc_score(labels[60:, 0], thumbnail_scores(bright[:60], labels[:60], bright[60:])[:, 0])
    unseen = roc_auc_score(labels[60:, 0], thumbnail_scores(fine[:60], labels[:60], fine[60:])[:, 0])

    assert seen == 1.0
    assert unseen < 0.75


def test_the_calibration_error_of_honest_probabilities_is_small() -> None:
    rng = np.random.default_rng(2)
    probabilities = rng.random(20_000)
    truth = (rng.random(20_000) < probabilities).astype(float)

    assert calibration_error(probabilities, truth) < 0.02
    assert calibration_error(1 - probabilities, truth) == pytest.approx(0.5, abs=0.02)


def test_the_areas_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    truth = (rng.random(300) < 0.3).astype(float)
    scores = rng.normal(size=300) + truth
    tied = scores.round(1)

    assert area_under_roc(truth, tied) == pytest.approx(roc_auc_score(truth, tied))
    assert average_precision(truth, scores) == pytest.approx(average_precision_score(truth, scores))
