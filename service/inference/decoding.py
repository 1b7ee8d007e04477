"""Decode children: a stored file goes in, a tensor in the workspace or a reason comes out, the worker lives on."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import queue
import select
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from preprocessing.errors import Reason
from preprocessing.recipes import Placement, VolumePlacement
from service.inference.forked import Forked, ForkFailed, ForkServer

log = logging.getLogger("pandok.inference")

START_TIMEOUT_S = 60.0
_DECODERS = ("imagecodecs", "numpy", "pandok")
GRACE_S = 5.0
"""How much longer than the child's own deadline we wait for the zygote's word."""

SLICES_PER_IMAGE = 100
"""A slice is that much smaller than the largest radiograph: so many get the time of one."""
MOST_IMAGES_OF_TIME = 10

How = Literal["signal", "exit", "panic", "timeout", "cpu", "memory", "file_size"]
LIMITS: frozenset[How] = frozenset({"timeout", "cpu", "memory", "file_size"})


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor that stands in the workspace."""

    tensor_sha256: str
    placement: Placement | VolumePlacement
    notes: tuple[str, ...]
    decoder: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The recipe refuses the image."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Died:
    """The child did not survive the image."""

    how: How
    detail: str

    @property
    def is_limit(self) -> bool:
        """A limit of time, memory or size was broken: once is enough."""
        return self.how in LIMITS


Prepared = Tensor | Refused | Died


class DecodeUnavailable(Exception):
    """The machine, not the image, is to blame: try again later."""


@dataclass(frozen=True, slots=True)
class DecodeLimits:
    """What one image may cost."""

    memory_bytes: int
    cpu_s: int
    wall_s: float


