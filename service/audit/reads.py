"""Notes who looked at which study: once for each session or key and study, however many images are asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from service.access import Caller
from service.audit.chain import note
from service.database import Database

AGAIN_AFTER_S = 3_600.0
"""A look that goes on for longer than this is noted again."""
REMEMBERED = 50_000


class Reads:
    """Remembers which looks are noted. Where one cannot be noted the read fails: the error goes up.

    Args:
        database: Holds the audit.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._noted: OrderedDict[tuple[str, str, str | None], float] = OrderedDict()
        self._lock = threading.Lock()

    def looked(
        self, caller: Caller, action: str, *, site_id: int | None, object_type: str, object_id: str | None
    ) -> None:
        """Note that the caller looked at something, unless that was noted for this session not long ago."""
        now = self._clock()
        key = (f"{caller.name}/{caller.session_id}", action, object_id)
        with self._lock:
            if now - self._noted.get(key, float("-inf")) < AGAIN_AFTER_S:
                return
        with self._database.transaction() as tx:
            note(tx, caller, action, now=now, site_id=site_id, object_type=object_type, object_id=object_id)
        with self._lock:
            self._noted[key] = now
            self._noted.move_to_end(key)
            while len(self._noted) > REMEMBERED:
                self._noted.popitem(last=False)
