"""Pictures that the scope gate never learns from: films of another hospital, and real DICOM files of every kind."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from preprocessing.recipes import Recipe
from training.scope import IN_SCOPE, NOT_A_CHEST, Example

ANIMAL = "chest/dx_image.dcm"


def held_out(shared_data: Path, recipe: Recipe) -> Iterator[Example]:
    """Yield adults of another hospital (many from intensive care), real chest films, other body parts, an animal."""
    for path in sorted((shared_data / "hannover_covid/images").glob("*.jpg")):
        with Image.open(path) as picture:
            grey = np.asarray(picture.convert("L"))
        yield Example(recipe.prepare_array(grey).tensor, IN_SCOPE, "another hospital's adult films (Hannover)")
    with (shared_data / "dicom/index.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["pydicom_3_0_decode"].startswith("ok")]
    for row in rows:
        path = shared_data / "dicom" / row["file"]
        if row["file"] == ANIMAL:
            yield Example(_tensor(path, recipe), NOT_A_CHEST, "an animal's thorax under a perfect chest header")
        elif row["file"].startswith(("chest/", "chest_derived/")):
            yield Example(_tensor(path, recipe), IN_SCOPE, "real chest films as DICOM")
        elif row["file"].startswith("radiography_other/"):
            yield Example(_tensor(path, recipe), NOT_A_CHEST, "other body parts, real radiographs")


def _tensor(path: Path, recipe: Recipe) -> NDArray[np.float32]:
    """The tensor that the gate would get if the header had not stopped the file before."""
    dataset = pydicom.dcmread(path)
    stored = dataset.pixel_array
    if stored.ndim == 3:
        stored = stored[len(stored) // 2]
    values = np.asarray(apply_voi_lut(apply_modality_lut(stored, dataset), dataset), dtype=np.float32)
    if dataset.PhotometricInterpretation == "MONOCHROME1":
        values = values.max() - values
    low, high = float(values.min()), float(values.max())
    return recipe.prepare_array(((values - low) / max(high - low, 1e-6) * 255).astype(np.uint8)).tensor
