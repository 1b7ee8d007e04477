"""Trial 06: the disk is really full, again and again; readers go on in the reserve, and nothing is lost or corrupt."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tests.trials import invariants
from tests.trials.nursery import Nursery
from tests.trials.place import Place, film, make_place, sha256_of
from tests.trials.trial import Counts, Missing, Trial

VOLUME_MB = 64
RESERVE_BYTES = 16 << 20
"""`min_free_bytes` of the trial: what comes in stops here, what readers write goes on."""
GAP_BYTES = 400_000
"""Free above the reserve when a round begins: a few films."""
NO_ROOM = (2, 3, 2)
"""How an association is rejected for want of room: for now (docs/conformance.md)."""
ROUNDS = 5
LONGEST_S = 10.0
_BLOCK = 1 << 16


def run(seed: int, folder: Path) -> Counts:
    """Fill a small volume round by round: first to the reserve, then to the last byte, then free it again."""
    with volume(folder / "volume") as place_of_data, Nursery() as nursery:
        place = make_place(place_of_data, nursery, min_free_bytes=RESERVE_BYTES, min_free_share=1.0)
        cases, link = place.arrived([film(seed * 10_000 + 9_000 + n) for n in range(2 * ROUNDS)]), place.link()
        try:
            for part in ("listener", "web"):
                place.start(part)
            for part in ("listener", "web"):
                place.wait_ready(part)
            place.open_link(link)
            return _rounds(place, seed, [(case, place.read(case)) for case in cases])
        finally:
            place.close()


def _rounds(place: Place, seed: int, cases: list[tuple[str, int]]) -> Counts:
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    acknowledged: dict[str, str] = {}
    signed, slowest = 0, 0.0
    films = (film(seed * 10_000 + n, rows=64) for n in itertools.count())
    filler = place.settings.data_folder.parent / "filler"
    for first, second in zip(cases[::2], cases[1::2], strict=True):
        fill(filler, RESERVE_BYTES + GAP_BYTES)
        is_told, broken = _send_until_refused(place, films, acknowledged)
        counts["wrong_codes"] += not is_told
        counts["without_answer"] += broken
        signature = place.sign(*first) == 200
        counts["signatures_refused"] += not signature
        counts["reads_failed"] += not _can_read(place, acknowledged)
        fill(filler, 0)
        answer = place.sign(*second)  # there is no byte left: it may fail, and it may not lie
        counts["signatures_at_last_byte"] += 1
        counts["refused_at_last_byte"] += answer != 200
        counts["wrong_codes"] += answer not in (200, 507)
        signed += signature + (answer == 200)
        counts["reads_failed"] += not _can_read(place, acknowledged)
        filler.unlink()
        slowest = max(slowest, _recovery_s(place, films, acknowledged))
        if answer != 200:
            counts["signatures_refused"] += place.sign(*second) != 200
            signed += 1
        found = invariants.audit(place.settings, acknowledged)
        counts.update({name: found[name] for name in (*invariants.NEVER, "unreferenced")})
        counts["rounds"] += 1
    counts["signatures_lost"] = signed - _versions(place)
    return {**counts, "recovery_s_max": slowest, "acknowledged": len(acknowledged), "signed": signed}


def _send_until_refused(
    place: Place,
    films: Iterator,  # type: ignore[type-arg]
    acknowledged: dict[str, str],
) -> tuple[bool, int]:
    """Send over both entrances by turns until each has refused; tell whether they said that there is no room.

    C-STORE says so by 0xA700, or by rejecting the association for that reason. How often an association ended without
    either is told as well. Room is looked at once a second, and a fast sender stores a few hundred films in that time.
    """
    codes: dict[int, object] = {}
    broken = 0
    end = time.monotonic() + LONGEST_S
    for number, one in enumerate(itertools.takewhile(lambda _: time.monotonic() < end, films)):
        door = number % 2
        code = place.c_store(one) if door == 0 else place.stow(one)[0]
        if code in (0, 200):
            acknowledged[str(one.SOPInstanceUID)] = sha256_of(one)
        elif door == 0 and code is None and place.rejected is None:
            broken += 1
        else:
            codes[door] = place.rejected if door == 0 and place.rejected else code
        if len(codes) == 2:
            break
    return codes.get(0) in (NO_ROOM, 0xA700) and codes.get(1) == 507, broken


def _can_read(place: Place, acknowledged: dict[str, str]) -> bool:
    """Tell whether the list, the studies and a stored image can be had."""
    uid = next(reversed(acknowledged))
    asked = ("/api/worklist?limit=5", "/dicomweb/studies?limit=5", f"/dicomweb/instances?SOPInstanceUID={uid}")
    return all(place.reader.get(path).status_code == 200 for path in asked)


def _recovery_s(place: Place, films: Iterator, acknowledged: dict[str, str]) -> float:  # type: ignore[type-arg]
    """Send until both entrances take something again; returns how long that took, in seconds."""
    started = time.monotonic()
    for send in (lambda one: place.c_store(one) == 0, lambda one: bool(place.stow(one)[1])):
        one = next(films)
        while not send(one):
            if time.monotonic() > started + 2 * LONGEST_S:
                return time.monotonic() - started
            time.sleep(0.1)
        acknowledged[str(one.SOPInstanceUID)] = sha256_of(one)
    return time.monotonic() - started


def _versions(place: Place) -> int:
    with place.tables() as database, database.reading() as rx:
        return int(rx.exec_driver_sql("SELECT count(*) FROM report_version").scalar_one())


def fill(filler: Path, leave_bytes: int) -> None:
    """Write a file until only so much is free; 0 leaves nothing at all."""
    with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
        while leave_bytes == 0 or shutil.disk_usage(filler.parent).free > leave_bytes:
            file.write(bytes(_BLOCK))


@contextlib.contextmanager
def volume(folder: Path) -> Iterator[Path]:
    """Mount a small volume for the time of a trial. Raises Missing where that is not allowed."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={VOLUME_MB}m", "pandok-trial", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        raise Missing("the right to mount a volume")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def told(counts: Counts) -> str:
    """Tell how many signatures were refused where there was no byte at all."""
    if "signatures_at_last_byte" not in counts:
        return ""
    return (
        f"of {counts['signatures_at_last_byte']:,.0f} signatures with no byte left on the disk "
        f"{counts['refused_at_last_byte']:,.0f} were refused, and taken once there was room again."
    )


NEVER = (
    *invariants.NEVER, "unreferenced", "wrong_codes", "without_answer", "signatures_refused", "signatures_lost",
    "reads_failed",
)  # fmt: skip

TRIAL = Trial(
    number="06",
    title="a 64 MB volume filled to the last byte while readers sign",
    run=run,
    counted="rounds",
    full=50,
    never=NEVER,
    at_most={"recovery_s_max": LONGEST_S},
    told=told,
)
