"""What the pictures of a dataset are like, film by film: read once, for the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.errors import UnsupportedImage
from preprocessing.recipes import Recipe
from training.cases import Case, ImageFiles
from training.room_duplicates import FINGERPRINT_VALUES, fingerprint

THUMBNAIL = 32
_SHOW_EVERY = 1_000

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """Facts of n films; NaN and zeros for a film whose pixels cannot be read or that the recipe refuses.

    Attributes:
        brightness: Mean grey of the picture as stored, 0 to 255, (n,).
        contrast: Standard deviation of its greys, (n,).
        sizes: Columns and rows, (n, 2).
        thumbnails: Stretched to a square of 32 pixels, 0 to 255, (n, 1024).
        fingerprints: See `room_duplicates.fingerprint`, (n, 1024).
    """

    brightness: Floats
    contrast: Floats
    sizes: Floats
    thumbnails: Floats
    fingerprints: NDArray[np.float32]

    def only(self, films: Sequence[int]) -> FilmFacts:
        """Return the facts of some films, by number."""
        chosen = np.asarray(films, dtype=np.intp)
        return FilmFacts(
            self.brightness[chosen],
            self.contrast[chosen],
            self.sizes[chosen],
            self.thumbnails[chosen],
            self.fingerprints[chosen],
        )


def measure(cases: Sequence[Case], recipe: Recipe, show: Callable[[str], None]) -> FilmFacts:
    """Read every film once.

    Raises:
        ManifestRefused: An image is missing or damaged.
    """
    n = len(cases)
    facts = FilmFacts(
        brightness=np.full(n, np.nan),
        contrast=np.full(n, np.nan),
        sizes=np.full((n, 2), np.nan),
        thumbnails=np.full((n, THUMBNAIL * THUMBNAIL), np.nan),
        fingerprints=np.zeros((n, FINGERPRINT_VALUES), np.float32),
    )
    with ImageFiles() as files:
        for film, case in enumerate(cases):
            if film and film % _SHOW_EVERY == 0:
                show(f"{film} of {n} films read")
            try:
                grey = files.grey(case)
                facts.brightness[film], facts.contrast[film] = grey.mean(), grey.std()
                facts.sizes[film] = grey.shape[1], grey.shape[0]
                small = Image.fromarray(grey).resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
                facts.thumbnails[film] = np.asarray(small, dtype=np.float64).ravel()
                facts.fingerprints[film] = fingerprint(recipe.prepare_array(grey).tensor[0])
            except UnsupportedImage:
                continue
    return facts
