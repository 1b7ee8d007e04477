"""Back-pressure (RELIABILITY 5.8): at the soft mark optional work stops, at the hard mark nothing more comes in.

A mark is a number of free bytes or a share of the volume, whichever is less. Bytes alone would stop a small volume that
is nearly empty, a share alone a large one with a terabyte to spare; what reading, signing and delivery still have to
write grows with neither.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from enum import IntEnum

from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.intake.pressure_records import waiting_since
from service.settings import GIB, Settings


class Level(IntEnum):
    """How hard the service is pressed, and by what."""

    NONE = 0
    LOW = 1
    """Soft mark: no scoring again, no exports."""
    OVERLOADED = 2
    """Hard mark by load: new senders are refused, and each further data set of those that are here."""
    FULL = 3
    """Hard mark by storage: nothing comes in."""


@dataclass(frozen=True, slots=True)
class Pressure:
    """What was measured, and what follows from it."""

    level: Level
    free_bytes: int
    waiting_s: float
    spare_bytes: int = 0
    """Free bytes above the hard mark."""

    @property
    def words(self) -> str:
        """Say it to an operator."""
        free = f"{self.free_bytes / GIB:.1f} GiB free"
        match self.level:
            case Level.FULL:
                return f"takes nothing: {free}; make room"
            case Level.OVERLOADED:
                return f"takes nothing new: studies have waited {self.waiting_s / 60:.0f} min to be scored"
            case Level.LOW:
                return f"takes instances; {free}, so nothing is scored again or exported until there is more"
            case _:
                return f"takes instances, {free}"


def measure(settings: Settings, database: Database | None, now: float) -> Pressure:
    """Measure free space and waiting work.

    Args:
        settings: The marks, and the data folder, which must exist.
        database: Our tables; where there are none yet, or they do not answer, only the space counts.
        now: Seconds since 1970 UTC.

    Raises:
        OSError: The volume does not tell.
    """
    volume = shutil.disk_usage(settings.data_folder)
    waiting_s = _waiting_s(database, now) if database is not None else 0.0
    level = Level.NONE
    spare_bytes = int(volume.free - min(settings.min_free_bytes, settings.min_free_share * volume.total))
    if spare_bytes < 0:
        level = Level.FULL
    elif waiting_s > settings.max_waiting_s:
        level = Level.OVERLOADED
    elif volume.free < min(settings.low_free_bytes, settings.low_free_share * volume.total):
        level = Level.LOW
    return Pressure(level, volume.free, waiting_s, spare_bytes)


def _waiting_s(database: Database, now: float) -> float:
    try:
        with database.reading() as rx:
            since = waiting_since(rx)
    except SQLAlchemyError:
        return 0.0
    return max(now - since, 0.0) if since is not None else 0.0
