"""Every benchmark of the design's table, one after the other, and the page (python -m tests.benchmarks).

    python -m tests.benchmarks                 # all, about half an hour on two cores; writes docs/benchmarks.md
    python -m tests.benchmarks recipe start    # some
    python -m tests.benchmarks --page          # the page alone, from what was kept

Nothing else may run on the machine: ratios survive a neighbour, limits do not.
"""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path
from typing import Any

from tests.benchmarks.rows import RESULTS, ROOT, Row, report

GROUPS = {
    "dimse": "tests.benchmarks.dimse_receive",
    "arrival": "tests.benchmarks.arrival",
    "recipe": "tests.benchmarks.recipe",
    "start": "tests.benchmarks.start",
}
PAGE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "benchmarks.svg"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="which; none is all")
    parser.add_argument("--page", action="store_true", help="write the page only")
    options = parser.parse_args()
    if not options.page:
        for group in options.groups or GROUPS:
            report(group, importlib.import_module(GROUPS[group]).measure, kept=True)
    results = json.loads(RESULTS.read_text())
    PAGE.write_text(page(results))
    draw(results, CHART)
    print(PAGE.relative_to(ROOT))


def page(results: dict[str, Any]) -> str:
    """Return the page."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m tests.benchmarks`. We and the peer take turns in one run on one machine; a ratio is the",
        "median over rounds of ours by theirs, with the least and the most round. Peers are Debian's Orthanc",
        "(`SyncStorageArea`) and DCMTK with `TCP_NODELAY=1`, without which DCMTK waits 45 ms for each answer.",
        "",
        "![Ratios to the peers](benchmarks.svg)",
        "",
        "| work | ours | beside | theirs | ratio, or figure (least to most) | must | |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for group in results.values():
        for values in group["rows"]:
            row = Row(**values)
            theirs = f"{row.theirs:,.4g}" if row.theirs is not None else ""
            sign = "≤" if row.smaller and not row.peer else "≥"
            must = f"{sign} {row.must:g}" if row.must is not None else ""
            verdict = {None: "", True: "reached", False: "**missed**"}[row.is_reached]
            lines.append(
                f"| {row.work} | {row.ours:,.4g} {row.unit} | {row.peer} | {theirs} "
                f"| {row.ratio:.2f} ({row.low:.2f} to {row.high:.2f}) | {must} | {verdict} |"
            )
    lines += [
        "",
        "Machines: " + "; ".join(f"{name}: {of['machine']}, load {of['load']}" for name, of in results.items()),
    ]
    notes = ROOT / "docs" / "benchmarks-notes.md"
    if notes.is_file():
        lines += ["", notes.read_text().strip()]
    return "\n".join(lines) + "\n"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the ratios, each with what it must reach."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pandok"
    from matplotlib import pyplot as plt

    rows = [Row(**values) for group in results.values() for values in group["rows"] if values["theirs"] is not None]
    figure, axes = plt.subplots(figsize=(9, 0.42 * len(rows) + 1))
    at = range(len(rows), 0, -1)
    colours = {None: "#8aa0ad", True: "#2a8a9e", False: "#c2593f"}
    axes.barh(
        list(at),
        [row.ratio for row in rows],
        xerr=[[row.ratio - row.low for row in rows], [row.high - row.ratio for row in rows]],
        color=[colours[row.is_reached] for row in rows],
        height=0.62,
        error_kw={"linewidth": 1},
    )
    for place, row in zip(at, rows, strict=True):
        if row.must is not None:
            axes.plot([row.must, row.must], [place - 0.42, place + 0.42], color="#22292e", linewidth=2)
    axes.set_yticks(list(at), [f"{row.work}\nbeside {row.peer}" for row in rows], fontsize=7)
    axes.axvline(1, color="#22292e", linewidth=0.8, linestyle=":")
    axes.set_xlabel("times the peer's rate (line: must reach)")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    main()
