"""A disk that loses power: what may stand on it at any moment of a recording, with what was not synced dropped or torn.

As strict as POSIX lets a file system be: a synced file keeps its bytes but its name only when the folder was synced
too; names that were not synced come and go one by one, in any order. Two things no journal does are left out: a rename
loses both names, and a sector is lost that nobody wrote.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.trials.recording import Event

SECTOR = 512
GARBAGE = 0.05
"""How many of the sectors that were being written hold neither the old nor the new."""


@dataclass(slots=True)
class _Change:
    """Bytes at an offset, or a new size where there are none."""

    end: int
    offset: int
    data: bytes | None


@dataclass(slots=True)
class _File:
    """What is surely on the disk, and what may be."""

    content: bytearray = field(default_factory=bytearray)
    pending: list[_Change] = field(default_factory=list)

    def sync(self, begin: int) -> None:
        """Make durable what had been written when a sync began."""
        for change in self.pending:
            if change.end < begin:
                _apply(self.content, change)
        self.pending = [change for change in self.pending if change.end >= begin]

    def after_power_loss(self, chance: random.Random, keep: float) -> bytes:
        content = bytearray(self.content)
        for change in self.pending:
            if change.data is None:
                if chance.random() < keep:
                    _apply(content, change)
            else:
                _tear(content, change, chance, keep)
        return bytes(content)


@dataclass(slots=True)
class _Entry:
    """A name that came (file) or went (None) and may not be on the disk."""

    end: int
    name: str
    file: _File | None
    of: tuple[str, int] | None = None
    """Of the old name of a rename: the new name, and when; it never goes unless that one came."""


@dataclass(slots=True)
class _Folder:
    names: dict[str, _File | None] = field(default_factory=dict)
    """A folder in a folder is a name without a file."""
    pending: list[_Entry] = field(default_factory=list)


class Disk:
    """The data folder as a recording goes on.

    Args:
        root: The folder as it was when the recording began; what stands in it is durable.
    """

    def __init__(self, root: Path) -> None:
        self._root = str(root)
        self._files: dict[str, _File] = {}
        self._opened: dict[str, _File] = {}
        """By the name that a file was opened under, which the kernel tells even when it is gone."""
        self._folders: dict[str, _Folder] = {str(root): _Folder()}
        for path in sorted(root.rglob("*")):
            parent = self._folders[str(path.parent)]
            if path.is_dir():
                self._folders[str(path)] = _Folder()
                parent.names[path.name] = None
            else:
                self._files[str(path)] = parent.names[path.name] = _File(bytearray(path.read_bytes()))

    def happens(self, event: Event) -> None:
        """Take one event into account: to be called in the order in which they ended."""
        path = event.path
        if not path.startswith(self._root):
            return
        match event.kind:
            case "create" if path not in self._files:
                self._files[path] = self._opened[path] = _File()
                self._enter(path, event, self._files[path])
            case "write":
                self._file(path).pending.append(_Change(event.end, event.offset, event.data))
            case "truncate":
                self._files[path].pending.append(_Change(event.end, event.offset, None))
            case "mkdir":
                self._folders[path] = _Folder()
                self._enter(path, event, None)
            case "rename":
                self._files[event.target] = self._files.pop(path)
                self._enter(event.target, event, self._files[event.target])
                self._leave(path, event, of=(event.target, event.end))
            case "link":
                self._files[event.target] = self._files[path]
                self._enter(event.target, event, self._files[path])
            case "unlink":
                self._files.pop(path, None)
                self._leave(path, event, of=None)
            case "sync" if path in self._folders:
                self._sync_folder(self._folders[path], event.begin)
            case "sync":
                self._file(path).sync(event.begin)
            case "sync_all":
                for file in {id(file): file for file in (*self._files.values(), *self._opened.values())}.values():
                    file.sync(event.begin)
                for folder in self._folders.values():
                    self._sync_folder(folder, event.begin)

    def _file(self, path: str) -> _File:
        return self._files[path] if path in self._files else self._opened[path]

    def after_power_loss(self, chance: random.Random, keep: float) -> dict[str, bytes]:
        """Return the files, by path, as they may be found when power comes back.

        Args:
            chance: Decides what is dropped and what is torn.
            keep: How much of what was not synced had reached the disk all the same.
        """
        came = {
            (f"{path}/{entry.name}", entry.end): chance.random() < keep
            for path, folder in self._folders.items()
            for entry in folder.pending
            if entry.file is not None or f"{path}/{entry.name}" in self._folders
        }
        return dict(self._walk(self._root, came, chance, keep))

    def _walk(
        self, path: str, came: dict[tuple[str, int], bool], chance: random.Random, keep: float
    ) -> Iterator[tuple[str, bytes]]:
        folder = self._folders[path]
        names = dict(folder.names)
        for entry in folder.pending:
            whole = f"{path}/{entry.name}"
            if (whole, entry.end) in came:
                if came[whole, entry.end]:
                    names[entry.name] = entry.file
            elif chance.random() < keep and (entry.of is None or came.get(entry.of, True)):
                names.pop(entry.name, None)
        for name, file in names.items():
            if file is not None:
                yield f"{path}/{name}", file.after_power_loss(chance, keep)
            else:
                yield from self._walk(f"{path}/{name}", came, chance, keep)

    def _enter(self, path: str, event: Event, file: _File | None) -> None:
        parent, name = _split(path)
        self._folders[parent].pending.append(_Entry(event.end, name, file))

    def _leave(self, path: str, event: Event, *, of: tuple[str, int] | None) -> None:
        parent, name = _split(path)
        self._folders[parent].pending.append(_Entry(event.end, name, None, of))

    def _sync_folder(self, folder: _Folder, begin: int) -> None:
        path = next(path for path, known in self._folders.items() if known is folder)
        for entry in folder.pending:
            if entry.end < begin:
                if entry.file is not None or f"{path}/{entry.name}" in self._folders:
                    folder.names[entry.name] = entry.file
                else:
                    folder.names.pop(entry.name, None)
        folder.pending = [entry for entry in folder.pending if entry.end >= begin]


def moments(events: Sequence[Event], disk: Disk, wanted: Iterable[int]) -> Iterator[int]:
    """Let a recording go on and stop at each wanted line of its trace, in order.

    What had begun and not ended by then has happened as far as the disk is concerned, but is not synced.
    """
    waiting = sorted((event for event in events if event.kind != "answer"), key=lambda event: event.end)
    done = 0
    for line in sorted(wanted):
        while done < len(waiting) and _is_past(waiting[done], line):
            disk.happens(waiting[done])
            done += 1
        yield line


def _is_past(event: Event, line: int) -> bool:
    """A sync counts once it has ended; anything else may have reached the disk once it began."""
    return (event.end if event.kind in ("sync", "sync_all") else event.begin) < line


def _split(path: str) -> tuple[str, str]:
    pure = PurePosixPath(path)
    return str(pure.parent), pure.name


def _apply(content: bytearray, change: _Change) -> None:
    if change.data is None:
        del content[change.offset :]
        content.extend(bytes(change.offset - len(content)))
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.data)] = change.data


def _tear(content: bytearray, change: _Change, chance: random.Random, keep: float) -> None:
    """Keep some of a write's sectors; where none behind it was kept either, the file has not grown."""
    data = change.data or b""
    start = change.offset
    while start < change.offset + len(data):
        stop = min((start // SECTOR + 1) * SECTOR, change.offset + len(data))
        piece = data[start - change.offset : stop - change.offset]
        if chance.random() < keep:
            is_garbage = keep < 1 and chance.random() < GARBAGE
            _apply(content, _Change(0, start, chance.randbytes(len(piece)) if is_garbage else piece))
        start = stop
