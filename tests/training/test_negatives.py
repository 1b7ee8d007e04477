"""Films made into what is no upright whole chest."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.recipes import RECIPES
from training.drawings import drawn
from training.negatives import (
    TORN_LEARNED,
    TORN_NEVER_LEARNED,
    aslant,
    inverted,
    on_its_side,
    side_by_side,
    upside_down,
    varied,
)

RECIPE = RECIPES["chest_radiograph/1"]
MAKERS = {
    **TORN_LEARNED, **TORN_NEVER_LEARNED, "aslant": aslant, "inverted": inverted, "on its side": on_its_side,
    "upside down": upside_down, "varied": varied,
}  # fmt: skip


def column_film() -> np.ndarray:
    """Black, with one bright column in the middle."""
    film = np.zeros((201, 201), np.uint8)
    film[:, 90:111] = 200
    return film


@pytest.mark.parametrize("name", MAKERS)
def test_every_made_picture_passes_the_recipe(name: str) -> None:
    for seed in range(20):
        rng = np.random.default_rng(seed)
        film = drawn(rng)
        film = np.pad(film, [(0, max(0, 256 - film.shape[0])), (0, max(0, 256 - film.shape[1]))])
        picture = MAKERS[name](film, rng)
        assert picture.dtype == np.uint8
        assert picture.ndim == 2
        assert RECIPE.prepare_array(np.ascontiguousarray(picture)).tensor.shape == (1, 224, 224)


def test_an_upside_down_film_stands_on_its_head() -> None:
    film = np.zeros((200, 200), np.uint8)
    film[:40] = 200

    for seed in range(10):
        flipped = upside_down(film, np.random.default_rng(seed))[:, 60:140]
        assert flipped[120:].mean() > flipped[:80].mean()


def test_a_film_on_its_side_has_its_column_lying() -> None:
    for seed in range(10):
        lying = on_its_side(column_film(), np.random.default_rng(seed))[40:160, 40:160].astype(float)
        assert lying.mean(axis=1).std() > lying.mean(axis=0).std()


def test_a_film_aslant_is_neither_upright_nor_on_its_side() -> None:
    for seed in range(10):
        angles = [aslant(column_film(), np.random.default_rng(seed))[row, 40:161].argmax() for row in (60, 140)]
        degrees = np.degrees(np.arctan2(abs(angles[0] - angles[1]), 80))
        assert 25 < degrees < 70


def test_an_inverted_film_has_black_bones() -> None:
    film = inverted(column_film(), np.random.default_rng(0))

    assert film[100, 100] < 60 < 200 < film[100, 60]


def test_several_films_in_one_picture_repeat_it() -> None:
    picture = side_by_side(column_film(), np.random.default_rng(0))

    assert np.count_nonzero(np.diff((picture[10] > 100).astype(int)) == 1) == 2


def test_what_is_checked_only_is_not_learned() -> None:
    assert not set(TORN_LEARNED) & set(TORN_NEVER_LEARNED)
