"""Who has a seat at the listener, and who must give it up when none is left."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass

from service.intake.dimse.association import Association
from service.intake.dimse.seats import Seats
from service.metrics import ASSOCIATIONS_REJECTED_TOTAL

log = logging.getLogger("pandok.intake.dimse")


@dataclass(eq=False, slots=True)
class Guest:
    """Who has a seat: a connection from its first moment on."""

    address: str
    association: Association | None = None
    is_seated: bool = True

    @property
    def is_waiting(self) -> bool:
        """It has not been let in yet: it shakes hands, or has not said who it is."""
        return self.is_seated and (self.association is None or not self.association.is_admitted)


class Guests:
    """The connections of one listener process, each served by a task.

    Args:
        seats: How many there may be, in all and from one address.
    """

    def __init__(self, seats: Seats) -> None:
        self._seats = seats
        self._guests: dict[asyncio.Task[None], Guest] = {}

    @property
    def tasks(self) -> set[asyncio.Task[None]]:
        """Those that have not ended."""
        return set(self._guests)

    def admit(self, address: str) -> Guest | None:
        """Seat a new connection, at another one's cost if it must be; None when there is no seat for its address."""
        if self._seats.are_taken:
            self._make_way()
        if self._seats.take(address):
            return Guest(address)
        ASSOCIATIONS_REJECTED_TOTAL.labels(reason="connections").inc()
        return None

    def note(self, guest: Guest, task: asyncio.Task[None]) -> None:
        """Remember which task serves a guest."""
        self._guests[task] = guest
        task.add_done_callback(self._done)

    def leave(self, guest: Guest) -> None:
        """Take a guest's seat back, once."""
        if guest.is_seated:
            guest.is_seated = False
            self._seats.leave(guest.address)

    def _make_way(self) -> None:
        """With every seat taken, end whoever waits longest to be let in, of the address that has most such waiting.

        Peers that connect and stay silent could otherwise keep all others out, each for as long as a deadline.
        """
        waiting = [(task, guest) for task, guest in self._guests.items() if guest.is_waiting]
        if waiting:
            [(crowd, _)] = Counter(guest.address for _, guest in waiting).most_common(1)
            task, guest = next((task, guest) for task, guest in waiting if guest.address == crowd)
            ASSOCIATIONS_REJECTED_TOTAL.labels(reason="made_way").inc()
            self.leave(guest)
            task.cancel()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._guests.pop(task, None)
        failure = None if task.cancelled() else task.exception()
        if failure is not None:
            log.error("association failed", extra={"error": type(failure).__name__})
