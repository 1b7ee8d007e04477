"""Films scored per second beside a bare ONNX Runtime session, in one run (python -m tests.benchmarks.inference).

Ours and the bare session take turns, so that what else the machine does falls on both; a ratio is the median over
turns. With `--gpu` batches are swept on a GPU in fp32 and fp16; a package without a half precision file gets one made.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from models.files import HASHES, ONNX, ONNX_HALF, hash_files
from models.package import SHIPPED, ModelPackage, find_packages, load_package
from models.session import PROVIDERS, Precision, Provider, Session
from service.inference.scoring import Scoring
from service.workspace import Workspace
from tests.benchmarks.rows import Row, against, report

CLIENTS = 4
ROUND_TRIPS = 8
"""Requests of each client in a call, so that the queue before the scoring process runs dry seldom."""
MUST = 0.95
"""Of the bare session's rate, with the same batch and threads."""
BATCHES = (1, 8)
GPU_BATCHES = (1, 2, 4, 8, 16, 32, 64, 128)
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16")
GPU_BATCH = 16
"""Of the scoring process on a GPU."""


@dataclass(frozen=True)
class Turn:
    """Images in one turn, and what it took: seconds on the wall, and of processors."""

    images: int
    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Comparison:
    """Turn by turn: images a second on the wall, and a second of processors.

    A neighbour on the machine moves the ratio on the wall more than that of processor time.
    """

    ours: list[float]
    bare: list[float]
    ours_of_cpu: list[float]
    bare_of_cpu: list[float]

    def rows(self, work: str) -> list[Row]:
        """Return the comparison as rows of the page; it is the wall that is held to the limit."""
        of_cpu = f"{work}, by processor time"
        bare = "bare ONNX Runtime session"
        return [
            against(work, self.ours, bare, self.bare, unit="images/s", must=MUST),
            against(of_cpu, self.ours_of_cpu, bare, self.bare_of_cpu, unit="images/s", must=None),
        ]


def turn(run: Callable[[], int], seconds: float, pids: Sequence[int]) -> Turn:
    """Call something for a while; it returns how many images it has scored, on processors of these processes."""
    images, cpu, began = 0, cpu_seconds(pids), time.perf_counter()
    while time.perf_counter() - began < seconds:
        images += run()
    return Turn(images, time.perf_counter() - began, cpu_seconds(pids) - cpu)


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the processor time of some processes so far, from Linux's /proc."""
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(field[11]) + int(field[12]) for field in fields) / os.sysconf("SC_CLK_TCK")


def compare(
    ours: Callable[[], int], bare: Callable[[], int], *, rounds: int, seconds: float, child: int | None = None
) -> Comparison:
    """Let both take turns; both have run once before. `child` is a process that works for ours besides this one."""
    ours(), bare()
    here = os.getpid()
    pids = [here] if child is None else [here, child]
    pairs = [(turn(ours, seconds, pids), turn(bare, seconds, [here])) for _ in range(rounds)]
    first, second = zip(*pairs, strict=True)
    return Comparison(
        [one.images / one.wall_s for one in first],
        [one.images / one.wall_s for one in second],
        [one.images / one.cpu_s for one in first],
        [one.images / one.cpu_s for one in second],
    )


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
) -> Comparison:
    """Compare `models.session` with a bare session on the same file."""
    images = np.random.default_rng(0).random((batch, *package.input_shape), dtype=np.float32)
    session = Session(package, provider=provider, precision=precision, threads=threads)
    bare = bare_session(_content(package, precision), provider, threads)

    def ours() -> int:
        session.run(images)
        return batch

    def theirs() -> int:
        bare.run(None, {"image": images})
        return batch

    return compare(ours, theirs, rounds=rounds, seconds=seconds)


def _content(package: ModelPackage, precision: Precision) -> bytes:
    return (package.folder / (ONNX_HALF if precision == "fp16" else ONNX)).read_bytes()


