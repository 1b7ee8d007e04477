"""Reports each file that this process makes, changes or removes outside the folders that it may write to.

Python loads a module of this name at start-up. `PANDOK_TRIAL_WRITES` names the report, `PANDOK_TRIAL_MAY_WRITE` the
folders. It imports nothing of ours: it must load before everything else.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {
    "os.rename": 2, "os.mkdir": 1, "os.link": 2, "os.symlink": 2, "os.remove": 1, "os.rmdir": 1, "os.truncate": 1,
    "sqlite3.connect": 1, "os.chmod": 1, "os.mkfifo": 1,
}  # fmt: skip
_ALWAYS = ("/dev/", "/proc/", ":memory:")


def watch(report: Callable[[str], None], may_write: Sequence[str]) -> None:
    """Call `report` with each path outside that is written to, until the process ends: such a hook stays."""
    allowed = tuple(os.path.realpath(folder) for folder in may_write)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, _mode, flags = arguments
            if isinstance(flags, int) and flags & _WRITING:
                look(path)
        elif event in _CHANGING:
            for path in arguments[: _CHANGING[event]]:
                look(path)

    def look(path: Any) -> None:
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        if not isinstance(path, str) or path.startswith((*_ALWAYS, "file:")) or "__pycache__" in path:
            return
        if not os.path.realpath(path).startswith(allowed):
            report(path)

    sys.addaudithook(hook)


def _into(report: str) -> Callable[[str], None]:
    descriptor = os.open(report, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    return lambda path: void(os.write(descriptor, (path + "\n").encode("utf-8", "backslashreplace")))


def void(_: object) -> None:
    """Forget a value."""


if "PANDOK_TRIAL_WRITES" in os.environ:
    watch(_into(os.environ["PANDOK_TRIAL_WRITES"]), os.environ["PANDOK_TRIAL_MAY_WRITE"].split(os.pathsep))
