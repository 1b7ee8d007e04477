"""What somebody does to the service once, at each of its system calls anew, and which calls those are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from pydicom import Dataset
from sqlalchemy import select

from service import tables
from tests.trials.place import Place, film, sha256_of, slices
from tests.trials.recording import Tracer

MOST_OF_A_CALL = 12
"""Of one call in one thread: further ones repeat the same loop over pages of a file."""
_CALL = re.compile(r"(\d+) +(\w+)\(")
_NAMED = re.compile(r'(?:openat|rename|link|unlink|mkdir)\([^"]*"([^"]*)"')
_OPEN = re.compile(r"\(\d+<([^>]*)>")


class Deed(Protocol):
    """What somebody does to the service once, at each point anew."""

    part: str

    def do(self) -> bool:
        """Do it with something new; tell whether it was acknowledged."""

    def again(self) -> bool:
        """Do it once more with the same, as a sender does that had no answer; tell whether it succeeded."""

    def lost(self) -> int:
        """Count what was acknowledged and is not there, beyond the acknowledged instances."""


@dataclass
class Sending:
    """A C-STORE of a film, or a STOW of a study's slices."""

    place: Place
    part: str
    seed: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    number: int = 0
    films: list[Dataset] = field(default_factory=list)
    code: int | None = None
    """The last answer: a DIMSE or an HTTP status, None for no answer."""

    def do(self) -> bool:
        self.number += 1
        seed = self.seed * 10_000 + self.number * 3
        self.films = [film(seed, rows=24 + 8 * (self.seed % 5))] if self.part == "listener" else slices(2, seed)
        return self.again()

    def again(self) -> bool:
        if self.part == "listener":
            self.code = self.place.c_store(self.films[0])
            stored = {str(self.films[0].SOPInstanceUID)} if self.code == 0 else set()
        else:
            self.code, stored = self.place.stow(*self.films)
        self.acknowledged |= {uid: sha256_of(one) for one in self.films if (uid := str(one.SOPInstanceUID)) in stored}
        return len(stored) == len(self.films)

    def lost(self) -> int:
        return 0  # `acknowledged` tells


@dataclass
class Signing:
    """A final signature under a report."""

    place: Place
    cases: Iterator[tuple[str, int]]
    part: str = "web"
    acknowledged: dict[str, str] = field(default_factory=dict)
    case: tuple[str, int] = ("", 0)
    signed: list[str] = field(default_factory=list)

    def do(self) -> bool:
        self.case = next(self.cases)
        return self._sign()

    def again(self) -> bool:
        return self._is_signed(self.case[0]) or self._sign()

    def lost(self) -> int:
        return sum(not self._is_signed(public_id) for public_id in self.signed)

    def _sign(self) -> bool:
        is_signed = self.place.sign(*self.case) == 200
        if is_signed:
            self.signed.append(self.case[0])
        return is_signed

    def _is_signed(self, public_id: str) -> bool:
        study, report, version = tables.study, tables.report, tables.report_version
        versions = (
            select(version.c.id)
            .select_from(version.join(report).join(study, study.c.id == report.c.study_id))
            .where(study.c.public_id == public_id, version.c.status == "final")
        )
        with self.place.tables() as database, database.reading() as rx:
            return len(rx.execute(versions).all()) == 1


@dataclass(frozen=True)
class Point:
    """The so-manieth call of a kind in a thread, threads counted in the order of their making."""

    thread: int
    call: str
    number: int


def points_of(pid: int, deed: Deed, trace: Path, calls: Sequence[str], *, within: str = "") -> list[Point]:
    """Watch the deed twice, the second time in threads that are there already; return each call that it makes.

    Args:
        pid: The process that does it.
        deed: What is watched.
        trace: Where the watcher writes.
        calls: Which system calls.
        within: Only calls about files below this folder; a point's number counts the others too.
    """
    deed.do()
    tids = threads_of(pid)
    tracer = Tracer(trace, tids, "-y", "-e", f"trace={','.join(calls)}")
    deed.do()
    tracer.leave()
    made: Counter[tuple[str, str]] = Counter()
    points = []
    for line in trace.read_text().splitlines():
        if (found := _CALL.match(line)) and int(found[1]) in tids:
            made[found[1], found[2]] += 1
            number = made[found[1], found[2]]
            if number <= MOST_OF_A_CALL and file_of(line).startswith(within):
                points.append(Point(tids.index(int(found[1])), found[2], number))
    return sorted(points, key=lambda point: (point.thread, point.call, point.number))


def file_of(line: str) -> str:
    """Return the file that a call in a trace with paths is about; empty for none."""
    found = _NAMED.search(line) or _OPEN.search(line)
    return found[1] if found else ""


def threads_of(pid: int) -> list[int]:
    """Return the ids of a process' threads, the oldest first."""
    return sorted(int(task.name) for task in (Path("/proc") / str(pid) / "task").iterdir())
