"""What processes change on the disk, as the kernel sees it: by any library, and not by calls of Python alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.trials.recording import Tracer

_CALLS = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,"
    "unlink,unlinkat,rmdir,truncate,chmod,fchmodat,?fchmodat2,chown,lchown,fchownat,utimensat,setxattr,lsetxattr"
)
_OPENED = re.compile(r"\bO_(?:WRONLY|RDWR|CREAT|TRUNC|TMPFILE)\b")
_LINE = re.compile(r"\d+ +(?P<call>\w+)\((?P<words>.*)\) += .*", re.DOTALL)
_NAMED = re.compile(r'(?:AT_FDCWD|\d+)<(?P<folder>(?:\\x[0-9a-f]{2})*)>|"(?P<name>(?:\\x[0-9a-f]{2})*)"')


def tracer_of_changes(trace: Path, pids: Iterable[int]) -> Tracer:
    """Record each call of some processes, and of all that they start, that changed a name or opened one to write."""
    return Tracer(trace, pids, "-f", "-y", "-xx", "-z", "-s", "4096", "-e", f"trace={_CALLS}")


def changed_paths(trace: Path, working_folder: Path) -> Iterator[str]:
    """Give the path of each change that a trace holds; a link's or a renamed file's old name is one too.

    Args:
        trace: Made by `tracer_of_changes`, and ended.
        working_folder: That of the processes.
    """
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                raise ValueError(f"a line of the trace that nobody can read: {line[:200]}")
            call, words = found["call"], found["words"]
            if call in ("open", "openat", "openat2") and not _OPENED.search(words):
                continue
            paths = list(_paths(words, str(working_folder)))
            yield from paths[1:] if call.startswith("symlink") else paths  # a symbolic link's first is only its text


def _paths(words: str, working_folder: str) -> Iterator[str]:
    folder = working_folder
    for found in _NAMED.finditer(words):
        if found["name"] is None:
            folder = _text(found["folder"])
        else:
            path = Path(folder) / _text(found["name"])
            yield str(path.parent.resolve() / path.name)
            folder = working_folder


def _text(escaped: str) -> str:
    return os.fsdecode(bytes.fromhex(escaped.replace("\\x", "")))


def outside(paths: Iterable[str], allowed: Sequence[str | Path]) -> list[str]:
    """Return the paths that are none of the allowed ones, nor in one of them."""
    real = [os.path.realpath(place) for place in allowed]
    return [path for path in paths if not any(path == place or path.startswith(place + os.sep) for place in real)]
