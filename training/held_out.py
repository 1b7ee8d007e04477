"""Films of other hospitals and real DICOM files of every kind: the scope gate never learns from any of them."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray

from preprocessing.errors import UnsupportedImage
from preprocessing.header import read_header
from preprocessing.pixels import read_grey
from preprocessing.recipes import Recipe
from preprocessing.windows import HeaderRefused
from training.cases import load_tensors
from training.package_pictures import dicom_frame
from training.public_sets import read_public
from training.scope_network import IN_SCOPE, NOT_A_CHEST
from training.scope_pictures import Example

ANIMAL = "chest/dx_image.dcm"
SCOUT = "ct/jpeg_lossless_sel1.dcm"
"""A CT scout of a chest: a frontal projection, which the gate may well let through. Its modality keeps it out."""

OTHER_HOSPITALS = {
    "hannover_covid": "another hospital's adults, many in intensive care (Hannover)",
    "shenzhen_tb_128": "another hospital's films, 128 pixels, stretched to squares (Shenzhen)",
}


def held_out(shared_data: Path, recipe: Recipe) -> Iterator[Example]:
    """Yield films of two other hospitals, and the shared DICOM files whatever their headers say."""
    for data_set, kind in OTHER_HOSPITALS.items():
        # The test films of a set that another package trains on are looked at by that package only.
        films = [case for case in read_public(shared_data, (data_set,)).cases() if case.split != "test"]
        for tensor in load_tensors(films, recipe):
            yield Example(tensor, IN_SCOPE, kind)
    yield from _dicom_folder(shared_data / "dicom", recipe)


def tensor_whatever_the_header_says(path: Path, recipe: Recipe) -> NDArray[np.float32]:
    """Return the tensor that the gate would get if no header rule had stopped the file before.

    Raises:
        UnsupportedImage: The pixels cannot be read.
        preprocessing.windows.HeaderRefused: The header cannot.
    """
    meta = pydicom.filereader.read_file_meta_info(path)
    offset = 132 + 12 + int(meta.FileMetaInformationGroupLength)
    with path.open("rb") as file:
        length = path.stat().st_size - offset
        header = read_header(file, transfer_syntax_uid=str(meta.TransferSyntaxUID), offset=offset, length=length)
    return recipe.prepare_array((read_grey(path, header).values * 255).round().astype(np.uint8)).tensor


def _dicom_folder(folder: Path, recipe: Recipe) -> Iterator[Example]:
    with (folder / "index.csv").open(newline="", encoding="utf-8") as file:
        names = [row["file"] for row in csv.DictReader(file) if row["pydicom_3_0_decode"].startswith("ok")]
    for name in names:
        try:
            if name == ANIMAL:
                kind, scope_class = "an animal's thorax under a perfect chest header", NOT_A_CHEST
            elif name.startswith(("chest/", "chest_derived/")):
                kind, scope_class = "real chest films as DICOM", IN_SCOPE
            elif name.startswith("radiography_other/"):
                kind, scope_class = "other body parts, real radiographs", NOT_A_CHEST
            elif name.startswith(("ct/", "mr", "us/", "other/")) and name != SCOUT:
                picture = recipe.prepare_array(dicom_frame(folder / name)).tensor
                yield Example(picture, NOT_A_CHEST, "CT, MR, ultrasound and others, without their headers")
                continue
            else:
                continue
            yield Example(tensor_whatever_the_header_says(folder / name, recipe), scope_class, kind)
        except (UnsupportedImage, HeaderRefused, ValueError):
            continue  # such as a cine run or a tiny picture: it never becomes a tensor
