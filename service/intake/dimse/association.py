"""One association: negotiation, then one message after the other, each answered when its outcome is durable."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from service.errors import Busy, StorageFull
from service.intake.commitment_records import Commitment
from service.intake.dimse.callers import Callers
from service.intake.dimse.commands import MAX_COMMAND_BYTES, Command, CommandField, Status, read_command, response
from service.intake.dimse.commit_request import CommitRequest
from service.intake.dimse.connection import Connection, End, Ended
from service.intake.dimse.negotiation import (
    APPLICATION_CONTEXT,
    Context,
    Rejected,
    Rejection,
    Request,
    negotiate,
    read_request,
)
from service.intake.dimse.pdus import (
    HEADER_BYTES,
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
from service.intake.dimse.reports import WAITS_AFTER_S, Reports
from service.intake.dimse.seats import Seats
from service.intake.dimse.store import Store
from service.intake.dimse.turns import Turns
from service.intake.outcomes import Door, Sender
from service.intake.receive import Intake
from service.intake.settling import StudyKey
from service.metrics import ASSOCIATIONS, ASSOCIATIONS_REJECTED_TOTAL
from service.settings import Settings

log = logging.getLogger("pandok.intake.dimse")

DATA_PDU_FACTOR = 2
"""P-DATA is believed up to so many times what we offer: some senders do not count the headers in it."""

BUFFERED_PDUS = 2
"""Room for the largest PDU and as much again, so that the socket is read in few large pieces."""

_VERSION_1 = 0x0001


@dataclass(frozen=True, slots=True)
class Parts:
    """What every association of a listener shares."""

    settings: Settings
    callers: Callers
    intake: Intake
    seats: Seats
    is_stopping: Callable[[], bool]


class Association:
    """Serves one connection from its first PDU to its end.

    Args:
        connection: The connection, reading.
        parts: What all associations share.
    """

    def __init__(self, connection: Connection, parts: Parts) -> None:
        self._connection, self._turns = connection, Turns(connection)
        self._parts = parts
        self._peer: Peer | None = None
        self._sender: Sender | None = None
        self._contexts: dict[int, Context] = {}
        self._peer_max_pdu_bytes = 0
        self._command = bytearray()
        self._command_context: Context | None = None
        self._incoming: Store | CommitRequest | None = None
        self._instances = 0
        self._last_study: str | None = None
        self._reports = Reports(parts.callers.database, parts.callers.clock)

    @property
    def is_admitted(self) -> bool:
        """It is a known peer that has a seat."""
        return self._peer is not None

    @property
    def study_under_way(self) -> StudyKey | None:
        """The study of the image before, while the next one is on the wire."""
        if self._last_study is None or self._sender is None or not isinstance(self._incoming, Store):
            return None
        return self._sender.site_id, self._last_study

    def open_reports(self, now: float) -> frozenset[int]:
        """Return the storage commitments whose outcome the peer waits for here, saying nothing."""
        return self._reports.open if self._connection.is_quiet(now, for_s=WAITS_AFTER_S) else frozenset()

    def report(self, commitment: Commitment) -> None:
        """Tell the outcome of one of them."""
        self._reports.tell(self._connection, commitment, max_pdu_bytes=self._peer_max_pdu_bytes)

    async def run(self) -> None:
        """Serve until release, abort, a broken rule, a deadline or a lost connection; then close."""
        last_words, how = b"", "failed"
        try:
            await self._admit()
            how = await self._serve()
            last_words = release_pdu()
        except Rejected as rejected:
            rejection = rejected.rejection
            how, last_words = rejection.word, reject_pdu(rejection.result, rejection.source, rejection.reason)
            ASSOCIATIONS_REJECTED_TOTAL.labels(reason=rejection.word).inc()
        except Malformed as malformed:
            how, last_words = malformed.what, abort_pdu(malformed.reason)
        except Ended as ended:
            how = ended.end.value
            last_words = b"" if ended.end is End.ABORTED else abort_pdu(AbortReason.NOT_SPECIFIED)
        finally:
            self._connection.close(last_words)
            if self._peer is not None:
                self._parts.seats.leave(self._peer.id)
                ASSOCIATIONS.dec()
            await self._forget(how)
        log.info("association ended", extra={"how": how, "instances": self._instances})

    # Negotiation

    async def _admit(self) -> None:
        """Take the association request and accept it. Raises Rejected, Malformed, Ended."""
        settings = self._parts.settings
        _, body = await self._connection.next_pdu({PduType.ASSOCIATE_RQ: settings.max_associate_rq_bytes})
        request = read_request(body)
        peer = await self._known_peer(request)
        self._check_room()
        if not self._parts.seats.take(peer.id):
            raise Rejected(Rejection.LOCAL_LIMIT)
        self._peer = peer
        ASSOCIATIONS.inc()
        self._sender = Sender(peer.site_id, Door.DIMSE, peer.ae_title)
        self._peer_max_pdu_bytes = request.max_pdu_bytes
        self._contexts, answer = negotiate(
            request, max_pdu_bytes=settings.max_pdu_bytes, takes_commitment=peer.has_address
        )
        self._connection.grow(BUFFERED_PDUS * (DATA_PDU_FACTOR * settings.max_pdu_bytes + HEADER_BYTES))
        await self._connection.send(answer)

    def _check_room(self) -> None:
        try:
            self._parts.intake.check_room()
        except StorageFull:
            raise Rejected(Rejection.NO_ROOM) from None
        except Busy:
            raise Rejected(Rejection.OVERLOADED) from None

    async def _known_peer(self, request: Request) -> Peer:
        if not request.protocol_version & _VERSION_1:
            raise Rejected(Rejection.PROTOCOL_VERSION)
        if request.application_context != APPLICATION_CONTEXT:
            raise Rejected(Rejection.APPLICATION_CONTEXT)
        if self._parts.is_stopping():
            raise Rejected(Rejection.STOPPING)
        if request.called_ae_title != self._parts.settings.dicom_ae_title:
            raise self._stranger(Stranger.CALLED_AE_TITLE, request)
        try:
            found = await self._parts.callers.find(
                ae_title=request.calling_ae_title,
                address=self._connection.address,
                certificate=self._connection.certificate,
            )
        except SQLAlchemyError as failure:
            log.error("peers not readable", extra={"error": type(failure).__name__})  # noqa: TRY400 - no SQL in logs
            raise Rejected(Rejection.TABLES_AWAY) from failure
        if isinstance(found, Stranger):
            raise self._stranger(found, request)
        return found

    def _stranger(self, stranger: Stranger, request: Request) -> Rejected:
        self._parts.callers.note(stranger, ae_title=request.calling_ae_title, address=self._connection.address)
        log.warning("stranger turned away", extra={"reason": stranger.value})
        called = stranger is Stranger.CALLED_AE_TITLE
        return Rejected(Rejection.CALLED_AE_TITLE if called else Rejection.CALLING_AE_TITLE)

    # Messages

    async def _serve(self) -> str:
        """Serve messages until the peer releases; return how it ended."""
        limits: dict[int, int] = {
            PduType.DATA: DATA_PDU_FACTOR * self._parts.settings.max_pdu_bytes,
            PduType.RELEASE_RQ: 4,
            PduType.ABORT: 4,
        }
        while True:
            kind, body = await self._connection.next_pdu(limits)
            if kind == PduType.DATA:
                for fragment in fragments(body):
                    await self._take(fragment)
                    await self._turns.took(fragment)
            elif kind == PduType.ABORT:
                raise Ended(End.ABORTED)
            elif self._connection.is_in_message:
                raise Malformed(AbortReason.UNEXPECTED_PDU, "release inside a message")
            else:
                return "released"

    async def _take(self, fragment: Fragment) -> None:
        incoming = self._incoming
        if incoming is not None:
            if fragment.is_command or fragment.context_id != incoming.context_id:
                raise Malformed(AbortReason.UNEXPECTED_PARAMETER, "a message inside a data set")
            incoming.write(fragment.data)
            if fragment.is_last:
                await self._answer(incoming)
            return
        if not fragment.is_command:
            raise Malformed(AbortReason.UNEXPECTED_PARAMETER, "a data set without a command")
        context = self._contexts.get(fragment.context_id)
        if context is None or self._command_context not in (None, context):
            raise Malformed(AbortReason.INVALID_PARAMETER, "a presentation context that was not accepted")
        if len(self._command) + len(fragment.data) > MAX_COMMAND_BYTES:
            raise Malformed(AbortReason.INVALID_PARAMETER, "command set too long")
        self._command_context = context
        self._connection.is_in_message = True
        self._command += fragment.data
        if fragment.is_last:
            command = read_command(self._command)
            self._command.clear()
            self._command_context = None
            await self._begin(command, context)

    async def _begin(self, command: Command, context: Context) -> None:
        """Act on a whole command; C-STORE and N-ACTION go on with a data set."""
        if command.field in (CommandField.C_STORE, CommandField.N_ACTION):
            is_store = command.field == CommandField.C_STORE
            incoming = self._incoming = self._store(command, context) if is_store else self._request(command, context)
            if not command.has_data_set:
                await self._answer(incoming)
            return
        if command.field == CommandField.N_EVENT_REPORT_RESPONSE:
            self._connection.is_in_message = False
            await self._reports.heard(command)
            return
        if command.has_data_set:
            raise Malformed(AbortReason.UNEXPECTED_PARAMETER, "an operation that was not offered")
        self._connection.is_in_message = False
        if command.field == CommandField.C_ECHO:
            await self._send(context.context_id, response(command, Status.SUCCESS))
        elif command.field != CommandField.C_CANCEL:  # it has no response of its own (PS3.7 section 9.3.2.3)
            await self._send(context.context_id, response(command, Status.UNRECOGNIZED_OPERATION))

    def _store(self, command: Command, context: Context) -> Store:
        intake, limit = self._parts.intake, self._parts.settings.max_dataset_bytes
        return Store(intake, self._known_sender(), command=command, context=context, max_dataset_bytes=limit)

    def _request(self, command: Command, context: Context) -> CommitRequest:
        assert self._peer is not None  # noqa: S101 - messages come after negotiation
        callers, limit = self._parts.callers, self._parts.settings.max_instances_per_study
        return CommitRequest(
            callers.database, self._peer, command=command, context=context, max_references=limit, clock=callers.clock
        )

    async def _answer(self, incoming: Store | CommitRequest) -> None:
        self._incoming = None
        self._connection.is_in_message = False
        answer = await incoming.finish()
        if isinstance(incoming, Store):
            self._instances += 1
            self._last_study = incoming.study_instance_uid or self._last_study
        elif incoming.commitment_id is not None:
            self._reports.promise(incoming.commitment_id, incoming.context)
        await self._send(incoming.context_id, response(incoming.command, answer.status, answer.comment))

    async def _send(self, context_id: int, command: bytes) -> None:
        await self._connection.send(command_pdus(context_id, command, max_pdu_bytes=self._peer_max_pdu_bytes))

    def _known_sender(self) -> Sender:
        assert self._sender is not None  # noqa: S101 - messages come after negotiation
        return self._sender

    async def _forget(self, how: str) -> None:
        """Give up an instance that did not come whole; what was answered before stays (RELIABILITY 5.2)."""
        await self._reports.leave()
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            return
        incoming.abandon()
        if isinstance(incoming, Store):
            detail = f"{how}, after {incoming.size_bytes} bytes of an image; send it again"
            await asyncio.to_thread(self._parts.intake.aborted, self._known_sender(), detail=detail)
