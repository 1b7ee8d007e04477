"""One N-ACTION of storage commitment that is arriving (PS3.4 section J.3.2): answered once the request is durable."""

from __future__ import annotations

import asyncio
import io
import logging
from collections.abc import Callable, Sequence

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from preprocessing.datasets import Keeping, build_dataset
from preprocessing.windows import HeaderRefused, open_window
from service.database import Database
from service.intake import commitment_records
from service.intake.commitment_records import Reference
from service.intake.commitments import PUSH_MODEL, PUSH_MODEL_INSTANCE
from service.intake.dimse.commands import Answer, Command, Status
from service.intake.dimse.negotiation import Context
from service.intake.dimse.pdus import AbortReason, Malformed
from service.intake.dimse.records import Peer
from service.intake.verify import is_valid_uid

log = logging.getLogger("pandok.intake.dimse")

REQUEST_COMMITMENT = 1
"""The one action type of the class."""
MAX_REQUEST_BYTES = 8 << 20
"""Two to four times what 20,000 references take."""
DRAIN_FACTOR = 2
_NO_BULK = Keeping(bulk_bytes=0, longest_bulk_bytes=0, with_pixels=False)
"""Room for as many references as a message of this size can hold, at some 3,000 bytes each."""


class Unreadable(Exception):
    """The action information cannot be taken; carries the status to answer."""

    def __init__(self, status: Status) -> None:
        super().__init__(status.name)
        self.status = status


class CommitRequest:
    """Receives one request.

    Args:
        database: Our tables.
        peer: Who asks.
        command: The N-ACTION-RQ.
        context: The presentation context that it came in.
        max_references: Most instances in one request.
        clock: Seconds since 1970 UTC.
    """

    def __init__(
        self,
        database: Database,
        peer: Peer,
        *,
        command: Command,
        context: Context,
        max_references: int,
        clock: Callable[[], float],
    ) -> None:
        self.command = command
        self.context_id = context.context_id
        self.size_bytes = 0
        self._database, self._peer = database, peer
        self._syntax = context.transfer_syntax
        self._max_references = max_references
        self._clock = clock
        self._refusal = _refusal(command, context)
        self._data = bytearray()
        self.context = context
        self.commitment_id: int | None = None
        """Row number of the request, once it was taken."""

    def write(self, fragment: memoryview) -> None:
        """Take bytes of the action information. Raises Malformed when they never end."""
        self.size_bytes += len(fragment)
        if self.size_bytes > DRAIN_FACTOR * MAX_REQUEST_BYTES:
            raise Malformed(AbortReason.NOT_SPECIFIED, "action information does not end")
        if self.size_bytes > MAX_REQUEST_BYTES:
            self._refusal = Status.RESOURCE_LIMITATION
            self._data.clear()
        elif self._refusal is None:
            self._data += fragment

    async def finish(self) -> Answer:
        """Write the request down and say so, or why not."""
        return await asyncio.to_thread(self._finish)

    def _finish(self) -> Answer:
        if self._refusal is not None:
            return Answer(self._refusal)
        try:
            transaction_uid, asked = self._read()
            with self._database.transaction() as tx:
                self.commitment_id = commitment_records.add_request(
                    tx,
                    site_id=self._peer.site_id,
                    peer_id=self._peer.id,
                    transaction_uid=transaction_uid,
                    asked=asked,
                    now=self._clock(),
                )
        except Unreadable as unreadable:
            return Answer(unreadable.status)
        except SQLAlchemyError as failure:
            log.error("commitment not noted", extra={"error": type(failure).__name__})  # noqa: TRY400 - no SQL in logs
            return Answer(Status.PROCESSING_FAILURE)
        return Answer(Status.SUCCESS)

    def abandon(self) -> None:
        """Forget what came: the sender was not told that we have it."""
        self._data.clear()

    def _read(self) -> tuple[str, Sequence[Reference]]:
        """Return the transaction and each reference once. Raises Unreadable."""
        data = bytes(self._data)
        try:
            window = open_window(io.BytesIO(data), offset=0, length=len(data), is_deflated=False)
            told = build_dataset(window, transfer_syntax_uid=self._syntax, keeping=_NO_BULK)
            transaction_uid = str(told.TransactionUID)
            items = list(told.ReferencedSOPSequence)
        except HeaderRefused as refused:
            status = Status.RESOURCE_LIMITATION if refused.kind == "limit" else Status.INVALID_ARGUMENT
            raise Unreadable(status) from None
        except Exception:  # noqa: BLE001 - the library converts a stranger's values: whatever it raises
            raise Unreadable(Status.INVALID_ARGUMENT) from None
        if len(items) > self._max_references:
            raise Unreadable(Status.RESOURCE_LIMITATION)
        if not items or not is_valid_uid(transaction_uid):
            raise Unreadable(Status.INVALID_ARGUMENT)
        return transaction_uid, list(dict.fromkeys(_reference(item) for item in items))


def _reference(item: Dataset) -> Reference:
    pair = str(item.get("ReferencedSOPClassUID", "")), str(item.get("ReferencedSOPInstanceUID", ""))
    if not all(is_valid_uid(uid) for uid in pair):
        raise Unreadable(Status.INVALID_ARGUMENT)
    return pair


def _refusal(command: Command, context: Context) -> Status | None:
    """Say what the command alone shows to be wrong."""
    if context.abstract_syntax != PUSH_MODEL or command.sop_class_uid != PUSH_MODEL:
        return Status.NO_SUCH_CLASS
    if command.sop_instance_uid != PUSH_MODEL_INSTANCE:
        return Status.NO_SUCH_INSTANCE
    if command.action_type != REQUEST_COMMITMENT:
        return Status.NO_SUCH_ACTION
    return None if command.has_data_set else Status.INVALID_ARGUMENT
