"""Tells a peer that waits on its own association what became of its storage commitment (PS3.4 section J.3.3)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.dsutils import encode
from sqlalchemy.exc import SQLAlchemyError

from service.database import Database
from service.intake import commitment_records as records
from service.intake.commitment_records import Commitment
from service.intake.commitments import PUSH_MODEL, PUSH_MODEL_INSTANCE, event_of, report
from service.intake.dimse.commands import Command, Status, event_report
from service.intake.dimse.connection import Connection
from service.intake.dimse.negotiation import Context
from service.intake.dimse.pdus import AbortReason, Malformed, command_pdus

log = logging.getLogger("pandok.intake.dimse")

WAITS_AFTER_S = 1.0
"""A peer that asked and has sent nothing for so long waits for the answer. One that goes on sending, or leaves, is told
over an association of ours: some could not take a request of ours between two of their own."""
ANSWER_S = 60.0
"""How long the peer may take to answer before it is told in the other way."""


class Reports:
    """What one association was promised.

    Args:
        database: Our tables.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock
        self._promised: dict[int, Context] = {}
        self._told: tuple[int, int] | None = None
        self._messages = 0

    @property
    def open(self) -> frozenset[int]:
        """Row numbers of requests whose outcome may be told now; none while an answer is awaited."""
        return frozenset(self._promised) if self._told is None else frozenset()

    def promise(self, commitment_id: int, context: Context) -> None:
        """Remember a request that was taken."""
        self._promised[commitment_id] = context

    def tell(self, connection: Connection, commitment: Commitment, *, max_pdu_bytes: int) -> None:
        """Send the outcome of a request that is checked."""
        context = self._promised[commitment.id]
        self._messages += 1
        self._told = self._messages, commitment.id
        told = report(commitment, commitment.failed or ())
        command = event_report(PUSH_MODEL, PUSH_MODEL_INSTANCE, message_id=self._messages, event_type=event_of(told))
        data = encode(told, context.transfer_syntax == ImplicitVRLittleEndian, True) or b""
        connection.say(
            command_pdus(context.context_id, command, max_pdu_bytes=max_pdu_bytes)
            + command_pdus(context.context_id, data, max_pdu_bytes=max_pdu_bytes, is_data_set=True)
        )

    async def heard(self, response: Command) -> None:
        """Take the peer's answer. Raises Malformed for one to nothing, or with a data set, which this class has not."""
        if self._told is None or self._told[0] != response.message_id or response.has_data_set:
            raise Malformed(AbortReason.UNEXPECTED_PARAMETER, "a response to nothing")
        _, commitment_id = self._told
        self._told = None
        if response.status == Status.SUCCESS:
            del self._promised[commitment_id]
            await asyncio.to_thread(self._write_answered, commitment_id)
            log.info("commitment told", extra={"how": "on its association"})
        else:
            await self.leave()

    async def leave(self) -> None:
        """Give back what was not told: it is told over an association of ours from now on."""
        promised, self._promised = self._promised, {}
        if promised:
            await asyncio.to_thread(self._leave, list(promised))

    def _write_answered(self, commitment_id: int) -> None:
        try:
            with self._database.transaction() as tx:
                records.write_answered(tx, commitment_id, self._clock())
        except SQLAlchemyError as failure:  # told once more when its time comes: the peer takes the same again
            log.error("commitment not noted", extra={"error": type(failure).__name__})  # noqa: TRY400 - no SQL in logs

    def _leave(self, promised: list[int]) -> None:
        try:
            with self._database.transaction() as tx:
                records.note_asker_left(tx, promised, now=self._clock())
        except SQLAlchemyError as failure:  # told when the wait for its asker is over
            log.error("commitment not noted", extra={"error": type(failure).__name__})  # noqa: TRY400 - no SQL in logs


def take_checked(database: Database, clock: Callable[[], float], commitment_ids: Collection[int]) -> list[Commitment]:
    """Take in hand those of these requests whose outcome is known; none while the tables are away."""
    taken = []
    try:
        with database.reading() as rx:
            checked = records.list_checked(rx, commitment_ids)
        for commitment_id in checked:
            with database.transaction() as tx:
                taken.append(records.take(tx, commitment_id, now=clock(), lease_s=ANSWER_S, is_asker=True))
    except SQLAlchemyError as failure:  # asked again in a second
        log.warning("commitments not known", extra={"error": type(failure).__name__})
    return [one for one in taken if one is not None]
