"""What a recipe gives back: the tensor, and where in the image it lies."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the tensor lies in the full-resolution image: `column = left + x * scale`, `row = top + y * scale`.

    x and y count tensor pixels from the top-left corner of its top-left pixel (PS3.3 C.18.6 convention), so the
    padding of the letter-box maps outside the image or into a masked border.
    """

    left: float
    top: float
    scale: float
    rows: int
    columns: int
    """Size of the full-resolution image."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a recipe makes of one image.

    Attributes:
        tensor: float32 (channels, rows, columns), values 0..1, bright = dense (bone white), C order.
        placement: The way back to the full-resolution image.
        notes: Words worth keeping with the run: "lossy", "percentile_window", "borders_masked", ...
        decoder: Which decoder gave the pixels.
    """

    tensor: NDArray[np.float32]
    placement: Placement
    notes: tuple[str, ...]
    decoder: str


@dataclass(frozen=True, slots=True)
class VolumePlacement:
    """Where the tensor of a volume lies in the patient: (x, y, z) of its last three axes, turned round → LPS, mm.

    Attributes:
        affine: Four rows of four numbers; see `preprocessing.geometry`.
    """

    affine: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class PreparedVolume:
    """What a recipe makes of one series.

    Attributes:
        tensor: float32 (channels, z, y, x), values 0..1, C order; z to the head, y to the back, x to the left.
        placement: The way back to the patient.
        notes: Words worth keeping with the run: "lossy", "tilted", "cropped", ...
        decoder: Which decoder gave the pixels.
    """

    tensor: NDArray[np.float32]
    placement: VolumePlacement
    notes: tuple[str, ...]
    decoder: str
