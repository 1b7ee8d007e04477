"""One association: negotiation, then one message after the other, each answered when its outcome is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.intake.dimse.callers import Callers
from service.intake.dimse.commands import MAX_COMMAND_BYTES, Command, CommandField, Status, read_command, response
from service.intake.dimse.connection import Connection, End, Ended
from service.intake.dimse.negotiation import (
    APPLICATION_CONTEXT,
    Context,
    Rejection,
    Request,
    negotiate,
    read_request,
)
from service.intake.dimse.pdus import (
    AbortReason,
    Fragment,
    Malformed,
    PduType,
    abort_pdu,
    command_pdus,
    fragments,
    reject_pdu,
    release_pdu,
)
from service.intake.dimse.records import Peer, Stranger
from service.intake.dimse.seats import Seats
from service.intake.dimse.store import Store
from service.intake.outcomes import Door, Sender
from service.intake.receive import Intake
from service.metrics import ASSOCIATIONS, ASSOCIATIONS_REJECTED_TOTAL
from service.settings import Settings

log = logging.getLogger("pandok.intake.dimse")

DATA_PDU_FACTOR = 2
"""P-DATA is believed up to so many times what we offer: some senders count the header, some ignore the offer."""

_BUFFER_PDUS = 2
"""Room for the PDU in hand and the next one, so that the socket is read in large pieces."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What every association of a listener shares."""

    settings: Settings
    callers: Callers
    intake: Intake
    seats: Seats
    is_stopping: Callable[[], bool]


class Rejected(Exception):
    """The association is refused."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.word)
        self.rejection = rejection


class Association:
    """Serves one connection from its first PDU on.

    Args:
        connection: The connection, reading.
        parts: What all associations share.
    """

    def __init__(self, connection: Connection, parts: Parts) -> None:
        self._connection = connection
        self._parts = parts
        self._sender: Sender | None = None
        self._contexts: dict[int, Context] = {}
        self._peer_max_pdu_bytes = 0
        self._command = bytearray()
        self._command_context_id: int | None = None
        self._store: Store | None = None
        self._unwanted: tuple[Command, int] | None = None
        self._instances = 0

    async def run(self) -> None:
        """Serve until release, abort, a broken rule, a deadline or a lost connection; then close."""
        last_words, how = b"", "released"
        try:
            with self._seated(await self._admit()):
                await self._serve()
                last_words = release_pdu()
        except Rejected as rejected:
            r = rejected.rejection
            how, last_words = r.word, reject_pdu(r.result, r.source, r.reason)
            ASSOCIATIONS_REJECTED_TOTAL.labels(reason=r.word).inc()
        except Malformed as malformed:
            how, last_words = malformed.what, abort_pdu(malformed.reason)
        except Ended as ended:
            how = ended.end.value
        finally:
            self._connection.close(last_words)
            await self._forget(how)
        log.info("association ended", extra={"how": how, "instances": self._instances})
