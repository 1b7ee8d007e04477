"""What the simple readings can and cannot see."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from preprocessing.recipes import RECIPES
from tests.training.evaluations import CHILD, NIH, case, some_films
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.evaluate_baselines import Films, evenly, linear_scores, prepare, thumbnail_scores, thumbnails
from training.public_sets import read_cases


def linear_auroc(images: torch.Tensor, labels: np.ndarray) -> float:
    seen = thumbnails(images)
    scores = linear_scores(seen[:60], labels[:60, None], seen[60:])
    return float(roc_auc_score(labels[60:], scores[:, 0]))


def test_the_thumbnail_model_sees_brightness_but_no_detail() -> None:
    torch.manual_seed(0)
    labels = np.arange(120) % 2.0
    bright = torch.rand(120, 1, 224, 224) * 0.1 + torch.from_numpy(labels).float()[:, None, None, None] * 0.5
    fine = torch.rand(120, 1, 224, 224)
    striped = torch.from_numpy(labels == 1)[:, None, None, None]
    fine[..., ::2, :] = torch.where(striped, fine[..., 1::2, :], fine[..., ::2, :])

    assert linear_auroc(bright, labels) == 1.0
    assert linear_auroc(fine, labels) < 0.75


def test_a_thumbnail_holds_the_mean_of_each_block() -> None:
    image = torch.zeros(1, 1, 224, 224)
    image[..., :7, 7:14] = 1

    small = thumbnails(image).reshape(32, 32)

    assert small[0, 1] == 1
    assert small.sum() == 1


def test_a_model_that_saw_one_kind_only_knows_nothing() -> None:
    scores = linear_scores(np.random.default_rng(0).normal(size=(9, 3)), np.ones((9, 1)), np.ones((4, 3)))

    assert (scores == 0).all()


def test_unknown_labels_are_not_learned_from() -> None:
    rng = np.random.default_rng(1)
    features = rng.normal(size=(80, 2))
    labels = (features[:, 0] > 0).astype(float)[:, None]
    poisoned = labels.copy()
    poisoned[40:] = np.nan

    known = linear_scores(features[:40], labels[:40], features)

    np.testing.assert_allclose(linear_scores(features, poisoned, features), known)


def films_of_two_habits(seed: int) -> Films:
    """In one set the films with the finding are bright, in the other dark."""
    cases = [
        case(str(number), labels=[math.nan, float(number % 2), *[0.0] * 15], data_set=CHILD if number < 40 else NIH)
        for number in range(80)
    ]
    bright = torch.tensor([(number % 2) ^ (number < 40) for number in range(80)])[:, None, None, None] * 0.5
    images = torch.rand(80, 1, 224, 224, generator=torch.Generator().manual_seed(seed)) * 0.1 + bright
    return Films(tuple(cases), images, some_films(cases[:1]).placements * 80)


def test_a_model_of_one_set_knows_the_habits_of_that_set() -> None:
    scores = thumbnail_scores(films_of_two_habits(0), films_of_two_habits(1))

    labels, child = np.arange(80) % 2, np.arange(80) < 40
    for own in (child, ~child):
        assert roc_auc_score(labels[own], scores.own_set[own, 1]) == 1.0
    assert roc_auc_score(labels, scores.all_sets[:, 1]) < 0.9  # together the sets tell nothing
    assert (scores.own_set[:, 0] == 0).all()  # a finding that nobody labelled


def test_films_come_through_the_recipe_with_their_place(tmp_path: Path) -> None:
    data = write_sets(
        tmp_path, children=[kermany_row("a.png", "1", "train", 1)],
        adults=[nih_row("b.png", "2", "train", "pneumonia")],
        more_adults=[nih_row("c.png", "3", "train", "no_finding")],
    )  # fmt: skip
    cases = read_cases(data)

    films = prepare(cases, RECIPES["chest_radiograph/1"])

    assert films.images.shape == (3, 1, 224, 224)
    assert films.cases == tuple(cases)
    assert {(place.rows, place.columns) for place in films.placements} == {(256, 256)}
    assert prepare([], RECIPES["chest_radiograph/1"]).images.shape[0] == 0


def test_at_most_a_thousand_films_of_a_set_are_taken_from_all_over_it() -> None:
    cases = [case(str(number), data_set=CHILD if number % 3 else NIH) for number in range(3_300)]
    films = some_films(cases[:1])
    many = type(films)(tuple(cases), torch.zeros(len(cases), 1, 1, 1), films.placements * len(cases))

    some = evenly(many)

    taken = [int(one.patient_id) for one in some.cases if one.data_set == CHILD]
    assert len(taken) <= 1_000
    assert max(taken) > 3_200
    assert sum(one.data_set == NIH for one in some.cases) == 550  # 1,100: every second
