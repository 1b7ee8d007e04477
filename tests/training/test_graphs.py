"""Torch modules as ONNX bytes: any batch, nothing of the machine, and run as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from training.graphs import run_graph, to_onnx, without_traces


class Doubled(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return 2 * image.mean(dim=(2, 3))


@pytest.fixture(scope="module")
def content() -> bytes:
    return to_onnx(Doubled(), input_shape=(1, 8, 8), output_names=["logits"])


def test_a_graph_takes_any_batch(content: bytes) -> None:
    images = np.random.default_rng(0).random((19, 1, 8, 8), dtype=np.float32)

    logits = run_graph(content, images)["logits"]

    np.testing.assert_allclose(logits, Doubled()(torch.from_numpy(images)).numpy(), atol=1e-6)


def test_a_graph_holds_no_path_of_this_machine(content: bytes) -> None:
    assert str(Path(__file__).parent.parent).encode() not in content
    assert b"site-packages" not in content
    assert without_traces(content) == content


def test_weights_stand_inside_the_file() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))

    model = onnx.load_from_string(to_onnx(Named(network), input_shape=(1, 8, 8), output_names=["logits"]))

    assert sum(tensor.ByteSize() for tensor in model.graph.initializer) > 4 * 128
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)


class Named(nn.Module):
    """The exporter names the axis of a parameter called `image`."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        return self.network(image)
