"""Torch → ONNX bytes, and ONNX bytes run as they are."""

from __future__ import annotations

import contextlib
import io
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import nn

OPSET = 18
BATCH = 8


def to_onnx(network: nn.Module, *, input_shape: tuple[int, ...], output_names: Sequence[str]) -> bytes:
    """Return the network as ONNX bytes with a free batch axis and all weights inside."""
    network.eval()
    example = torch.rand(2, *input_shape)
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter warns about its own dependencies
        path = Path(work) / "model.onnx"
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["image"],
            output_names=list(output_names),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
        return without_traces(path.read_bytes())


def without_traces(content: bytes) -> bytes:
    """Return the ONNX file without the exporter's stack traces: they name folders of the machine that made it."""
    model = onnx.load_from_string(content)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


def run_graph(
    content: bytes, images: NDArray[np.float32], *, batch: int = BATCH, as_written: bool = False
) -> dict[str, NDArray[np.float32]]:
    """Run a graph with one input on a CPU and return its outputs by name.

    Args:
        content: The ONNX file.
        images: (n, ...) as the graph takes them.
        batch: How many of them at a time.
        as_written: Let the runtime rewrite nothing, so that casts which cancel each other stay.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    if as_written:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[start : start + batch]}) for start in range(0, len(images), batch)]
    names = [output.name for output in session.get_outputs()]
    return {name: np.concatenate(values) for name, values in zip(names, zip(*parts, strict=True), strict=True)}
