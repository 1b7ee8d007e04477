"""How many may be here at once, from one origin and in all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable


class Seats:
    """A fixed number of seats, a part of them for any one origin.

    Args:
        total: Seats in all.
        each: Seats that one origin may take.
    """

    def __init__(self, *, total: int, each: int) -> None:
        self._total, self._each = total, each
        self._taken: Counter[Hashable] = Counter()
        self._sum = 0

    @property
    def are_taken(self) -> bool:
        """None is left, for any origin."""
        return self._sum >= self._total

    def take(self, origin: Hashable) -> bool:
        """Take a seat; False when none is left for this origin."""
        if self._sum >= self._total or self._taken[origin] >= self._each:
            return False
        self._taken[origin] += 1
        self._sum += 1
        return True

    def leave(self, origin: Hashable) -> None:
        """Give back a seat that was taken."""
        self._sum -= 1
        self._taken[origin] -= 1
        if not self._taken[origin]:
            del self._taken[origin]
