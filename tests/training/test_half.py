"""Half precision graphs, and a GPU's rounding on a machine without one."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from training.graphs import run_graph
from training.half import rounded_outputs, to_half


def scaled(*factors: float) -> bytes:
    """logits = mean(image * factor * factor ...), an operator for each factor."""
    names = ["image", *(f"x{number}" for number in range(len(factors)))]
    nodes = [
        helper.make_node("Mul", [names[number], f"factor{number}"], [names[number + 1]])
        for number in range(len(factors))
    ]
    nodes.append(helper.make_node("ReduceMean", [names[-1], "axes"], ["logits"], keepdims=0))
    graph = helper.make_graph(
        nodes,
        "scaled",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 4, 4])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 1])],
        [
            *(numpy_helper.from_array(np.array([f], np.float32), f"factor{n}") for n, f in enumerate(factors)),
            numpy_helper.from_array(np.array([2, 3]), "axes"),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    return bytes(model.SerializeToString())


def images() -> np.ndarray:
    return np.full((3, 1, 4, 4), 0.5, np.float32)


def test_half_precision_keeps_float32_at_the_edges_and_halves_the_weights() -> None:
    model = onnx.load_from_string(to_half(scaled(1.2345)))

    edges = [*model.graph.input, *model.graph.output]
    assert [edge.type.tensor_type.elem_type for edge in edges] == [TensorProto.FLOAT] * 2
    weights = next(tensor for tensor in model.graph.initializer if tensor.name == "factor0")
    assert weights.data_type == TensorProto.FLOAT16


def test_weights_are_rounded_to_eleven_bits() -> None:
    logits = rounded_outputs(scaled(1 + 2**-9 + 2**-13), images())["logits"]

    np.testing.assert_array_equal(logits, np.full((3, 1), 0.5 * (1 + 2**-9), np.float32))


def test_results_between_operators_are_rounded_although_a_cpu_would_not() -> None:
    content = scaled(1 + 2**-9, 1 + 2**-9)  # the product needs 19 bits

    exact, rounded = (run(content, images())["logits"] for run in (run_graph, rounded_outputs))

    np.testing.assert_array_equal(exact, np.full((3, 1), 0.5 * (1 + 2**-9) ** 2, np.float32))
    np.testing.assert_array_equal(rounded, np.full((3, 1), 0.5 * (1 + 2**-8), np.float32))


def test_an_overflow_inside_shows_although_a_cpu_would_hide_it() -> None:
    content = scaled(60_000.0, 60_000.0, 1 / 60_000.0)

    hidden = run_graph(to_half(content), images())["logits"]
    shown = rounded_outputs(content, images())["logits"]

    assert np.isfinite(hidden).all()
    assert np.isinf(shown).all()
