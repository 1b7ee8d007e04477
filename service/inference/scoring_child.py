"""The process that owns the ONNX sessions: one JSON request a line in, one JSON answer a line out, images by file.

Requests that wait together for the same package are scored as one batch; nobody waits for company.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import queue
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.package import ModelPackage, PackageRefused, load_package
from models.session import Precision, Provider, ProviderMissing, ScoringFailed, Session
from service.memory import give_back
from service.workspace import NotInWorkspace, Workspace

Request = dict[str, str]
Tensor = NDArray[np.float32]


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
    threading.excepthook = _end
    for name, work in (
        ("requests", lambda: _read(requests, child.waiting)),
        ("tensors", child.load_tensors),
        ("answers", child.answer),
    ):
        threading.Thread(target=work, daemon=True, name=name).start()
    child.score_for_ever()


def _end(failure: threading.ExceptHookArgs) -> None:
    """End the process with a thread that failed: the worker starts another one, and nobody waits in vain."""
    sys.excepthook(failure.exc_type, failure.exc_value or failure.exc_type(), failure.exc_traceback)
    os._exit(1)


def _read(requests: int, waiting: queue.SimpleQueue[Request]) -> None:
    """Queue every request; when the worker is gone so are we, whatever is being scored."""
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            waiting.put(json.loads(line))
    os._exit(0)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A request whose tensor stands ready."""

    request: Request
    session: Session
    tensor: Tensor


@dataclass(frozen=True, slots=True)
class Scored:
    """A request and its scores: logits (c,), heat map (c, h, w) if the package has one."""

    request: Request
    session: Session
    logits: Tensor
    heat_map: Tensor | None


class ScoringChild:
    """The sessions, and the queues around them: the next tensors are read and the last answers written meanwhile.

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
        self._loaded: queue.Queue[Loaded] = queue.Queue(max_batch)
        self._scored: queue.SimpleQueue[Scored] = queue.SimpleQueue()
        self._saying = threading.Lock()

    def load(self, folders: Sequence[Path], *, provider: Provider, precision: Precision, threads: int) -> None:
        """Open a session per package and tell the worker, package by package, how that went."""
        state: dict[str, dict[str, str]] = {}
        for folder in folders:
            try:
                package = load_package(folder)
                size = None if provider == "cpu" else self._max_batch
                session = Session(package, provider=provider, precision=precision, threads=threads, batch_size=size)
            except ProviderMissing as missing:
                state[str(folder)] = {"provider_missing": str(missing)}
            except PackageRefused as refusal:
                state[str(folder)] = {"refused": str(refusal)}
            else:
                with contextlib.suppress(ScoringFailed):  # the first run is slow; a failure shows with the first image
                    session.run(np.zeros((1, *package.input_shape), dtype=np.float32))
                self._sessions[package.sha256] = session
                state[str(folder)] = {"provider": session.provider}
        give_back()  # building a graph takes as much again as the graph, and lets go of it
        self._say({"ready": state})

    def load_tensors(self) -> None:
        """Read the tensor of each request, a few ahead of the network."""
        while True:
            request = self.waiting.get()
            session = self._sessions.get(request["package"])
            if session is None:
                self._fail(request, "the package is not loaded")
                continue
            try:
                self._loaded.put(Loaded(request, session, self._tensor(request, session.package)))
            except (NotInWorkspace, ScoringFailed) as error:
                self._fail(request, str(error))

    def score_for_ever(self) -> None:
        """Take what waits, batch what belongs together."""
        held: list[Loaded] = []
        while True:
            first = held.pop(0) if held else self._loaded.get()
            while not self._loaded.empty():
                held.append(self._loaded.get())
            company = [one for one in held if one.session is first.session][: self._max_batch - 1]
            held = [one for one in held if one not in company]
            self._score([first, *company])

    def answer(self) -> None:
        """Say what the scores are."""
        while True:
            scored = self._scored.get()
            session, heat_map = scored.session, scored.heat_map
            self._say(
                {
                    "id": scored.request["id"],
                    "logits": [float(value) for value in scored.logits],
                    "heat_map": None if heat_map is None else base64.b64encode(heat_map.tobytes()).decode(),
                    "shape": None if heat_map is None else heat_map.shape,
                    "provider": session.provider if session.precision == "fp32" else f"{session.provider}/fp16",
                }
            )

    def _score(self, batch: Sequence[Loaded]) -> None:
        session = batch[0].session
        try:
            scores = session.run(np.stack([one.tensor for one in batch]))
        except ScoringFailed as error:
            if len(batch) == 1:
                self._fail(batch[0].request, str(error))
                return
            for one in batch:  # one bad image must fail alone
                self._score([one])
            return
        for row, one in enumerate(batch):
            heat_map = None if scores.heat_map is None else scores.heat_map[row]
            self._scored.put(Scored(one.request, session, scores.logits[row], heat_map))

    def _tensor(self, request: Request, package: ModelPackage) -> Tensor:
        tensor = self._workspace.tensor(request["tensor"])
        if tensor.shape != package.input_shape:
            raise ScoringFailed(f"the tensor has shape {tensor.shape}, not {package.input_shape}")
        return tensor

    def _fail(self, request: Request, words: str) -> None:
        self._say({"id": request["id"], "failed": words})

    def _say(self, answer: dict[str, object]) -> None:
        view = memoryview(json.dumps(answer).encode() + b"\n")
        with self._saying:
            while view:
                view = view[os.write(self._answers, view) :]


if __name__ == "__main__":
    main()
