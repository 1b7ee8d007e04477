"""Reads an A-ASSOCIATE-RQ, bounded and tolerant of what it does not know, and words the answer."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from pynetdicom.pdu import A_ASSOCIATE_AC
from pynetdicom.pdu_items import (
    ApplicationContextItem,
    ImplementationClassUIDSubItem,
    ImplementationVersionNameSubItem,
    MaximumLengthSubItem,
    PresentationContextItemAC,
    TransferSyntaxSubItem,
    UserInformationItem,
)

from service.intake.dimse.capabilities import (
    ABSTRACT_SYNTAXES,
    IMPLICIT_VR_LITTLE_ENDIAN,
    PLAIN_SYNTAXES,
    STORAGE_COMMITMENT,
    TRANSFER_SYNTAXES,
)
from service.intake.dimse.pdus import AbortReason, Malformed
from service.intake.spool import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

MAX_CONTEXTS = 128
"""Context ids are odd bytes, so there can be no more (PS3.8 section 9.3.2.2)."""
MAX_TRANSFER_SYNTAXES = 128
"""In one context; the standard defines fewer than 70."""

_FIXED_BYTES = 68
"""Version, reserved, two AE titles, reserved (PS3.8 table 9-11)."""
_UID = re.compile(rb"[0-9.]{1,64}")
_ACCEPTED, _ABSTRACT_NOT_SUPPORTED, _TRANSFER_NOT_SUPPORTED = 0, 3, 4


class Rejection(Enum):
    """Why an association is refused: (word, result, source, reason) of PS3.8 table 9-21."""

    CALLED_AE_TITLE = ("called_ae_title", 1, 1, 7)
    CALLING_AE_TITLE = ("calling_ae_title", 1, 1, 3)
    APPLICATION_CONTEXT = ("application_context", 1, 1, 2)
    PROTOCOL_VERSION = ("protocol_version", 1, 2, 2)
    STOPPING = ("stopping", 2, 3, 1)
    TABLES_AWAY = ("tables_away", 2, 3, 1)
    LOCAL_LIMIT = ("local_limit", 2, 3, 2)
    NO_ROOM = ("no_room", 2, 3, 2)
    OVERLOADED = ("overloaded", 2, 3, 2)

    def __init__(self, word: str, result: int, source: int, reason: int) -> None:
        self.word = word
        self.result = result
        self.source = source
        self.reason = reason


class Rejected(Exception):
    """The association is refused."""

    def __init__(self, rejection: Rejection) -> None:
        super().__init__(rejection.word)
        self.rejection = rejection


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposed presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What an A-ASSOCIATE-RQ says. AE titles are stripped; what is not printable ASCII in them shows as `?`."""

    protocol_version: int
    called_ae_title: str
    calling_ae_title: str
    application_context: str
    proposals: tuple[Proposal, ...]
    max_pdu_bytes: int
    """What the peer takes in one P-DATA-TF; 0 is no limit."""


@dataclass(frozen=True, slots=True)
class Context:
    """One accepted presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


def read_request(body: memoryview) -> Request:
    """Read the body of an A-ASSOCIATE-RQ (PS3.8 section 9.3.2). Raises Malformed.

    Items that we do not use (role selection, extended negotiation, user identity, asynchronous operations) are
    passed over: left out of the answer, each of them means the default (PS3.7 annex D.3.3).
    """
    if len(body) < _FIXED_BYTES:
        raise Malformed(AbortReason.INVALID_PARAMETER, "A-ASSOCIATE-RQ too short")
    application_context, max_pdu_bytes = "", 0
    proposals: list[Proposal] = []
    for kind, item in _items(body[_FIXED_BYTES:]):
        if kind == 0x10:
            application_context = bytes(item[:64]).rstrip(b"\x00 ").decode("ascii", "replace")
        elif kind == 0x20:
            proposals.append(_proposal(item))
        elif kind == 0x50:
            max_pdu_bytes = _max_length(item)
        if len(proposals) > MAX_CONTEXTS:
            raise Malformed(AbortReason.INVALID_PARAMETER, "too many presentation contexts")
    if len({proposal.context_id for proposal in proposals}) != len(proposals):
        raise Malformed(AbortReason.INVALID_PARAMETER, "a presentation context id is used twice")
    return Request(
        protocol_version=int.from_bytes(body[0:2], "big"),
        called_ae_title=_ae_title(body[4:20]),
        calling_ae_title=_ae_title(body[20:36]),
        application_context=application_context,
        proposals=tuple(proposals),
        max_pdu_bytes=max_pdu_bytes,
    )


def _items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Yield (type, value) of PDU items: type, a reserved byte, 16-bit length, value."""
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 4:
            raise Malformed(AbortReason.INVALID_PARAMETER, "item too short")
        kind, length = struct.unpack_from(">BxH", data, offset)
        following = offset + 4 + length
        if following > end:
            raise Malformed(AbortReason.INVALID_PARAMETER, "item longer than its PDU")
        yield kind, data[offset + 4 : following]
        offset = following


