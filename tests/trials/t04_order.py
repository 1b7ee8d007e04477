"""Trial 04: is each answer given after file, directory and rows were synced? Read from the system calls themselves."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydicom import Dataset

from tests.trials import invariants
from tests.trials.nursery import Nursery
from tests.trials.place import Place, film, make_place, sha256_of
from tests.trials.recording import Event, read_trace, tracer_of_everything
from tests.trials.trial import Counts, Trial

SENDERS = 3
"""Of each entrance, side by side, so that commits are shared."""
EACH = 8
"""Instances that a sender sends, one association or request after the other."""
FILES_PER_REQUEST = 2


def run(seed: int, folder: Path) -> Counts:
    """Send over both entrances at once while every call is recorded, then read the order from the record."""
    trace = folder / "trace"
    with Nursery() as nursery:
        place = make_place(folder, nursery)
        pids = [place.start(part, traced=True) for part in ("listener", "web")]
        tracer = tracer_of_everything(trace, pids)
        for part in ("listener", "web"):
            place.wait_ready(part)
        acknowledged = send_side_by_side(place, seed)
        place.close()
        tracer.wait()
        counts: Counter[str] = Counter(invariants.audit(place.settings, acknowledged))
        counts.update(judge(read_trace(trace), place, acknowledged))
    return {**counts, "acknowledged": len(acknowledged)}


def send_side_by_side(place: Place, seed: int) -> dict[str, str]:
    """Send over both entrances; returns the acknowledged instances and the SHA-256 of their data sets."""
    films = [film(seed * 1000 + n) for n in range(2 * SENDERS * EACH)]
    shares = [films[n :: 2 * SENDERS] for n in range(2 * SENDERS)]

    def by_dimse(share: list[Dataset]) -> set[str]:
        return {str(one.SOPInstanceUID) for one in share if place.c_store(one) == 0}

    def by_stow(share: list[Dataset]) -> set[str]:
        requests = [share[n : n + FILES_PER_REQUEST] for n in range(0, len(share), FILES_PER_REQUEST)]
        return set().union(*(place.stow(*request)[1] for request in requests))

    with ThreadPoolExecutor(2 * SENDERS) as pool:
        told = [pool.submit(by_dimse if n < SENDERS else by_stow, share) for n, share in enumerate(shares)]
        stored = set().union(*(one.result() for one in told))
    return {str(one.SOPInstanceUID): sha256_of(one) for one in films if one.SOPInstanceUID in stored}


def answers_to(events: Sequence[Event], uids: Sequence[str]) -> dict[str, int]:
    """Return when the first answer that names an instance began; both protocols name it only in the answer."""
    answers = [event for event in events if event.kind == "answer"]
    return {uid: next(event.begin for event in answers if uid.encode() in event.data) for uid in uids}


def judge(events: Sequence[Event], place: Place, acknowledged: dict[str, str]) -> dict[str, int]:
    """Count answers that came before something was synced."""
    by_path: dict[str, list[Event]] = defaultdict(list)
    for event in events:
        by_path[event.target or event.path].append(event)
    wal = f"{place.settings.data_folder / 'pandok.db'}-wal"
    rows = [event for event in by_path[wal] if event.kind == "write"]
    counts = dict.fromkeys(("before_file", "before_directory", "before_rows"), 0)
    for uid, answered in answers_to(events, list(acknowledged)).items():
        target = place.settings.archive_folder / str(place.site_id) / acknowledged[uid][:2] / f"{acknowledged[uid]}.dcm"
        named = [event for event in by_path[str(target)] if event.kind in ("rename", "link") and event.end < answered]
        if not named:
            counts["before_directory"] += 1
            continue
        written = [event for event in by_path[named[0].path] if event.kind == "write"]
        counts["before_file"] += not _is_synced(by_path[named[0].path], written, answered)
        counts["before_directory"] += not (
            _is_synced(by_path[str(target.parent)], named, answered) and _has_parents(by_path, target.parent, answered)
        )
        told = [event for event in rows if uid.encode() in event.data]
        counts["before_rows"] += not (told and _is_synced(by_path[wal], told[:1], answered))
    return counts


def _is_synced(events: Sequence[Event], changes: Sequence[Event], before: int) -> bool:
    """Tell whether some sync began after all these changes had ended, and ended before a moment."""
    last = max(change.end for change in changes)
    return any(event.kind == "sync" and last < event.begin and event.end < before for event in events)


def _has_parents(by_path: dict[str, list[Event]], folder: Path, before: int) -> bool:
    made = [event for event in by_path[str(folder)] if event.kind == "mkdir"]
    return not made or _is_synced(by_path[str(folder.parent)], made[:1], before)


TRIAL = Trial(
    number="04",
    title="order of syncs and answers, from the system calls",
    run=run,
    counted="acknowledged",
    full=1_000,
    never=("before_file", "before_directory", "before_rows", *invariants.NEVER),
    quick=(0, 1),
)
