"""MONAI Bundles with a tiny classifier as ONNX, made in the test."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, helper, numpy_helper

SIZE = 224
WEIGHTS = np.array([[4.0, -3.0, 1.5], [1.0, 2.0, -4.0]], np.float32)
BIAS = np.array([-0.5, 0.25, 0.1], np.float32)


def classifier(
    *,
    last: str | None = None,
    size: int = SIZE,
    channels: int = 1,
    batch: int | str = "n",
    fixed_batch: bool = False,
    element: int = TensorProto.FLOAT,
    outputs: int = 3,
    opset: int = 18,
) -> bytes:
    """Return a graph: pred = last((mean of upper half, mean of left half) @ WEIGHTS + BIAS), map = means of parts.

    Scores change when the picture is turned, so an importer that mixes up rows and columns is found out.
    """
    half = size // 2
    nodes = [
        *_mean("image", "upper", axis=2, half=half),
        *_mean("image", "left", axis=3, half=half),
        helper.make_node("Concat", ["upper", "left"], ["features"], axis=1),
        helper.make_node("Gemm", ["features", "weights", "bias"], ["raw" if last or fixed_batch else "pred"]),
        helper.make_node("AveragePool", ["image"], ["pooled"], kernel_shape=[32, 32], strides=[32, 32]),
        helper.make_node("Conv", ["pooled", "kernel"], ["map"]),
    ]
    made = "raw"
    if fixed_batch:
        nodes.append(helper.make_node("Reshape", ["raw", "one_row"], ["row" if last else "pred"]))
        made = "row"
    if last:
        attributes = {"axis": 1} if last == "Softmax" else {}
        nodes.append(helper.make_node(last, [made], ["pred"], **attributes))
    constants = {
        "weights": WEIGHTS[:, :outputs], "bias": BIAS[:outputs], "one_row": np.array([1, outputs]),
        "kernel": np.ones((outputs, channels, 1, 1), np.float32), "zero": np.array([0]), "half": np.array([half]),
        "two": np.array([2]), "three": np.array([3]), "flat": np.array([0, -1]),
    }  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "classifier",
        [helper.make_tensor_value_info("image", element, [batch, channels, size, size])],
        [
            helper.make_tensor_value_info("pred", TensorProto.FLOAT, [batch, outputs]),
            helper.make_tensor_value_info("map", TensorProto.FLOAT, [batch, outputs, size // 32, size // 32]),
        ],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(model.SerializeToString())


def expected_logits(picture: np.ndarray) -> np.ndarray:
    """Return the bare scores (n, 3) of pictures (n, 1, rows, columns) as the network sees them."""
    half = picture.shape[-1] // 2
    features = np.stack([picture[:, 0, :half].mean(axis=(1, 2)), picture[:, 0, :, :half].mean(axis=(1, 2))], axis=1)
    return features @ WEIGHTS + BIAS


def metadata(**changed: Any) -> dict[str, Any]:
    described = {
        "version": "0.3.1",
        "name": "Shadow classifier",
        "authors": "Some people",
        "copyright": "Copyright (c) Some people",
        "description": "Three shadows.",
        "task": "Shadows",
        "network_data_format": {
            "inputs": {"image": {"num_channels": 1, "spatial_shape": [SIZE, SIZE], "value_range": [0, 1]}},
            "outputs": {"pred": {"channel_def": {"0": "Normal", "1": "Lung Opacity", "2": "Odd shadow"}}},
        },
    }
    return {**described, **changed}


def data_format(**picture: Any) -> dict[str, Any]:
    described = metadata()["network_data_format"]
    described["inputs"]["image"].update(picture)
    return {"network_data_format": described}


def write_bundle(folder: Path, content: bytes | None = None, *, name: str = "model.onnx", **changed: Any) -> Path:
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "docs").mkdir()
    (folder / "configs/metadata.json").write_text(json.dumps(metadata(**changed)), encoding="utf-8")
    (folder / "docs/README.md").write_text("# Shadows\n\n## Data\n\nSome films.\n", encoding="utf-8")
    (folder / "LICENSE").write_text("Some terms.\n", encoding="utf-8")
    if content is not None:
        (folder / "models" / name).write_bytes(content)
    return folder


def _mean(picture: str, name: str, *, axis: int, half: int) -> list[NodeProto]:
    """Mean over the first half of an axis, (n, 1)."""
    return [
        helper.make_node("Slice", [picture, "zero", "half", "two" if axis == 2 else "three"], [f"{name}_part"]),
        helper.make_node("GlobalAveragePool", [f"{name}_part"], [f"{name}_mean"]),
        helper.make_node("Reshape", [f"{name}_mean", "flat"], [name]),
    ]
