"""What a benchmark says: rows of one work done by us and by a peer in the same run, as ratios with their spread."""

from __future__ import annotations

import json
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "docs" / "benchmarks.json"


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the page.

    Attributes:
        work: What was done.
        ours: What we reached, in `unit`: the median.
        peer: Beside whom or what, by name; empty when the row is held to a limit instead.
        theirs: What the peer reached: the median; None without a peer.
        unit: Of both.
        ratio: How many times as good as the peer we are, or our figure again without a peer: the median over rounds.
        low: The least of the rounds.
        high: The most of the rounds.
        must: What the ratio or the figure must reach; None is for information.
        smaller: The smaller the figure, the better.
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
        return self.ratio <= self.must if self.smaller and not self.peer else self.ratio >= self.must


def against(
    work: str, ours: Sequence[float], peer: str, theirs: Sequence[float], *, unit: str, must: float | None
) -> Row:
    """Compare rates, round by round: both took turns, so that what else the machine did fell on both."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return Row(
        work,
        statistics.median(ours),
        peer,
        statistics.median(theirs),
        unit,
        statistics.median(ratios),
        min(ratios),
        max(ratios),
        must,
    )


def limit(work: str, figures: Sequence[float], *, unit: str, must: float | None) -> Row:
    """Hold a figure, the smaller the better, to a limit."""
    middle = statistics.median(figures)
    return Row(work, middle, "", None, unit, middle, min(figures), max(figures), must, smaller=True)


def p95(times: Sequence[float]) -> float:
    """Return the 95th percentile."""
    ordered = sorted(times)
    return ordered[round(0.95 * (len(ordered) - 1))]


def show(row: Row) -> None:
    """Print one line."""
    verdict = {None: "", True: "reached", False: "MISSED"}[row.is_reached]
    beside = f"{row.peer} {row.theirs:,.1f}" if row.theirs is not None else ""
    asked = f"must {'<=' if row.smaller and not row.peer else '>='} {row.must:g}" if row.must is not None else ""
    print(
        f"{row.work:58} {row.ours:10,.1f} {row.unit:10} {beside:34}"
        f" {row.ratio:8.2f} ({row.low:.2f} to {row.high:.2f}) {asked} {verdict}",
        flush=True,
    )


def keep(group: str, rows: Sequence[Row]) -> None:
    """Note a group's rows for the page, in place of its former ones."""
    results = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    results[group] = {
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux {platform.release().split('-')[0]}",
        "load": round(os.getloadavg()[0], 1),
        "rows": [asdict(row) for row in rows],
    }
    RESULTS.write_text(json.dumps(results, indent=1) + "\n")


def report(group: str, measure: Callable[[], Sequence[Row]], *, kept: bool) -> None:
    """Run a group, print its rows, and note them where that is wanted."""
    rows = measure()
    for row in rows:
        show(row)
    if kept:
        keep(group, rows)
