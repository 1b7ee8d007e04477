"""Starts the service's parts by fork: a fresh process with everything loaded, as often as a trial kills one.

What runs in it is `service.parts.run_part`, as in `pandok serve`; only the imports are done beforehand.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

LOADED = (
    "service.app", "service.parts", "service.intake.dimse.listener", "service.reports.pages",
    "service.reports.encapsulated", "pydicom.encoders", "uvicorn.lifespan.on", "uvicorn.protocols.http.httptools_impl",
)  # fmt: skip


class Nursery:
    """A process that forks the service's parts; they end with it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.trials.nursery"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, part: str, environment: dict[str, str], log: Path, *, traced: bool = False) -> int:
        """Start a part and return its process id; a traced one begins when a tracer has taken hold of it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        asked = {"part": part, "environment": environment, "log": str(log), "traced": traced}
        self._process.stdin.write(json.dumps(asked).encode() + b"\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


def is_running(pid: int) -> bool:
    """Tell whether a process runs; one that ended and was not waited for yet does not."""
    with contextlib.suppress(OSError):
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    return False


def wait_until_ended(pid: int, timeout_s: float = 5.0) -> bool:
    """Wait for a process that is about to end; tell whether it did."""
    deadline = time.monotonic() + timeout_s
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.005)
    return not is_running(pid)


def end(pid: int, number: int = signal.SIGKILL, timeout_s: float = 40.0) -> float:
    """Send a signal, wait until the process has ended, and return for how long that took."""
    started = time.monotonic()
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
    assert wait_until_ended(pid, timeout_s), f"process {pid} does not end"
    return time.monotonic() - started


def tracer_of(pid: int) -> int:
    """Return who traces a process, 0 for nobody."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("TracerPid")))


def _run(asked: dict[str, Any]) -> int:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    log = os.open(asked["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, target in enumerate((nothing, nothing, log)):
        os.dup2(target, number)
    os.environ.update(asked["environment"])
    while asked["traced"] and not tracer_of(os.getpid()):
        time.sleep(0.002)
    from service.parts import run_part
    from service.settings import Settings

    return run_part(asked["part"], Settings())


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # children need nobody to wait for them
    for name in LOADED:
        importlib.import_module(name)
    children = []
    for line in iter(sys.stdin.buffer.readline, b""):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = _run(json.loads(line))
            finally:
                os._exit(code)
        children.append(child)
        os.write(1, b"%d\n" % child)
    for child in children:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    main()
