"""A sender that speaks PDUs by hand, so that it can break every rule."""

from __future__ import annotations

import io
import socket
import ssl
import struct
from collections.abc import Iterator, Sequence
from typing import Any

from pydicom import Dataset
from pynetdicom import build_context
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ, N_ACTION_RQ, DIMSEMessage
from pynetdicom.dimse_primitives import C_ECHO, C_STORE, N_ACTION
from pynetdicom.dsutils import decode, encode
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE, ImplementationClassUIDNotification, MaximumLengthNotification

from tests.factories import dataset_bytes

CR = "1.2.840.10008.5.1.4.1.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
VERIFICATION = "1.2.840.10008.1.1"
PUSH_MODEL, PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1", "1.2.840.10008.1.20.1.1"
IMPLICIT, EXPLICIT = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"

RELEASE_RQ = struct.pack(">BxLL", 5, 4, 0)
ABORT = struct.pack(">BxL4B", 7, 4, 0, 0, 0, 0)
COMMAND, LAST = 1, 2

DEFAULT_CONTEXTS: Sequence[tuple[str, Sequence[str]]] = (
    (VERIFICATION, (IMPLICIT,)),
    (CR, (EXPLICIT, IMPLICIT)),
    (CT, (EXPLICIT,)),
)
ECHO_ID, CR_ID, CT_ID = 1, 3, 5


def request_primitive(
    contexts: Sequence[tuple[str, Sequence[str]]] = DEFAULT_CONTEXTS,
    *,
    calling: str = "TESTER",
    called: str = "PANDOK",
    max_pdu_bytes: int = 16_382,
) -> A_ASSOCIATE:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.calling_ae_title, primitive.called_ae_title = calling, called
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = "1.2.3.4"
    primitive.user_information = [length, implementation]
    built = [build_context(abstract, list(syntaxes)) for abstract, syntaxes in contexts]
    for index, context in enumerate(built):
        context.context_id = 2 * index + 1
    primitive.presentation_context_definition_list = built
    return primitive


def associate_rq(contexts: Sequence[tuple[str, Sequence[str]]] = DEFAULT_CONTEXTS, **names: Any) -> bytes:
    return bytes(A_ASSOCIATE_RQ(request_primitive(contexts, **names)).encode())


def command_bytes(message: DIMSEMessage, primitive: Any) -> bytes:
    """Encode a command set as pynetdicom does."""
    message.primitive_to_message(primitive)
    encoded = encode(message.command_set, True, True)
    assert encoded is not None
    return encoded


def store_command(
    sop_class_uid: str, sop_instance_uid: str, *, message_id: int = 1, has_data_set: bool = True
) -> bytes:
    primitive = C_STORE()
    primitive.MessageID = message_id
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = sop_class_uid, sop_instance_uid
    primitive.Priority = 2
    primitive.DataSet = io.BytesIO(b"\0\0") if has_data_set else None
    return command_bytes(C_STORE_RQ(), primitive)


def echo_command(message_id: int = 1) -> bytes:
    primitive = C_ECHO()
    primitive.MessageID = message_id
    return command_bytes(C_ECHO_RQ(), primitive)


def action_command(message_id: int = 1) -> bytes:
    """Return the command that asks for storage commitment (PS3.4 J.3.2)."""
    primitive = N_ACTION()
    primitive.MessageID, primitive.ActionTypeID = message_id, 1
    primitive.RequestedSOPClassUID, primitive.RequestedSOPInstanceUID = PUSH_MODEL, PUSH_MODEL_INSTANCE
    primitive.ActionInformation = io.BytesIO(b"\0\0")
    return command_bytes(N_ACTION_RQ(), primitive)


def pdv(context_id: int, control: int, data: bytes) -> bytes:
    return struct.pack(">LBB", len(data) + 2, context_id, control) + data


def data_pdu(*values: bytes) -> bytes:
    body = b"".join(values)
    return struct.pack(">BxL", 4, len(body)) + body


def store_pdus(dataset: Dataset, context_id: int = CR_ID, *, piece: int = 16_000, message_id: int = 1) -> list[bytes]:
    command = store_command(dataset.SOPClassUID, dataset.SOPInstanceUID, message_id=message_id)
    data = dataset_bytes(dataset)
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    values = [pdv(context_id, LAST if data is pieces[-1] else 0, data) for data in pieces]
    return [data_pdu(pdv(context_id, COMMAND | LAST, command)), *(data_pdu(value) for value in values)]


class RawSender:
    """One connection to the listener."""

    def __init__(
        self,
        port: int,
        *,
        calling: str = "TESTER",
        called: str = "PANDOK",
        tls: ssl.SSLContext | None = None,
        timeout_s: float = 20.0,
        receive_buffer_bytes: int = 0,
    ) -> None:
        self.calling, self.called = calling, called
        self.socket = socket.socket()
        if receive_buffer_bytes:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        self.socket.settimeout(timeout_s)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket)

    def __enter__(self) -> RawSender:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, *pdus: bytes) -> None:
        self.socket.sendall(b"".join(pdus))

    def read(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            piece = self.socket.recv(count - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def pdu(self) -> tuple[int, bytes]:
        """Return type and body of the next PDU; (0, b"") when the listener closed."""
        try:
            kind, length = struct.unpack(">BxL", self.read(6))
            return kind, self.read(length)
        except (EOFError, ConnectionResetError):
            return 0, b""

    def associate(self, contexts: Sequence[tuple[str, Sequence[str]]] = DEFAULT_CONTEXTS, **more: Any) -> bytes:
        """Associate and return the acceptance."""
        self.send(associate_rq(contexts, calling=self.calling, called=self.called, **more))
        kind, body = self.pdu()
        assert kind == 2, (kind, body)
        return body

    def answer(self) -> Dataset:
        """Return the next response's command set."""
        command = b""
        while True:
            kind, body = self.pdu()
            assert kind == 4, (kind, body)
            for control, data in _values(body):
                command += data
                if control & LAST:
                    return decode(io.BytesIO(command), True, True)

    def store(self, dataset: Dataset, context_id: int = CR_ID, **how: Any) -> Dataset:
        self.send(*store_pdus(dataset, context_id, **how))
        return self.answer()

    def release(self) -> None:
        self.send(RELEASE_RQ)
        assert self.pdu()[0] == 6
        assert self.pdu()[0] == 0

    def ends(self) -> tuple[int, bytes]:
        """Read to the end; return the last PDU before it."""
        last = (0, b"")
        while (following := self.pdu())[0]:
            last = following
        return last


def _values(body: bytes) -> Iterator[tuple[int, bytes]]:
    offset = 0
    while offset < len(body):
        length, _, control = struct.unpack_from(">LBB", body, offset)
        yield control, body[offset + 6 : offset + 4 + length]
        offset += 4 + length


def accepted(body: bytes) -> dict[int, tuple[int, str]]:
    """Return result and transfer syntax of each context of an A-ASSOCIATE-AC's body."""
    answer = A_ASSOCIATE_AC()
    answer.decode(struct.pack(">BxL", 2, len(body)) + body)
    return {item.context_id: (item.result, item.transfer_syntax) for item in answer.presentation_context}
