"""Children of a worker that are forked from one clean program (`fork_server`), seen from the worker."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from typing import Final

START_TIMEOUT_S = 60.0
"""How long the program may take to load what it shares, before its first child."""
FORK_TIMEOUT_S = 10.0
SHARED: Final = ("service.inference.decode_child", "service.inference.early", "models.package")
"""What is loaded before the children are forked. Nothing that starts a thread, so nothing of ONNX Runtime."""


class ForkFailed(Exception):
    """There is no child: the program did not start, or the machine has no room for a process."""


class Forked:
    """A child and the two pipes to it. Killing and closing are safe from any thread, and twice."""

    def __init__(self, pid: int, descriptor: int, *, stdin: int, stdout: int) -> None:
        self.pid = pid
        self.stdin = stdin
        self.stdout = stdout
        self._descriptor = descriptor
        self._lock = threading.Lock()

    def is_running(self) -> bool:
        """Tell whether it has not ended."""
        with self._lock:
            return self._descriptor >= 0 and not _has_ended(self._descriptor, 0)

    def kill(self) -> None:
        """Kill it and wait until it has ended."""
        with self._lock:
            if self._descriptor >= 0:
                _kill(self._descriptor)

    def close(self) -> None:
        """Kill it and close the pipes; only when nobody reads or writes them any more."""
        self.kill()
        with self._lock:
            if self._descriptor >= 0:
                for descriptor in (self._descriptor, self.stdin, self.stdout):
                    os.close(descriptor)
            self._descriptor = -1


class ForkServer:
    """The program whose children share what it has loaded; it is started again when it is gone.

    It has a clean environment and is forked from nobody who knows a secret, and so are its children. When this process
    ends, so does the program, and with it every child.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._descriptor = -1
        self._timeout_s = START_TIMEOUT_S

    def start(self) -> None:
        """Start the program without waiting for it."""
        with self._lock:
            self._start()

    def fork(self, module: str, *arguments: str) -> Forked:
        """Run the `main` of a module in a child of its own. Raises ForkFailed."""
        with self._lock:
            if self._control is None or _has_ended(self._descriptor, 0):
                self._start()
            theirs_in, stdin = os.pipe()
            stdout, theirs_out = os.pipe()
            try:
                pid, descriptor = self._ask(json.dumps({"run": [module, *arguments]}).encode(), (theirs_in, theirs_out))
            except (OSError, ValueError, KeyError) as error:
                os.close(stdin)
                os.close(stdout)
                self._stop()
                raise ForkFailed(f"no child was forked ({type(error).__name__})") from error
            finally:
                os.close(theirs_in)
                os.close(theirs_out)
            return Forked(pid, descriptor, stdin=stdin, stdout=stdout)

    def close(self) -> None:
        """End the program and its children."""
        with self._lock:
            self._stop()

    def reap(self) -> None:
        """Take note of the program's end; for the process that started it, where another one uses it."""
        if self._process is not None:
            self._process.poll()

    def let_go(self) -> None:
        """Leave the program to the process that was forked from this one: it ends with that one."""
        if self._control is not None:
            self._control.close()

    def _ask(self, message: bytes, pipes: tuple[int, int]) -> tuple[int, int]:
        assert self._control is not None  # noqa: S101 - narrows the type; it was just started
        self._control.settimeout(self._timeout_s)
        socket.send_fds(self._control, [message], pipes)
        said, descriptors, _, _ = socket.recv_fds(self._control, 4096, 1)
        self._timeout_s = FORK_TIMEOUT_S
        pid = int(json.loads(said)["pid"])
        return pid, descriptors[0]

    def _start(self) -> None:
        self._stop()
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and modules
                [sys.executable, "-P", "-m", "service.inference.fork_server", *SHARED],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=_clean_environment(),
                start_new_session=True,
            )
        self._descriptor = os.pidfd_open(self._process.pid)
        self._timeout_s = START_TIMEOUT_S

    def _stop(self) -> None:
        if self._control is not None:
            self._control.close()
        if self._descriptor >= 0:
            _kill(self._descriptor)
            os.close(self._descriptor)
        if self._process is not None:
            self._process.wait()
        self._control, self._process, self._descriptor = None, None, -1


def _clean_environment() -> dict[str, str]:
    """Return an environment for children: our modules and one thread per library, no secret."""
    return {
        "PATH": os.defpath,
        "LANG": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        **{name: os.environ[name] for name in ("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES") if name in os.environ},
    }


def _kill(descriptor: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    _has_ended(descriptor, None)


def _has_ended(descriptor: int, timeout_ms: int | None) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_ms))
