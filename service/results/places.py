"""From the grid of a heat map to columns and rows of the full-resolution image, and back to what of it is image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from preprocessing.recipes import Placement

Box = tuple[float, float, float, float]
"""Left, top, right, bottom; (0, 0) is the top-left corner of the top-left pixel (PS3.3 C.18.6)."""

PEAK_SHARE = 0.5
"""The box holds the cells around the peak that reach half of it: full width at half maximum."""


def image_in_tensor(placement: Placement, tensor_shape: tuple[int, int]) -> Box:
    """Return the part of a (rows, columns) tensor that shows the image, in tensor pixels; the rest is letter-box."""
    rows, columns = tensor_shape
    return (
        max(0.0, -placement.left / placement.scale),
        max(0.0, -placement.top / placement.scale),
        min(float(columns), (placement.columns - placement.left) / placement.scale),
        min(float(rows), (placement.rows - placement.top) / placement.scale),
    )


def peak_box(activation: NDArray[np.float32], placement: Placement, tensor_shape: tuple[int, int]) -> Box | None:
    """Return the box around the strongest activation, in columns and rows of the full-resolution image.

    Args:
        activation: float32 (h, w), a grid that spans the whole tensor; only positive values speak for the finding.
        placement: Where the tensor lies in the image.
        tensor_shape: (rows, columns) of the tensor.

    Returns:
        The box, clipped to the image; None when nothing is activated inside the image.
    """
    height, width = activation.shape
    cell_rows, cell_columns = tensor_shape[0] / height, tensor_shape[1] / width
    left, top, right, bottom = image_in_tensor(placement, tensor_shape)
    # A cell that is letter-box only does not count: networks also react to its edge.
    starts_x, starts_y = np.arange(width) * cell_columns, np.arange(height) * cell_rows
    inside_x = (starts_x + cell_columns > left) & (starts_x < right)
    inside_y = (starts_y + cell_rows > top) & (starts_y < bottom)
    inside = np.outer(inside_y, inside_x)
    shown = np.where(inside, activation, 0.0)
    peak = float(shown.max(initial=0.0))
    if peak <= 0.0:
        return None
    row, column = np.unravel_index(int(shown.argmax()), shown.shape)
    cells = _island(shown >= PEAK_SHARE * peak, (int(row), int(column)))
    rows, columns = zip(*cells, strict=True)
    return (
        _clip(placement.left + min(columns) * cell_columns * placement.scale, placement.columns),
        _clip(placement.top + min(rows) * cell_rows * placement.scale, placement.rows),
        _clip(placement.left + (max(columns) + 1) * cell_columns * placement.scale, placement.columns),
        _clip(placement.top + (max(rows) + 1) * cell_rows * placement.scale, placement.rows),
    )


def _island(mask: NDArray[np.bool_], start: tuple[int, int]) -> list[tuple[int, int]]:
    """Return the cells of a mask that hang together with the start, side by side."""
    found, waiting = {start}, [start]
    while waiting:
        row, column = waiting.pop()
        for cell in ((row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)):
            is_on = 0 <= cell[0] < mask.shape[0] and 0 <= cell[1] < mask.shape[1] and bool(mask[cell])
            if is_on and cell not in found:
                found.add(cell)
                waiting.append(cell)
    return sorted(found)


def _clip(value: float, limit: int) -> float:
    return round(min(max(value, 0.0), float(limit)), 2)
