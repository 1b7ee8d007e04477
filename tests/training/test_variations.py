"""Films as other units send them: still one whole upright chest, and never refused by the recipe."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.recipes import RECIPES
from training.variations import LEARNED, NEVER_LEARNED, collimated, mirrored, one_white_lung, tilted, varied_film

RECIPE = RECIPES["chest_radiograph/1"]


def a_chest(rows: int = 260, columns: int = 240) -> np.ndarray:
    """Two dark lungs in a grey trunk with a bright spine."""
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float64)
    film = np.full((rows, columns), 150.0)
    for middle in (0.3, 0.7):
        film[np.hypot((across / columns - middle) / 0.18, (down / rows - 0.5) / 0.35) < 1] = 30
    film[:, int(columns * 0.46) : int(columns * 0.54)] = 220
    return (film + down / 20).astype(np.uint8)


@pytest.mark.parametrize("kind", [*LEARNED, *NEVER_LEARNED])
def test_a_variation_is_a_picture_that_the_recipe_takes(kind: str) -> None:
    vary = {**LEARNED, **NEVER_LEARNED}[kind]

    for seed in range(12):
        film = vary(a_chest(), np.random.default_rng(seed))
        assert film.dtype == np.uint8
        assert film.ndim == 2
        assert RECIPE.prepare_array(np.ascontiguousarray(film)).tensor.shape == (1, 224, 224)


@pytest.mark.parametrize("kind", [kind for kind in (*LEARNED, *NEVER_LEARNED) if "frame" not in kind])
def test_a_variation_changes_the_film_but_keeps_the_chest(kind: str) -> None:
    vary = {**LEARNED, **NEVER_LEARNED}[kind]
    plain = RECIPE.prepare_array(a_chest()).tensor.ravel()

    for seed in range(12):
        tensor = RECIPE.prepare_array(np.ascontiguousarray(vary(a_chest(), np.random.default_rng(seed)))).tensor.ravel()
        assert not np.array_equal(tensor, plain)
        assert np.corrcoef(tensor, plain)[0, 1] > 0.25


def test_what_is_checked_only_is_not_learned() -> None:
    assert not set(LEARNED) & set(NEVER_LEARNED)
    assert not set(LEARNED.values()) & set(NEVER_LEARNED.values())


def test_a_film_is_varied_in_the_same_way_for_the_same_seed() -> None:
    first, second = (varied_film(a_chest(), np.random.default_rng(3)) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_a_white_lung_is_white_on_one_side_only() -> None:
    for seed in range(8):
        film = one_white_lung(a_chest(), np.random.default_rng(seed)).astype(float)
        left, right = film[90:170, 50:90].mean(), film[90:170, 150:190].mean()
        assert abs(left - right) > 60


def test_a_tilt_leaves_the_spine_upright() -> None:
    for seed in range(8):
        film = tilted(a_chest(), np.random.default_rng(seed)).astype(float)
        assert film[100:160].mean(axis=0)[110:130].mean() > film[100:160].mean(axis=0)[60:90].mean()


def test_the_mirror_exchanges_left_and_right() -> None:
    film = np.arange(12, dtype=np.uint8).reshape(3, 4)

    np.testing.assert_array_equal(mirrored(film, np.random.default_rng(0)), film[:, ::-1])


def test_a_collimated_film_keeps_its_size_inside_the_frame() -> None:
    for seed in range(8):
        film = collimated(a_chest(), np.random.default_rng(seed))
        spines = np.flatnonzero(film[film.shape[0] // 2].astype(int) > 190)
        assert film.shape[0] >= 260
        assert film.shape[1] >= 240
        assert np.count_nonzero(spines) >= 15
