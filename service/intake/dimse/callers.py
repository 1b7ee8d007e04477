"""Known peers are let in; strangers are counted, and written down at most once a second."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.intake.dimse import records
from service.intake.dimse.negotiation import Rejection
from service.intake.dimse.records import Peer, Stranger
from service.sites import PeerCertificate

log = logging.getLogger("pandok.intake.dimse")

MAX_PENDING = 64
"""Different strangers between two writings; more are counted together, so that a flood costs one transaction."""


class Callers:
    """Looks callers up among the known peers.

    Args:
        database: Our tables.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.clock = clock
        self._pending: Counter[tuple[str, str, Stranger]] = Counter()

    async def find(self, *, ae_title: str, address: str, certificate: PeerCertificate | None) -> Peer | Stranger:
        """Return the peer, read from the tables each time: an operator's change holds from the next association on."""
        return await asyncio.to_thread(self._find, ae_title, address, certificate)

    def _find(self, ae_title: str, address: str, certificate: PeerCertificate | None) -> Peer | Stranger:
        with self.database.reading() as tx:
            return records.find_peer(tx, ae_title=ae_title, address=address, certificate=certificate)

    def note(self, stranger: Stranger, *, ae_title: str, address: str) -> None:
        """Remember that a stranger called."""
        key = (ae_title, address, stranger)
        if key not in self._pending and len(self._pending) >= MAX_PENDING:
            key = (records.OTHERS, "many addresses", stranger)
        self._pending[key] += 1

    async def write(self) -> None:
        """Write down who called since the last time."""
        if self._pending:
            pending, self._pending = self._pending, Counter()
            await asyncio.to_thread(self._write, pending)

    def _write(self, pending: Counter[tuple[str, str, Stranger]]) -> None:
        now = self.clock()
        try:
            with self.database.transaction() as tx:
                for (ae_title, address, stranger), times in pending.items():
                    records.note_stranger(
                        tx,
                        ae_title=ae_title,
                        address=address,
                        reason=stranger,
                        status=_status(stranger),
                        times=times,
                        now=now,
                    )
        except SQLAlchemyError as failure:
            # They were turned away all the same; a full disk only loses the note.
            log.error("strangers not noted", extra={"error": type(failure).__name__})  # noqa: TRY400


def _status(stranger: Stranger) -> str:
    if stranger.name.startswith("TLS_"):
        return "TLS"
    called = stranger is Stranger.CALLED_AE_TITLE
    rejection = Rejection.CALLED_AE_TITLE if called else Rejection.CALLING_AE_TITLE
    return f"RJ {rejection.result}/{rejection.source}/{rejection.reason}"
