"""Small made manifests in our own format, as a site's export would be: invented patients, textures for films."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from tests.factories import make_radiograph, part10

HEAD = {
    "format": "pandok-cases/1",
    "name": "export",
    "findings": ["any_finding", "pneumothorax"],
    "sets": [
        {
            "name": "hanoi-1",
            "site": "hanoi",
            "title": "Verdicts of Hanoi screening",
            "licence": "by contract",
            "attribution": "none",
            "source": "verdict export",
            "labels_from": "radiologists' verdicts",
            "uses": ["training", "evaluation"],
            "folder": ".",
        }
    ],
}


def texture(seed: int, rows: int = 160, columns: int = 150) -> NDArray[np.uint8]:
    """Return a picture with detail everywhere; no two of different seeds are alike."""
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(rows, columns)), 4)
    return ((noise - noise.min()) / np.ptp(noise) * 255).astype(np.uint8)


def encoded(grey: NDArray[np.uint8], kind: str = "PNG", **options: Any) -> bytes:
    content = io.BytesIO()
    Image.fromarray(grey).save(content, kind, **options)
    return content.getvalue()


def dicom(grey: NDArray[np.uint8], **attributes: Any) -> bytes:
    return part10(make_radiograph(grey.astype(np.uint16) * 16, **attributes))


def case_row(image: str, patient: str, **more: Any) -> dict[str, Any]:
    return {"set": "hanoi-1", "image": image, "patient": patient, "labels": {"any_finding": "absent"}} | more


def write_manifest_files(
    folder: Path, rows: list[dict[str, Any]], *, images: dict[str, bytes] | None = None, **head: Any
) -> Path:
    """Write the two files, and the images that are given; with `images` None the files alone."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(HEAD | head))
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, content in (images or {}).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def write_tar(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return path
