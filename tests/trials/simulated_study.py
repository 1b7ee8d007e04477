"""What a simulation expects of a study: when it settles and why, told apart from the service's own code."""

from __future__ import annotations

from dataclasses import dataclass, field

QUIET_S = 60.0
"""After the latest radiograph (RELIABILITY 5.5)."""
PARTIAL_AFTER_S = 1_800.0
"""After the first image of a revision."""


@dataclass
class ExpectedStudy:
    """One study, as it should stand."""

    arriving_since: float
    is_arriving: bool = True
    revision: int = 1
    images: int = 0
    count: int | None = None
    """How many the sender announced."""
    due_at: float = 0.0
    due_by: str = "quiet"
    settled: list[tuple[int, str, float]] = field(default_factory=list)
    """Of each revision that settled: its number, what settled it, and when its time had come."""

    def arrives(self, now: float) -> None:
        """Take an image that was not there yet."""
        if not self.is_arriving:
            self.is_arriving, self.revision, self.arriving_since = True, self.revision + 1, now
        self.images += 1
        if self.images == self.count:
            self.due_at, self.due_by = now, "count"
        elif now + QUIET_S > self.arriving_since + PARTIAL_AFTER_S:
            self.due_at, self.due_by = self.arriving_since + PARTIAL_AFTER_S, "limit"
        else:
            self.due_at, self.due_by = now + QUIET_S, "quiet"

    def is_said_to_be_done(self, count: int | None, now: float) -> None:
        """Take the sender's word."""
        self.count = count
        if self.is_arriving and (count is None or self.images >= count):
            self.due_at, self.due_by = now, "done"

    def is_looked_at(self, now: float) -> None:
        """Settle where the time has come."""
        if self.is_arriving and self.due_at <= now:
            self.is_arriving = False
            self.settled.append((self.revision, self.due_by, self.due_at))
