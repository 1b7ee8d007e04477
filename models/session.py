"""Runs a package's ONNX file: arrays in, named outputs out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as ort_errors

from models.files import ONNX_HALF
from models.package import ModelPackage, PackageRefused

Provider = Literal["cpu", "cuda", "tensorrt"]
Precision = Literal["fp32", "fp16"]

PROVIDERS: dict[Provider, tuple[str, ...]] = {
    "cpu": ("CPUExecutionProvider",),
    "cuda": ("CUDAExecutionProvider", "CPUExecutionProvider"),
    "tensorrt": ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"),
}
"""Requested provider → ONNX Runtime's names. The CPU stands last for the few operators that shape a graph; the first
name must be the one really in use."""

CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}
"""Of what is called fp32. TF32 moves a logit by 0.013, and by 0.0015 with the company that an image has in its batch;
without it a GPU says what a CPU says, and the same in any batch (docs/gpu.md). An exhaustive search for algorithms
takes longer at every new shape and finds hardly one that is faster."""

RUNTIME_ERRORS = (
    ort_errors.Fail, ort_errors.InvalidArgument, ort_errors.InvalidGraph, ort_errors.InvalidProtobuf,
    ort_errors.NotImplemented, ort_errors.RuntimeException, ort_errors.EPFail, ort_errors.NoSuchFile,
)  # fmt: skip


class ProviderMissing(Exception):
    """The requested execution provider is not the one in use: an alarm, never a silent fall-back to the CPU."""


class ScoringFailed(Exception):
    """The network gave no usable scores: it stopped, or the outputs have wrong shapes, NaN or infinity."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a network says about a batch.

    Attributes:
        logits: float32 (n, k), all finite.
        heat_map: float32 (n, k, h, w), all finite; None when the package has none.
    """

    logits: NDArray[np.float32]
    heat_map: NDArray[np.float32] | None


class Session:
    """One loaded network. Not for use from several threads at a time.

    Args:
        package: A checked package; its ONNX bytes are read again and must still have the same hash.
        provider: Where to run. Anything but what is really in use raises.
        precision: `fp16` takes the package's file in half precision where it has one; a CPU runs it too, slower than
            the full one. Inputs and outputs are float32 either way.
        threads: Threads inside one operator; with 1 the same input gives the same bits each time.
        batch_size: Smaller batches are filled up to it, and what fills them up has no scores: a GPU scores batches of
            changing size at a fraction of its speed (docs/gpu.md). None gives the network batches as they come.

    Raises:
        PackageRefused: The ONNX file changed after it was checked, or ONNX Runtime cannot build the graph.
        ProviderMissing: The requested provider is absent, or ONNX Runtime fell back from it.
    """

    def __init__(
        self,
        package: ModelPackage,
        *,
        provider: Provider = "cpu",
        precision: Precision = "fp32",
        threads: int = 1,
        batch_size: int | None = None,
    ) -> None:
        wanted = PROVIDERS[provider]
        available = ort.get_available_providers()
        if wanted[0] not in available:
            raise ProviderMissing(f"{wanted[0]} was requested; this installation has {', '.join(available)}")
        if provider != "cpu":
            ort.preload_dlls()  # CUDA's libraries may come from pip (the `gpu` extra), where no loader looks
        is_half = precision == "fp16" and package.half_sha256 is not None
        _share_arena()
        try:
            with _graph(package, is_half=is_half) as path:
                self._session = ort.InferenceSession(
                    path,
                    _options(threads),
                    providers=[(name, _options_of(name)) for name in wanted if name in available],
                )
        except RUNTIME_ERRORS as error:
            raise PackageRefused(f"ONNX Runtime refuses the graph: {str(error)[:200]}") from error
        self._session.disable_fallback()
        in_use = self._session.get_providers()[0]
        if in_use != wanted[0]:
            raise ProviderMissing(f"{wanted[0]} was requested but {in_use} is in use")
        self.provider: str = in_use
        """ONNX Runtime's name of the provider that really runs the graph."""
        self.precision: Precision = "fp16" if is_half else "fp32"
        """Of the graph that is run."""
        self.package = package
        self._output_names = ["logits", "heat_map"] if package.has_heat_map else ["logits"]
        self._channels = len(package.outputs) or len(package.scope_classes)
        self._batch_size = batch_size

    def run(self, batch: NDArray[np.float32]) -> Scores:
        """Score a batch.

        Args:
            batch: float32 (n, c, h, w), of volumes (n, c, z, y, x), as the package's recipe makes it, values 0..1.

        Returns:
            Logits, and heat maps when the package has them.

        Raises:
            ScoringFailed: The batch has another shape or type, the network stopped, or its outputs are not usable.
        """
        if batch.dtype != np.float32 or batch.shape[1:] != self.package.input_shape or not len(batch):
            raise ScoringFailed(
                f"the batch is {batch.dtype} {batch.shape}, not float32 (n, *{self.package.input_shape})"
            )
        given = filled_up(batch, self._batch_size) if self._batch_size else batch
        try:
            outputs = [values[: len(batch)] for values in self._session.run(self._output_names, {"image": given})]
        except RUNTIME_ERRORS as error:
            raise ScoringFailed(f"the network stopped: {str(error)[:200]}") from error
        logits = _finite(outputs[0], "logits")
        heat_map = _finite(outputs[1], "heat_map") if self.package.has_heat_map else None
        if logits.shape != (len(batch), self._channels):
            raise ScoringFailed(f"logits have shape {logits.shape}, not ({len(batch)}, {self._channels})")
        if heat_map is not None and (heat_map.ndim != 4 or heat_map.shape[:2] != logits.shape):
            raise ScoringFailed(f"heat_map has shape {heat_map.shape}, not ({len(batch)}, {self._channels}, h, w)")
        return Scores(logits=logits, heat_map=heat_map)


