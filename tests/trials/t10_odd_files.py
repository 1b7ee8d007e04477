"""Every odd file that pydicom and the shared set have, through the worker's path: each ends in a documented outcome."""

from __future__ import annotations

from pathlib import Path

from tests.trials.mutants.lane import open_lane, resident_mib, writes_outside
from tests.trials.mutants.seeds import folders
from tests.trials.trial import Counts, Trial


def run(seed: int, folder: Path) -> Counts:
    """Send each file as it is."""
    with open_lane(folder) as lane, writes_outside(folder) as outside:
        before, zygotes = resident_mib(), lane.pool.pids()
        for label, place in folders().items():
            for path in sorted(path for path in place.rglob("*") if path.is_file()):
                lane.take(path.read_bytes(), f"{label}/{path.relative_to(place)}")
        for surprise in lane.surprises:
            print(surprise)
        print(dict(lane.endings.most_common(60)))
        return {
            "files": len(lane.seconds),
            "undocumented": len(lane.surprises),
            "zygote_deaths": len(set(zygotes) - set(lane.pool.pids())),
            "child_deaths": sum(count for ending, count in lane.endings.items() if "died" in ending),
            "wrong_hash": lane.wrong_hash,
            "written_outside": len(outside),
            "seconds_max": max(lane.seconds),
            "memory_growth_mib_max": max(0.0, resident_mib() - before),
        }


TRIAL = Trial(
    "10",
    "pydicom's and the shared odd files",
    run,
    "files",
    170,
    never=("undocumented", "zygote_deaths", "child_deaths", "wrong_hash", "written_outside"),
    at_most={"seconds_max": 60.0, "memory_growth_mib_max": 256.0},
)
"""Some of these files are large: one decoded film stays in the allocator's hands for a while."""
