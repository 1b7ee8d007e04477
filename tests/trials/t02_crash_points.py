"""Trial 02: the process dies at each system call of one C-STORE, one STOW, one signature; then all must be well."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from tests.trials import invariants
from tests.trials.deeds import Deed, Sending, Signing, points_of, threads_of
from tests.trials.nursery import Nursery, is_running, wait_until_ended
from tests.trials.place import Place, film, make_place
from tests.trials.recording import Tracer
from tests.trials.trial import Counts, Trial

CALLS = (
    "openat",
    "write",
    "writev",
    "fsync",
    "fdatasync",
    "rename",
    "pwrite64",
    "sendto",
    "close",
    "link",
    "unlink",
    "mkdir",
)
SHARE = 3
"""One seed takes each third point."""
CASES = 40
"""Of a signature's sweep; each attempt takes one."""


def run(seed: int, folder: Path) -> Counts:
    """Let one deed die at a third of its points; the three deeds take turns by seed."""
    with Nursery() as nursery:
        place = make_place(folder, nursery)
        try:
            deed = _deed(place, seed)
            counts = _sweep(place, deed, folder / "trace", seed // 3 % SHARE)
        finally:
            place.close()
    return counts


def _deed(place: Place, seed: int) -> Deed:
    kind = seed % 3
    if kind < 2:
        return Sending(place, ("listener", "web")[kind], seed)
    public_ids = place.arrived([film(seed * 1000 + n) for n in range(CASES)])
    link = place.link()
    place.start("web")
    place.wait_ready("web")
    place.open_link(link)
    return Signing(place, iter([(public_id, place.read(public_id)) for public_id in public_ids]))


def _sweep(place: Place, deed: Deed, trace: Path, share: int) -> Counts:
    counts: Counter[str] = Counter(dict.fromkeys((*invariants.NEVER, "manual_repairs"), 0))
    place.kill(deed.part)
    pid = _up(place, deed)
    for point in points_of(pid, deed, trace, CALLS)[share::SHARE]:
        tids = threads_of(pid)
        if point.thread >= len(tids):
            continue
        when = f"inject={point.call}:signal=SIGKILL:when={point.number}"
        tracer = Tracer(trace, [tids[point.thread]], "-e", f"trace={point.call}", "-e", when)
        is_acknowledged = deed.do()
        if not is_acknowledged:
            wait_until_ended(pid)
        tracer.leave()
        if is_running(pid):  # another thread did it this time
            counts["manual_repairs"] += not is_acknowledged
            continue
        counts["crash_points"] += 1
        counts["acknowledged_before_the_crash"] += is_acknowledged
        _count(counts, place, deed)
        pid = _up(place, deed)
        counts["manual_repairs"] += not deed.again()
    _count(counts, place, deed)
    return {**counts, "acknowledged": len(deed.acknowledged)}


def _up(place: Place, deed: Deed) -> int:
    pid = place.start(deed.part)
    place.wait_ready(deed.part)
    return pid


def _count(counts: Counter[str], place: Place, deed: Deed) -> None:
    found = invariants.audit(place.settings, deed.acknowledged)
    for name in invariants.NEVER:
        counts[name] += found[name]
    counts["lost"] += deed.lost()


TRIAL = Trial(
    number="02",
    title="crash at each system call of a C-STORE, a STOW, a signature",
    run=run,
    counted="crash_points",
    full=500,
    never=(*invariants.NEVER, "manual_repairs"),
    quick=(0, 1, 2, 3, 4, 5),
)