def through_process(
    package: ModelPackage,
    provider: Provider = "cpu",
    precision: Precision = "fp32",
    *,
    batch: int = 1,
    threads: int,
    rounds: int,
    seconds: float,
) -> Comparison:
    """Compare the scoring process, asked by several clients at once, with a bare session in this one."""
    with ExitStack() as stack:
        workspace = Workspace(Path(stack.enter_context(tempfile.TemporaryDirectory())))
        asked = CLIENTS * batch
        tensors = np.random.default_rng(0).random((asked, *package.input_shape), dtype=np.float32)
        names = [workspace.put_tensor(tensor) for tensor in tensors]
        scoring = Scoring(
            [package], workspace_folder=workspace.folder, provider=provider, precision=precision, threads=threads,
            max_batch=batch, timeout_s=60.0,
        )  # fmt: skip
        stack.callback(scoring.close)
        scoring.start()
        clients = stack.enter_context(ThreadPoolExecutor(asked))
        bare = bare_session(_content(package, precision), provider, threads)

        def ours() -> int:
            return len(list(clients.map(lambda name: scoring.score(package, name), names * ROUND_TRIPS)))

        def theirs() -> int:
            for first in range(0, asked, batch):
                bare.run(None, {"image": tensors[first : first + batch]})
            return asked

        return compare(ours, theirs, rounds=rounds, seconds=seconds, child=scoring.pid())


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


def on_cpu(package: ModelPackage, threads: Sequence[int], *, rounds: int, seconds: float) -> list[Row]:
    """Compare the scoring process under load, and our session alone in batches."""
    rows = []
    for count in threads:
        told = f"{count} thread{'s' if count > 1 else ''}"
        figures = through_process(package, threads=count, rounds=rounds, seconds=seconds)
        rows += figures.rows(f"scoring under load, {package.name}, {told}, batch 1")
        for batch in BATCHES:
            figures = through_session(
                package, "cpu", "fp32", batch=batch, threads=count, rounds=rounds, seconds=seconds
            )
            rows += figures.rows(f"our session, {package.name}, {told}, batch {batch}")[:1]
    return rows


def on_gpu(package: ModelPackage, *, rounds: int, seconds: float) -> Iterator[Row]:
    """Ask the scoring process, then sweep batches, in both precisions."""
    with tempfile.TemporaryDirectory() as folder:
        package = with_half(package, Path(folder))
        for precision in PRECISIONS:
            figures = through_process(
                package, "cuda", precision, batch=GPU_BATCH, threads=1, rounds=rounds, seconds=seconds
            )
            yield figures.rows(f"scoring under load, {package.name}, CUDA {precision}, batch {GPU_BATCH}")[0]
            for batch in GPU_BATCHES:
                figures = through_session(
                    package, "cuda", precision, batch=batch, threads=1, rounds=rounds, seconds=seconds
                )
                yield figures.rows(f"our session, {package.name}, CUDA {precision}, batch {batch}")[0]


def measure(rounds: int = 7, seconds: float = 1.5, threads: Sequence[int] = (1,)) -> Iterator[Row]:
    """Compare each shipped package on the processor."""
    for package in map(load_package, find_packages(SHIPPED)):
        yield from on_cpu(package, threads, rounds=rounds, seconds=seconds)


def measure_gpu(rounds: int = 7, seconds: float = 1.5) -> Iterator[Row]:
    """Compare each shipped package on a GPU."""
    for package in map(load_package, find_packages(SHIPPED)):
        yield from on_gpu(package, rounds=rounds, seconds=seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.5, help="of each turn")
    parser.add_argument("--gpu", action="store_true", help="on a GPU instead of the processor")
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    print(f"onnxruntime {ort.__version__}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    if options.gpu:
        report("gpu", lambda: measure_gpu(options.rounds, options.seconds), kept=options.keep)
    else:
        report("inference", lambda: measure(options.rounds, options.seconds, options.threads), kept=options.keep)


if __name__ == "__main__":
    main()
