"""A package's files: hard links pass and hide nothing; the file in half precision is checked like the other."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from models.files import ONNX, ONNX_HALF, PackageRefused
from models.package import load_package
from models.session import Session
from tests.models.tiny import TINY_RECIPES, tiny_onnx, write_hashes, write_tiny_package


def with_half(folder: Path, content: bytes) -> Path:
    write_tiny_package(folder)
    (folder / ONNX_HALF).write_bytes(content)
    write_hashes(folder)
    return folder


def test_a_package_of_hard_links_loads_and_a_write_through_the_other_name_is_seen(tmp_path: Path) -> None:
    folder, other = write_tiny_package(tmp_path / "tiny"), tmp_path / "store"
    other.hardlink_to(folder / ONNX)

    package = load_package(folder, recipes=TINY_RECIPES)
    with other.open("ab") as file:
        file.write(b" ")

    with pytest.raises(PackageRefused, match=r"model\.onnx was altered"):
        Session(package)
    with pytest.raises(PackageRefused, match=r"model\.onnx was altered"):
        load_package(folder, recipes=TINY_RECIPES)


def test_a_file_in_half_precision_is_part_of_the_packages_identity(tmp_path: Path) -> None:
    plain = load_package(write_tiny_package(tmp_path / "plain"), recipes=TINY_RECIPES)

    half = load_package(with_half(tmp_path / "half", tiny_onnx()), recipes=TINY_RECIPES)

    assert plain.half_sha256 is None
    assert half.half_sha256 == half.weights_sha256
    assert half.sha256 != plain.sha256


@pytest.mark.parametrize("content", [tiny_onnx(channels=2), tiny_onnx(heat_map=False), b"no graph"])
def test_a_file_in_half_precision_that_is_another_network_is_refused(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(PackageRefused, match=r"^models/model_fp16\.onnx: "):
        load_package(with_half(tmp_path / "tiny", content), recipes=TINY_RECIPES)


def test_half_precision_at_the_edges_is_refused(tmp_path: Path) -> None:
    def halve(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT16

    with pytest.raises(PackageRefused, match="`image`, float32"):
        load_package(with_half(tmp_path / "tiny", tiny_onnx(alter=halve)), recipes=TINY_RECIPES)
