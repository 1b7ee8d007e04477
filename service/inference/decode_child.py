"""The zygote that forks a disposable child per image or series: warm imports, hard limits, no network, no other file.

Reads one JSON task a line, a recipe's or (with a `wish`) the web process', answers one JSON line:
`{"ok": ...}` | `{"refused": reason, "detail": ...}` | `{"died": how, "detail": ...}` | `{"unavailable": why}`.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import errno
import gc
import importlib
import json
import os
import resource
import select
import signal
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from preprocessing.errors import UnsupportedImage
from preprocessing.header import from_json
from preprocessing.recipes import Prepared, PreparedVolume, Recipe, SeriesRecipe
from service.inference import confinement, drawing_child
from service.workspace import Workspace

PR_SET_PDEATHSIG = 1

MAX_OPEN_FILES = 64
MAX_TENSOR_FILE_BYTES = 256 * 1024**2
MACHINE_ERRORS = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOENT, errno.EACCES, errno.EROFS}
)
"""What the machine, and not the image, is to blame for."""


Recipes = Mapping[str, Recipe | SeriesRecipe]


def main() -> None:
    """Serve tasks until the worker closes the pipe."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", required=True, help="module that has RECIPES")
    still_open = confinement.prepare()
    module = importlib.import_module(parser.parse_args().recipes)
    recipes: Recipes = {**module.RECIPES, **module.SERIES_RECIPES}
    # A library that prints must not speak on our pipes.
    tasks, answers = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    gc.freeze()
    _send(answers, {"ready": os.getpid(), "open": still_open})
    with os.fdopen(tasks, "rb", buffering=0) as lines:
        while line := lines.readline():
            _send(answers, _serve(json.loads(line), recipes, lines.fileno(), answers))


def _serve(task: dict[str, object], recipes: Recipes, tasks: int, answers: int) -> dict[str, object]:
    """Run one task in a child of its own and say how it ended."""
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        _be_child(task, recipes, writing, (reading, tasks, answers))
    os.close(writing)
    try:
        said = _listen(reading, tasks, deadline=time.monotonic() + float(str(task["wall_s"])))
    finally:
        os.close(reading)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # when it died before it had a group of its own
        _, status = os.waitpid(pid, 0)
    if said is None:
        return {"died": "timeout", "detail": f"no answer within {task['wall_s']} s"}
    try:
        answer = json.loads(said)
    except ValueError:
        return _death(status)
    return answer if isinstance(answer, dict) else _death(status)


def _listen(reading: int, tasks: int, deadline: float) -> bytes | None:
    """Collect what the child says until it closes its pipe; None when the time is over."""
    said = b""
    poll = select.poll()
    poll.register(reading, select.POLLIN)
    poll.register(tasks, select.POLLIN)
    while (left_s := deadline - time.monotonic()) > 0:
        for descriptor, _event in poll.poll(left_s * 1000):
            if descriptor == tasks:
                raise SystemExit(0)  # the worker is gone: nobody wants the answer; `finally` kills the child
            chunk = os.read(reading, 65_536)
            if not chunk:
                return said
            said += chunk
    return None


def _death(status: int) -> dict[str, object]:
    code = os.waitstatus_to_exitcode(status)
    if code == -signal.SIGXCPU:
        return {"died": "cpu", "detail": "too much processor time"}
    if code < 0:
        return {"died": "signal", "detail": signal.Signals(-code).name}
    return {"died": "exit", "detail": f"exit status {code}"}


def _be_child(task: dict[str, object], recipes: Recipes, writing: int, inherited: tuple[int, ...]) -> None:
    """Do the task under limits and leave without any clean-up of the zygote's."""
    try:
        os.setpgid(0, 0)
        _libc().prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        for descriptor in inherited:
            os.close(descriptor)
        os.dup2(0, 2)  # a decoder's complaints may quote the header
        _limit(int(str(task["memory_bytes"])), int(str(task["cpu_s"])))
        answer = json.dumps(_done(task, recipes)).encode()
    except MemoryError:
        answer = b'{"died": "memory", "detail": "too much memory"}'
    except BaseException as error:  # noqa: BLE001 - a native panic derives from BaseException
        answer = json.dumps({"died": "panic", "detail": type(error).__name__}).encode()
    with contextlib.suppress(OSError):
        os.write(writing, answer)
    os._exit(0)


def _needed(task: dict[str, object]) -> tuple[list[Path], Path]:
    """Return the files that a task reads, and the folder that it writes into; the folder is there on return."""
    paths, typeface = task.get("paths", [task.get("path")]), task.get("typeface")
    files = [*paths, typeface] if isinstance(paths, list) else []
    folder = Path(str(task["into"])).parent if "into" in task else Path(str(task["workspace"]))
    folder.mkdir(parents=True, exist_ok=True)
    return [Path(str(file)) for file in files if file], folder


def _limit(memory_bytes: int, cpu_s: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (MAX_OPEN_FILES, MAX_OPEN_FILES))
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_TENSOR_FILE_BYTES, MAX_TENSOR_FILE_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))
    resource.setrlimit(resource.RLIMIT_AS, (memory_bytes, memory_bytes))


def _done(task: dict[str, object], recipes: Recipes) -> dict[str, object]:
    try:
        confinement.confine(*_needed(task))
    except OSError as error:  # whatever it was, the image is not to blame
        return {"unavailable": errno.errorcode.get(error.errno or 0, "unknown")}
    try:
        return {"ok": drawing_child.serve(task) if "wish" in task else _prepare(task, recipes)}
    except UnsupportedImage as refusal:
        return {"refused": refusal.reason.value, "detail": refusal.detail}
    except OSError as error:
        if error.errno == errno.EFBIG:
            return {"died": "file_size", "detail": "too large a tensor"}
        if error.errno in MACHINE_ERRORS:
            return {"unavailable": errno.errorcode[error.errno]}
        raise


def _prepare(task: dict[str, object], recipes: Recipes) -> dict[str, object]:
    recipe = recipes[str(task["recipe"])]
    prepared = _prepare_series(task, recipe) if "paths" in task else _prepare_image(task, recipe)
    return {
        "tensor_sha256": Workspace(Path(str(task["workspace"]))).put_tensor(prepared.tensor),
        "placement": asdict(prepared.placement),
        "notes": list(prepared.notes),
        "decoder": prepared.decoder,
    }


def _prepare_image(task: dict[str, object], recipe: Recipe | SeriesRecipe) -> Prepared:
    header = task["header"]
    if not isinstance(header, dict) or not hasattr(recipe, "prepare"):
        raise TypeError("an image's task has a header, and a recipe for images")
    prepared: Prepared = recipe.prepare(Path(str(task["path"])), from_json(header))
    return prepared


def _prepare_series(task: dict[str, object], recipe: Recipe | SeriesRecipe) -> PreparedVolume:
    paths = task["paths"]
    if not isinstance(paths, list) or not hasattr(recipe, "prepare_series"):
        raise TypeError("a series' task has paths, and a recipe for series")
    prepared: PreparedVolume = recipe.prepare_series([Path(str(path)) for path in paths])
    return prepared


def _send(descriptor: int, answer: dict[str, object]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


if __name__ == "__main__":
    main()
