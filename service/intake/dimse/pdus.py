"""Protocol data units of the upper layer (PS3.8 section 9.3): their kinds, their limits, the ones that we send."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

HEADER_BYTES = 6
"""Every PDU: type, a reserved byte, 32-bit big endian length of what follows."""

MAX_VALUES = 256
"""Presentation data values in one PDU. Usual senders put one or two into it: a command, data, or one of each."""

_PDV_HEADER = struct.Struct(">LBB")
_PDV_OVERHEAD = _PDV_HEADER.size
_SHORT_PDU = struct.Struct(">BxL4B")
_COMMAND, _LAST = 0x01, 0x02


class PduType(IntEnum):
    """PDU types of PS3.8 section 9.3.1."""

    ASSOCIATE_RQ = 0x01
    ASSOCIATE_AC = 0x02
    ASSOCIATE_RJ = 0x03
    DATA = 0x04
    RELEASE_RQ = 0x05
    RELEASE_RP = 0x06
    ABORT = 0x07


class AbortReason(IntEnum):
    """Why the service provider aborts (PS3.8 table 9-26)."""

    NOT_SPECIFIED = 0
    UNRECOGNIZED_PDU = 1
    UNEXPECTED_PDU = 2
    UNRECOGNIZED_PARAMETER = 4
    UNEXPECTED_PARAMETER = 5
    INVALID_PARAMETER = 6


class Malformed(Exception):
    """The sender broke the protocol: the association ends with an A-ABORT that carries this reason."""

    def __init__(self, reason: AbortReason, what: str) -> None:
        super().__init__(what)
        self.reason = reason
        self.what = what


class Fragment(NamedTuple):
    """One presentation data value (PS3.8 section 9.3.5.1). The data are valid until the next PDU is read."""

    context_id: int
    is_command: bool
    is_last: bool
    data: memoryview


def fragments(body: memoryview) -> Iterator[Fragment]:
    """Yield the presentation data values of a P-DATA-TF body.

    Raises Malformed when lengths do not add up, and past `MAX_VALUES`.
    """
    offset, end, left = 0, len(body), MAX_VALUES
    if not end:
        raise Malformed(AbortReason.INVALID_PARAMETER, "P-DATA without a value")
    while offset < end:
        if not left:
            raise Malformed(AbortReason.INVALID_PARAMETER, "too many values in a PDU")
        left -= 1
        if end - offset < _PDV_OVERHEAD:
            raise Malformed(AbortReason.INVALID_PARAMETER, "presentation data value too short")
        length, context_id, control = _PDV_HEADER.unpack_from(body, offset)
        following = offset + 4 + length
        if length < 2 or following > end:
            raise Malformed(AbortReason.INVALID_PARAMETER, "presentation data value longer than its PDU")
        data = body[offset + _PDV_OVERHEAD : following]
        yield Fragment(context_id, bool(control & _COMMAND), bool(control & _LAST), data)
        offset = following


def command_pdus(context_id: int, command: bytes, *, max_pdu_bytes: int, is_data_set: bool = False) -> bytes:
    """Return P-DATA-TF PDUs that carry one command set, or the data set that follows one.

    Args:
        context_id: Presentation context of the message.
        command: The encoded command set or data set.
        is_data_set: It is a data set.
        max_pdu_bytes: What the peer takes in one PDU, header not counted; 0 is no limit (PS3.8 annex D.1).
    """
    room = max(max_pdu_bytes - _PDV_OVERHEAD, 2) & ~1 if max_pdu_bytes else len(command)
    pdus = []
    for start in range(0, len(command), room):
        piece = command[start : start + room]
        control = (0 if is_data_set else _COMMAND) | (_LAST if start + room >= len(command) else 0)
        pdus.append(struct.pack(">BxL", PduType.DATA, len(piece) + _PDV_OVERHEAD))
        pdus.append(_PDV_HEADER.pack(len(piece) + 2, context_id, control))
        pdus.append(piece)
    return b"".join(pdus)


def abort_pdu(reason: AbortReason) -> bytes:
    """Return the A-ABORT of a service provider."""
    return _SHORT_PDU.pack(PduType.ABORT, 4, 0, 0, 2, reason)


def reject_pdu(result: int, source: int, reason: int) -> bytes:
    """Return an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    return _SHORT_PDU.pack(PduType.ASSOCIATE_RJ, 4, 0, result, source, reason)


def release_pdu() -> bytes:
    """Return an A-RELEASE-RP."""
    return _SHORT_PDU.pack(PduType.RELEASE_RP, 4, 0, 0, 0, 0)
