"""The running service on a machine whose clock is set: people are told within seconds.

The machine's own clock is not ours to set, and under libfaketime 0.9.10, told to leave alone the clocks that only pass,
Python cannot sleep. So `time.time` is set, in every process of a real `pandok serve`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.driver import Service, running, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TOLD_S = 5.0
"""RELIABILITY T-40."""
SET_CLOCK = """
import time
machines = time.time

def set_clock():
    try:
        with open({file!r}) as file:
            return machines() + float(file.read() or 0)
    except OSError:  # a decode child may read nothing
        return machines()

time.time = set_clock
"""


class Clock:
    """The clock of a service, which can be set."""

    def __init__(self, folder: Path) -> None:
        self.folder, self._file = folder, folder / "set_by_s"
        folder.mkdir()
        (folder / "sitecustomize.py").write_text(SET_CLOCK.format(file=str(self._file)))
        self.set_by(0.0)

    def set_by(self, seconds: float) -> None:
        whole = self._file.with_suffix(".part")
        whole.write_text(str(seconds))
        whole.rename(self._file)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path / "clock")


@pytest.fixture
def service(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    path = os.pathsep.join(filter(None, (str(clock.folder), os.environ.get("PYTHONPATH"))))
    with running(tmp_path, PYTHONPATH=path) as made:
        yield made


def jumps(service: Service) -> list[float]:
    """Return the jumps that the audit tells of, in their order."""
    events = service.get("/api/audit", action="clock_jumped")["events"]
    return [event["detail"]["seconds"] for event in reversed(events)]


def has_told(service: Service, count: int) -> bool:
    return len(jumps(service)) >= count


def test_each_jump_of_the_clock_is_told_within_seconds_and_nobody_is_signed_out(service: Service, clock: Clock) -> None:
    waited_s = []
    for number, set_by in enumerate((3_600.0, -86_400.0, 0.0)):
        started = time.monotonic()
        clock.set_by(set_by)
        wait_until(f"the clock set by {set_by} is told", partial(has_told, service, number + 1))
        waited_s.append(time.monotonic() - started)

    assert [round(jump) for jump in jumps(service)] == [3_600, -90_000, 86_400]
    assert max(waited_s) <= TOLD_S
    assert [problem["reason"] for problem in service.get("/api/problems")["problems"]] == ["clock_jumped"]
