"""Packages whose recipe reads a series: what the loader accepts of them, and what their session takes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.files import HASHES, METADATA, hash_files
from models.package import PackageRefused, load_package
from models.session import ScoringFailed, Session
from preprocessing.recipes import RECIPES
from tests.service.inference.packages import VOLUME_SHAPE, write_package, write_volume_package


def described(folder: Path, **changed: Any) -> Path:
    """Change a package's description, hashes and all."""
    metadata = json.loads((folder / METADATA).read_text())
    metadata["pandok"] |= changed
    (folder / METADATA).write_text(json.dumps(metadata))
    (folder / HASHES).unlink()
    (folder / HASHES).write_text(json.dumps({"sha256": hash_files(folder)}))
    return folder


def test_package_for_volumes_loads_and_scores_a_batch(tmp_path: Path) -> None:
    package = load_package(write_volume_package(tmp_path, "volumes"))

    scores = Session(package).run(np.ones((2, 1, *VOLUME_SHAPE), np.float32))

    assert (package.reads_series, package.input_shape) == (True, (1, *VOLUME_SHAPE))
    assert scores.logits == pytest.approx(np.array([[10, -10]] * 2), abs=1e-4)
    assert not load_package(write_package(tmp_path, "films")).reads_series


@pytest.mark.parametrize("shape", [(1, *VOLUME_SHAPE), (0, 1, *VOLUME_SHAPE), (1, 1, *VOLUME_SHAPE[1:]), ()])
def test_session_takes_volumes_of_its_shape_only(tmp_path: Path, shape: tuple[int, ...]) -> None:
    session = Session(load_package(write_volume_package(tmp_path, "volumes")))

    with pytest.raises(ScoringFailed, match="not float32"):
        session.run(np.zeros(shape, np.float32))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"input_shape": [1, 192, 192]}, "axes of what recipe"),
        ({"input_shape": [1, 8, *VOLUME_SHAPE]}, "axes of what recipe"),
        ({"has_heat_map": True}, "findings only"),
        ({"gate": "chest_scope"}, "findings only"),
        ({"recipe_sha256": "0" * 64}, "differs from the one"),
        (
            {"recipe": "chest_radiograph/1", "recipe_sha256": RECIPES["chest_radiograph/1"].sha256},
            "axes of what recipe",
        ),
    ],
)
def test_description_that_does_not_fit_a_volume_is_refused(tmp_path: Path, changed: dict[str, Any], words: str) -> None:
    folder = described(write_volume_package(tmp_path, "volumes"), **changed)

    with pytest.raises(PackageRefused, match=words):
        load_package(folder)
