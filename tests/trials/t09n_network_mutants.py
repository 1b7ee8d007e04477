"""Broken files through every entrance of the running service: each answered as documented, no process dies."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from pydicom.uid import UID

from tests.trials.mutants.doors import EXPLICIT, Doors, open_doors, wrong_files
from tests.trials.mutants.mutate import Mutant, mutants
from tests.trials.mutants.tree import File, NotATree, read_tree
from tests.trials.trial import Counts, Trial

MUTANTS = 600
"""Of one seed, over three entrances."""
BATCH = 10
RELEASED_WITHIN_S = 20.0


def run(seed: int, folder: Path) -> Counts:
    """Send one seed's mutants by STOW-RS, web upload and C-STORE in turn."""
    endings: Counter[str] = Counter()
    seconds: list[float] = []
    with open_doors(folder) as doors:
        stream = mutants(seed, MUTANTS)
        _send(doors, [mutant for _, mutant in zip(range(3 * BATCH), stream, strict=False)], endings, seconds)
        processes, before = doors.processes(), doors.memory_mib()
        seconds.clear()
        while batch := [mutant for _, mutant in zip(range(3 * BATCH), stream, strict=False)]:
            _send(doors, batch, endings, seconds)
        after = doors.memory_mib()
        print(dict(endings.most_common(40)))
        seconds.sort()
        return {
            "mutants": endings.total(),
            "undocumented": sum(count for ending, count in endings.items() if _is_odd(ending)),
            "process_deaths": len(set(processes) - set(doors.processes())),
            "wrong_files": wrong_files(doors.archived()),
            "kept_without_file": _missing(doors),
            "written_outside": len(doors.written_outside()),
            "left_in_spool": _left_in_spool(doors),
            "kept": sum(count for ending, count in endings.items() if ending.startswith("kept")),
            "seconds_max": seconds[-1],
            "p99_s_max": seconds[int(0.99 * len(seconds))],
            "memory_growth_mib_max": max(after[name] - before[name] for name in before),
        }


def _send(doors: Doors, batch: list[Mutant], endings: Counter[str], seconds: list[float]) -> None:
    by_stow, by_upload, by_dimse = batch[:BATCH], batch[BATCH : 2 * BATCH], batch[2 * BATCH :]
    _timed(lambda: doors.stowed([mutant.content for mutant in by_stow]), by_stow, endings, seconds)
    for mutant in by_upload:
        _timed(lambda: doors.uploaded(mutant.content), [mutant], endings, seconds)  # noqa: B023 - called at once
    for mutant in by_dimse:
        _timed(lambda: [_by_dimse(doors, mutant)], [mutant], endings, seconds)  # noqa: B023


def _timed(send: Callable[[], list[str]], sent: list[Mutant], endings: Counter[str], seconds: list[float]) -> None:
    if not sent:
        return
    started = time.monotonic()
    said = send()
    seconds.append((time.monotonic() - started) / len(sent))
    if len(said) != len(sent):
        said += [f"UNDOCUMENTED: {len(sent)} sent, {len(said)} answered"]
    for ending in said:
        endings[ending] += 1
    if any(map(_is_odd, said)):
        print(said, [(one.name, one.seed, one.operators) for one in sent])


def _is_odd(ending: str) -> bool:
    """Tell whether nobody documented this ending of an exchange that was right but for the file."""
    return "UNDOCUMENTED" in ending or ending in ("aborted", "closed")


def _by_dimse(doors: Doors, mutant: Mutant) -> str:
    """Send what follows the file's group 2, under the transfer syntax that it names."""
    try:
        file: File | None = read_tree(mutant.content)
    except (NotATree, RecursionError):
        file = None
    at = max(132, mutant.content.find(b"\x08\x00", 132))
    syntax = file.syntax if file is not None and UID(file.syntax).is_valid else EXPLICIT
    uid = next((one.value for one in file.elements if one.tag == 0x00080018), b"") if file is not None else b""
    text = uid.rstrip(b"\0 ").decode("ascii", "ignore") if isinstance(uid, bytes) else ""
    return doors.c_store(mutant.content[at:], syntax=syntax, uid=text if UID(text).is_valid else "1.2.3")


def _left_in_spool(doors: Doors) -> int:
    """Return how many files the spool still has when the names of kept ones, which go once a second, should be gone."""
    spool = doors.service.folder / "spool"
    until = time.monotonic() + RELEASED_WITHIN_S
    while any(spool.iterdir()) and time.monotonic() < until:
        time.sleep(0.2)
    return len(list(spool.iterdir()))


def _missing(doors: Doors) -> int:
    """Return how many instances stand in the tables and not in the archive."""
    there = {path.stem for path in doors.archived()}
    return sum(row["content_sha256"] not in there for row in doors.rows("SELECT content_sha256 FROM instance"))


TRIAL = Trial(
    "09n",
    "broken files by STOW-RS, web upload and C-STORE",
    run,
    "mutants",
    20_000,
    never=(
        "undocumented", "process_deaths", "wrong_files", "kept_without_file", "written_outside", "left_in_spool",
    ),
    at_most={"seconds_max": 60.0, "p99_s_max": 2.0, "memory_growth_mib_max": 64.0},
    at_least={"kept": 1},
    timeout_s=600.0,
)  # fmt: skip
