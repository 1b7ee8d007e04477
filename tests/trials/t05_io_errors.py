"""Trial 05: each write and sync of an instance on its way in fails once; is anything called stored that is not?"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from tests.trials import invariants
from tests.trials.deeds import Point, Sending, file_of, points_of, threads_of
from tests.trials.nursery import Nursery, end
from tests.trials.place import make_place
from tests.trials.recording import Tracer
from tests.trials.trial import Counts, Trial

SYNCS = ("fsync", "fdatasync", "syncfs")
CALLS = (*SYNCS, "write", "pwrite64", "openat", "rename", "link")
ERRORS = ("EIO", "ENOSPC", "EINTR")
RIGHT = {"listener": {0x0000, 0xA700}, "web": {200, 202, 503, 507}}
"""What may be answered: success where the call was tried again or did not matter, or a failure that says so."""
POINTS = 16


def run(seed: int, folder: Path) -> Counts:
    """Let calls of one entrance fail, the entrances taking turns by seed."""
    with Nursery() as nursery:
        place = make_place(folder, nursery)
        try:
            return _sweep(Sending(place, ("listener", "web")[seed % 2], seed), folder / "trace", random.Random(seed))
        finally:
            place.close()


def _sweep(deed: Sending, trace: Path, chance: random.Random) -> Counts:
    place = deed.place
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    pid = _up(deed)
    within = str(place.settings.data_folder)
    every = [(point, error) for point in points_of(pid, deed, trace, CALLS, within=within) for error in ERRORS]
    slowest = 0.0
    for point, error in chance.sample(every, min(POINTS, len(every))):
        path, is_acknowledged = _fail_once(deed, pid, point, error, trace)
        if not path.startswith(within):
            continue  # another thread did it this time
        counts["failed_calls"] += 1
        counts["wrong_codes"] += deed.code not in RIGHT[deed.part]
        is_sync = point.call in SYNCS and error != "EINTR"  # Python tries an interrupted one again
        # Rows and the archive's names are synced after the answer; until they are, a name in the spool stands for both.
        is_before_answer = point.call == "fsync" and "/pandok.db" not in path
        counts["false_successes"] += is_acknowledged and is_sync and is_before_answer
        is_final = point.call in SYNCS or error == "EIO"
        if not is_final or is_acknowledged:
            slowest = max(slowest, _recovery_s(deed))
        elif not deed.again():
            counts["closed_doors"] += 1
            end(pid)
            pid = _up(deed)
            counts["manual_repairs"] += not deed.again()
        found = invariants.audit(place.settings, deed.acknowledged)
        counts.update({name: found[name] for name in (*invariants.NEVER, "unreferenced")})
    return {**counts, "recovery_s_max": slowest, "acknowledged": len(deed.acknowledged)}


def _fail_once(deed: Sending, pid: int, point: Point, error: str, trace: Path) -> tuple[str, bool]:
    """Let one call fail while the deed is done; returns the file that it was about, and what the deed was told."""
    tids = threads_of(pid)
    if point.thread >= len(tids):
        return "", False
    when = f"inject={point.call}:error={error}:when={point.number}"
    tracer = Tracer(trace, [tids[point.thread]], "-y", "-e", f"trace={point.call}", "-e", when)
    is_acknowledged = deed.do()
    tracer.leave()
    failed = [line for line in trace.read_text().splitlines() if line.endswith("(INJECTED)")]
    return (file_of(failed[0]) if failed else ""), is_acknowledged


def _recovery_s(deed: Sending) -> float:
    """Send again until it is stored; returns how long that took, in seconds."""
    started = time.monotonic()
    while not deed.again() and time.monotonic() < started + 2 * LONGEST_S:
        time.sleep(0.1)
    return time.monotonic() - started


def _up(deed: Sending) -> int:
    pid = deed.place.start(deed.part)
    deed.place.wait_ready(deed.part)
    return pid


LONGEST_S = 10.0
NEVER = (*invariants.NEVER, "unreferenced", "false_successes", "wrong_codes", "manual_repairs")

TRIAL = Trial(
    number="05",
    title="EIO, ENOSPC and EINTR at each write and sync of what comes in",
    run=run,
    counted="failed_calls",
    full=300,
    never=NEVER,
    at_most={"recovery_s_max": LONGEST_S},
    quick=(0,),
)
