"""The service's time: the machine's clock as it stood at the start, and from then on seconds that only pass.

Leases, due times, sessions and the audit go by it, so that a clock that somebody sets, or that jumps by itself, steals
no lease and turns no order round (RELIABILITY 5.10). All parts on a machine share one such time.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

JUMP_S = 5.0
"""From so far off on, the machine's clock has jumped."""
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def passed_s() -> float:
    """Return the seconds since the machine started; nobody can set them, and they are the same in every process."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class SteadyClock:
    """Seconds since 1970 UTC that no jump of the machine's clock moves.

    Args:
        started_at: What the clock said when `passed` was 0.
        wall: The machine's clock.
        passed: Seconds that only pass.
    """

    def __init__(
        self, started_at: float, *, wall: Callable[[], float] = time.time, passed: Callable[[], float] = passed_s
    ) -> None:
        self._started_at = started_at
        self._wall = wall
        self._passed = passed

    def __call__(self) -> float:
        """Return the service's time."""
        return self._started_at + self._passed()

    def off_s(self) -> float:
        """Return how far the machine's clock is ahead of the service's time."""
        return self._wall() - self()


class ClockWatch:
    """Tells once of each jump of the machine's clock, and of a drift when it has come to as much as a jump."""

    def __init__(self, clock: SteadyClock) -> None:
        self._clock = clock
        self._told_s = 0.0

    @property
    def is_off(self) -> bool:
        """The machine's clock and the service's time differ by a jump."""
        return abs(self._clock.off_s()) > JUMP_S

    def jump_s(self) -> float | None:
        """Return by how much the clock has jumped since this was last told, or None."""
        off_s = self._clock.off_s()
        jump_s = off_s - self._told_s
        if abs(jump_s) <= JUMP_S:
            return None
        self._told_s = off_s
        return jump_s


def open_clock(file: Path, *, wall: Callable[[], float] = time.time) -> SteadyClock:
    """Return the time that all parts on this machine go by; the first of them after a start takes it from the clock."""
    boot_id = _boot_id()
    if boot_id is None:  # nothing tells whether another process counts from the same moment
        return SteadyClock(wall() - passed_s(), wall=wall)
    file.parent.mkdir(parents=True, exist_ok=True)
    agreed = _read(file, boot_id)
    if agreed is None:
        own = file.with_suffix(f".{os.getpid()}.part")
        own.write_text(json.dumps({"boot_id": boot_id, "started_at": wall() - passed_s()}))
        if _read(file, boot_id, is_any=True) is not None:
            file.unlink(missing_ok=True)  # of an earlier start of the machine
        try:
            os.link(own, file)  # of two parts that start at once one wins
        except FileExistsError:
            pass
        finally:
            own.unlink()
        agreed = _read(file, boot_id)
    return SteadyClock(wall() - passed_s() if agreed is None else agreed, wall=wall)


def forget_clock(file: Path) -> None:
    """Let the next part that starts take the machine's clock as it stands then."""
    file.unlink(missing_ok=True)


def _boot_id() -> str | None:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return None


def _read(file: Path, boot_id: str, *, is_any: bool = False) -> float | None:
    try:
        said = json.loads(file.read_text())
        return float(said["started_at"]) if is_any or said["boot_id"] == boot_id else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
