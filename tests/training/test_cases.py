"""Cases: whose film, which split, and its picture out of whatever file holds it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.recipes import RECIPES
from tests.training.made_manifests import dicom, encoded, texture, write_tar
from training.cases import (
    Case,
    ImageFiles,
    ManifestRefused,
    age_band_of,
    check_splits,
    load_grey,
    load_prepared,
    load_tensors,
    of_split,
)

RECIPE = RECIPES["chest_radiograph/1"]


def case(image: Path, member: str | None = None, *, patient: str = "p", split: str = "train") -> Case:
    return Case(image, member, "set", patient, split, (), "adult", "F", "PA", era_matched=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("years", "band"),
    [
        (None, "unknown"),
        (0, "under 1 year"),
        (0.99, "under 1 year"),
        (1, "1-5 years"),
        (5.9, "1-5 years"),
        (6, "6-17 years"),
        (17.9, "6-17 years"),
        (18, "adult"),
        (91, "adult"),
    ],
)
def test_an_age_belongs_to_one_band(years: float | None, band: str) -> None:
    assert age_band_of(years) == band


def test_a_patient_in_two_splits_is_refused() -> None:
    films = [case(Path("a")), case(Path("b"), patient="q", split="val"), case(Path("c"), split="test")]

    with pytest.raises(ManifestRefused, match="two splits"):
        check_splits(films)
    assert [film.image.name for film in of_split(films, "val")] == ["b"]


def test_pictures_come_from_files_and_tars_and_dicom_alike(tmp_path: Path) -> None:
    grey = texture(1)
    tar = write_tar(tmp_path / "films.tar", {"a/f.png": encoded(grey), "a/f.dcm": dicom(grey)})
    (tmp_path / "f.png").write_bytes(encoded(grey))
    (tmp_path / "f.dcm").write_bytes(dicom(grey))
    films = [
        case(tmp_path / "f.png"),
        case(tar, "a/f.png"),
        case(tmp_path / "f.dcm"),
        case(tar, "a/f.dcm"),
    ]

    pictures = list(load_grey(films))

    assert np.array_equal(pictures[0], grey)
    assert np.array_equal(pictures[1], grey)
    assert np.corrcoef(pictures[2].ravel(), grey.ravel())[0, 1] > 0.99  # a header without a window is stretched
    assert np.array_equal(pictures[2], pictures[3])


def test_a_dicom_film_gives_the_tensor_that_serving_would_make(tmp_path: Path) -> None:
    (tmp_path / "f.dcm").write_bytes(dicom(texture(2)))
    tar = write_tar(tmp_path / "films.tar", {"f.dcm": dicom(texture(2)), "f.png": encoded(texture(2))})
    served = next(load_prepared([case(tmp_path / "f.dcm")], RECIPE))

    tensors = list(load_tensors([case(tmp_path / "f.dcm"), case(tar, "f.dcm"), case(tar, "f.png")], RECIPE))

    assert served.decoder != "array"
    assert np.array_equal(tensors[0], served.tensor)
    assert np.array_equal(tensors[1], served.tensor)
    assert np.abs(tensors[2] - served.tensor).max() < 0.01


def test_what_the_recipe_refuses_keeps_its_reason(tmp_path: Path) -> None:
    (tmp_path / "f.dcm").write_bytes(dicom(texture(3), ViewPosition="LL"))

    with pytest.raises(UnsupportedImage) as refused:
        next(load_tensors([case(tmp_path / "f.dcm")], RECIPE))

    assert refused.value.reason is Reason.LATERAL_VIEW


WHOLE_PNG, WHOLE_DICOM = encoded(texture(4)), dicom(texture(4))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.png", WHOLE_PNG[: len(WHOLE_PNG) // 2]),
        ("empty.png", b""),
        ("text.jpg", b"no film"),
        ("text.dcm", b"no film"),
        ("empty.dcm", b""),
        ("meta_only.dcm", b"\0" * 128 + b"DICM"),
        ("cut.dcm", WHOLE_DICOM[:700]),
    ],
)
def test_a_damaged_file_is_refused_by_its_name(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises((ManifestRefused, UnsupportedImage), match=f"{name}|damaged"):
        next(load_grey([case(tmp_path / name)]))


def test_a_missing_file_is_refused_by_its_name(tmp_path: Path) -> None:
    tar = write_tar(tmp_path / "films.tar", {"f.png": WHOLE_PNG})

    with ImageFiles() as files:
        for gone in (case(tmp_path / "gone.png"), case(tar, "gone.png"), case(tmp_path / "gone.tar", "gone.png")):
            with pytest.raises(ManifestRefused, match=r"gone\.png"):
                files.content(gone)
