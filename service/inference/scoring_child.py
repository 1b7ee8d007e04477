"""The process that owns the ONNX sessions: one JSON request a line in, one JSON answer a line out, tensors by file.

Requests that wait together for the same package are scored as one batch; nobody waits for company.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import json
import os
import queue
import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from models.package import ModelPackage, PackageRefused, load_package
from models.session import Precision, Provider, ProviderMissing, ScoringFailed, Session
from service.workspace import NotInWorkspace, Workspace

Request = dict[str, str]


def main() -> None:
    """Load the packages, tell how each is run, then serve until the worker closes the pipe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--provider", choices=["cpu", "cuda", "tensorrt"], required=True)
    parser.add_argument("--precision", choices=["fp32", "fp16"], required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--max-batch", type=int, required=True)
    parser.add_argument("packages", type=Path, nargs="*")
    options = parser.parse_args()
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    child = ScoringChild(Workspace(options.workspace), answers, options.max_batch)
    child.load(options.packages, provider=options.provider, precision=options.precision, threads=options.threads)
    threading.Thread(target=_read, args=(requests, child.waiting), daemon=True, name="requests").start()
    child.score_for_ever()


def _read(requests: int, waiting: queue.SimpleQueue[Request]) -> None:
    """Queue every request; when the worker is gone so are we, whatever is being scored."""
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            waiting.put(json.loads(line))
    os._exit(0)


class ScoringChild:
    """The sessions, and the queue before them.

    Args:
        workspace: Where tensors are read from.
        answers: File descriptor of the pipe to the worker.
        max_batch: Most images in one batch; 1 on a CPU, where batches gain nothing.
    """

    def __init__(self, workspace: Workspace, answers: int, max_batch: int) -> None:
        self._workspace = workspace
        self._answers = answers
        self._max_batch = max_batch
        self._sessions: dict[str, Session] = {}
        self.waiting: queue.SimpleQueue[Request] = queue.SimpleQueue()

    def load(self, folders: Sequence[Path], *, provider: Provider, precision: Precision, threads: int) -> None:
        """Open a session per package and tell the worker, package by package, how that went."""
        state: dict[str, dict[str, str]] = {}
        for folder in folders:
            try:
                package = load_package(folder)
                session = Session(package, provider=provider, precision=precision, threads=threads)
            except ProviderMissing as missing:
                state[str(folder)] = {"provider_missing": str(missing)}
            except PackageRefused as refusal:
                state[str(folder)] = {"refused": str(refusal)}
            else:
                with contextlib.suppress(ScoringFailed):  # the first run is slow; a failure shows with the first image
                    session.run(np.zeros((1, *package.input_shape), dtype=np.float32))
                self._sessions[package.sha256] = session
                state[str(folder)] = {"provider": session.provider}
        ctypes.CDLL(None).malloc_trim(0)  # building a graph takes as much again as the graph, and lets go of it
        self._say({"ready": state})

    def score_for_ever(self) -> None:
        """Take what waits, batch what belongs together, answer each request."""
        held: list[Request] = []
        while True:
            first = held.pop(0) if held else self.waiting.get()
            while not self.waiting.empty():
                held.append(self.waiting.get())
            company = [request for request in held if request["package"] == first["package"]][: self._max_batch - 1]
            held = [request for request in held if request not in company]
            self._score([first, *company])

    def _score(self, requests: list[Request]) -> None:
        session = self._sessions.get(requests[0]["package"])
        if session is None:
            for request in requests:
                self._say({"id": request["id"], "failed": "the package is not loaded"})
            return
        tensors, present = [], []
        for request in requests:
            try:
                tensors.append(self._tensor(request, session.package))
                present.append(request)
            except (NotInWorkspace, ScoringFailed) as error:
                self._say({"id": request["id"], "failed": str(error)})
        if not present:
            return
        try:
            scores = session.run(np.stack(tensors))
        except ScoringFailed as error:
            self._blame(present, str(error))
            return
        for row, request in enumerate(present):
            try:
                if scores.heat_map is not None:
                    np.save(request["heat_map"], scores.heat_map[row], allow_pickle=False)
            except OSError as error:
                self._say({"id": request["id"], "failed": f"the heat map cannot be written: {error.strerror}"})
                continue
            self._say(
                {
                    "id": request["id"],
                    "logits": [float(value) for value in scores.logits[row]],
                    "heat_map": scores.heat_map is not None,
                    "provider": session.provider if session.precision == "fp32" else f"{session.provider}/fp16",
                }
            )

    def _blame(self, requests: list[Request], words: str) -> None:
        """One bad image must fail alone: score each of a failed batch by itself."""
        if len(requests) == 1:
            self._say({"id": requests[0]["id"], "failed": words})
            return
        for request in requests:
            self._score([request])

    def _tensor(self, request: Request, package: ModelPackage) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        tensor = self._workspace.tensor(request["tensor"])
        if tensor.shape != package.input_shape:
            raise ScoringFailed(f"the tensor has shape {tensor.shape}, not {package.input_shape}")
        return tensor

    def _say(self, answer: dict[str, object]) -> None:
        view = memoryview(json.dumps(answer).encode() + b"\n")
        while view:
            view = view[os.write(self._answers, view) :]


if __name__ == "__main__":
    main()