def _proposal(item: memoryview) -> Proposal:
    if len(item) < 4 or not item[0] % 2:
        raise Malformed(AbortReason.INVALID_PARAMETER, "presentation context without a valid id")
    abstract_syntax = ""
    transfer_syntaxes: list[str] = []
    for kind, value in _items(item[4:]):
        if kind == 0x30:
            abstract_syntax = _uid(value)
        elif kind == 0x40:
            transfer_syntaxes.append(_uid(value))
        if len(transfer_syntaxes) > MAX_TRANSFER_SYNTAXES:
            raise Malformed(AbortReason.INVALID_PARAMETER, "too many transfer syntaxes")
    return Proposal(item[0], abstract_syntax, tuple(transfer_syntaxes))


def _uid(value: memoryview) -> str:
    """Return the UID, or an empty text that nothing matches: the context is then rejected, not the association."""
    uid = bytes(value[:66]).rstrip(b"\x00 ")
    return uid.decode("ascii") if _UID.fullmatch(uid) else ""


def _max_length(item: memoryview) -> int:
    for kind, value in _items(item):
        if kind == 0x51 and len(value) == 4:
            return int.from_bytes(value, "big")
    return 0


def _ae_title(field: memoryview) -> str:
    text = bytes(field).decode("ascii", "replace").strip(" \x00")
    return "".join(c if c.isascii() and c.isprintable() else "?" for c in text)


def negotiate(
    request: Request, *, max_pdu_bytes: int, takes_commitment: bool = False
) -> tuple[dict[int, Context], bytes]:
    """Return the accepted contexts by id, and the A-ASSOCIATE-AC that says so.

    Of the transfer syntaxes the proposer's first that we support is taken: it knows what its files are in.

    Args:
        request: What the peer proposed.
        max_pdu_bytes: What we take in one P-DATA-TF.
        takes_commitment: This peer can be told the outcome of a storage commitment.
    """
    accepted: dict[int, Context] = {}
    items: list[object] = [ApplicationContextItem()]
    for proposal in request.proposals:
        is_commitment = proposal.abstract_syntax == STORAGE_COMMITMENT
        syntaxes = PLAIN_SYNTAXES if is_commitment else TRANSFER_SYNTAXES
        syntax = next((uid for uid in proposal.transfer_syntaxes if uid in syntaxes), None)
        if proposal.abstract_syntax not in ABSTRACT_SYNTAXES and not (is_commitment and takes_commitment):
            items.append(_answer(proposal.context_id, _ABSTRACT_NOT_SUPPORTED, IMPLICIT_VR_LITTLE_ENDIAN))
        elif syntax is None:
            items.append(_answer(proposal.context_id, _TRANSFER_NOT_SUPPORTED, IMPLICIT_VR_LITTLE_ENDIAN))
        else:
            accepted[proposal.context_id] = Context(proposal.context_id, proposal.abstract_syntax, syntax)
            items.append(_answer(proposal.context_id, _ACCEPTED, syntax))
    answer = A_ASSOCIATE_AC()
    answer.reserved_aet = request.called_ae_title
    answer.reserved_aec = request.calling_ae_title
    answer.variable_items = [*items, _user_information(max_pdu_bytes)]
    return accepted, bytes(answer.encode())


def _answer(context_id: int, result: int, transfer_syntax: str) -> object:
    syntax = TransferSyntaxSubItem()
    syntax.transfer_syntax_name = transfer_syntax
    item = PresentationContextItemAC()
    item.presentation_context_id = context_id
    item.result_reason = result
    item.transfer_syntax_sub_item = [syntax]
    return item


def _user_information(max_pdu_bytes: int) -> object:
    length = MaximumLengthSubItem()
    length.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDSubItem()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameSubItem()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    item = UserInformationItem()
    item.user_data = [length, implementation, version]
    return item
