"""Foreign graphs between our names, whatever names they use themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.onnx_file import summarize
from training.graphs import run_graph
from training.importing.surgery import Fitting, fit, last_operator

FITTING = Fitting(
    shape=(1, 4, 4), value_range=(0.0, 1.0), columns_first=False, scores_output="pred", scores="logits",
    channels=(1, 0), heat_map_output=None, heat_map_shape=None,
)  # fmt: skip


def graph(*, picture: str = "x", scores: str = "pred", weights: str = "w", last: tuple[str, ...] = ()) -> bytes:
    """scores = (mean, 3 * mean), then the last operators."""
    names = ["raw", *(f"step{number}" for number in range(len(last)))]
    names[-1] = scores
    nodes = [
        helper.make_node("GlobalAveragePool", [picture], ["mean"]),
        helper.make_node("Conv", ["mean", weights], ["both"]),
        helper.make_node("Flatten", ["both"], [names[0]]),
        *(helper.make_node(operator, [names[n]], [names[n + 1]]) for n, operator in enumerate(last)),
    ]
    made = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(picture, TensorProto.FLOAT, [1, 1, 4, 4])],
        [helper.make_tensor_value_info(scores, TensorProto.FLOAT, [1, 2])],
        [numpy_helper.from_array(np.array([1.0, 3.0], np.float32).reshape(2, 1, 1, 1), weights)],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    "names",
    [
        {"picture": "image"},
        {"scores": "logits"},
        {"weights": "channels"},
        {"picture": "picture_scale", "scores": "picture_shifted", "weights": "least"},
    ],
)
@pytest.mark.parametrize("scores", ["logits", "probabilities"])
def test_names_of_the_foreign_graph_are_in_nobodys_way(names: dict[str, str], scores: str) -> None:
    pictures = np.random.default_rng(0).random((5, 1, 4, 4), dtype=np.float32) / 4
    fitting = replace(FITTING, scores_output=names.get("scores", "pred"), scores=scores)  # type: ignore[arg-type]

    content = fit(graph(**names), fitting)

    mean = pictures.mean(axis=(1, 2, 3))
    expected = np.stack([3 * mean, mean], axis=1)
    if scores == "probabilities":
        expected = np.log(expected / (1 - expected))
    np.testing.assert_allclose(run_graph(content, pictures)["logits"], expected, rtol=1e-4)
    summary = summarize(content)
    assert summary.inputs["image"].shape == (None, 1, 4, 4)
    assert summary.outputs.keys() == {"logits"}


def test_certain_probabilities_have_finite_logits() -> None:
    content = fit(graph(last=("Relu",)), replace(FITTING, scores="probabilities"))
    pictures = np.stack([np.zeros((1, 4, 4), np.float32), np.ones((1, 4, 4), np.float32)])

    logits = run_graph(content, pictures)["logits"]

    assert np.isfinite(logits).all()
    assert (logits[0] < -13).all()
    assert (logits[1] > 13).all()


@pytest.mark.parametrize(
    ("last", "found"),
    [((), "Conv"), (("Sigmoid",), "Sigmoid"), (("Softmax", "Identity", "Flatten"), "Softmax"), (("Relu",), "Relu")],
)
def test_the_last_operator_is_seen_through_those_that_only_reshape(last: tuple[str, ...], found: str) -> None:
    assert last_operator(graph(last=last), "pred") == found


def test_a_fitted_graph_keeps_to_the_standard() -> None:
    onnx.checker.check_model(onnx.load_from_string(fit(graph(), FITTING)), full_check=True)
