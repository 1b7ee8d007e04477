"""The pressure as a door reads it: seldom measured, and told to whoever watches the numbers."""

from __future__ import annotations

import time
from collections.abc import Callable

from service.database import Database
from service.intake.pressure import Pressure, measure
from service.metrics import PRESSURE, STORAGE_FREE_BYTES
from service.settings import Settings

FRESH_S = 2.0
"""Measured at most so often: the tables and the file system are asked."""


class Barometer:
    """The pressure as it was a moment ago.

    Args:
        settings: The marks, and the data folder.
        database: Our tables.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, database: Database, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._database = database
        self._clock = clock
        self._read: tuple[float, Pressure] | None = None

    def read(self, *, fresh_s: float = FRESH_S) -> Pressure:
        """Return the pressure, measured at most so long ago. Raises OSError when the volume does not tell."""
        now = time.monotonic()
        if self._read is None or now - self._read[0] > fresh_s:
            pressure = measure(self._settings, self._database, self._clock())
            PRESSURE.set(pressure.level)
            STORAGE_FREE_BYTES.set(pressure.free_bytes)
            self._read = (now, pressure)  # one assignment: doors in other threads see both or neither
        return self._read[1]
