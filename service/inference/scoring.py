"""The scoring process of a worker, seen from the worker: a tensor's name goes in, raw scores come out."""

from __future__ import annotations

import base64
import itertools
import json
import logging
import os
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.package import ModelPackage
from service.inference.forked import Forked, ForkFailed, ForkServer

log = logging.getLogger("pandok.inference")

START_TIMEOUT_S = 600.0
"""TensorRT builds its engines at the first start, which takes minutes."""
SHORTEST_RESTART_S = 10.0
RESTART_FACTOR = 4.0
"""A later start may take so many times as long as the first; one that hangs must not hold up studies for minutes."""
LEFT_ALONE_S = 30.0
"""How long no further start is tried after one that hung; meanwhile runs fail at once, and people read the studies."""


class ScoringFailed(Exception):
    """No usable scores: the network refused or stopped, gave NaN, took too long, or its process died."""


class _StartHung(ScoringFailed):
    """The process neither became ready in time nor died."""


class PackageUnusable(Exception):
    """A package that must serve has no session: the worker must not start."""


@dataclass(frozen=True, slots=True)
class RawScores:
    """What a network said about one tensor.

    Attributes:
        logits: One raw score per channel, all finite.
        heat_map: float32 (outputs, rows, columns), or None when the package has none.
        provider: ONNX Runtime's name of what really ran the graph; `/fp16` after it in half precision.
    """

    logits: tuple[float, ...]
    heat_map: NDArray[np.float32] | None
    provider: str


@dataclass(frozen=True, slots=True)
class Scored:
    """Raw scores of one tensor as they are remembered, and where its heat map stands."""

    logits: tuple[float, ...]
    heat_map_sha256: str | None
    provider: str

    @classmethod
    def recalled(cls, answer: Mapping[str, object]) -> Scored:
        """Read what was remembered."""
        logits, heat_map = answer["logits"], answer["heat_map_sha256"]
        if not isinstance(logits, list):
            raise TypeError("remembered scores have logits")
        scores = tuple(float(value) for value in logits)
        return cls(scores, None if heat_map is None else str(heat_map), str(answer["provider"]))


class Scoring:
    """Keeps the scoring process alive; usable by several threads at once.

    Args:
        packages: What to open sessions for.
        required: Hashes of those without which a worker must not start.
        workspace_folder: Where the tensors are.
        provider: The execution provider that is asked for.
        precision: `fp16` for the half precision files of packages that have one.
        threads: Threads inside one operator.
        max_batch: Most images in one batch.
        timeout_s: How long one request may take before the process is killed.
        server: Forks the process; one of its own when None.
    """

    def __init__(
        self,
        packages: Sequence[ModelPackage],
        *,
        required: Collection[str] = (),
        workspace_folder: Path,
        provider: Literal["cpu", "cuda", "tensorrt"],
        precision: Literal["fp32", "fp16"] = "fp32",
        threads: int,
        max_batch: int,
        timeout_s: float,
        server: ForkServer | None = None,
    ) -> None:
        self._folders = {str(package.folder.absolute()): package for package in packages}
        self._required = frozenset(required)
        self._refused: dict[str, str] = {}
        self._timeout_s = timeout_s
        self._server = server or ForkServer()
        self._owns_server = server is None
        self._arguments = [
            *("--workspace", str(workspace_folder.absolute()), "--provider", provider, "--threads", str(threads)),
            *("--precision", precision, "--max-batch", str(max_batch), "--"),
            *self._folders,
        ]
        self._lock = threading.Lock()
        self._process: _Process | None = None
        self._closed = False
        self._start_limit_s = START_TIMEOUT_S
        self._left_alone_until = 0.0
        self._ids = itertools.count(1)
        self.alarm: str | None = None
        """A loud state: a requested execution provider that is not in use."""
        self.provider: str | None = None
        """What scoring really runs on."""

    def start(self) -> None:
        """Start the process and learn how each package is run.

        A missing provider is an alarm, and its runs fail visibly; so does a refused package that is not required.
        Raises PackageUnusable when a required package is refused, ScoringFailed when the process does not start.
        """
        with self._lock:
            began = time.monotonic()
            self._start()
            self._start_limit_s = max(SHORTEST_RESTART_S, RESTART_FACTOR * (time.monotonic() - began))

    def score(self, package: ModelPackage, tensor_sha256: str) -> RawScores:
        """Score one tensor of the workspace. Raises ScoringFailed."""
        request_id = str(next(self._ids))
        request = {"id": request_id, "package": package.sha256, "tensor": tensor_sha256}
        answer = self._running().ask(request_id, request, self._timeout_s)
        logits = answer.get("logits")
        if not isinstance(logits, list):
            raise ScoringFailed(self.alarm or self._refused.get(package.sha256) or str(answer.get("failed")))
        return RawScores(tuple(float(value) for value in logits), _heat_map(answer), str(answer["provider"]))

    def pid(self) -> int | None:
        """Return the process id of the scoring process, while there is one."""
        process = self._process
        return process.pid if process is not None else None

    def close(self) -> None:
        """Stop the process; requests under way fail."""
        with self._lock:
            self._closed = True
            process, self._process = self._process, None
        if process is not None:
            process.kill()
        if self._owns_server:
            self._server.close()

    def _running(self) -> _Process:
        """Return the live process; a dead one is replaced."""
        with self._lock:
            if self._closed:
                raise ScoringFailed("the worker is stopping")
            if self._process is None or self._process.is_dead:
                if time.monotonic() < self._left_alone_until:
                    raise ScoringFailed("the scoring process does not start; it is tried again in a while")
                log.warning("scoring process restarted")
                try:
                    self._start()
                except _StartHung:
                    self._left_alone_until = time.monotonic() + LEFT_ALONE_S
                    raise
                except PackageUnusable as error:
                    raise ScoringFailed(str(error)) from error
            if self._process is None:
                raise ScoringFailed("the scoring process does not start")
            return self._process

    def _start(self) -> None:
        if self._process is not None:
            self._process.kill()
        try:
            forked = self._server.fork("service.inference.scoring_child", *self._arguments)
        except ForkFailed as error:
            raise ScoringFailed("the scoring process does not start") from error
        self._process = process = _Process(forked)
        alarms: list[str] = []
        self._refused = {}
        for folder, state in process.await_ready(self._start_limit_s).items():
            package = self._folders[folder]
            if "refused" in state:
                words = f"package {package.name} cannot be loaded: {state['refused']}"
                self._refused[package.sha256] = words
                log.error("package refused", extra={"package": package.name, "reason": words[:120]})
                if package.sha256 in self._required:
                    process.kill()
                    raise PackageUnusable(words)
            elif "provider_missing" in state:
                alarms.append(state["provider_missing"])
            else:
                self.provider = state["provider"]
        self.alarm = alarms[0] if alarms else None
        if self.alarm:
            self.provider = None
            log.error("execution provider missing", extra={"alarm": self.alarm[:120]})


