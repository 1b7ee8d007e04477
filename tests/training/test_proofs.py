"""The occlusion proof: what is blanked, and whom it catches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from preprocessing.placement import Placement
from tests.training.evaluations import SIDE, case
from training.cases import FINDINGS
from training.evaluate_baselines import Films, thumbnails
from training.proofs import MARGIN, Occlusion, keep_only, occlusion

WHOLE = Placement(0.0, 0.0, 2.0, 2 * SIDE, 2 * SIDE)
"""A film of 448 x 448 pixels that fills the tensor."""


def seen(kept: str, placement: Placement = WHOLE) -> np.ndarray:
    """Return which tensor pixels stay, (rows, columns)."""
    images = torch.ones(1, 1, SIDE, SIDE)
    return keep_only(images, [placement], kept, grey=0.0)[0, 0].numpy() == 1  # type: ignore[arg-type]


def test_the_middle_is_blanked_from_15_to_85_percent_across_and_10_to_80_percent_down() -> None:
    stays = seen("border")

    rows, columns = np.nonzero(~stays)
    assert (columns.min(), columns.max() + 1) == (33, 191)  # 0.15 * 224 = 33.6, 0.85 * 224 = 190.4, outwards
    assert (rows.min(), rows.max() + 1) == (22, 180)
    assert (~stays).sum() == (191 - 33) * (180 - 22)


def test_the_middle_alone_is_what_the_border_is_not() -> None:
    np.testing.assert_array_equal(seen("middle"), ~seen("border"))


def test_four_corners_stay_and_nothing_beside_them() -> None:
    stays = seen("corners")

    assert stays[0, 0]
    assert stays[0, -1]
    assert stays[-1, 0]
    assert stays[-1, -1]
    assert not stays[0, 112]
    assert not stays[112, 0]
    assert (stays & ~seen("border")).sum() == 0


def test_shares_are_of_the_film_not_of_the_letter_box() -> None:
    narrow = Placement(-100.0, 0.0, 1.0, 224, 24)  # 24 columns of film in the middle of the tensor

    columns = np.flatnonzero(~seen("border", narrow).all(axis=0))

    assert (columns.min(), columns.max() + 1) == (103, 121)  # 100 + 3.6, 100 + 20.4, outwards


def test_a_film_whose_borders_were_cut_off_is_blanked_at_the_same_place_of_the_film() -> None:
    cut = Placement(50.0, 0.0, 1.0, 224, 324)  # the tensor begins 50 film pixels from the left edge

    columns = np.flatnonzero(~seen("border", cut).all(axis=0))

    assert columns.min() == 0  # 0.15 * 324 - 50 < 0
    assert columns.max() + 1 == SIDE


def test_the_films_themselves_stay_as_they_are() -> None:
    images = torch.ones(2, 1, SIDE, SIDE)

    keep_only(images, [WHOLE, WHOLE], "middle", grey=0.5)

    assert (images == 1).all()


FILMS = 60


def marked_films(seed: int, *, where: tuple[slice, slice]) -> Films:
    """Noise, brighter at one place on most films where `any_finding` is present."""
    rng = np.random.default_rng(seed)
    images = torch.from_numpy(rng.random((FILMS, 1, SIDE, SIDE)).astype(np.float32)) * 0.4
    cases = []
    for number in range(FILMS):
        present = float(number % 2)
        cases.append(case(f"{seed} {number}", labels=[math.nan, present, *[math.nan] * (len(FINDINGS) - 2)]))
        images[number, 0, *where] += 0.5 * present * float(rng.random() < 0.95)
    return Films(tuple(cases), images, (WHOLE,) * FILMS)


CORNER = (slice(0, 14), slice(0, 14))
LUNG = (slice(90, 130), slice(90, 130))
EDGE = (slice(0, 1), slice(0, SIDE))


def reader(place: tuple[slice, slice]) -> Callable[[Tensor], np.ndarray]:
    """A network that looks at one place only."""

    def score(images: Tensor) -> np.ndarray:
        brightness = images[:, 0, place[0], place[1]].mean(dim=(1, 2)).double().numpy()
        return np.repeat(brightness[:, None], len(FINDINGS), axis=1)

    return score


def prove(train: Films, judged: Films, score: Callable[[Tensor], np.ndarray]) -> Occlusion:
    (row,) = occlusion(train, judged, score(judged.images), score=score, features=thumbnails)
    return row


def test_a_network_that_reads_the_lungs_falls_to_chance_without_them() -> None:
    row = prove(marked_films(1, where=LUNG), marked_films(2, where=LUNG), reader(LUNG))

    assert (row.finding, row.films, row.positives) == (FINDINGS[1], FILMS, FILMS // 2)
    assert row.whole.value > 0.9
    assert row.middle_only.value == row.whole.value
    assert (row.blanked_black.value, row.blanked_grey.value) == (0.5, 0.5)
    assert row.allowed == pytest.approx(max(row.border_model.value, 0.5) + MARGIN)
    assert row.passed


def test_a_network_that_reads_the_edge_is_caught() -> None:
    train, judged = marked_films(1, where=LUNG), marked_films(2, where=LUNG)
    for film, one in enumerate(judged.cases):
        judged.images[film, 0, 0] = 0.2 + 0.1 * one.labels[1]  # a line that no border model could learn from train

    row = prove(train, judged, reader(EDGE))

    assert (row.blanked_black.value, row.blanked_grey.value) == (1.0, 1.0)
    assert row.middle_only.value == 0.5
    assert not row.passed


def test_the_border_model_finds_what_lies_in_the_border() -> None:
    row = prove(marked_films(3, where=CORNER), marked_films(4, where=CORNER), reader(CORNER))

    assert row.border_model.value > 0.9
    assert row.corner_model.value > 0.9
    assert row.border_features.value > 0.9
    assert row.passed  # the network uses the border, but no more than anyone could
