"""Small files that become large: refused within two seconds of processor time and 256 MiB, never out of memory.

What may be kept is read back by DICOMweb's readers, within the same memory and while others are answered.
What a decode child takes for a bomb is measured in the child, and counts like the others' memory.
"""

from __future__ import annotations

import time
from pathlib import Path

from tests.trials.long_texts import long_texts
from tests.trials.mutants.bombs import Bomb, bombs
from tests.trials.mutants.doors import Doors, open_doors
from tests.trials.mutants.kept_bombs import kept_bombs
from tests.trials.mutants.lane import LIMITS, Lane, open_lane
from tests.trials.mutants.measured import MODULE
from tests.trials.mutants.readers import ReadBack
from tests.trials.trial import Counts, Trial, add_up


def run(seed: int, folder: Path) -> Counts:
    """Send each bomb by its entrance and have those that describe huge pixels decoded."""
    counts: dict[str, float] = {"bombs": 0, "not_refused": 0, "undocumented": 0, "process_deaths": 0}
    every = list(bombs())
    slowest = largest = busiest = 0.0
    with open_doors(folder) as doors:
        processes = doors.processes()
        for bomb in (one for one in every if one.entrance != "decoder"):
            doors.forget_peaks()
            before, worked, started = doors.memory_mib("VmHWM"), doors.processor_s(), time.monotonic()
            said = _send(doors, bomb)
            seconds, after = time.monotonic() - started, doors.memory_mib("VmHWM")
            busiest = max(busiest, doors.processor_s() - worked)
            grown = max(after[name] - before.get(name, 0.0) for name in after)
            slowest, largest = max(slowest, seconds), max(largest, grown)
            counts["bombs"] += 1
            counts["not_refused"] += bomb.must_refuse and not all(map(_is_refusal, said))
            counts["undocumented"] += any("UNDOCUMENTED" in word for word in said)
            print(f"{bomb.name}: {said[:2]}, {seconds:.2f} s, {grown:.0f} MiB")
        of_texts = long_texts(doors)
        read_back = _read_back(doors)
        counts["undocumented"] += read_back.undocumented
        counts["process_deaths"] += len(set(processes) - set(doors.processes()))
        counts["written_outside"] = len(doors.written_outside())
    (folder / "lane").mkdir()
    with open_lane(folder / "lane", recipes=MODULE) as lane:
        for bomb in (one for one in every if one.entrance == "decoder"):
            started = time.monotonic()
            ending = lane.take(bomb.content, bomb.name)
            slowest = max(slowest, time.monotonic() - started)
            counts["bombs"] += 1
            counts["not_refused"] += ending.endswith("decoded")
            counts["undocumented"] += ending == "surprise"
            print(f"{bomb.name}: {ending}, {time.monotonic() - started:.2f} s, {lane.grown_mib[-1:]} MiB")
        for surprise in lane.surprises:
            print(surprise)
        of_decoding = _of_decoding(lane)
    counts = add_up((counts, of_texts, of_decoding))
    return {
        **counts,
        "seconds_max": slowest,
        "processor_s_max": busiest,
        "memory_growth_mib_max": largest,
        "read_back": read_back.answers,
        "read_processor_s_max": read_back.processor_s,
        "read_memory_mib_max": read_back.peak_mib,
        "others_waited_s_max": read_back.others_waited_s,
    }


def _of_decoding(lane: Lane) -> Counts:
    """Return how many bombs went to a decode child and how far its memory rose; a killed one's counts as all it had."""
    grown = [LIMITS.memory_bytes / (1 << 20) if mib is None else mib for mib in lane.grown_mib]
    return {"bombs_in_children": len(grown), "child_memory_mib_max": max(grown, default=0.0)}


def _read_back(doors: Doors) -> ReadBack:
    """Store what is rightly kept, and have every reader read it."""
    read_back = ReadBack(doors.memory_mib()["web"])
    for uid, bomb in kept_bombs():
        [said] = doors.stowed([bomb.content])
        assert said.startswith("kept"), (bomb.name, said)
        read_back.read(doors, uid)
        print(f"{bomb.name}: {said}; read: {read_back.said}")
    return read_back


def _is_refusal(word: str) -> bool:
    """Tell whether a bomb was refused for what it is, and not because its UID is known."""
    return word.startswith("refused") and not word.endswith(("conflict", "0111"))


def _send(doors: Doors, bomb: Bomb) -> list[str]:
    if bomb.entrance == "stow":
        return doors.stowed([bomb.content])
    if bomb.entrance == "dimse":
        return [doors.c_store(bomb.content, syntax=bomb.syntax)]
    if bomb.entrance == "gzip":
        answer = doors.upload(bomb.content, **{"Content-Encoding": "gzip"})
        return [f"refused HTTP {answer.status_code}" if answer.status_code in (400, 409, 415) else "UNDOCUMENTED"]
    return doors.uploaded(bomb.content)


TRIAL = Trial(
    "12",
    "small files that become large",
    run,
    "bombs",
    60,
    never=(
        "not_refused",
        "undocumented",
        "process_deaths",
        "written_outside",
        "films_refused",
        "echoes_kept_waiting",
        "texts_too_long",
    ),
    at_most={
        "processor_s_max": 2.0,
        "seconds_max": 2.0,
        "memory_growth_mib_max": 256.0,
        "child_memory_mib_max": 256.0,
        "echo_s_max": 1.0,
        "read_processor_s_max": 5.0,
        "read_memory_mib_max": 256.0,
        "others_waited_s_max": 2.0,
    },
    at_least={"read_back": 42, "bombs_in_children": 19},
    quick_bounds={"seconds_max": 20.0, "processor_s_max": 6.0},
    timeout_s=600.0,
)
