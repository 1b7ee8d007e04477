"""What a benchmark says: rows of one work done by us and by a peer in the same run, as ratios with their spread."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from tests.commit import commit

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "benchmarks.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page.

    Attributes:
        work: What was done.
        ours: What we reached, in `unit`: the median, or the 95th percentile where the work's name says so.
        peer: Beside whom or what, by name; empty when the figure itself is what counts.
        theirs: What the peer reached; None without a peer.
        unit: Of both.
        ratio: Our figure by the peer's, the median over the rounds; our figure again without a peer.
        low: The least of the rounds, or of the single times behind a percentile.
        high: The most of them.
        must: What the ratio or the figure must reach or, of a smaller one, keep to; None is for information.
        smaller: The smaller, the better: a time, a memory.
    """

    work: str
    ours: float
    peer: str
    theirs: float | None
    unit: str
    ratio: float
    low: float
    high: float
    must: float | None
    smaller: bool = False

    @property
    def is_reached(self) -> bool | None:
        """None when nothing is asked."""
        if self.must is None:
            return None
        return self.ratio <= self.must if self.smaller else self.ratio >= self.must

    @property
    def verdict(self) -> str:
        """In a word."""
        return {None: "", True: "reached", False: "MISSED"}[self.is_reached]

    @property
    def asked(self) -> str:
        """What the ratio or the figure must be."""
        if self.must is None:
            return ""
        return f"{'≤' if self.smaller else '≥'} {figure(self.must)}{'' if self.peer else ' ' + self.unit}"

    @property
    def spread(self) -> str:
        """The ratio with the least and the most of it; without a peer the least and the most of the figure."""
        ends = f"({figure(self.low)} to {figure(self.high)})" if self.low != self.high else ""
        return f"{figure(self.ratio)} × {ends}".strip() if self.peer else ends


def against(
    work: str,
    ours: Sequence[float],
    peer: str,
    theirs: Sequence[float],
    *,
    unit: str,
    must: float | None,
    smaller: bool = False,
) -> Row:
    """Compare rates or times, round by round: both took turns, so that what else the machine did fell on both."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    figures = statistics.median(ours), peer, statistics.median(theirs), unit
    return Row(work, *figures, statistics.median(ratios), min(ratios), max(ratios), must, smaller)


def limit(work: str, figures: Sequence[float], *, unit: str, must: float | None) -> Row:
    """Hold the median of figures, the smaller the better, to a limit."""
    middle = statistics.median(figures)
    return Row(work, middle, "", None, unit, middle, min(figures), max(figures), must, smaller=True)


def p95_limit(work: str, times: Sequence[float], *, unit: str, must: float | None) -> Row:
    """Hold the 95th percentile of times to a limit."""
    slow = p95(times)
    return Row(f"{work}, p95", slow, "", None, unit, slow, min(times), max(times), must, smaller=True)


def p95(times: Sequence[float]) -> float:
    """Return the 95th percentile: the least time that 95 of 100 do not exceed."""
    ordered = sorted(times)
    return ordered[-(-95 * len(ordered) // 100) - 1]


def figure(value: float) -> str:
    """Return a figure to three digits, the whole of a large one."""
    if value == 0:
        return "0"
    digits = max(0, 2 - int(f"{abs(value):e}".partition("e")[2]))
    return f"{value:,.{min(digits, 6)}f}"


def show(row: Row) -> None:
    """Print one line."""
    beside = f"{row.peer} {figure(row.theirs)}" if row.theirs is not None else ""
    ours = f"{figure(row.ours):>9} {row.unit}"
    print(f"{row.work:62} {ours:20} {beside:36} {row.spread:28} {row.asked:10} {row.verdict}".rstrip(), flush=True)


def keep(group: str, rows: Sequence[Row]) -> None:
    """Note a group's rows for the page, in place of its former ones."""
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results[group] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}",
        "commit": commit(),
        "ended": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "load": round(os.getloadavg()[0], 1),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def report(group: str, measure: Callable[[], Iterable[Row]], *, kept: bool) -> None:
    """Run a group, print its rows as they come, and note them where that is wanted."""
    rows = []
    for row in measure():
        show(row)
        rows.append(row)
    if kept:
        keep(group, rows)
