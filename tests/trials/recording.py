"""The system calls by which parts of the service change their data folder and answer, in the order of the kernel."""

from __future__ import annotations

import re
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.trials.nursery import tracer_of
from tests.trials.trial import Missing

STRACE = "/usr/bin/strace"
CALLS = (
    "openat,creat,write,pwrite64,writev,pwritev,pwritev2,lseek,fsync,fdatasync,sync_file_range,rename,renameat,"
    "renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,truncate,ftruncate,fallocate,copy_file_range,sendfile,"
    "sendto,sendmsg,syncfs"
)
_LINE = re.compile(r"(?P<pid>\d+) +(?:<\.\.\. (?P<resumed>\w+) resumed>|(?P<call>\w+)\()(?P<rest>.*)", re.DOTALL)
_STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"(\.\.\.)?')
_FD = re.compile(r"(-?\d+)<((?:\\x[0-9a-f]{2})*)>")
_PADDING = re.compile(r"\) += (?=[^=]*$)")
_UNFINISHED = "<unfinished ...>"


@dataclass(frozen=True, slots=True)
class Event:
    """One call that changed something, synced something, or spoke to a peer.

    Attributes:
        kind: create, write, sync, sync_all (of the file system), rename, link, mkdir, unlink, truncate or answer.
        path: What it was done to; of a rename or link the old name; empty for an answer.
        begin: Line of the trace in which the call began: what came before it in the trace happened before it.
        end: Line in which it had ended.
        offset: Of a write, in bytes; of a truncate the new size.
        data: What was written or said.
        target: The new name of a rename or link.
    """

    kind: str
    path: str
    begin: int
    end: int
    offset: int = 0
    data: bytes = b""
    target: str = ""


class Tracer:
    """strace on parts of the service from before their first step until they end."""

    def __init__(self, trace: Path, pids: Iterable[int], *options: str) -> None:
        if not Path(STRACE).is_file():
            raise Missing("strace (Debian package strace)")
        pids = list(pids)
        follow = [word for pid in pids for word in ("-p", str(pid))]
        self._process = subprocess.Popen(
            [STRACE, "-qq", "-o", str(trace), *options, *follow], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while not all(tracer_of(pid) for pid in pids):
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise Missing("the right to trace processes of one's own")
            time.sleep(0.002)

    def wait(self) -> None:
        """Wait until what is traced has ended."""
        self._process.wait(60)

    def leave(self) -> None:
        """Let go of what is traced; it goes on."""
        self._process.terminate()
        self._process.wait(60)


def tracer_of_everything(trace: Path, pids: Iterable[int]) -> Tracer:
    """Record every call that `read_trace` understands, with all that was written."""
    return Tracer(trace, pids, "-f", "-y", "-xx", "-s", "10000000", "-e", f"trace={CALLS}")


def read_trace(trace: Path) -> list[Event]:
    """Return the events of a trace, by the line in which they ended."""
    positions: dict[str, int] = {}
    return [
        event for begin, end, call, words in _calls(trace) for event in _events(call, words, (begin, end), positions)
    ]


def _calls(trace: Path) -> Iterator[tuple[int, int, str, str]]:
    """Yield (begin, end, call, "arguments) = result") of each call that succeeded; halves of a call are joined."""
    begun: dict[str, tuple[int, str, str]] = {}
    with trace.open(encoding="ascii") as lines:
        for number, line in enumerate(lines):
            found = _LINE.match(line.rstrip("\n"))
            if found is None:
                continue
            pid, rest = found["pid"], found["rest"]
            if rest.endswith(_UNFINISHED):
                begun[pid] = (number, found["call"], rest.removesuffix(_UNFINISHED))
                continue
            first, call, words = begun.pop(pid) if found["resumed"] else (number, found["call"], "")
            words = _PADDING.sub(") = ", words + rest)
            result = words.rpartition(") = ")[2]
            if result and not result.startswith(("-", "?")):
                yield first, number, call, words
    # What never ended may have happened in part.
    for first, call, words in begun.values():
        yield first, 1 << 60, call, words + ") = 0"


def _events(call: str, words: str, when: tuple[int, int], positions: dict[str, int]) -> list[Event]:
    strings = [bytes.fromhex(text.replace("\\x", "")) for text, cut in _STRING.findall(words) if not cut]
    found = _FD.match(words)
    path = bytes.fromhex(found[2].replace("\\x", "")).decode() if found else ""
    if path.startswith(("socket:", "TCP", "pipe:", "anon_inode:", "/dev/")):
        is_answer = path.startswith(("socket:", "TCP")) and call in ("write", "writev", "sendto", "sendmsg")
        return [Event("answer", "", *when, data=b"".join(strings))] if is_answer else []
    match call:
        case "openat" | "creat":
            return _opened(strings[-1].decode(), words, when, positions)
        case "lseek":
            positions[path] = int(words.rpartition(" = ")[2])
            return []
        case "write" | "writev":
            offset, data = positions.get(path, 0), b"".join(strings)
            positions[path] = offset + len(data)
            return [Event("write", path, *when, offset=offset, data=data)]
        case "pwrite64":
            return [Event("write", path, *when, offset=_number(words, -1), data=strings[0])]
        case "fsync" | "fdatasync":
            return [Event("sync", path, *when)]
        case "syncfs":
            return [Event("sync_all", path, *when)]
        case "rename" | "renameat" | "renameat2":
            return [Event("rename", strings[0].decode(), *when, target=strings[-1].decode())]
        case "link" | "linkat":
            return [Event("link", strings[0].decode(), *when, target=strings[-1].decode())]
        case "unlink" | "unlinkat" | "rmdir":
            return [Event("unlink", strings[-1].decode(), *when)]
        case "mkdir" | "mkdirat":
            return [Event("mkdir", strings[-1].decode(), *when)]
        case "ftruncate":
            return [Event("truncate", path, *when, offset=_number(words, -1))]
        case "fallocate" | "sync_file_range" | "sendto" | "sendmsg":
            return []
    raise AssertionError(f"the service changes its files by {call}, which this trial does not know")


def _opened(path: str, words: str, when: tuple[int, int], positions: dict[str, int]) -> list[Event]:
    flags = words.rpartition(") = ")[0]
    positions[path] = 0
    made = [Event("create", path, *when)] if "O_CREAT" in flags else []
    return made + ([Event("truncate", path, *when)] if "O_TRUNC" in flags else [])


def _number(words: str, which: int) -> int:
    return int(words.rpartition(") = ")[0].split(", ")[which], 0)
