"""Features made once: the same as the network's own front, whole or not there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.cases import Case
from training.films import stack_films
from training.frozen import FeatureSource, FilmFeatures, front_runner, make_features
from training.network import FilmNetwork
from training.public_sets import read_cases

RECIPE = RECIPES["chest_radiograph/1"]


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory) -> list[Case]:
    folder = write_sets(
        tmp_path_factory.mktemp("sets"),
        children=[kermany_row("a.jpeg", "p1", "train", 1), kermany_row("b.jpeg", "p2", "train", 0)],
        adults=[nih_row("c.png", "nih-1", "train", "no_finding")],
        more_adults=[nih_row("d.png", "nih-2", "train", "mass")],
    )
    return read_cases(folder)


def test_the_first_copy_is_the_film_and_the_others_are_not(cases: list[Case], tmp_path: Path) -> None:
    network = FilmNetwork(1).eval()
    source = FeatureSource(RECIPE, front_runner(network.front, torch.device("cpu")), seed=1, key="x")

    make_features(cases, source, copies=3, path=tmp_path / "f.npy")
    features = np.load(tmp_path / "f.npy")

    with torch.no_grad():
        expected = network.front(stack_films(cases, RECIPE)).numpy()
    np.testing.assert_allclose(features[0], expected, rtol=5e-3, atol=2e-2)
    assert features.shape == (3, 4, 80, 14, 14)
    assert np.abs(features[1:].astype(float) - features[:1]).mean(axis=(2, 3, 4)).min() > 0.01


def test_features_are_made_anew_only_when_something_changed(cases: list[Case], tmp_path: Path) -> None:
    calls: list[int] = []

    def run_front(images: torch.Tensor) -> np.ndarray:
        calls.append(len(images))
        return np.zeros((len(images), 1, 1, 1), np.float16)

    for key, copies in (("x", 1), ("x", 1), ("y", 1), ("y", 2)):
        make_features(cases, FeatureSource(RECIPE, run_front, 1, key), copies=copies, path=tmp_path / "f.npy")

    assert sum(calls) == 4 + 4 + 8


def test_plain_films_are_drawn_as_often_as_asked() -> None:
    features = np.arange(4, dtype=np.float16).reshape(4, 1, 1, 1, 1)
    films = FilmFeatures(features, np.zeros((1, 1)), plain_share=0.25)
    torch.manual_seed(0)

    drawn = np.asarray([float(films[0][0]) for _ in range(2_000)])

    assert (drawn == 0).mean() == pytest.approx(0.25, abs=0.04)
    assert set(drawn) == {0.0, 1.0, 2.0, 3.0}
