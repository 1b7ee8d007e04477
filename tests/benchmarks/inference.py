"""Films scored per second beside a bare ONNX Runtime session, in one run (python -m tests.benchmarks.inference).

Ours and the bare session take turns, so that what else the machine does falls on both; a ratio is the median over
turns. On a GPU, where there is one, batches are swept in fp32 and fp16; a package without a half precision file gets
one made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.files import HASHES, ONNX, ONNX_HALF, hash_files
from models.package import SHIPPED, ModelPackage, find_packages, load_package
from models.session import PROVIDERS, Precision, Provider, Session
from service.inference.scoring import Scoring
from service.workspace import Workspace

CLIENTS = 4


def images_per_second(run: Callable[[], int], seconds: float) -> float:
    """Call something for a while; it returns how many images it has scored."""
    images, began = 0, time.perf_counter()
    while time.perf_counter() - began < seconds:
        images += run()
    return images / (time.perf_counter() - began)


def compare(
    ours: Callable[[], int], bare: Callable[[], int], *, rounds: int, seconds: float
) -> tuple[float, float, float]:
    """Return the median images/s of both and the median ratio; both have run once before."""
    ours(), bare()
    pairs = [(images_per_second(ours, seconds), images_per_second(bare, seconds)) for _ in range(rounds)]
    first, second = zip(*pairs, strict=True)
    return statistics.median(first), statistics.median(second), statistics.median(a / b for a, b in pairs)


def bare_session(content: bytes, provider: Provider, threads: int) -> ort.InferenceSession:
    """What anybody would write: the number of threads, and everything else as it comes."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(content, options, providers=list(PROVIDERS[provider]))


def through_session(
    package: ModelPackage,
    provider: Provider,
    precision: Precision,
    *,
    batch: int,
    threads: int,
    rounds: int,
    seconds: float,
) -> tuple[float, float, float]:
    """Compare `models.session` with a bare session on the same file."""
    images = np.random.default_rng(0).random((batch, *package.input_shape), dtype=np.float32)
    session = Session(package, provider=provider, precision=precision, threads=threads)
    content = (package.folder / (ONNX_HALF if precision == "fp16" else ONNX)).read_bytes()
    bare = bare_session(content, provider, threads)

    def ours() -> int:
        session.run(images)
        return batch

    def theirs() -> int:
        bare.run(None, {"image": images})
        return batch

    return compare(ours, theirs, rounds=rounds, seconds=seconds)


def through_process(package: ModelPackage, *, threads: int, rounds: int, seconds: float) -> tuple[float, float, float]:
    """Compare the scoring process, asked by several clients at once, with a bare session in this one; batch 1."""
    with ExitStack() as stack:
        workspace = Workspace(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        tensors = np.random.default_rng(0).random((CLIENTS, *package.input_shape), dtype=np.float32)
        names = [workspace.put_tensor(tensor) for tensor in tensors]
        scoring = Scoring(
            [package], workspace_folder=workspace.folder, provider="cpu", threads=threads, max_batch=1, timeout_s=60.0
        )
        stack.callback(scoring.close)
        scoring.start()
        clients = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        bare = bare_session(package.onnx_path.read_bytes(), "cpu", threads)

        def ours() -> int:
            return len(list(clients.map(lambda name: scoring.score(package, name), names)))

        def theirs() -> int:
            for tensor in tensors:
                bare.run(None, {"image": tensor[None]})
            return CLIENTS

        return compare(ours, theirs, rounds=rounds, seconds=seconds)


def with_half(package: ModelPackage, folder: Path) -> ModelPackage:
    """Return the package with a half precision file: its own, or one made here."""
    if package.half_sha256 is not None:
        return package
    from training.half import to_half

    copy = folder / package.name
    shutil.copytree(package.folder, copy)
    (copy / ONNX_HALF).write_bytes(to_half(package.onnx_path.read_bytes()))
    (copy / HASHES).write_text(json.dumps({"sha256": hash_files(copy)}))
    return load_package(copy)


def show(package: ModelPackage, how: str, figures: tuple[float, float, float]) -> None:
    ours, bare, ratio = figures
    print(f"{package.name:18} {how:34} {ours:8.1f} images/s   bare {bare:8.1f}   ratio {ratio:.3f}", flush=True)


def on_gpu(package: ModelPackage, batches: Sequence[int], *, rounds: int, seconds: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        package = with_half(package, Path(folder))
        for precision in ("fp32", "fp16"):
            for batch in batches:
                figures = through_session(
                    package, "cuda", precision, batch=batch, threads=1, rounds=rounds, seconds=seconds
                )
                show(package, f"cuda {precision}, batch {batch}", figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 4, 8])
    parser.add_argument("--gpu-batches", type=int, nargs="+", default=[1, 4, 16, 64, 256])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each turn")
    options = parser.parse_args()
    turns = {"rounds": options.rounds, "seconds": options.seconds}
    print(f"onnxruntime {ort.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    packages = [load_package(folder) for folder in find_packages(SHIPPED)]
    for package in packages:
        for threads in options.threads:
            for batch in options.batches:
                figures = through_session(package, "cpu", "fp32", batch=batch, threads=threads, **turns)
                show(package, f"cpu, {threads} threads, batch {batch}", figures)
            show(package, f"scoring process, {threads} threads", through_process(package, threads=threads, **turns))
    if PROVIDERS["cuda"][0] not in ort.get_available_providers():
        print(f"NO GPU WAS MEASURED: this installation of onnxruntime has {', '.join(ort.get_available_providers())}")
        return
    for package in packages:
        on_gpu(package, options.gpu_batches, **turns)


if __name__ == "__main__":
    main()
