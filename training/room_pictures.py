"""Films small enough for a page: as data addresses, so that the page needs no other file."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from preprocessing.errors import UnsupportedImage
from training.cases import ANY_FINDING, Case, FindingBox, ImageFiles
from training.datasets import Dataset

HEIGHT = 176
"""In pixels; enough to recognise a film, too little to read it."""
PER_ROW = 6


@dataclass(frozen=True, slots=True)
class Picture:
    """One film on a page.

    Attributes:
        address: A JPEG as data address; None for a film that is not shown.
        boxes: In pixels of the original picture, `width` by `height`.
    """

    case: Case
    address: str | None
    width: int
    height: int
    boxes: tuple[FindingBox, ...]


@dataclass(frozen=True, slots=True)
class ExampleRow:
    """Films of one set that share a label; `finding` is None where nothing is present."""

    data_set: str
    finding: str | None
    pictures: tuple[Picture, ...]


def examples(dataset: Dataset) -> list[ExampleRow]:
    """Return films with each finding, and without any, of each set; never of test.

    The choice is by a hash of the file's name: no hand picks, and the same films every time.
    """
    cases = sorted(
        (case for case in dataset.cases(dataset.findings) if case.split != "test"),
        key=lambda case: hashlib.sha256(case.file_name.encode()).digest(),
    )
    rows = []
    with ImageFiles() as files:
        for each in dataset.sets:
            own = [case for case in cases if case.data_set == each.name]
            without = [case for case in own if 1.0 not in case.labels and 0.0 in case.labels]
            rows.append(ExampleRow(each.name, None, _pictures(without, files, None)))
            for column, finding in enumerate(dataset.findings):
                present = [case for case in own if case.labels[column] == 1]
                if finding != ANY_FINDING:  # its films stand under their own findings
                    present.sort(key=lambda case: not any(box.finding == finding for box in case.boxes))
                    rows.append(ExampleRow(each.name, finding, _pictures(present, files, finding)))
    return [row for row in rows if row.pictures]


def picture(case: Case, files: ImageFiles, finding: str | None = None) -> Picture:
    """Return a film with the boxes of one finding; without address for a test film or one that cannot be read."""
    if case.split == "test":
        return Picture(case, None, 1, 1, ())
    try:
        film = Image.fromarray(files.grey(case))
    except UnsupportedImage:
        return Picture(case, None, 1, 1, ())
    content = io.BytesIO()
    small = film.resize((max(1, round(film.width * HEIGHT / film.height)), HEIGHT), Image.Resampling.LANCZOS)
    small.save(content, "JPEG", quality=80)
    address = "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
    boxes = tuple(box for box in case.boxes if box.finding == finding)
    return Picture(case, address, film.width, film.height, boxes)


def _pictures(cases: Sequence[Case], files: ImageFiles, finding: str | None) -> tuple[Picture, ...]:
    """Return the first films, one of each patient."""
    chosen = list({case.patient_id: case for case in reversed(cases)}.values())[::-1]
    return tuple(picture(case, files, finding) for case in chosen[:PER_ROW])
