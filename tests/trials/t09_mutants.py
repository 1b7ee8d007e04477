"""Broken files through the worker's path: each ends in a documented outcome, nobody dies but the child of an image."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.trials.mutants.lane import open_lane, resident_mib, writes_outside
from tests.trials.mutants.mutate import mutants
from tests.trials.trial import Counts, Trial

MUTANTS = 1_000
"""Of one seed."""
WARM_UP = 150


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
        return {
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


TRIAL = Trial(
    "09",
    "broken files through the worker's path and every later reader",
    run,
    "mutants",
    100_000,
    never=("undocumented", "zygote_deaths", "wrong_hash", "written_outside", "left_in_spool"),
    at_most={"seconds_max": 60.0, "p99_s_max": 2.0, "memory_growth_mib_max": 64.0},
    at_least={"decoded": 1},
    quick=(0, 1, 2, 3, 9),
    timeout_s=600.0,
)
