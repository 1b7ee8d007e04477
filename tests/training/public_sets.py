"""Small made sets in the layout of the public ones: no real film in them."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from training.drawings import drawn

NIH_FINDINGS = (
    "no_finding", "atelectasis", "cardiomegaly", "consolidation", "edema", "effusion", "emphysema", "fibrosis",
    "hernia", "infiltration", "mass", "nodule", "pleural_thickening", "pneumonia", "pneumothorax",
)  # fmt: skip


def nih_row(image: str, patient: str, split: str, *findings: str, age: int = 50) -> dict[str, str]:
    row = {"image": image, "patient_id": patient, "split": split, "age": str(age), "sex": "F", "view": "PA"}
    row["era_matched"] = "1"
    return row | {finding: str(int(finding in findings)) for finding in NIH_FINDINGS}


def kermany_row(image: str, patient: str, split: str, label: int, duplicate_of: str = "") -> dict[str, str]:
    return {
        "image": image, "patient_id": patient, "split": split, "label": str(label), "view": "AP",
        "duplicate_of": duplicate_of,
    }  # fmt: skip


def box_row(image: str, finding: str, *box: float) -> dict[str, str]:
    return {"image": image, "finding": finding} | dict(zip("xywh", map(str, box), strict=True))


def write_sets(
    folder: Path,
    *,
    children: Sequence[dict[str, str]],
    adults: Sequence[dict[str, str]],
    more_adults: Sequence[dict[str, str]],
    more_boxes: Sequence[dict[str, str]] = (),
) -> Path:
    """Write the three sets with drawn pictures; a positive film is brighter in the middle."""
    rng = np.random.default_rng(0)
    kermany = folder / "kermany_pneumonia"
    kermany.mkdir(parents=True)
    with tarfile.open(kermany / "images_224.tar", "w") as tar:
        for row in children:
            content = _picture(rng, bright=row["label"] == "1")
            entry = tarfile.TarInfo(row["image"])
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    _write_rows(kermany / "labels.csv", children)
    for name, rows, boxes in (("nih_cxr14_subset", adults, ()), ("nih_cxr14_more", more_adults, more_boxes)):
        (folder / name / "images").mkdir(parents=True)
        for row in rows:
            (folder / name / "images" / row["image"]).write_bytes(_picture(rng, bright=row["no_finding"] == "0"))
        _write_rows(folder / name / "labels.csv", rows)
        _write_rows(folder / name / "bboxes.csv", boxes, columns=list(box_row("", "", 0, 0, 0, 0)))
    return folder


def _picture(rng: np.random.Generator, *, bright: bool) -> bytes:
    grey = np.asarray(Image.fromarray(drawn(rng)).resize((256, 256))).copy()
    if bright:
        grey[96:160, 96:160] = 255
    content = io.BytesIO()
    Image.fromarray(grey).save(content, "PNG")
    return content.getvalue()


def _write_rows(path: Path, rows: Sequence[dict[str, str]], columns: Sequence[str] = ()) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=columns or list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
