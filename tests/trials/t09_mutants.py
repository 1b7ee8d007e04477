"""Broken files through the worker's path: each ends in a documented outcome, nobody dies but the child of an image.

How soon the next image is decoded after the death of a child, or of the process that it came from, is tried on purpose.
"""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.factories import make_radiograph, part10, phantom
from tests.service.inference.recipes import MODULE
from tests.trials.mutants.lane import Lane, open_lane, resident_mib, writes_outside
from tests.trials.mutants.mutate import mutants
from tests.trials.trial import Counts, Trial

MUTANTS = 1_000
"""Of one seed."""
WARM_UP = 150
DEATHS = 5
"""Of each kind, of one seed."""
COMES_BACK_S = 30.0


def run(seed: int, folder: Path) -> Counts:
    """Send one seed's mutants through the door's reader, a decode child and every later reader."""
    with open_lane(folder) as lane, writes_outside(folder) as outside, ThreadPoolExecutor(2) as threads:
        zygotes = lane.pool.pids()
        before = 0.0
        stream = mutants(seed, MUTANTS)
        while batch := [mutant for _, mutant in zip(range(50), stream, strict=False)]:
            list(threads.map(lambda one: lane.take(one.content, f"{one.name} {one.seed}"), batch))
            if not before and len(lane.seconds) >= WARM_UP:
                before = resident_mib()
        for surprise in lane.surprises[:20]:
            print(surprise)
        print(dict(lane.endings.most_common(60)))
        seconds = sorted(lane.seconds)
        counts: dict[str, float] = {
            "mutants": len(seconds),
            "undocumented": len(lane.surprises),
            "zygote_deaths": len(set(zygotes) - set(lane.pool.pids())),
            "wrong_hash": lane.wrong_hash,
            "written_outside": len(outside),
            "left_in_spool": len(list(lane.parts.settings.spool_folder.iterdir())),
            "child_deaths": sum(count for ending, count in lane.endings.items() if "died" in ending),
            "decoded": sum(
                count for ending, count in lane.endings.items() if ending.endswith(("decoded", "too_small"))
            ),
            "seconds_max": seconds[-1],
            "p99_s_max": seconds[int(0.99 * len(seconds))],
            "memory_growth_mib_max": max(0.0, resident_mib() - before),
        }
    (folder / "deaths").mkdir()
    return {**counts, **_come_back(folder / "deaths")}


def _come_back(folder: Path) -> Counts:
    """Kill a decode child, and the zygote that it was forked from, and wait for the next good image."""
    good, deadly = (part10(make_radiograph(phantom(240, 200), PatientID=name)) for name in ("", "SEGV"))
    after: dict[str, list[float]] = {"child": [], "zygote": []}
    with open_lane(folder, processes=1, recipes=MODULE) as lane:
        assert lane.take(good) == "kept, decoded"
        for _ in range(DEATHS):
            started = time.monotonic()  # before the image that kills: its child dies somewhat later
            ending = lane.take(deadly)
            assert ending == "kept, decoder died: signal", ending
            after["child"].append(_decoded_after(lane, good, started))
            [zygote] = lane.pool.pids()
            started = time.monotonic()
            os.kill(zygote, signal.SIGKILL)
            after["zygote"].append(_decoded_after(lane, good, started))
            assert lane.pool.pids() != [zygote]
    return {
        "deaths_on_purpose": sum(map(len, after.values())),
        "back_after_child_s_max": max(after["child"]),
        "back_after_zygote_s_max": max(after["zygote"]),
    }


def _decoded_after(lane: Lane, good: bytes, started: float) -> float:
    """Return the seconds until a good image is decoded; one that meets a dead zygote is tried again, as steps are."""
    while lane.take(good) != "kept, decoded":
        if time.monotonic() - started > COMES_BACK_S:
            raise TimeoutError("no image is decoded any more")
    return time.monotonic() - started


TRIAL = Trial(
    "09",
    "broken files through the worker's path and every later reader",
    run,
    "mutants",
    100_000,
    never=("undocumented", "zygote_deaths", "wrong_hash", "written_outside", "left_in_spool"),
    at_most={
        "seconds_max": 60.0,
        "p99_s_max": 2.0,
        "memory_growth_mib_max": 64.0,
        "back_after_child_s_max": 2.0,
        "back_after_zygote_s_max": 2.0,
    },
    at_least={"decoded": 1},
    quick_bounds={"back_after_child_s_max": 15.0, "back_after_zygote_s_max": 15.0},
    quick=(0, 1, 2, 3, 9),
    timeout_s=600.0,
)