def filled_up(batch: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """Fill a batch, float32 (n, ...), up with zeros to (size, ...); one that is as large or larger is left as it is."""
    if len(batch) >= size:
        return batch
    return np.concatenate([batch, np.zeros((size - len(batch), *batch.shape[1:]), dtype=batch.dtype)])


@contextmanager
def _graph(package: ModelPackage, *, is_half: bool) -> Iterator[str]:
    """Give the path of a copy in memory of the package's ONNX file, whose bytes are those that were checked.

    A session that is given bytes keeps them; and a file could be altered between our reading and the session's.
    """
    half, full = (package.folder / ONNX_HALF, package.half_sha256), (package.onnx_path, package.weights_sha256)
    path, sha256 = half if is_half else full
    content = path.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise PackageRefused(f"{path.name} was altered after the package was checked")
    with os.fdopen(os.memfd_create(path.name), "wb") as copy:
        copy.write(content)
        copy.flush()
        del content
        yield f"/proc/self/fd/{copy.fileno()}"


@cache
def _share_arena() -> None:
    """Let the sessions of this process take working memory from one arena: only one runs at a time.

    Without any, ONNX Runtime plans no reuse of memory, and a batch of eight takes a third longer.
    """
    memory = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
    ort.create_and_register_allocator(memory, ort.OrtArenaCfg({}))


def _options_of(provider: str) -> dict[str, str]:
    return CUDA_OPTIONS if provider == "CUDAExecutionProvider" else {}


def _options(threads: int) -> ort.SessionOptions:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.use_deterministic_compute = True
    options.add_session_config_entry("session.use_env_allocators", "1")  # `_share_arena`'s
    # Spinning threads halve the throughput as soon as anything else wants the cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return options


def _finite(values: NDArray[np.float32], name: str) -> NDArray[np.float32]:
    if values.dtype != np.float32 or not np.isfinite(values).all():
        raise ScoringFailed(f"{name} holds NaN or infinity, or is not float32")
    return values
