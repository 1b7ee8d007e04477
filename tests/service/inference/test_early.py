"""What a decode child's libraries load at first use is loaded before it is forked."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import imagecodecs
import pytest
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import UID, JPEG2000Lossless, JPEGLosslessSV1, JPEGLSLossless, RLELossless

from preprocessing.header import read_header, to_json
from service.inference.forked import SHARED
from tests.conftest import ROOT
from tests.factories import dataset_bytes, make_radiograph, part10, phantom

CHILD = """
import importlib, json, sys
for module in sys.argv[2:]:
    importlib.import_module(module)
task = json.loads(sys.argv[1])
from pathlib import Path
from preprocessing.header import from_json
from preprocessing.recipes import RECIPES
from service.inference import drawing_child
before = set(sys.modules)
RECIPES["chest_radiograph/1"].prepare(Path(task["path"]), from_json(task["header"]))
for kind in ("jpeg", "png"):
    drawing_child.serve({**task, "into": task["path"] + kind, "view": {**task["view"], "media_type": "image/" + kind}})
print(json.dumps(sorted(set(sys.modules) - before)))
"""
VIEW = {"media_type": "", "quality": 90, "size": [100, 100], "region": None, "window": None, "lines": []}


ENCODED: dict[str, Callable[[NDArray[Any]], bytes]] = {
    JPEGLosslessSV1: lambda pixels: bytes(imagecodecs.jpeg8_encode(pixels, lossless=True, bitspersample=12)),
    JPEGLSLossless: lambda pixels: bytes(imagecodecs.jpegls_encode(pixels)),
    JPEG2000Lossless: lambda pixels: bytes(imagecodecs.jpeg2k_encode(pixels, level=0)),
}


def encoded(syntax: str) -> Dataset:
    """Return a film in a transfer syntax."""
    dataset = make_radiograph(phantom(300, 260, bits=12))
    if syntax == RLELossless:
        dataset.compress(syntax, generate_instance_uid=False)
    else:
        dataset.PixelData = encapsulate([ENCODED[syntax](dataset.pixel_array)])
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
        dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.mark.parametrize("syntax", [*ENCODED, RLELossless])
def test_a_child_loads_nothing_at_its_first_image(tmp_path: Path, syntax: str) -> None:
    dataset = encoded(syntax)
    content, path = dataset_bytes(dataset), tmp_path / "film.dcm"
    path.write_bytes(part10(dataset))
    header = read_header(io.BytesIO(content), transfer_syntax_uid=syntax, offset=0, length=len(content))
    [frame] = generate_frames(dataset.PixelData, number_of_frames=1)
    task = {
        "wish": "picture", "path": str(path), "header": to_json(header), "number": 1, "view": VIEW, "typeface": None,
        "frames": [[[content.index(frame), len(frame)]]],
    }  # fmt: skip

    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(task), *SHARED], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []
