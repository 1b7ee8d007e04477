"""Pictures that packages carry: what is learned, what is checked, and nothing of the shared DICOM files in between."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file

from training.package_pictures import LEARNED, dicom_frame, learned_pictures, never_learned_pictures

pytestmark = pytest.mark.filterwarnings("ignore")  # broken files are among pydicom's own


def test_every_listed_picture_is_read() -> None:
    for part, files in LEARNED.items():
        pictures = list(learned_pictures(part))
        assert len(pictures) == len(files)
        assert all(picture.dtype == np.uint8 and min(picture.shape) >= 60 for picture in pictures)
        assert all(np.ptp(picture) > 100 for picture in pictures)


def test_no_picture_is_both_learned_and_checked() -> None:
    seen = [hashlib.sha256(picture.tobytes()).hexdigest() for part in LEARNED for picture in learned_pictures(part)]
    checked = [hashlib.sha256(picture.tobytes()).hexdigest() for picture in never_learned_pictures()]

    assert len(set(seen)) == len(seen)
    assert len(checked) > 15
    assert not set(seen) & set(checked)


@pytest.mark.films
def test_no_learned_picture_stands_among_the_shared_dicom_files(shared_data: Path) -> None:
    with (shared_data / "dicom/index.csv").open(newline="", encoding="utf-8") as file:
        shared = {row["pixel_sha256"] for row in csv.DictReader(file)}

    for _, name in (file for files in LEARNED.values() for file in files if file[1].endswith(".dcm")):
        path = get_testdata_file(Path(name).name)
        pixels = np.ascontiguousarray(pydicom.dcmread(path).pixel_array)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() not in shared, name


def test_a_dicom_file_without_a_picture_is_refused() -> None:
    for name in ("rtplan.dcm", "MR_truncated.dcm"):
        with pytest.raises(ValueError):
            dicom_frame(Path(get_testdata_file(name)))


def test_a_dicom_file_is_stretched_to_eight_bits() -> None:
    frame = dicom_frame(Path(get_testdata_file("CT_small.dcm")))

    assert frame.shape == (128, 128)
    assert (frame.min(), frame.max()) == (0, 255)
