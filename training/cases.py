"""A case manifest: which image, whose, which split, what is held true of it; split by patient, never by image."""

from __future__ import annotations

import csv
import io
import math
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = ("train", "val", "test")

UNKNOWN = math.nan

CHILD_OPACITY = "pneumonia_like_opacity_child"
ANY_FINDING = "any_finding"
ADULT_OPACITY = "pneumonia_like_opacity"
FINDINGS = (CHILD_OPACITY, ANY_FINDING, ADULT_OPACITY)
"""Order of the channels of the chest radiograph package."""

NIH_AIRSPACE = ("consolidation", "infiltration")
"""A film with one of these and without Pneumonia says neither yes nor no to a pneumonia-like opacity: the words
overlap in the reports that the labels were mined from."""

ADULT_YEARS = 18


class ManifestRefused(Exception):
    """A manifest that must not be trained on: what is wrong with it, in one sentence."""


@dataclass(frozen=True, slots=True)
class Case:
    """One de-identified film.

    Attributes:
        image: The image file, or the tar file that holds it.
        member: Name inside the tar; None for a plain file.
        labels: One per finding of FINDINGS: 1 present, 0 absent, NaN not known from this set.
        era_matched: For NIH films: from patient numbers where normal and abnormal films mix.
    """

    image: Path
    member: str | None
    data_set: str
    patient_id: str
    split: Split
    labels: tuple[float, ...]
    age_band: Literal["1-5 years", "adult"]
    sex: str
    view: str
    era_matched: bool


def read_cases(shared_data: Path) -> list[Case]:
    """Read the sets that published weights may be trained on, all splits.

    Raises:
        ManifestRefused: A patient of a set stands in two splits.
    """
    cases = [*_kermany(shared_data), *_nih(shared_data, "nih_cxr14_subset"), *_nih(shared_data, "nih_cxr14_more")]
    check_splits(cases)
    return cases


def check_splits(cases: Iterable[Case]) -> None:
    """Raise ManifestRefused if a patient's films are divided between splits."""
    split_of: dict[str, Split] = {}
    for case in cases:
        if split_of.setdefault(case.patient_id, case.split) != case.split:
            raise ManifestRefused("a patient's films stand in two splits")


def of_split(cases: Iterable[Case], split: Split) -> list[Case]:
    """Return the cases of one split, in order."""
    return [case for case in cases if case.split == split]


def load_grey(cases: Iterable[Case]) -> Iterator[NDArray[np.uint8]]:
    """Yield each case's picture, uint8 (rows, columns), bright = dense; tar files stay open while they are read."""
    open_tars: dict[Path, tarfile.TarFile] = {}
    try:
        for case in cases:
            if case.member is None:
                content = case.image.read_bytes()
            else:
                if case.image not in open_tars:
                    open_tars[case.image] = tarfile.open(case.image)  # noqa: SIM115 - closed below
                tar = open_tars[case.image]
                file = tar.extractfile(case.member)
                if file is None:
                    raise ManifestRefused(f"{case.image.name} lacks a film that its labels name")
                content = file.read()
            with Image.open(io.BytesIO(content)) as picture:
                yield np.asarray(picture.convert("L"))
    finally:
        for tar in open_tars.values():
            tar.close()


def _kermany(shared_data: Path) -> Iterator[Case]:
    folder = shared_data / "kermany_pneumonia"
    for row in _rows(folder / "labels.csv"):
        if row["duplicate_of"] and row["split"] == "train":
            continue  # val and test stay whole: the published test has 624 films
        yield Case(
            image=folder / "images_224.tar",
            member=row["image"],
            data_set="kermany_pneumonia",
            patient_id=f"kermany-{row['patient_id']}",
            split=_split(row),
            labels=(float(row["label"]), UNKNOWN, UNKNOWN),
            age_band="1-5 years",
            sex="",
            view=row["view"],
            era_matched=True,
        )


def _nih(shared_data: Path, data_set: str) -> Iterator[Case]:
    folder = shared_data / data_set
    for row in _rows(folder / "labels.csv"):
        if int(row["age"]) < ADULT_YEARS:
            continue
        pneumonia = row["pneumonia"] == "1"
        airspace = any(row[finding] == "1" for finding in NIH_AIRSPACE)
        yield Case(
            image=folder / "images" / row["image"],
            member=None,
            data_set=data_set,
            patient_id=row["patient_id"],
            split=_split(row),
            labels=(
                UNKNOWN,
                0.0 if row["no_finding"] == "1" else 1.0,
                UNKNOWN if airspace and not pneumonia else float(pneumonia),
            ),
            age_band="adult",
            sex=row["sex"],
            view=row["view"],
            era_matched=row["era_matched"] == "1",
        )


def _rows(path: Path) -> Iterator[Mapping[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _split(row: Mapping[str, str]) -> Split:
    if row["split"] not in SPLITS:
        raise ManifestRefused(f"split {row['split']!r} is not one of {', '.join(SPLITS)}")
    return row["split"]
