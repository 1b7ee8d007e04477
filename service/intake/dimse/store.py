"""One C-STORE that is arriving: its data set goes to the spool as it comes, or to nowhere when it is refused."""

from __future__ import annotations

import asyncio
import logging

from service.intake.dimse.commands import Answer, Command
from service.intake.dimse.negotiation import Context
from service.intake.dimse.pdus import AbortReason, Malformed
from service.intake.outcomes import Door, IntakeReason, NoRoom, Outcome, Sender
from service.intake.receive import Intake
from service.intake.spool import DatasetTooLarge, Spooled

log = logging.getLogger("pandok.intake.dimse")

DRAIN_FACTOR = 2
"""A data set that is refused is read to its end, so that its sender hears why; up to so many times the limit."""


GATHERED_BYTES = 8 << 10
"""Shorter pieces are gathered until they are so many bytes, and written together."""


class Store:
    """Receives one data set.

    Args:
        intake: Where it goes.
        sender: Who sends it.
        command: The C-STORE-RQ.
        context: The presentation context that it came in.
        max_dataset_bytes: Largest data set that is kept.
    """

    def __init__(
        self, intake: Intake, sender: Sender, *, command: Command, context: Context, max_dataset_bytes: int
    ) -> None:
        self.command = command
        self.context_id = context.context_id
        self.size_bytes = 0
        self.study_instance_uid: str | None = None
        """Of what was kept."""
        self._intake, self._sender = intake, sender
        self._max_dataset_bytes = max_dataset_bytes
        self._spooled: Spooled | None = None
        self._gathered = bytearray()
        self._refusal = _refusal(command, context)
        if self._refusal is None:
            self._open(context.transfer_syntax)

    def _open(self, transfer_syntax_uid: str) -> None:
        try:
            self._spooled = self._intake.open(self._sender, transfer_syntax_uid=transfer_syntax_uid)
        except NoRoom as full:
            self._refusal = full.reason
        except OSError as failure:
            log.error("disk refused", extra={"errno": failure.errno})  # noqa: TRY400 - a trace adds only our frames
            self._refusal = IntakeReason.OUT_OF_RESOURCES

    def write(self, fragment: memoryview) -> None:
        """Take data-set bytes. Raises Malformed when they never end."""
        self.size_bytes += len(fragment)
        if self._spooled is None:
            if self.size_bytes > DRAIN_FACTOR * self._max_dataset_bytes:
                raise Malformed(AbortReason.NOT_SPECIFIED, "data set does not end")
            return
        if self._gathered or len(fragment) < GATHERED_BYTES:
            self._gathered += fragment
            if len(self._gathered) >= GATHERED_BYTES:
                self._spool_gathered()
        else:
            self._spool(fragment)

    def _spool_gathered(self) -> None:
        gathered, self._gathered = self._gathered, bytearray()
        self._spool(gathered)

    def _spool(self, data: bytearray | memoryview) -> None:
        assert self._spooled is not None  # noqa: S101 - what is refused gathers nothing
        try:
            self._spooled.write(data)
        except DatasetTooLarge:
            self._refuse(IntakeReason.TOO_LARGE)
        except OSError as failure:
            log.error("disk refused", extra={"errno": failure.errno})  # noqa: TRY400 - a trace adds only our frames
            self._refuse(IntakeReason.OUT_OF_RESOURCES)

    async def finish(self) -> Answer:
        """Say what became of it, once that is durable."""
        outcome = await self._outcome()
        self.study_instance_uid = outcome.study_instance_uid if outcome.is_kept else None
        return Answer(outcome.status, outcome.reason.comment if outcome.reason else "")

    async def _outcome(self) -> Outcome:
        sop_class_uid, sop_instance_uid = self.command.sop_class_uid, self.command.sop_instance_uid
        if self._gathered:
            self._spool_gathered()
        if self._spooled is not None:
            spooled, self._spooled = self._spooled, None  # consumed from here on
            return await self._intake.keep(spooled, sop_class_uid=sop_class_uid, sop_instance_uid=sop_instance_uid)
        return await asyncio.to_thread(
            self._intake.refuse,
            self._sender,
            self._refusal or IntakeReason.TRUNCATED,
            door=Door.DIMSE,
            name=self._sender.name,
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
        )

    def abandon(self) -> None:
        """Forget what came: the sender was not told that we have it."""
        if self._spooled is not None:
            self._spooled.abandon()
            self._spooled = None

    def _refuse(self, reason: IntakeReason) -> None:
        self._refusal = reason
        self.abandon()


def _refusal(command: Command, context: Context) -> IntakeReason | None:
    """Say what the command alone shows to be wrong."""
    if command.sop_class_uid is None or command.sop_instance_uid is None:
        return IntakeReason.MISSING_UID
    if command.sop_class_uid != context.abstract_syntax:
        return IntakeReason.UID_MISMATCH
    if not command.has_data_set:
        return IntakeReason.TRUNCATED
    return None
