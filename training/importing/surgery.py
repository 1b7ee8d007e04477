"""A foreign ONNX graph between our names: `image` from 0 to 1 goes in, `logits` of the chosen findings come out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper

from models.onnx_file import DOMAINS
from training.graphs import without_traces
from training.importing import ImportRefused
from training.importing.answers import Scores

LEAST_OPSET = 11
"""From here on Clip takes its limits as inputs."""
LEAST_PROBABILITY = 1e-6
"""Probabilities are cut here and at 1 minus it, so that their logits are finite."""
PREFIX = "bundle_"


@dataclass(frozen=True, slots=True)
class Fitting:
    """How a foreign graph is fitted.

    Attributes:
        shape: (channels, rows, columns) of `image`.
        value_range: What its 0 and 1 are in the foreign graph's picture.
        columns_first: The foreign graph sees (columns, rows).
        scores_output: The foreign graph's output (batch, n) with the scores.
        scores: What those are.
        channels: Which of them become `logits`, in order.
        heat_map_output: The foreign graph's output (batch, n, h, w) of class activations; None without.
        heat_map_shape: (h, w) of it.
    """

    shape: tuple[int, int, int]
    value_range: tuple[float, float]
    columns_first: bool
    scores_output: str
    scores: Scores
    channels: tuple[int, ...]
    heat_map_output: str | None
    heat_map_shape: tuple[int, int] | None


def fit(content: bytes, fitting: Fitting) -> bytes:
    """Return the graph with our input and outputs and a free batch axis. Raises ImportRefused for too old an opset."""
    model = onnx.load_from_string(content)
    opset = max(one.version for one in model.opset_import if one.domain.encode() in DOMAINS)
    if opset < LEAST_OPSET:
        raise ImportRefused(f"the ONNX file is of opset {opset}; export it anew with opset {LEAST_OPSET} or newer")
    weights = {tensor.name for tensor in model.graph.initializer}
    [picture] = [one.name for one in model.graph.input if one.name not in weights]
    model = compose.add_prefix(model, PREFIX)
    graph = model.graph
    before, constants = _picture(f"{PREFIX}{picture}", fitting)
    after, more = _outputs(fitting)
    nodes = [*before, *graph.node, *after]
    inputs = [one for one in graph.input if one.name != f"{PREFIX}{picture}"]
    outputs = [_value("logits", len(fitting.channels))]
    if fitting.heat_map_shape is not None:
        outputs.append(_value("heat_map", len(fitting.channels), *fitting.heat_map_shape))
    for field, values in (
        (graph.node, nodes),
        (graph.input, [_value("image", *fitting.shape), *inputs]),
        (graph.output, outputs),
        (graph.value_info, []),  # they tell of a batch of one
    ):
        del field[:]
        field.extend(values)
    graph.initializer.extend(constants + more)
    return without_traces(_checked(model))


def last_operator(content: bytes, output: str) -> str:
    """Return the type of the operator that makes an output, looking through those that only reshape it."""
    made_by = {name: node for node in onnx.load_from_string(content).graph.node for name in node.output}
    node = made_by.get(output)
    while node is not None and node.op_type in ("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        node = made_by.get(node.input[0])
    return node.op_type if node is not None else ""


def _picture(name: str, fitting: Fitting) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return what makes the foreign graph's picture from `image`."""
    low, high = fitting.value_range
    nodes = [
        helper.make_node("Mul", ["image", "picture_scale"], ["picture_scaled"]),
        helper.make_node("Add", ["picture_scaled", "picture_offset"], ["picture_shifted"]),
        helper.make_node("Transpose", ["picture_shifted"], [name], perm=[0, 1, 3, 2])
        if fitting.columns_first
        else helper.make_node("Identity", ["picture_shifted"], [name]),
    ]
    return nodes, [_number("picture_scale", high - low), _number("picture_offset", low)]


def _outputs(fitting: Fitting) -> tuple[list[NodeProto], list[TensorProto]]:
    """Return what makes `logits` and `heat_map` from the foreign graph's outputs."""
    scores = f"{PREFIX}{fitting.scores_output}"
    nodes: list[NodeProto] = []
    constants = [numpy_helper.from_array(np.asarray(fitting.channels, np.int64), "channels")]
    if fitting.scores == "exclusive_logits":
        nodes.append(helper.make_node("Softmax", [scores], ["shares"], axis=1))
        scores = "shares"
    if fitting.scores != "logits":
        nodes += _to_logits(scores)
        constants += [_number("least", LEAST_PROBABILITY), _number("most", 1 - LEAST_PROBABILITY), _number("one", 1.0)]
        scores = "all_logits"
    nodes.append(helper.make_node("Gather", [scores, "channels"], ["logits"], axis=1))
    if fitting.heat_map_output is not None:
        maps = f"{PREFIX}{fitting.heat_map_output}"
        nodes.append(helper.make_node("Gather", [maps, "channels"], ["heat_map"], axis=1))
    return nodes, constants


def _to_logits(probabilities: str) -> Sequence[NodeProto]:
    """Return log(p / (1 - p))."""
    return [
        helper.make_node("Clip", [probabilities, "least", "most"], ["clipped"]),
        helper.make_node("Sub", ["one", "clipped"], ["rest"]),
        helper.make_node("Log", ["clipped"], ["log_clipped"]),
        helper.make_node("Log", ["rest"], ["log_rest"]),
        helper.make_node("Sub", ["log_clipped", "log_rest"], ["all_logits"]),
    ]


def _number(name: str, value: float) -> TensorProto:
    return numpy_helper.from_array(np.asarray(value, np.float32), name)


def _value(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *shape])


def _checked(model: ModelProto) -> bytes:
    try:
        onnx.checker.check_model(model)
    except onnx.checker.ValidationError as error:
        raise ImportRefused("the ONNX file does not keep to its standard") from error
    return bytes(model.SerializeToString())
