"""Command sets (PS3.7 section 6.3): reads those that we take, bounded, and words the responses.

Command sets are implicit VR little endian and flat, about ten elements: reading them by hand costs a
hundredth of building a data set, on a path that every instance takes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from service.intake.dimse.pdus import AbortReason, Malformed

MAX_COMMAND_BYTES = 65_536
MAX_UID_BYTES = 128
"""Twice what a UID may have: a UID that is only too long is answered with a status, not with an abort."""

NO_DATA_SET = 0x0101
_RESPONSE = 0x8000
_ELEMENT = struct.Struct("<HHL")
_SHORT = struct.Struct("<HHLH")
_LONG = struct.Struct("<HHLL")

_SOP_CLASS_UID = 0x0002
_REQUESTED_SOP_CLASS_UID = 0x0003
_COMMAND_FIELD = 0x0100
_MESSAGE_ID = 0x0110
_MESSAGE_ID_RESPONDED_TO = 0x0120
_DATA_SET_TYPE = 0x0800
_STATUS = 0x0900
_ERROR_COMMENT = 0x0902
_SOP_INSTANCE_UID = 0x1000
_REQUESTED_SOP_INSTANCE_UID = 0x1001
_EVENT_TYPE = 0x1002
_ACTION_TYPE = 0x1008


class CommandField(IntEnum):
    """Requests that we know by name (PS3.7 annex E)."""

    C_STORE = 0x0001
    C_ECHO = 0x0030
    N_EVENT_REPORT = 0x0100
    N_ACTION = 0x0130
    C_CANCEL = 0x0FFF
    N_EVENT_REPORT_RESPONSE = 0x8100
    """To the one request that we make ourselves on an association of the peer's."""


class Status(IntEnum):
    """Statuses that belong to the message exchange itself (PS3.7 annex C)."""

    SUCCESS = 0x0000
    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    INVALID_ARGUMENT = 0x0115
    NO_SUCH_CLASS = 0x0118
    NO_SUCH_ACTION = 0x0123
    UNRECOGNIZED_OPERATION = 0x0211
    RESOURCE_LIMITATION = 0x0213


@dataclass(frozen=True, slots=True)
class Answer:
    """What a whole message is answered, once that is true for good."""

    status: int
    comment: str = ""
    """Error Comment (0000,0902)."""


@dataclass(frozen=True, slots=True)
class Command:
    """One request. UIDs are as sent, stripped of padding; None where absent or empty."""

    field: int
    message_id: int
    has_data_set: bool
    sop_class_uid: str | None
    sop_instance_uid: str | None
    action_type: int | None = None
    """Of an N-ACTION."""
    status: int | None = None
    """Of a response."""


def read_command(data: bytes | bytearray) -> Command:
    """Read a command set. Raises Malformed: lengths that do not add up, other groups, missing or odd elements."""
    values: dict[int, bytes] = {}
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 8:
            raise Malformed(AbortReason.INVALID_PARAMETER, "command element too short")
        group, element, length = _ELEMENT.unpack_from(data, offset)
        offset += 8
        if group != 0 or length > end - offset:
            raise Malformed(AbortReason.INVALID_PARAMETER, "command set cannot be read")
        values[element] = bytes(data[offset : offset + length])
        offset += length
    field = _number(values, _COMMAND_FIELD)
    if field == CommandField.N_EVENT_REPORT_RESPONSE:
        answered = _number(values, _MESSAGE_ID_RESPONDED_TO)
        has_data_set = _number(values, _DATA_SET_TYPE) != NO_DATA_SET
        return Command(field, answered, has_data_set, None, None, status=_number(values, _STATUS))
    if field & _RESPONSE:
        raise Malformed(AbortReason.UNEXPECTED_PARAMETER, "a response to nothing")
    # C-CANCEL names the message that it cancels instead of one of its own.
    return Command(
        field=field,
        message_id=0 if field == CommandField.C_CANCEL else _number(values, _MESSAGE_ID),
        has_data_set=_number(values, _DATA_SET_TYPE) != NO_DATA_SET,
        sop_class_uid=_uid(values, _SOP_CLASS_UID) or _uid(values, _REQUESTED_SOP_CLASS_UID),
        sop_instance_uid=_uid(values, _SOP_INSTANCE_UID) or _uid(values, _REQUESTED_SOP_INSTANCE_UID),
        action_type=_number(values, _ACTION_TYPE) if field == CommandField.N_ACTION else None,
    )


def _number(values: dict[int, bytes], element: int) -> int:
    value = values.get(element, b"")
    if len(value) != 2:
        raise Malformed(AbortReason.INVALID_PARAMETER, f"command element (0000,{element:04X}) missing or odd")
    return int.from_bytes(value, "little")


def _uid(values: dict[int, bytes], element: int) -> str | None:
    value = values.get(element, b"").rstrip(b"\x00 ")
    if len(value) > MAX_UID_BYTES or not value.isascii():
        raise Malformed(AbortReason.INVALID_PARAMETER, f"command element (0000,{element:04X}) is no UID")
    return value.decode("ascii") or None


def response(command: Command, status: int, comment: str = "") -> bytes:
    """Return the response's command set: the request's field with the response bit, its message and its UIDs.

    Args:
        command: The request.
        status: DIMSE status.
        comment: Error Comment (0000,0902): at most 64 characters, ASCII, never patient data; empty is none.
    """
    body = b"".join(
        (
            _text(_SOP_CLASS_UID, command.sop_class_uid, b"\x00"),
            _SHORT.pack(0, _COMMAND_FIELD, 2, command.field | _RESPONSE),
            _SHORT.pack(0, _MESSAGE_ID_RESPONDED_TO, 2, command.message_id),
            _SHORT.pack(0, _DATA_SET_TYPE, 2, NO_DATA_SET),
            _SHORT.pack(0, _STATUS, 2, status),
            _text(_ERROR_COMMENT, comment[:64], b" "),
            _text(_SOP_INSTANCE_UID, command.sop_instance_uid, b"\x00"),
        )
    )
    return _LONG.pack(0, 0, 4, len(body)) + body


def event_report(sop_class_uid: str, sop_instance_uid: str, *, message_id: int, event_type: int) -> bytes:
    """Return the command set of an N-EVENT-REPORT-RQ that a data set follows (PS3.7 section 10.3.1)."""
    body = b"".join(
        (
            _text(_SOP_CLASS_UID, sop_class_uid, b"\x00"),
            _SHORT.pack(0, _COMMAND_FIELD, 2, CommandField.N_EVENT_REPORT),
            _SHORT.pack(0, _MESSAGE_ID, 2, message_id),
            _SHORT.pack(0, _DATA_SET_TYPE, 2, NO_DATA_SET - 1),
            _text(_SOP_INSTANCE_UID, sop_instance_uid, b"\x00"),
            _SHORT.pack(0, _EVENT_TYPE, 2, event_type),
        )
    )
    return _LONG.pack(0, 0, 4, len(body)) + body


def _text(element: int, text: str | None, pad: bytes) -> bytes:
    if not text:
        return b""
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += pad
    return _ELEMENT.pack(0, element, len(value)) + value
