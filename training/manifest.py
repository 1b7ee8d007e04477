"""The case manifest as files, one format for public sets, a site's verdict exports and frozen datasets.

docs/manifest.md describes it for those who write one.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from training.cases import UNKNOWN, AgeBand, Case, FindingBox, ManifestRefused, Sex, Split, View, age_band_of
from training.datasets import Dataset, Entry, FilmSet, Use, check_dataset, split_by_hash

HEAD, ROWS = "manifest.json", "cases.jsonl"

DEFAULT_SHARES: Mapping[Split, float] = {"train": 0.7, "val": 0.1, "test": 0.2}

LABELS: Mapping[str, float] = {"present": 1.0, "absent": 0.0, "unknown": UNKNOWN}
WORDS: Mapping[float, Literal["present", "absent"]] = {1.0: "present", 0.0: "absent"}

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Pseudonym = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
"""What a patient's key may look like: neither a DICOM name (`^`, spaces) nor an address fits."""
Age = Annotated[float, Field(ge=0, le=130, allow_inf_nan=False)]
Number = Annotated[float, Field(allow_inf_nan=False)]


class _Row(BaseModel):
    """Anything that the format does not name is refused: a patient attribute that nobody needs must not slip in."""

    model_config = ConfigDict(extra="forbid", frozen=True)


R = TypeVar("R", bound=_Row)


class _SetRow(_Row):
    name: str
    site: str
    title: str
    licence: str
    attribution: str
    source: str
    labels_from: str
    uses: list[Use]
    folder: str | None = None


class _SplitRow(_Row):
    key: str
    shares: dict[Split, Number] = dict(DEFAULT_SHARES)


class _Head(_Row):
    format: Literal["pandok-cases/1"] = "pandok-cases/1"
    name: str
    version: str = ""
    findings: list[str]
    sets: list[_SetRow]
    split: _SplitRow | None = None
    sha256: Sha256 | None = None


