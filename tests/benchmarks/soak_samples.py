"""What is looked at while a soak runs, and what the samples say at its end."""

from __future__ import annotations

import contextlib
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from tests.driver import Service, role

POINTS = 60
"""Medians that a slope is made of: samples that follow each other closely do not tell more than one."""
WARM_UP = 1 / 3
"""The share of a soak in which caches fill."""
BOUNDED_MB_PER_HOUR = 10.0
SETTLING_S = 120.0
"""After a restart a part fills its caches; at most a tenth of the soak is left out for that."""
FEWEST = 10
"""Samples that a median of a stretch needs."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The service at one moment.

    Attributes:
        at_s: Since the start of the soak.
        parts_mb: Proportional set size (PSS) of each part's processes together.
        files: Open file descriptors of all processes.
        threads: Threads of all processes.
        scratch_mb: Spool and workspace on the disk.
    """

    at_s: float
    parts_mb: dict[str, float]
    files: int
    threads: int
    scratch_mb: float

    @property
    def memory_mb(self) -> float:
        """All parts together."""
        return sum(self.parts_mb.values())


def pss_mb(pid: int) -> float:
    """Return a process' share of memory: what it shares with others counts in parts. 0 for one that is gone."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def sample(service: Service, at_s: float) -> Sample:
    """Look at every process of the service, and at its scratch folders."""
    assert service.process is not None
    parts: dict[str, float] = {}
    files = threads = 0
    for pid in service.descendants():
        name = "supervisor" if pid == service.process.pid else role(pid)
        if (memory := pss_mb(pid)) > 0:
            parts[name] = parts.get(name, 0.0) + memory
        with contextlib.suppress(OSError):
            files += len(list(Path(f"/proc/{pid}/fd").iterdir()))
            threads += len(list(Path(f"/proc/{pid}/task").iterdir()))
    return Sample(at_s, parts, files, threads, sum(map(_size_mb, (service.folder / "spool", service.folder / "work"))))


def _size_mb(folder: Path) -> float:
    size = 0
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size if path.is_file() else 0
    return size / 1e6


@dataclass(frozen=True, slots=True)
class Slope:
    """How something grows, per unit of time, and the 95 % interval."""

    middle: float
    low: float
    high: float


def slope(points: Sequence[tuple[float, float]], breaks: Sequence[float] = ()) -> Slope | None:
    """Return the Theil-Sen slope of points (time, value): the median slope of all pairs, which outliers do not move.

    Args:
        points: In the order of time.
        breaks: Times at which the value jumped for a known reason; no pair spans one.

    Returns:
        The slope with Sen's interval (by Kendall's variance); None for fewer than two pairs.
    """
    pieces: dict[int, list[tuple[float, float]]] = {}
    for at, value in points:
        pieces.setdefault(sum(at >= when for when in breaks), []).append((at, value))
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for piece in pieces.values()
        for earlier, later in combinations(piece, 2)
        if later[0] > earlier[0]
    )
    if len(slopes) < 2:
        return None
    variance = sum(n * (n - 1) * (2 * n + 5) / 18 for n in map(len, pieces.values()))
    half = 1.96 * math.sqrt(variance) / 2
    low, high = max(0, round(len(slopes) / 2 - half)), min(len(slopes) - 1, round(len(slopes) / 2 + half))
    return Slope(statistics.median(slopes), slopes[low], slopes[high])


def memory_slope(samples: Sequence[Sample], restarts: Sequence[float]) -> Slope | None:
    """Return the slope of memory over the last two thirds, in megabytes an hour."""
    end = samples[-1].at_s
    settling_s = min(SETTLING_S, end / 10)
    late = [
        (one.at_s, one.memory_mb)
        for one in samples
        if one.at_s >= WARM_UP * end and not any(0 <= one.at_s - when < settling_s for when in restarts)
    ]
    found = slope(medians(late, restarts), restarts)
    return Slope(*(3600 * each for each in (found.middle, found.low, found.high))) if found else None


def medians(points: Sequence[tuple[float, float]], breaks: Sequence[float]) -> list[tuple[float, float]]:
    """Return medians of neighbours, at most about POINTS of them, none across a break."""
    width = max((points[-1][0] - points[0][0]) / POINTS, 1e-9)
    bins: dict[tuple[int, int], list[tuple[float, float]]] = {}
    for at, value in points:
        bins.setdefault((sum(at >= when for when in breaks), int((at - points[0][0]) / width)), []).append((at, value))
    return [(statistics.median(a for a, _ in one), statistics.median(v for _, v in one)) for one in bins.values()]


def drift_percent(samples: Sequence[Sample]) -> float | None:
    """Return by how much memory rose from the end of the warm-up to the end: medians of a tenth of the soak each.

    Told beside the verdict; at most 5 % are asked for (RELIABILITY, test 34), which a short soak passes easily.
    """
    end = samples[-1].at_s
    first = [one.memory_mb for one in samples if WARM_UP * end <= one.at_s < (WARM_UP + 0.1) * end]
    last = [one.memory_mb for one in samples if one.at_s >= 0.9 * end]
    if min(len(first), len(last)) < FEWEST:
        return None
    return 100 * (statistics.median(last) / statistics.median(first) - 1)


def verdict(found: Slope | None) -> str:
    """Return whether memory is bounded, in words."""
    if found is None:
        return "too few samples to tell"
    if found.high <= BOUNDED_MB_PER_HOUR:
        return "bounded"
    if found.low > BOUNDED_MB_PER_HOUR:
        return f"growing by more than {BOUNDED_MB_PER_HOUR:g} MB an hour"
    return "too short to tell"
