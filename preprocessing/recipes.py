"""Recipe name and version → function: the one place where a path from pixels to tensor is named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from preprocessing.header import InstanceHeader


@dataclass(frozen=True, slots=True)
class Placement:
    """Where the tensor lies in the full-resolution image: `column = left + x * scale`, `row = top + y * scale`.

    x and y count tensor pixels from the top-left corner of its top-left pixel (PS3.3 C.18.6 convention), so the
    padding of the letter-box maps outside the image.
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


class Recipe(Protocol):
    """A pure, versioned path from a stored file to a tensor."""

    name: str
    """`chest_radiograph/1`"""
    sha256: str
    """Hash of its code and parameters; a model package pins it."""

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        """Decode the file and make the tensor. Raises UnsupportedImage."""
        ...

    def prepare_array(self, grey: NDArray[np.uint8]) -> Prepared:
        """Make the tensor of an 8-bit picture, (rows, columns), bright = dense: how training reads public sets.

        The same code as `prepare` from the modality values on.
        """
        ...


RECIPES: Mapping[str, Recipe] = {}
