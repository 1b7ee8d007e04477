"""The public sets as published, in their own folders and columns → Dataset, with their terms."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar, get_args

from training.cases import (
    ADULT_YEARS,
    FINDINGS,
    NIH_FINDINGS,
    UNKNOWN,
    AgeBand,
    Case,
    FindingBox,
    ManifestRefused,
    Sex,
    Split,
    View,
    age_band_of,
)
from training.datasets import Dataset, Entry, FilmSet, joined

NIH_AIRSPACE = ("consolidation", "infiltration")
"""A film with one of these and without Pneumonia says neither yes nor no to a pneumonia-like opacity: the words
overlap in the reports that the labels were mined from."""

DEFAULT_SETS = ("kermany_pneumonia", "nih_cxr14_subset", "nih_cxr14_more")
"""The sets that published weights may be trained on."""

TUBERCULOSIS = "tuberculosis"
COVID_19 = "covid_19"

Row = Mapping[str, str]
W = TypeVar("W", bound=str)


def read_cases(shared_data: Path) -> list[Case]:
    """Read the cases of the sets that published weights may be trained on, all splits.

    Raises:
        ManifestRefused: A patient of a set stands in two splits.
    """
    return read_public(shared_data).cases()


def read_public(shared_data: Path, names: Sequence[str] = DEFAULT_SETS) -> Dataset:
    """Read public sets by name.

    Raises:
        ManifestRefused: A set is unknown or not there, or as `datasets.check_dataset`.
    """
    parts = []
    for name in names:
        if name not in PUBLIC_SETS:
            raise ManifestRefused(f"{name} is not one of {', '.join(PUBLIC_SETS)}")
        if not (shared_data / name / "labels.csv").is_file():
            raise ManifestRefused(f"{name} is not in {shared_data}")
        parts.append(PUBLIC_SETS[name](shared_data / name))
    return joined("public", "as published", parts)


def _kermany(folder: Path) -> Dataset:
    data_set = FilmSet(
        name="kermany_pneumonia",
        site="guangzhou",
        title="Kermany paediatric pneumonia (Guangzhou Women and Children's Medical Center)",
        licence="CC BY 4.0",
        attribution="Kermany DS, Goldbaum M, Cai W, et al. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010",
        source="Mendeley Data V2, doi 10.17632/rscbjbr9sj.2; 224-pixel copy, aspect ratio not preserved",
        labels_from="two physicians per film; a third for the test films",
        uses=("training", "evaluation", "published_weights"),
        folder=folder,
    )

    def entry(row: Row) -> Entry:
        labels = (float(row["label"]), *[UNKNOWN] * (len(FINDINGS) - 1))
        case = _case(row, data_set, labels, member=True, prefix="kermany-", age_band="1-5 years")
        # val and test stay whole: the published test has 624 films
        copy = "a copy of another film in train" if row["duplicate_of"] and row["split"] == "train" else None
        return Entry(case, left_out=copy, original_size=_original_size(row))

    return _dataset(data_set, FINDINGS, entry)


def _nih(folder: Path) -> Dataset:
    boxes = _nih_boxes(folder / "bboxes.csv")
    data_set = FilmSet(
        name=folder.name,
        site="nih",
        title=f"ChestX-ray14, {'more' if folder.name.endswith('more') else 'subset'} (NIH Clinical Center)",
        licence="no restrictions on use; cite the paper and name the NIH Clinical Center",
        attribution="Wang X, Peng Y, Lu L, et al. ChestX-ray8. CVPR 2017. Images: NIH Clinical Center",
        source="https://nihcc.app.box.com/v/ChestXray-NIHCC; public copies, 400 pixels",
        labels_from="words found in radiology reports by a program; its authors estimate more than 90 % correct",
        uses=("training", "evaluation", "published_weights"),
        folder=folder,
    )

    def entry(row: Row) -> Entry:
        pneumonia = row["pneumonia"] == "1"
        airspace = any(row[finding] == "1" for finding in NIH_AIRSPACE)
        labels = (
            UNKNOWN,
            0.0 if row["no_finding"] == "1" else 1.0,
            UNKNOWN if airspace and not pneumonia else float(pneumonia),
            *(float(row[finding]) for finding in NIH_FINDINGS),
        )
        case = _case(row, data_set, labels, boxes=tuple(boxes.get(row["image"], ())))
        minor = "younger than 18, in a set used for adults" if float(row["age"]) < ADULT_YEARS else None
        return Entry(case, left_out=minor, original_size=_original_size(row))

    return _dataset(data_set, FINDINGS, entry)


def _shenzhen(folder: Path) -> Dataset:
    data_set = FilmSet(
        name="shenzhen_tb_128",
        site="shenzhen",
        title="Shenzhen tuberculosis films (Shenzhen No. 3 People's Hospital)",
        licence="National Library of Medicine: research use with citation; no open licence",
        attribution="Jaeger S, Candemir S, Antani S, et al. Quant Imaging Med Surg 2014;4(6):475-477",
        source="public copy, 128 pixels, aspect ratio not preserved",
        labels_from="the hospital's clinical diagnosis",
        uses=("training", "evaluation"),
        folder=folder,
    )
    return _dataset(data_set, (TUBERCULOSIS,), lambda row: Entry(_case(row, data_set, (float(row["label"]),))))


def _hannover(folder: Path) -> Dataset:
    data_set = FilmSet(
        name="hannover_covid",
        site="hannover",
        title="COVID-19 Image Repository (Hannover Medical School)",
        licence="CC BY 3.0",
        attribution="Winther HB, Laser H, Gerbel S, et al. COVID-19 Image Repository, doi 10.25835/0090041",
        source="PNG previews of the repository, short side 400 pixels",
        labels_from="laboratory: the patient has COVID-19; a single film may look normal",
        uses=("evaluation",),
        folder=folder,
    )
    return _dataset(data_set, (COVID_19,), lambda row: Entry(_case(row, data_set, (float(row["label"]),))))


PUBLIC_SETS: Mapping[str, Callable[[Path], Dataset]] = MappingProxyType(
    {
        "kermany_pneumonia": _kermany,
        "nih_cxr14_subset": _nih,
        "nih_cxr14_more": _nih,
        "shenzhen_tb_128": _shenzhen,
        "hannover_covid": _hannover,
    }
)
"""Each set by the name of its folder."""


def _dataset(data_set: FilmSet, findings: tuple[str, ...], entry: Callable[[Row], Entry]) -> Dataset:
    entries = tuple(map(entry, _rows(data_set.folder / "labels.csv")))
    return Dataset(data_set.name, "as published", findings, (data_set,), entries)


def _case(
    row: Row,
    data_set: FilmSet,
    labels: tuple[float, ...],
    *,
    member: bool = False,
    prefix: str = "",
    age_band: AgeBand | None = None,
    boxes: tuple[FindingBox, ...] = (),
) -> Case:
    """Return the case of a row; with `member` its image lies in the set's tar file."""
    age_years = float(row["age"]) if age_band is None and row["age"] else None
    return Case(
        image=data_set.folder / "images_224.tar" if member else data_set.folder / "images" / row["image"],
        member=row["image"] if member else None,
        data_set=data_set.name,
        patient_id=prefix + row["patient_id"],
        split=_one_of(row["split"], get_args(Split), "split"),
        labels=labels,
        age_band=age_band or age_band_of(age_years),
        sex=_one_of(row.get("sex", ""), get_args(Sex), "sex"),
        view=_one_of(row["view"], get_args(View), "view"),
        era_matched=row.get("era_matched", "1") == "1",
        age_years=age_years,
        boxes=boxes,
    )


def _original_size(row: Row) -> tuple[int, int] | None:
    width, height = row.get("orig_width"), row.get("orig_height")
    return (int(width), int(height)) if width and height else None


def _nih_boxes(path: Path) -> dict[str, list[FindingBox]]:
    """Return the boxes of each image. "Infiltrate" is the official list's word for the label Infiltration."""
    boxes: dict[str, list[FindingBox]] = {}
    for row in _rows(path):
        finding = row["finding"].lower().replace("infiltrate", "infiltration")
        if finding not in NIH_FINDINGS:
            raise ManifestRefused(f"a box marks {row['finding']!r}, which is not one of the fourteen findings")
        left, top, width, height = (float(row[key]) for key in ("x", "y", "w", "h"))
        boxes.setdefault(row["image"], []).append(FindingBox(finding, left, top, width, height))
    return boxes


def _rows(path: Path) -> Iterator[Row]:
    with path.open(newline="", encoding="utf-8") as file:
        yield from csv.DictReader(file)


def _one_of(value: str, words: tuple[W, ...], what: str) -> W:
    for word in words:
        if word == value:
            return word
    raise ManifestRefused(f"{what} {value!r} is not one of {', '.join(filter(None, words))}")