class DecodePool:
    """A few zygotes, each serving one image at a time; usable by several threads at once.

    Args:
        processes: How many images are decoded at the same time.
        limits: What one image may cost.
        workspace_folder: Where the tensors go.
        recipes: Module whose `RECIPES` the children use.
        server: Forks the zygotes; one of the pool's own when None.
    """

    def __init__(
        self,
        *,
        processes: int,
        limits: DecodeLimits,
        workspace_folder: Path,
        recipes: str = "preprocessing.recipes",
        server: ForkServer | None = None,
    ) -> None:
        self._processes = processes
        self._limits = limits
        self._workspace_folder = workspace_folder
        self._recipes = recipes
        self._server = server or ForkServer()
        self._owns_server = server is None
        self._idle: queue.SimpleQueue[_Zygote] = queue.SimpleQueue()
        self._all: list[_Zygote] = []
        self._closed = False
        self.decoders = ", ".join(f"{name} {version(name)}" for name in _DECODERS)
        """What the children decode with: other versions may survive what killed these, and read it otherwise."""

    def start(self) -> None:
        """Start the zygotes. Raises DecodeUnavailable when they cannot: no half-ready worker."""
        zygotes = [_Zygote(self._server, self._recipes) for _ in range(self._processes)]
        try:
            for zygote in zygotes:
                zygote.start()
            for zygote in zygotes:
                zygote.await_ready()
        except BaseException:
            for zygote in zygotes:
                zygote.discard()
            if self._owns_server:
                self._server.close()
            raise
        for zygote in zygotes:
            self._all.append(zygote)
            self._idle.put(zygote)

    def prepare(self, path: Path, header: Mapping[str, object], recipe: str) -> Prepared:
        """Decode a stored file with a recipe; blocks while every zygote is busy.

        Args:
            path: The file in the archive.
            header: The instance's header as JSON values.
            recipe: Name and version.

        Raises:
            DecodeUnavailable: The pool is closed, a zygote was lost, the disk is full, the file is not there.
        """
        return self._do({"path": str(path.absolute()), "header": dict(header), "recipe": recipe}, 1)

    def prepare_series(self, paths: Sequence[Path], recipe: str, *, slices: int) -> Prepared:
        """Decode the stored files of a series with a recipe for volumes; blocks while every zygote is busy.

        Args:
            paths: The files in the archive, in any order.
            recipe: Name and version.
            slices: How many slices they hold: the time that the child gets grows with them.

        Raises:
            DecodeUnavailable: As `prepare`.
        """
        task: dict[str, object] = {"paths": [str(path.absolute()) for path in paths], "recipe": recipe}
        return self._do(task, min(MOST_IMAGES_OF_TIME, 1 + slices // SLICES_PER_IMAGE))

    def _do(self, task: dict[str, object], images: int) -> Prepared:
        """Give a task to a zygote, with the time of so many images."""
        task["workspace"] = str(self._workspace_folder.absolute())
        return read_answer(self.ask(task, images=images))

    def ask(self, task: Mapping[str, object], *, images: int = 1) -> dict[str, object]:
        """Give one task to a child of its own, with the time of so many images; blocks while every zygote is busy.

        Returns:
            What the child said.

        Raises:
            DecodeUnavailable: The pool is closed, or a zygote was lost.
        """
        wall_s = self._limits.wall_s * images
        limits = {
            "memory_bytes": self._limits.memory_bytes,
            "cpu_s": self._limits.cpu_s * images,
            "wall_s": wall_s,
        }
        zygote = self._idle.get()
        try:
            if self._closed:
                raise DecodeUnavailable("the worker is stopping")
            zygote.revive()
            return zygote.ask({**task, **limits}, wall_s + GRACE_S)
        finally:
            self._idle.put(zygote)

    def pids(self) -> list[int]:
        """Return the process ids of the living zygotes."""
        return [pid for zygote in self._all if (pid := zygote.pid) is not None]

    def close(self) -> None:
        """Kill the zygotes and, with them, what they are decoding; who waits for one is told so."""
        self._closed = True
        for zygote in self._all:
            zygote.kill()
        returned: list[_Zygote] = []
        with contextlib.suppress(queue.Empty):
            while len(returned) < len(self._all):
                returned += [self._idle.get(timeout=GRACE_S)]
        for zygote in returned:
            zygote.discard()
            self._idle.put(zygote)
        if self._owns_server:
            self._server.close()


class _Zygote:
    """One `decode_child` process and the two pipes to it."""

    def __init__(self, server: ForkServer, recipes: str) -> None:
        self._server = server
        self._recipes = recipes
        self._lock = threading.Lock()
        self._process: Forked | None = None
        self._closed = False
        self._buffer = b""

    @property
    def pid(self) -> int | None:
        """Process id, while there is a process."""
        process = self._process
        return process.pid if process is not None else None

    def start(self) -> None:
        """Start the process without waiting for it."""
        with self._lock:
            if self._closed:
                raise DecodeUnavailable("the worker is stopping")
            self._buffer = b""
            try:
                self._process = self._server.fork("service.inference.decode_child", "--recipes", self._recipes)
            except ForkFailed as error:
                raise DecodeUnavailable("a decode process did not start") from error

    def await_ready(self) -> None:
        """Wait until the process has its recipes."""
        answer = self._receive(START_TIMEOUT_S)
        if "ready" not in answer:
            self.discard()
            raise DecodeUnavailable("a decode process did not start")
        for what in cast(list[str], answer["open"]):
            log.warning("decoders not kept from what is not theirs", extra={"reason": what})

    def revive(self) -> None:
        """Start the process again when it is gone."""
        if self._process is None or not self._process.is_running():
            log.warning("decode process restarted")
            self.discard()
            self.start()
            self.await_ready()

    def ask(self, task: dict[str, object], timeout_s: float) -> dict[str, object]:
        """Send a task and wait for its answer; a zygote that does not answer is killed."""
        process = self._process
        if process is None:
            raise DecodeUnavailable("a decode process is gone")
        try:
            _write_all(process.stdin, json.dumps(task).encode() + b"\n")
        except OSError as error:
            self.discard()
            raise DecodeUnavailable("a decode process is gone") from error
        return self._receive(timeout_s)

    def kill(self) -> None:
        """Kill the process for good; whoever is waiting for its answer then reads the end of the pipe."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def discard(self) -> None:
        """Kill the process and close its pipes; only for the thread that holds the zygote."""
        with self._lock:
            process, self._process = self._process, None
        if process is not None:
            process.close()

    def _receive(self, timeout_s: float) -> dict[str, object]:
        process = self._process
        if process is None:
            raise DecodeUnavailable("a decode process is gone")
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            ready, _, _ = select.select([process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            chunk = os.read(process.stdout, 65_536) if ready else b""
            if not chunk:
                self.discard()
                raise DecodeUnavailable("a decode process is gone" if ready else "a decode process does not answer")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        answer: dict[str, object] = json.loads(line)
        return answer


def _write_all(descriptor: int, content: bytes) -> None:
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]


def answer_of(prepared: Tensor | Refused) -> dict[str, object]:
    """Return what the child said, as JSON values."""
    if isinstance(prepared, Refused):
        return {"refused": prepared.reason.value, "detail": prepared.detail}
    return {
        "ok": {
            "tensor_sha256": prepared.tensor_sha256,
            "placement": asdict(prepared.placement),
            "notes": list(prepared.notes),
            "decoder": prepared.decoder,
        }
    }


def read_answer(answer: dict[str, object]) -> Prepared:
    """Read what the child said. Raises DecodeUnavailable when the machine is to blame."""
    match answer:
        case {"ok": {"tensor_sha256": str(tensor), "placement": dict(place), "notes": list(notes), "decoder": decoder}}:
            return Tensor(tensor, _placement(place), tuple(str(note) for note in notes), str(decoder))
        case {"refused": str(reason), "detail": detail}:
            return Refused(Reason(reason), str(detail))
        case {"died": how, "detail": detail}:
            return Died(cast(How, how), str(detail))
        case _:
            raise DecodeUnavailable(f"the machine refused: {answer.get('unavailable', 'unknown answer')}")


def _placement(values: Mapping[str, Any]) -> Placement | VolumePlacement:
    if "affine" in values:
        return VolumePlacement(tuple(tuple(float(value) for value in line) for line in values["affine"]))
    return Placement(**values)
