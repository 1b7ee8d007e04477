"""Heat map grid → full-resolution columns and rows."""

from __future__ import annotations

import numpy as np
import pytest

from preprocessing.recipes import Placement
from service.results.places import image_in_tensor, peak_box

WIDE = Placement(left=0.0, top=-700.0, scale=12.5, rows=1400, columns=2800)
"""A 2800 x 1400 film in a 224 x 224 tensor: 56 rows of letter-box above and below."""
TALL = Placement(left=-500.0, top=0.0, scale=2000 / 224, rows=2000, columns=1000)


def peak(row: int, column: int, size: int = 28) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    values = np.zeros((size, size), np.float32)
    values[row, column] = 3.0
    return values


def test_a_cell_of_a_wide_film_is_boxed_in_its_columns_and_rows() -> None:
    # Cell (10, 20) spans tensor pixels 160..168 by 80..88; the film's own rows begin at tensor row 56.
    box = peak_box(peak(10, 20), WIDE, (224, 224))

    assert box == (2000.0, 300.0, 2100.0, 400.0)


def test_a_box_never_leaves_the_image() -> None:
    values = np.zeros((7, 7), np.float32)
    values[:, 2] = 1.0  # also over the letter-box

    box = peak_box(values, WIDE, (224, 224))

    assert box == (800.0, 0.0, 1200.0, 1400.0)


def test_an_activation_of_the_letter_box_is_no_place() -> None:
    assert peak_box(peak(2, 20), WIDE, (224, 224)) is None
    assert peak_box(peak(10, 1), TALL, (224, 224)) is None


def test_an_activation_that_speaks_against_a_finding_is_no_place() -> None:
    assert peak_box(np.full((7, 7), -1.0, np.float32), WIDE, (224, 224)) is None


def test_only_cells_that_hang_together_with_the_peak_are_boxed() -> None:
    values = peak(14, 10)
    values[14, 11] = 1.6  # more than half of the peak: in
    values[14, 12] = 1.4  # less than half: out
    values[14, 20] = 2.9  # as strong, but elsewhere

    box = peak_box(values, WIDE, (224, 224))

    assert box == (1000.0, 700.0, 1200.0, 800.0)


@pytest.mark.parametrize(
    ("placement", "expected"), [(WIDE, (0.0, 56.0, 224.0, 168.0)), (TALL, (56.0, 0.0, 168.0, 224.0))]
)
def test_the_image_lies_inside_the_letter_box(placement: Placement, expected: tuple[float, ...]) -> None:
    assert image_in_tensor(placement, (224, 224)) == pytest.approx(expected)
