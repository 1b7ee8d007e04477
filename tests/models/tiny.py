"""A tiny real model package, made in the test: a 1x1 convolution whose mean is the logits."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.files import CARD, HASHES, INFERENCE, LICENCE, METADATA, ONNX, OUTPUTS, hash_files
from preprocessing.header import InstanceHeader
from preprocessing.recipes import Prepared, Recipe

SIZE = 16


@dataclass(frozen=True)
class TinyRecipe:
    name: str = "tiny/1"
    sha256: str = "ab" * 32

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        raise NotImplementedError

    def prepare_array(self, grey: NDArray[np.uint8]) -> Prepared:
        raise NotImplementedError


TINY_RECIPES: Mapping[str, Recipe] = {"tiny/1": TinyRecipe()}


def tiny_onnx(
    *, channels: int = 1, heat_map: bool = True, alter: Callable[[onnx.ModelProto], None] | None = None
) -> bytes:
    """logits[k] = mean of (k + 1) * image; a picture of zeros has logit 0."""
    weights = np.arange(1, channels + 1, dtype=np.float32).reshape(channels, 1, 1, 1)
    map_name = "heat_map"
    nodes = [
        helper.make_node("Conv", ["image", "weights"], [map_name], kernel_shape=[1, 1]),
        helper.make_node("ReduceMean", [map_name, "axes"], ["logits"], keepdims=0),
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", channels])]
    if heat_map:
        outputs.append(helper.make_tensor_value_info("heat_map", TensorProto.FLOAT, ["batch", channels, SIZE, SIZE]))
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, SIZE, SIZE])],
        outputs,
        [numpy_helper.from_array(weights, "weights"), numpy_helper.from_array(np.array([2, 3]), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if alter is not None:
        alter(model)
    return bytes(model.SerializeToString())


def output_record(channel: int = 0) -> dict[str, object]:
    return {
        "channel": channel,
        "finding": f"finding_{channel}",
        "code_value": "112001",
        "code_scheme": "DCM",
        "code_meaning": "Opacity",
        "names": {"en": "Opacity", "ko": "음영", "vi": "Đám mờ", "ru": "Затемнение"},
        "calibration": {"method": "platt", "slope": 1.0, "intercept": 0.0, "version": "1"},
        "operating_point": {
            "name": "sensitivity_0.90", "threshold": 0.5, "sensitivity": 0.9, "specificity": 0.8, "chosen_on": "val",
        },
        "raise_point": {
            "name": "specificity_0.95", "threshold": 0.7, "sensitivity": 0.7, "specificity": 0.95, "chosen_on": "val",
        },
        "priority_class": 2,
        "min_age_years": 18.0,
        "max_age_years": None,
        "experimental": False,
        "evidence": {
            "auroc": 0.9, "low": 0.85, "high": 0.94, "films": 200, "positives": 80, "data": "test films of the tests",
        },
    }  # fmt: skip


def experimental_record(channel: int = 0) -> dict[str, object]:
    """An output that nobody has measured: uncalibrated, its operating point taken over with the weights."""
    return {
        **output_record(channel),
        "calibration": {"method": "none", "slope": 1.0, "intercept": 0.0, "version": "1"},
        "operating_point": {
            "name": "authors", "threshold": 0.5, "sensitivity": None, "specificity": None, "chosen_on": "the weights",
        },
        "raise_point": None,
        "priority_class": 3,
        "experimental": True,
        "evidence": None,
    }  # fmt: skip


def findings_metadata() -> dict[str, object]:
    return {
        "version": "0.1.0",
        "intended_use": "Tests.",
        "pandok": {
            "name": "tiny_findings",
            "kind": "findings",
            "recipe": "tiny/1",
            "recipe_sha256": "ab" * 32,
            "input_shape": [1, SIZE, SIZE],
            "has_heat_map": True,
            "gate": None,
            "applies_to": {"modalities": ["CR", "DX"], "body_parts": [], "views": [], "min_age_years": None,
                           "max_age_years": None},
            "manufacturer": "Pandok",
            "licence": "Apache-2.0",
        },
    }  # fmt: skip


def gate_metadata() -> dict[str, object]:
    metadata = findings_metadata()
    block = metadata["pandok"]
    assert isinstance(block, dict)
    metadata["pandok"] = {**block, "name": "tiny_gate", "kind": "scope_gate", "has_heat_map": False}
    return metadata


def write_tiny_package(
    folder: Path,
    *,
    onnx_bytes: bytes | None = None,
    metadata: Mapping[str, object] | None = None,
    outputs: Mapping[str, object] | None = None,
) -> Path:
    """Write a whole package with right hashes; what is given replaces the default."""
    default = {"outputs": [output_record()], "scope_classes": [], "scope_threshold": None}
    texts = {
        METADATA: json.dumps(metadata or findings_metadata()),
        INFERENCE: "{}",
        OUTPUTS: json.dumps(outputs or default),
        CARD: "# Tiny\n",
        LICENCE: "Apache-2.0\n",
    }
    for path, text in texts.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")
    (folder / ONNX).parent.mkdir(exist_ok=True)
    (folder / ONNX).write_bytes(tiny_onnx() if onnx_bytes is None else onnx_bytes)
    write_hashes(folder)
    return folder


def write_gate(folder: Path, *, outputs: Mapping[str, object] | None = None) -> Path:
    default = {"outputs": [], "scope_classes": ["in_scope", "not_a_chest"], "scope_threshold": 0.5}
    return write_tiny_package(
        folder,
        onnx_bytes=tiny_onnx(channels=2, heat_map=False),
        metadata=gate_metadata(),
        outputs=outputs or default,
    )


def write_hashes(folder: Path) -> None:
    (folder / HASHES).write_text(json.dumps({"sha256": hash_files(folder)}), encoding="utf-8")