class _Process:
    """One scoring process: writes requests, hands answers to whoever waits for them."""

    def __init__(self, forked: Forked) -> None:
        self._process = forked
        self.pid = forked.pid
        self._lock = threading.Lock()
        self._waiting: dict[str, Future[dict[str, object]]] = {}
        self._ready: Future[dict[str, dict[str, str]]] = Future()
        self.is_dead = False
        self._reader = threading.Thread(target=self._read, daemon=True, name="scoring-answers")
        self._reader.start()

    def await_ready(self, timeout_s: float) -> dict[str, dict[str, str]]:
        """Return folder → state of its session."""
        try:
            return self._ready.result(timeout_s)
        except (ScoringFailed, TimeoutError) as error:
            self.kill()
            kind = _StartHung if isinstance(error, TimeoutError) else ScoringFailed
            raise kind("the scoring process does not start") from error

    def ask(self, request_id: str, request: dict[str, str], timeout_s: float) -> dict[str, object]:
        """Send a request and wait for its answer; on timeout the process is killed, for it may never answer again."""
        future: Future[dict[str, object]] = Future()
        with self._lock:
            if self.is_dead:
                raise ScoringFailed("the scoring process died")
            self._waiting[request_id] = future
            try:
                self._write(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise ScoringFailed("the scoring process died") from error
        try:
            return future.result(timeout_s)
        except TimeoutError as error:
            self.kill()
            raise ScoringFailed(f"no scores within {timeout_s} s") from error

    def kill(self) -> None:
        """Kill the process and fail what it was working on."""
        self._process.kill()
        self._reader.join()
        with self._lock:
            self._process.close()

    def _write(self, content: bytes) -> None:
        view = memoryview(content)
        while view:
            view = view[os.write(self._process.stdin, view) :]

    def _read(self) -> None:
        try:
            with os.fdopen(os.dup(self._process.stdout), "rb") as buffered:
                for line in buffered:
                    if not line.endswith(b"\n"):  # it died while it spoke
                        break
                    self._hear(json.loads(line))
        finally:
            self._note_death()

    def _hear(self, answer: dict[str, Any]) -> None:
        if "ready" in answer:
            self._ready.set_result(answer["ready"])
            return
        with self._lock:
            future = self._waiting.pop(str(answer["id"]), None)
        if future is not None:
            future.set_result(answer)

    def _note_death(self) -> None:
        """Whatever ended the reading: nobody is asked any more, and nobody waits in vain."""
        with self._lock:
            self.is_dead = True
            waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            future.set_exception(ScoringFailed("the scoring process died"))
        if not self._ready.done():
            self._ready.set_exception(ScoringFailed("the scoring process died"))


def _heat_map(answer: Mapping[str, Any]) -> NDArray[np.float32] | None:
    if answer["heat_map"] is None:
        return None
    return np.frombuffer(base64.b64decode(answer["heat_map"]), dtype=np.float32).reshape(answer["shape"])
