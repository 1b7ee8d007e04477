"""What a simulation expects of a study: when it settles and why, told apart from the service's own code."""

from __future__ import annotations

from dataclasses import dataclass, field

PARTIAL_AFTER_S = 1_800.0
"""After the first image of a revision (RELIABILITY 5.5)."""
CLOCK_SLACK_S = 60.0
"""A latest image further in the future than this shows that the clock was set back: nothing is waited for."""
ROUTINE = 3
DUE_S = {1: 3_600.0, 2: 14_400.0, 3: 86_400.0}
"""How soon a study of each class is to be read."""


@dataclass(frozen=True)
class Settled:
    """How one revision settled."""

    number: int
    by: str
    at: float
    """When its time had come."""


@dataclass
class ExpectedStudy:
    """One study, as it should stand."""

    arriving_since: float
    is_arriving: bool = True
    revision: int = 1
    images: int = 0
    count: int | None = None
    """How many the sender announced."""
    priority: int = ROUTINE
    """The class that its center asks for."""
    due_at: float = 0.0
    due_by: str = "quiet"
    first_image_at: float = 0.0
    last_image_at: float = 0.0
    settled: list[Settled] = field(default_factory=list)

    def arrives(self, now: float, quiet_s: float) -> None:
        """Take an image that was not there yet."""
        if not self.images:
            self.first_image_at = now
        if not self.is_arriving:
            self.is_arriving, self.revision, self.arriving_since = True, self.revision + 1, now
        self.images += 1
        self.last_image_at = now
        if self.images == self.count:
            self.due_at, self.due_by = now, "count"
        elif now + quiet_s > self.arriving_since + PARTIAL_AFTER_S:
            self.due_at, self.due_by = self.arriving_since + PARTIAL_AFTER_S, "limit"
        else:
            self.due_at, self.due_by = now + quiet_s, "quiet"

    def is_said_to_be_done(self, count: int | None, now: float) -> None:
        """Take the sender's word."""
        self.count = count
        if self.is_arriving and (count is None or self.images >= count):
            self.due_at, self.due_by = now, "done"

    def is_looked_at(self, now: float) -> None:
        """Settle where the time has come."""
        if self.is_arriving and (self.due_at <= now or self.last_image_at > now + CLOCK_SLACK_S):
            self.is_arriving = False
            self.settled.append(Settled(self.revision, self.due_by, min(self.due_at, now)))

    @property
    def complete_at(self) -> float:
        """When it was first complete; until then when it began to arrive."""
        return min((one.at for one in self.settled), default=self.first_image_at)
