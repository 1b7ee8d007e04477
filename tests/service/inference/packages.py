"""Tiny real model packages: a graph of a few operators in a whole bundle, made in milliseconds."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import TensorProto, helper

from models.files import HASHES, hash_files
from preprocessing.recipes import RECIPES, SERIES_RECIPES
from preprocessing.volume import MR_PARAMETERS, VolumeParameters

RECIPE = "chest_radiograph/1"
SIZE = 224
VOLUME_RECIPE = "ct_volume/1"
VOLUME_SHAPE = VolumeParameters().shape
_EVIDENCE = {"auroc": 0.75, "low": 0.7, "high": 0.8, "films": 200, "positives": 40, "data": "synthetic"}


def write_package(
    folder: Path,
    name: str,
    *,
    logits: Sequence[float] = (3.0, -3.0),
    gate: str | None = None,
    is_nan: bool = False,
    version: str = "1.0.0",
    min_age_years: float | None = 18.0,
    applies_to: dict[str, Any] | None = None,
    raises_from: float = 0.5,
    experimental: Collection[int] = (),
    uncalibrated: bool = False,
) -> Path:
    """Write a findings package whose logits are what the caller says plus 0.001 times the mean brightness.

    Channel 0 raises a case from probability `raises_from` on, unless it is experimental.
    """
    outputs = [
        _output(
            channel,
            min_age_years=min_age_years,
            raises_from=raises_from if channel == 0 else None,
            is_experimental=channel in experimental,
            is_calibrated=not uncalibrated,
        )
        for channel in range(len(logits))
    ]
    pandok = {"kind": "findings", "gate": gate, "has_heat_map": True, "applies_to": applies_to or _any_image()}
    listed = {"outputs": outputs, "scope_classes": [], "scope_threshold": None}
    return _write(folder / name, name, version, pandok, listed, _graph(logits, is_nan=is_nan, has_heat_map=True))


MR_RECIPE = "mr_volume/1"
_READS = {
    VOLUME_RECIPE: (VOLUME_SHAPE, {"modalities": ["CT"], "body_parts": ["CHEST"]}),
    MR_RECIPE: (MR_PARAMETERS.shape, {"modalities": ["MR"], "body_parts": ["HEAD"]}),
}


def write_volume_package(
    folder: Path, name: str, *, recipe: str = VOLUME_RECIPE, applies_to: dict[str, Any] | None = None
) -> Path:
    """Write a package for CT or MR: channel 0 says how dense the middle of a volume is, channel 1 the opposite.

    Logit 0 is 20 times what the mean of the middle 8 x 8 x 8 voxels has above 0.5.
    """
    shape, kinds = _READS[recipe]
    any_series = {**_any_image(), **kinds, "views": []}
    outputs = [
        _output(c, min_age_years=18.0, raises_from=0.5 if c == 0 else None, is_experimental=False, is_calibrated=True)
        for c in range(2)
    ]
    pandok = {"kind": "findings", "gate": None, "has_heat_map": False, "applies_to": applies_to or any_series}
    pandok |= {"recipe": recipe, "recipe_sha256": SERIES_RECIPES[recipe].sha256, "input_shape": [1, *shape]}
    listed = {"outputs": outputs, "scope_classes": [], "scope_threshold": None}
    return _write(folder / name, name, "1.0.0", pandok, listed, _volume_graph(shape))


def _volume_graph(shape: tuple[int, int, int]) -> bytes:
    middle = [size // 2 for size in shape]
    constants = [
        helper.make_tensor("from", TensorProto.INT64, [3], [at - 4 for at in middle]),
        helper.make_tensor("to", TensorProto.INT64, [3], [at + 4 for at in middle]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [2, 3, 4]),
        helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("weight", TensorProto.FLOAT, [1, 2], [20.0, -20.0]),
        helper.make_tensor("bias", TensorProto.FLOAT, [2], [-10.0, 10.0]),
    ]
    nodes = [
        helper.make_node("Slice", ["image", "from", "to", "axes"], ["middle"]),
        helper.make_node("GlobalAveragePool", ["middle"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["logits"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, *shape])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])
    graph = helper.make_graph(nodes, "tiny", [image], [logits], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def write_gate(folder: Path, name: str, *, lets_through: bool = True, is_nan: bool = False) -> Path:
    """Write a scope gate that lets everything through, or refuses everything as `not_a_chest`."""
    logits = (5.0, -5.0, -6.0) if lets_through else (-5.0, 5.0, -6.0)
    pandok = {"kind": "scope_gate", "gate": None, "has_heat_map": False, "applies_to": _any_image()}
    listed = {"outputs": [], "scope_classes": ["in_scope", "not_a_chest", "inverted"], "scope_threshold": 0.5}
    return _write(folder / name, name, "1.0.0", pandok, listed, _graph(logits, is_nan=is_nan, has_heat_map=False))


def _output(
    channel: int,
    *,
    min_age_years: float | None,
    raises_from: float | None,
    is_experimental: bool,
    is_calibrated: bool,
) -> dict[str, Any]:
    method = "platt" if is_calibrated else "none"
    return {
        "channel": channel,
        "finding": f"finding_{channel}",
        "code_value": "F-0",
        "code_scheme": "99TEST",
        "code_meaning": f"Finding {channel}",
        "names": {"en": f"Finding {channel}", "ko": "소견", "vi": "Dấu hiệu", "ru": "Находка"},
        "calibration": {"method": method, "slope": 1.0, "intercept": 0.0, "version": "1"},
        "operating_point": _point(0.5),
        "raise_point": None if raises_from is None or is_experimental else _point(raises_from),
        "priority_class": 2 if channel == 0 else 3,
        "min_age_years": min_age_years,
        "max_age_years": None,
        "experimental": is_experimental,
        "evidence": _EVIDENCE if is_calibrated else None,
    }


def _point(threshold: float) -> dict[str, Any]:
    return {
        "name": "default", "threshold": threshold, "sensitivity": 0.9, "specificity": 0.9, "chosen_on": "synthetic",
    }  # fmt: skip


def _any_image() -> dict[str, Any]:
    return {
        "modalities": ["CR", "DX"],
        "body_parts": ["CHEST"],
        "views": ["PA", "AP"],
        "min_age_years": None,
        "max_age_years": None,
    }


def _graph(logits: Sequence[float], *, is_nan: bool, has_heat_map: bool) -> bytes:
    """image → mean → logits; NaN comes from the logarithm of a negative number."""
    k = len(logits)
    constants = [
        helper.make_tensor("weight", TensorProto.FLOAT, [1, k], [0.001] * k),
        helper.make_tensor("bias", TensorProto.FLOAT, [k], list(logits)),
        helper.make_tensor("shape", TensorProto.INT64, [2], [-1, 1]),
        helper.make_tensor("minus_one", TensorProto.FLOAT, [1], [-1.0]),
        helper.make_tensor("kernel", TensorProto.FLOAT, [k, 1, 1, 1], [1.0] * k),
    ]
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["mean"]),
        helper.make_node("Reshape", ["mean", "shape"], ["flat"]),
        helper.make_node("Gemm", ["flat", "weight", "bias"], ["raw" if is_nan else "logits"]),
    ]
    if is_nan:
        nodes += [
            helper.make_node("Abs", ["raw"], ["positive"]),
            helper.make_node("Mul", ["positive", "minus_one"], ["negative"]),
            helper.make_node("Log", ["negative"], ["logits"]),
        ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", k])]
    if has_heat_map:
        nodes += [
            helper.make_node("AveragePool", ["image"], ["small"], kernel_shape=[32, 32], strides=[32, 32]),
            helper.make_node("Conv", ["small", "kernel"], ["heat_map"]),
        ]
        outputs.append(helper.make_tensor_value_info("heat_map", TensorProto.FLOAT, ["batch", k, 7, 7]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])
    graph = helper.make_graph(nodes, "tiny", [image], outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    content: bytes = model.SerializeToString()
    return content


def _write(
    folder: Path, name: str, version: str, pandok: dict[str, Any], outputs: dict[str, Any], graph: bytes
) -> Path:
    for part in ("configs", "models", "docs"):
        (folder / part).mkdir(parents=True)
    described = {
        "name": name,
        "recipe": RECIPE,
        "recipe_sha256": RECIPES[RECIPE].sha256,
        "input_shape": [1, SIZE, SIZE],
        "manufacturer": "Tests",
        "licence": "Apache-2.0",
        **pandok,
    }
    metadata = {"version": version, "intended_use": "Tests only.", "pandok": described}
    (folder / "configs/metadata.json").write_text(json.dumps(metadata))
    (folder / "configs/inference.json").write_text("{}")
    (folder / "configs/outputs.json").write_text(json.dumps(outputs))
    (folder / "models/model.onnx").write_bytes(graph)
    (folder / "docs/README.md").write_text("# A package of the tests\n")
    (folder / "LICENSE").write_text("Apache-2.0\n")
    (folder / HASHES).write_text(json.dumps({"sha256": hash_files(folder)}))
    return folder
