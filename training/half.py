"""Half precision: an ONNX graph for a GPU's fp16 arithmetic, and what that arithmetic makes of the scores."""

from __future__ import annotations

import warnings

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16

from training.graphs import run_graph


def to_half(content: bytes) -> bytes:
    """Return the graph with weights and arithmetic in fp16; what enters and leaves it stays float32."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converter tells of every weight that is rounded to zero
        half = convert_float_to_float16(onnx.load_from_string(content), keep_io_types=True)
    return bytes(half.SerializeToString())


def rounded_outputs(content: bytes, images: NDArray[np.float32]) -> dict[str, NDArray[np.float32]]:
    """Run a float32 graph with the rounding of fp16, operator by operator, as a GPU does it.

    A CPU provider computes a half precision graph in float32 and so hides what a GPU would round, or let overflow. Here
    weights and every operator's result go through fp16, while sums inside an operator stay float32, as in tensor cores.

    Args:
        content: The float32 graph.
        images: float32 (n, 1, rows, columns).
    """
    model = onnx.load_from_string(content)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            with np.errstate(over="ignore"):
                values = numpy_helper.to_array(tensor).astype(np.float16).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    _round_results(model)
    return run_graph(model.SerializeToString(), images, as_written=True)


def _round_results(model: ModelProto) -> None:
    """Put two casts, to fp16 and back, behind every operator whose result is float."""
    floats = _float_values(model)
    nodes = []
    for node in model.graph.node:
        nodes.append(node)
        for place, name in enumerate(node.output):
            if name in floats:
                node.output[place] = f"{name}_full"
                nodes.append(helper.make_node("Cast", [f"{name}_full"], [f"{name}_half"], to=TensorProto.FLOAT16))
                nodes.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _float_values(model: ModelProto) -> set[str]:
    """Return the names of all float32 values that operators make."""
    inferred = onnx.shape_inference.infer_shapes(model)
    values = [*inferred.graph.value_info, *inferred.graph.output]
    return {value.name for value in values if value.type.tensor_type.elem_type == TensorProto.FLOAT}
