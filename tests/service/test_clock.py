"""The service's time: no jump of the machine's clock moves it, all processes share it, and people are told."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

from service.clock import ClockWatch, SteadyClock, forget_clock, open_clock


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.seconds = 100.0
        self.set_by = 0.0

    def wall(self) -> float:
        return 1_800_000_000.0 + self.seconds + self.set_by

    def passed(self) -> float:
        return self.seconds

    def clock(self) -> SteadyClock:
        return SteadyClock(self.wall() - self.passed(), wall=self.wall, passed=self.passed)


def test_time_passes_and_a_set_clock_moves_nothing() -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock()

    machine.seconds += 7
    machine.set_by -= 86_400

    assert clock() == before + 7
    assert clock.off_s() == -86_400


def test_each_jump_is_told_once_and_a_small_one_never() -> None:
    machine = Machine()
    watch = ClockWatch(machine.clock())
    told = []
    for jump in (0, 1, -1, 3_600, 0, -3_600, 4, 4):
        machine.set_by += jump
        told.append(watch.jump_s())

    assert told == [None, None, None, 3_600, None, -3_600, None, 8]
    assert watch.is_off


def test_processes_share_one_time_that_a_new_start_takes_from_the_clock(tmp_path: Path) -> None:
    file = tmp_path / "run" / "clock.json"
    clock = open_clock(file)
    program = f"from service.clock import open_clock; from pathlib import Path; print(open_clock(Path({str(file)!r}), "
    said = subprocess.run(
        [sys.executable, "-c", program + "wall=lambda: 5.0)())"], capture_output=True, text=True, check=True
    )

    assert abs(float(said.stdout) - clock()) < 60
    forget_clock(file)
    assert abs(open_clock(file, wall=lambda: 5.0)() - 5.0) < 60
    assert list(file.parent.iterdir()) == [file]


def test_a_file_of_an_earlier_start_of_the_machine_or_a_damaged_one_does_not_count(tmp_path: Path) -> None:
    file = tmp_path / "clock.json"
    for content in (json.dumps({"boot_id": "another", "started_at": 5.0}), "", "[]", '{"boot_id": 3}'):
        file.write_text(content)

        assert abs(open_clock(file)() - time.time()) < 60
