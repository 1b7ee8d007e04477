"""Whose turn it is: an association gives way to the others after some values, and a sender of crumbs waits besides.

Each value costs about the same work, whatever its size, so that a peer that cuts its data into crumbs could keep a
listener busy with a few kilobytes a second. Usual senders put one value of 4 to 128 KiB into a PDU.
"""

from __future__ import annotations

from service.intake.dimse.connection import Connection
from service.intake.dimse.pdus import AbortReason, Fragment, Malformed

TURN_VALUES = 32
"""Values of one turn: of usual ones, what the buffer holds anyway."""
CRUMB_BYTES = 128
"""A value that is shorter, and not the last of its command or data set, is a crumb: nobody needs to send such."""
CRUMBS_REST_S = 0.02
"""How long an association waits after a turn of mostly crumbs: 1,600 values a second are left to it."""
MAX_CRUMB_TURNS = 500
"""After so many such turns, one behind the other, an association is ended: its seat is worth more."""


class Turns:
    """Counts one association's values.

    Args:
        connection: Its connection.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._values = self._crumbs = self._crumb_turns = 0

    async def took(self, fragment: Fragment) -> None:
        """Count a value that was dealt with; at the end of the turn let the others have theirs.

        Raises Malformed when there are nothing but crumbs, Ended when the association must end meanwhile.
        """
        self._values += 1
        self._crumbs += not fragment.is_last and len(fragment.data) < CRUMB_BYTES
        if self._values == TURN_VALUES:
            is_crumbly = 2 * self._crumbs > TURN_VALUES
            self._values = self._crumbs = 0
            self._crumb_turns = self._crumb_turns + 1 if is_crumbly else 0
            if self._crumb_turns > MAX_CRUMB_TURNS:
                raise Malformed(AbortReason.NOT_SPECIFIED, "nothing but crumbs")
            await self._connection.rest(CRUMBS_REST_S if is_crumbly else 0.0)
