"""The soak's section of the page and its picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PARTS = {
    "supervisor": "#c9d3d9", "web": "#2a8a9e", "listener": "#e0a33e", "worker": "#4a6fa5", "fork_server": "#6aa84f",
    "decode_child": "#9a6fb0", "scoring_child": "#c2593f",
}  # fmt: skip
LINES = {
    "C-STORE film": "#e0a33e", "STOW film": "#2a8a9e", "upload of a file": "#9a6fb0", "QIDO": "#7f8c94",
    "WADO instance": "#6aa84f", "worklist page": "#4a6fa5", "settled → scored": "#c2593f",
}  # fmt: skip
"""Kinds of request that are drawn; the table has all."""
INK = "#22292e"


def soak_section(soak: dict[str, Any]) -> list[str]:
    """Return what the soak found, as the lines of a section."""
    end = soak["verdict"]
    command = f"python -m tests.benchmarks.soak --minutes {soak['minutes']:g} --pace {soak['pace']:g}"
    lines = [
        "## Soak",
        "",
        f"`{command}`, on {soak['cores']} cores: the whole service",
        "under a steady mixed load of good and broken files from several senders, with searchers and a reader who",
        "signs; decoders are killed now and then, and each part is restarted once, early on.",
        "",
        "![Memory and latency over the soak](soak.svg)",
        "",
        "| request | asked | not answered | p50 | p95 |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    for kind, of in soak["requests"].items():
        lines.append(f"| {kind} | {of['asked']:,} | {of['failed']:,} | {of['p50_s']:.3f} s | {of['p95_s']:.3f} s |")
    return [*lines, "", *(f"- {words}" for words in _ends(end))]


def _ends(end: dict[str, Any]) -> list[str]:
    memory = f"Memory of all parts at the end: {end['memory_mb']:.0f} MB (most: {end['memory_most_mb']:.0f} MB)"
    if end["drift_percent"] is not None:
        memory += f", {end['drift_percent']:+.1f} % since the end of the first third (at most +5 % are asked for)"
    if end["slope_mb_per_hour"] is not None:
        low, high = end["slope_mb_per_hour_low"], end["slope_mb_per_hour_high"]
        memory += f"; slope over the last two thirds {end['slope_mb_per_hour']:+.1f} MB an hour (95 % interval"
        memory += f" {low:+.1f} to {high:+.1f})"
    files = f"{end['files_first']} → {end['files_last']}"
    threads = f"{end['threads_first']} → {end['threads_last']}"
    return [
        f"{memory}: {end['memory']}.",
        f"From the end of the first third to the end: open files {files}, threads {threads}; scratch folders"
        f" {end['scratch_mb']:.1f} MB (most: {end['scratch_most_mb']:.1f} MB).",
        f"Acknowledged: {end['acknowledged']:,} instances, lost: {end['lost']:,}. Signed: {end['signed']:,} reports."
        f" Studies without an end: {end['unfinished']:,}.",
    ]


def draw_soak(soak: dict[str, Any], path: Path) -> None:
    """Draw memory by part, and latency by kind of request, over the minutes of the soak."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "pandok"
    from matplotlib import pyplot as plt

    figure, (upper, lower) = plt.subplots(2, 1, figsize=(10, 7), sharex=True)
    _draw_memory(upper, soak["samples"])
    _draw_latency(lower, soak["latency"])
    for axes in (upper, lower):
        _mark(axes, soak["events"])
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1), fontsize=7, frameon=False)
    lower.set_xlabel("minutes")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _draw_memory(axes: Any, samples: list[dict[str, Any]]) -> None:
    at = [one["at_s"] / 60 for one in samples]
    names = [name for name in PARTS if any(name in one["parts_mb"] for one in samples)]
    series = [[one["parts_mb"].get(name, 0.0) for one in samples] for name in names]
    labels = [name.replace("decode_child", "decode children").replace("_", " ") for name in names]
    axes.stackplot(at, series, labels=labels, colors=[PARTS[name] for name in names], linewidth=0)
    axes.set_ylim(0, 1.2 * max(map(sum, zip(*series, strict=True))))  # the names of restarts stand above
    axes.set_ylabel("memory, MB (PSS)")


def _draw_latency(axes: Any, latency: list[dict[str, Any]]) -> None:
    for kind, colour in LINES.items():
        mine = [one for one in latency if one["kind"] == kind]
        at = [one["at_s"] / 60 for one in mine]
        axes.plot(at, [one["p50_s"] for one in mine], color=colour, linewidth=1.3, label=kind)
        axes.plot(at, [one["p95_s"] for one in mine], color=colour, linewidth=0.7, linestyle="--")
    axes.set_yscale("log")
    axes.set_ylabel("seconds (p50; dashed: p95)")


def _mark(axes: Any, events: list[dict[str, Any]]) -> None:
    """Mark restarts, with all names behind the last, and killed decoders by a tick."""
    restarts = [event for event in events if "restarted" in event["what"]]
    for event in events:
        at = event["at_s"] / 60
        if event in restarts:
            axes.axvline(at, color=INK, linewidth=0.8, linestyle=":")
        else:
            axes.plot([at], [0.015], marker="|", color=INK, markersize=5, transform=axes.get_xaxis_transform())
    if restarts:
        names = ", ".join(event["what"].partition(" ")[0] for event in restarts)
        place = {"xy": (restarts[-1]["at_s"] / 60, 0.99), "xycoords": ("data", "axes fraction"), "fontsize": 6.5}
        axes.annotate(f" restarted: {names}", **place, va="top", color=INK)
