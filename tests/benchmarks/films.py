"""Chest radiographs that the scope gate lets through: a drawn phantom is no chest, and would not be scored."""

from __future__ import annotations

import functools
from copy import deepcopy
from importlib import resources

import numpy as np
from pydicom import Dataset, dcmread

from tests.factories import with_fresh_uids

FILM = "RG1_UNCR.dcm"
"""Of PyPI's pydicom-data: an openly published chest radiograph of 1,955 by 1,841 pixels."""
NOISE = 4


@functools.cache
def _published() -> Dataset:
    with resources.as_file(resources.files("data_store") / "data" / FILM) as path:
        return dcmread(path)


def chest_film(seed: int, *, shrunk: int = 1) -> Dataset:
    """Return the film as a study of its own, its lowest bits changed by the seed, its sides shrunk by a factor."""
    pixels = _published().pixel_array[::shrunk, ::shrunk]
    noise = np.random.default_rng(seed).integers(0, NOISE, pixels.shape, dtype=pixels.dtype)
    dataset = deepcopy(_published())
    dataset = with_fresh_uids(dataset)
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.PixelData = np.minimum(pixels + noise, (1 << dataset.BitsStored) - 1).astype(pixels.dtype).tobytes()
    return dataset
