"""Takes the network from a process, and every file but those that it needs (network_namespaces(7), landlock(7)).

Native decoders are fed by strangers. Whoever takes one over finds a process that can open the program's own libraries,
one film, and the folder for its answer: no tables, no keys, no other patient, nobody to call.
"""

from __future__ import annotations

import ctypes
import functools
import importlib.util
import os
import struct
import sysconfig
from collections.abc import Iterable, Sequence
from pathlib import Path

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_PR_SET_NO_NEW_PRIVS = 38

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
"""System calls, with the same numbers on every architecture."""
_ASK_VERSION, _PATH_BENEATH = 1, 1
_OLDEST_VERSION = 2
"""The first under which a file may be renamed into another folder at all (Linux 5.19)."""
_EVERY_RIGHT = {2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""Rights over files, from the version on that knows them."""
_READ_FILE, _READ_FOLDER = 1 << 2, 1 << 3
_WRITE = 1 << 1 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 13 | 1 << 14
"""Write, cut short, make, rename and remove files; make folders."""
_BIND_AND_CONNECT_TCP, _SIGNALS_AND_SOCKETS_OF_OTHERS = 3, 3
_PACKAGES = ("models", "preprocessing", "service")
_LIBRARIES = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib")


def prepare() -> list[str]:
    """Leave the network, gain no rights any more, and find out once what each fork would find out for itself.

    Must be called before any thread exists. Returns what this machine cannot close: "network", "files".
    """
    _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _program()
    closed = {"network": _leave_network(), "files": can_confine()}
    return [what for what, is_closed in closed.items() if not is_closed]


def can_confine() -> bool:
    """Tell whether this machine's kernel can take files away."""
    return _version() >= _OLDEST_VERSION


def confine(files: Iterable[Path], folder: Path | None) -> None:
    """Let this process open nothing more but the program, these files to read, and a folder to write into.

    TCP and the signals of other processes go with it where the kernel can do that. There is no way back. Nothing
    happens where `can_confine` is False; `prepare` must have been called, here or where this process was forked.

    Raises:
        OSError: The kernel refused.
    """
    if not can_confine():
        return
    version = _version()
    every = _EVERY_RIGHT[max(known for known in _EVERY_RIGHT if known <= version)]
    network = _BIND_AND_CONNECT_TCP if version >= 4 else 0
    scope = _SIGNALS_AND_SOCKETS_OF_OTHERS if version >= 6 else 0
    told = struct.pack("=QQQ", every, network, scope)[: 8 if version < 4 else 16 if version < 6 else 24]
    rules = _called(_CREATE_RULESET, told, len(told), 0)
    try:
        for path in _program():
            _allow(rules, path, (_READ_FILE | _READ_FOLDER) & every)
        for path in files:
            _allow(rules, path, _READ_FILE)
        if folder is not None:
            _allow(rules, folder, (_READ_FILE | _READ_FOLDER | _WRITE) & every)
        _called(_RESTRICT_SELF, rules, 0)
    finally:
        os.close(rules)


def _leave_network() -> bool:
    """Move into an empty network namespace; False where the machine forbids it."""
    libc = _libc()
    return bool(libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0)


@functools.cache
def _program() -> Sequence[Path]:
    """Return where Python, our packages and the machine's libraries are."""
    own = [
        Path(found.origin).parent for name in _PACKAGES if (found := importlib.util.find_spec(name)) and found.origin
    ]
    python = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    return [path for path in dict.fromkeys((*own, *python, *map(Path, _LIBRARIES))) if path.is_dir()]


def _allow(rules: int, path: Path, rights: int) -> None:
    """Allow something beneath a path; one that is not there stays forbidden."""
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        _called(_ADD_RULE, rules, _PATH_BENEATH, struct.pack("=Qi", rights, place), 0)
    finally:
        os.close(place)


@functools.cache
def _version() -> int:
    return int(_libc().syscall(_CREATE_RULESET, None, 0, _ASK_VERSION))


def _called(number: int, *arguments: bytes | int) -> int:
    """Make a system call. Raises OSError."""
    libc = _libc()
    answer = int(libc.syscall(number, *arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer


@functools.cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