class CaseRow(_Row):
    """One line of cases.jsonl; docs/manifest.md says what each key means."""

    set: str
    image: str
    member: str | None = None
    patient: Pseudonym
    split: Split | None = None
    labels: dict[str, Literal["present", "absent", "unknown"]]
    age_years: Age | None = None
    age_band: AgeBand = "unknown"
    sex: Sex = ""
    view: View = ""
    era_matched: bool = True
    boxes: list[tuple[str, Number, Number, Number, Number]] = []
    sha256: Sha256 | None = None
    left_out: str | None = None
    original_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a row stands, and what the head says about such rows."""

    line: int
    sets: Mapping[str, FilmSet]
    findings: tuple[str, ...]

    def refuse(self, why: str) -> ManifestRefused:
        return ManifestRefused(f"{ROWS} line {self.line}: {why}")


def read_manifest(folder: Path) -> Dataset:
    """Read a folder's manifest, frozen or not; images are not opened.

    A row without a split gets its patient's: the one that another row states, else the one that the keyed hash draws.

    Raises:
        ManifestRefused: A file is missing, says something that the format does not know, or as `check_dataset`.
    """
    head = _parsed(_Head, _text(folder / HEAD), HEAD)
    sets = {row.name: _data_set(row, folder) for row in head.sets}
    findings = tuple(head.findings)
    lines = [(number, line) for number, line in enumerate(_text(folder / ROWS).split("\n"), start=1) if line.strip()]
    rows = [(number, _parsed(CaseRow, line, f"{ROWS} line {number}")) for number, line in lines]
    split_of = _splits([row for _, row in rows], head.split or _SplitRow(key=head.name))
    entries = tuple(_entry(row, split_of, _Place(number, sets, findings)) for number, row in rows)
    dataset = Dataset(head.name, head.version, findings, tuple(sets.values()), entries, head.sha256)
    check_dataset(dataset)
    return dataset


def write_manifest(dataset: Dataset, folder: Path) -> None:
    """Write a dataset's two files; the places of the sets' images are written relative to them."""
    head = _head(dataset, {each.name: os.path.relpath(each.folder, folder) for each in dataset.sets})
    text = head.model_dump(mode="json", exclude_none=True) | ({"sha256": dataset.sha256} if dataset.sha256 else {})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / HEAD).write_text(json.dumps(text, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / ROWS).write_text("".join(line + "\n" for line in _lines(dataset)), encoding="utf-8")


def manifest_sha256(dataset: Dataset) -> str:
    """Return the hash over what a dataset says and over its images' hashes; where files lie does not count.

    Raises:
        ManifestRefused: An image has not been hashed.
    """
    if any(entry.sha256 is None for entry in dataset.entries):
        raise ManifestRefused("an image has no hash yet")
    digest = hashlib.sha256(_canonical(_head(dataset, {}).model_dump(mode="json", exclude_none=True)).encode())
    for line in _lines(dataset):
        digest.update(b"\n" + line.encode())
    return digest.hexdigest()


def _head(dataset: Dataset, folders: Mapping[str, str]) -> _Head:
    rows = [_SetRow(**asdict(each) | {"folder": folders.get(each.name)}) for each in dataset.sets]
    return _Head(name=dataset.name, version=dataset.version, findings=list(dataset.findings), sets=rows)


def _lines(dataset: Dataset) -> Iterator[str]:
    """Yield each entry as one line of JSON, keys sorted, without what is unknown or usual."""
    folders = {each.name: each.folder for each in dataset.sets}
    for entry in dataset.entries:
        case = entry.case
        labels = zip(dataset.findings, case.labels, strict=True)
        row = CaseRow(
            set=case.data_set,
            image=case.image.relative_to(folders[case.data_set]).as_posix(),
            member=case.member,
            patient=case.patient_id,
            split=case.split,
            labels={finding: WORDS[label] for finding, label in labels if not math.isnan(label)},
            age_years=case.age_years,
            age_band=case.age_band if case.age_years is None else "unknown",
            sex=case.sex,
            view=case.view,
            era_matched=case.era_matched,
            boxes=[(box.finding, box.left, box.top, box.width, box.height) for box in case.boxes],
            sha256=entry.sha256,
            left_out=entry.left_out,
            original_size=entry.original_size,
        )
        yield _canonical(row.model_dump(mode="json", exclude_defaults=True))


def _canonical(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _splits(rows: list[CaseRow], draw: _SplitRow) -> dict[str, Split]:
    """Return the split of every patient with a row that states none."""
    if not math.isclose(sum(draw.shares.values()), 1) or min(draw.shares.values()) < 0:
        raise ManifestRefused(f"{HEAD}: the shares of the splits must add up to 1")
    stated = {row.patient: row.split for row in rows if row.split is not None}
    return {
        row.patient: stated.get(row.patient) or split_by_hash(row.patient, draw.key, draw.shares)
        for row in rows
        if row.split is None
    }


def _data_set(row: _SetRow, folder: Path) -> FilmSet:
    fields = row.model_dump() | {"uses": tuple(row.uses), "folder": (folder / (row.folder or ".")).resolve()}
    return FilmSet(**fields)


def _entry(row: CaseRow, split_of: Mapping[str, Split], place: _Place) -> Entry:
    if row.set not in place.sets:
        raise place.refuse(f"{row.set} is not one of the sets")
    if strange := {*row.labels, *(box[0] for box in row.boxes)} - set(place.findings):
        raise place.refuse(f"{', '.join(sorted(strange))} is not one of the findings")
    inside = PurePosixPath(row.image)
    if inside.is_absolute() or ".." in inside.parts:
        raise place.refuse("an image must lie in the folder of its set")
    case = Case(
        image=place.sets[row.set].folder / inside,
        member=row.member,
        data_set=row.set,
        patient_id=row.patient,
        split=row.split or split_of[row.patient],
        labels=tuple(LABELS[row.labels.get(finding, "unknown")] for finding in place.findings),
        age_band=row.age_band if row.age_years is None else age_band_of(row.age_years),
        sex=row.sex,
        view=row.view,
        era_matched=row.era_matched,
        age_years=row.age_years,
        boxes=tuple(FindingBox(*box) for box in row.boxes),
    )
    return Entry(case, row.sha256, row.left_out, row.original_size)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestRefused(f"{path.name} is not in the folder or is no text") from error


def _parsed(kind: type[R], text: str, where: str) -> R:
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        at = ".".join(map(str, first["loc"]))
        raise ManifestRefused(f"{where}: {at + ': ' if at else ''}{first['msg']}") from error
