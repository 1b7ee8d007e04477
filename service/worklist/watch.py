"""Tells open pages that the worklist changed: one look at the database for all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.worklist import records

LOOK_EVERY_S = 0.5
"""So that an arriving study stands in an open page within two seconds of its first image."""


class Watch:
    """Counts the changes of the worklist that any process made.

    Looks are taken only when somebody asks, and shared: twenty open pages cost one look every half second.
    """

    def __init__(
        self, database: Database, clock: Callable[[], float], *, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._mark: tuple[object, ...] | None = None
        self._changes = 0

    def changes(self) -> int:
        """Return a number that grows when the worklist may look different. Blocks for one small query at most."""
        with self._lock:
            if self._monotonic() - self._looked_at < LOOK_EVERY_S:
                return self._changes
            self._looked_at = self._monotonic()
            try:
                with self._database.reading() as rx:
                    mark = records.change_mark(rx, self._clock())
            except SQLAlchemyError:
                return self._changes  # the next look tells; /ready shows a database that stays away
            if mark != self._mark:
                self._mark = mark
                self._changes += 1
            return self._changes
