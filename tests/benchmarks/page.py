"""The page of the benchmarks and its pictures, from what was kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.benchmarks.rows import ROOT, Row, figure
from tests.benchmarks.soak_page import soak_section

NOTES = ROOT / "docs" / "benchmarks-notes.md"
TITLES = {
    "dimse": "C-STORE",
    "dicomweb": "DICOMweb",
    "arrival": "A study's way",
    "inference": "Scoring",
    "recipe": "Recipe",
    "worklist": "Worklist",
    "qido": "Searches of a large archive",
    "start": "Start and memory",
    "sign-in": "Sign-in",
    "pages": "Pages",
    "next-case": "The next case",
}
COLOURS = {None: "#9fb1bc", True: "#2a8a9e", False: "#c2593f"}
INK = "#22292e"


def page(results: dict[str, Any], soak: dict[str, Any] | None = None) -> str:
    """Return the page; the soak's section where there was one."""
    lines = [
        "# Benchmarks",
        "",
        "Written by `python -m tests.benchmarks`. We and the peer take turns in one run on one machine; a ratio is the",
        "median over rounds of ours by theirs, with the least and the most round in brackets. Where there is no peer,",
        "the brackets hold the least and the most single figure. Peers are Debian's Orthanc (`SyncStorageArea`) and",
        "DCMTK with `TCP_NODELAY=1`, without which DCMTK waits 45 ms for each answer.",
        "",
        "![Ratios to the peers, and figures beside their limits](benchmarks.svg)",
    ]
    for name, group in results.items():
        lines += ["", f"## {TITLES.get(name, name)}", "", _where(group), ""]
        lines += ["| work | ours | beside | theirs | ratio or spread | must | |"]
        lines += [
            "| --- | ---: | --- | ---: | ---: | ---: | --- |",
            *(_line(Row(**values)) for values in group["rows"]),
        ]
    if NOTES.is_file():
        lines += ["", NOTES.read_text().strip()]
    if soak:
        lines += ["", *soak_section(soak)]
    return "\n".join(lines) + "\n"


def _where(group: dict[str, Any]) -> str:
    when = f"{group['ended']}, commit {group['commit']}; " if "commit" in group else ""
    return f"{group['machine']}; {when}load at the end {group['load']}."


def _line(row: Row) -> str:
    theirs = figure(row.theirs) if row.theirs is not None else ""
    verdict = f"**{row.verdict.lower()}**" if row.is_reached is False else row.verdict
    cells = (row.work, f"{figure(row.ours)} {row.unit}", row.peer, theirs, row.spread, row.asked, verdict)
    return f"| {' | '.join(cells)} |"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the ratios to peers, each with what it must reach, and beside them the figures as shares of their limits."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pandok"
    from matplotlib import pyplot as plt

    rows = [Row(**values) for group in results.values() for values in group["rows"]]
    faster = [row for row in rows if row.peer and not row.smaller]
    smaller = [row for row in rows if row.smaller and row.must is not None]
    heights = [0.3 * max(len(part), 1) + 0.9 for part in (faster, smaller)]
    figure_, (upper, lower) = plt.subplots(2, 1, figsize=(11, sum(heights)), height_ratios=heights)
    _bars(upper, faster, "times the peer's rate (thick line: must reach)", is_share=False)
    _bars(lower, smaller, "share of the limit", is_share=True)
    figure_.tight_layout()
    figure_.savefig(path, metadata={"Date": None})
    plt.close(figure_)


def _bars(axes: Any, rows: list[Row], words: str, *, is_share: bool) -> None:
    """Draw one panel; a figure without a peer has no whiskers, its spread is that of single times."""
    scale = [1 / row.must if is_share and row.must else 1.0 for row in rows]
    shown = [row.ratio * by for row, by in zip(rows, scale, strict=True)]
    for place, (row, value, by) in enumerate(zip(rows, shown, scale, strict=True)):
        axes.barh(place, value, color=COLOURS[row.is_reached], height=0.66)
        end = value
        if row.peer and row.low != row.high:
            end = max(end, row.high * by)
            axes.plot([row.low * by, row.high * by], [place, place], color=INK, linewidth=0.9)
        if not is_share and row.must is not None:
            axes.plot([row.must, row.must], [place - 0.4, place + 0.4], color=INK, linewidth=2.2)
        told = f"{figure(row.ours)} {row.unit}" if is_share else figure(row.ratio)
        axes.annotate(told, (end, place), xytext=(4, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [_label(row) for row in rows], fontsize=7)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max([1.0, *shown, *(row.high for row in rows if row.peer and not is_share)]))
    axes.axvline(1, color=INK, linewidth=0.9, linestyle=":")
    axes.set_xlabel(words, fontsize=8)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _label(row: Row) -> str:
    text = f"{row.work}, beside {row.peer}" if row.peer else row.work
    return text if len(text) <= 100 else text[:99] + "…"
