"""Pictures that the scope gate never learns from: films of another hospital, and real DICOM files of every kind."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

from preprocessing.errors import UnsupportedImage
from preprocessing.header import read_header
from preprocessing.pixels import read_grey
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
            kind, scope_class = "an animal's thorax under a perfect chest header", NOT_A_CHEST
        elif row["file"].startswith(("chest/", "chest_derived/")):
            kind, scope_class = "real chest films as DICOM", IN_SCOPE
        elif row["file"].startswith("radiography_other/"):
            kind, scope_class = "other body parts, real radiographs", NOT_A_CHEST
        else:
            continue
        try:
            yield Example(tensor_whatever_the_header_says(path, recipe), scope_class, kind)
        except UnsupportedImage:
            continue  # such as a cine run: pixel reading itself refuses it


def tensor_whatever_the_header_says(path: Path, recipe: Recipe) -> NDArray[np.float32]:
    """Return the tensor that the gate would get if no header rule had stopped the file before.

    Raises:
        UnsupportedImage: The pixels cannot be read.
    """
    meta = pydicom.filereader.read_file_meta_info(path)
    offset = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        length = path.stat().st_size - offset
        header = read_header(file, transfer_syntax_uid=str(meta.TransferSyntaxUID), offset=offset, length=length)
    return recipe.prepare_array((read_grey(path, header).values * 255).round().astype(np.uint8)).tensor
