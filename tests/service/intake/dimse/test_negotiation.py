"""Association requests, as pynetdicom writes them and as nobody should, and our answers to them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom import build_role
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    AsynchronousOperationsWindowNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)

from service.intake.dimse.capabilities import ABSTRACT_SYNTAXES, TRANSFER_SYNTAXES
from service.intake.dimse.negotiation import Malformed, Proposal, Request, negotiate, read_request
from service.intake.verify import storage_classes
from tests.service.intake.dimse.sender import (
    CR,
    CT,
    DEFAULT_CONTEXTS,
    EXPLICIT,
    IMPLICIT,
    VERIFICATION,
    accepted,
    associate_rq,
    request_primitive,
)

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
JPEG_LOSSLESS, JPIP = "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.204"

_STORAGE = "1.2.840.10008.5.1.4.1.1"

STORAGE_CLASSES = frozenset(
    f"{_STORAGE}.{suffix}"
    for suffix in (
        # Projection radiographs, and the secondary captures that old digitisers send instead
        "1",  # CR
        "1.1",  # DX, for presentation
        "1.1.1",  # DX, for processing
        "7",  # Secondary Capture
        # CT and MR
        "2",  # CT
        "2.1",  # Enhanced CT
        "2.2",  # Legacy Converted Enhanced CT
        "4",  # MR
        "4.1",  # Enhanced MR
        # Other modalities
        "1.2",  # Mammography, for presentation
        "1.2.1",  # Mammography, for processing
        "13.1.3",  # Breast Tomosynthesis
        "6.1",  # US
        "3.1",  # US multi-frame
        "12.1",  # XA
        "12.2",  # XRF
        "7.1",  # SC multi-frame single bit
        "7.2",  # SC multi-frame grayscale byte
        "7.3",  # SC multi-frame grayscale word
        "7.4",  # SC multi-frame true color
        # Evidence and results
        "88.11",  # Basic Text SR
        "88.22",  # Enhanced SR
        "88.33",  # Comprehensive SR
        "88.34",  # Comprehensive 3D SR
        "88.35",  # Extensible SR
        "88.65",  # Chest CAD SR
        "88.67",  # X-Ray Radiation Dose SR
        "88.59",  # Key Object Selection
        "11.1",  # Grayscale Softcopy Presentation State
        "66.4",  # Segmentation
        "66.7",  # Label Map Segmentation
        "30",  # Parametric Map
        "104.1",  # Encapsulated PDF
        "104.2",  # Encapsulated CDA
    )
)
"""Those that every center sends (STANDARDS 1A.1)."""


def read(pdu: bytes) -> Request:
    return read_request(memoryview(pdu)[6:])


def item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def request_of(*items: bytes) -> bytes:
    return associate_rq()[:74] + b"".join(items)


def proposals(*contexts: tuple[str, tuple[str, ...]]) -> Request:
    return read(associate_rq(contexts))


def answered(request: Request) -> dict[int, tuple[int, str]]:
    return accepted(negotiate(request, max_pdu_bytes=131_072)[1][6:])


def test_a_request_is_read_as_pynetdicom_writes_it() -> None:
    request = read(associate_rq(max_pdu_bytes=4_096))

    assert (request.called_ae_title, request.calling_ae_title) == ("PANDOK", "TESTER")
    assert (request.protocol_version, request.application_context) == (1, "1.2.840.10008.3.1.1.1")
    assert request.max_pdu_bytes == 4_096
    assert request.proposals == tuple(
        Proposal(2 * index + 1, abstract, tuple(syntaxes))
        for index, (abstract, syntaxes) in enumerate(DEFAULT_CONTEXTS)
    )


def test_every_storage_class_that_the_intake_keeps_is_accepted() -> None:
    assert storage_classes() >= STORAGE_CLASSES
    assert storage_classes() < ABSTRACT_SYNTAXES


def test_the_answer_is_an_acceptance_that_pynetdicom_reads() -> None:
    _, pdu = negotiate(read(associate_rq()), max_pdu_bytes=131_072)

    answer = A_ASSOCIATE_AC()
    answer.decode(pdu)

    assert answer.encode() == pdu
    assert answer.user_information.maximum_length == 131_072
    assert (answer.called_ae_title, answer.calling_ae_title) == ("PANDOK", "TESTER")


def test_the_proposers_first_supported_transfer_syntax_is_taken() -> None:
    request = proposals((CR, (JPIP, JPEG_LOSSLESS, EXPLICIT, IMPLICIT)), (CR, (IMPLICIT, EXPLICIT)))

    assert answered(request) == {1: (0, JPEG_LOSSLESS), 3: (0, IMPLICIT)}


def test_other_abstract_syntaxes_are_rejected_with_3_and_other_transfer_syntaxes_with_4() -> None:
    request = proposals((FIND, (IMPLICIT,)), (CT, (JPIP,)), (VERIFICATION, (IMPLICIT,)))

    contexts, _ = negotiate(request, max_pdu_bytes=131_072)

    assert {key: result for key, (result, _) in answered(request).items()} == {1: 3, 3: 4, 5: 0}
    assert set(contexts) == {5}


@pytest.mark.parametrize("sop_class_uid", sorted(STORAGE_CLASSES))
def test_every_storage_class_is_taken_in_every_transfer_syntax(sop_class_uid: str) -> None:
    request = proposals(*((sop_class_uid, (syntax,)) for syntax in sorted(TRANSFER_SYNTAXES)))

    assert answered(request) == {2 * index + 1: (0, syntax) for index, syntax in enumerate(sorted(TRANSFER_SYNTAXES))}


def test_roles_windows_and_identities_are_passed_over() -> None:
    primitive = request_primitive()
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 5
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CR, b"\x02\x00\x03\x00"
    identity = UserIdentityNegotiation()
    identity.user_identity_type, identity.primary_field = 1, b"name"
    primitive.user_information += [build_role(CR, scu_role=True, scp_role=True), window, extended, identity]

    request = read(A_ASSOCIATE_RQ(primitive).encode())

    assert {result for result, _ in answered(request).values()} == {0}


def test_unknown_items_are_passed_over() -> None:
    pdu = request_of(
        item(0x99, b"what is this"), *_context(1), item(0x50, item(0x7F, b"?") + item(0x51, b"\0\0\x20\0"))
    )

    request = read(pdu)

    assert len(request.proposals) == 1
    assert request.max_pdu_bytes == 8_192


def _context(context_id: int, *, syntaxes: int = 1) -> list[bytes]:
    value = bytes((context_id, 0, 0, 0)) + item(0x30, CR.encode()) + item(0x40, IMPLICIT.encode()) * syntaxes
    return [item(0x20, value)]


@pytest.mark.parametrize(
    "pdu",
    [
        associate_rq()[:73],
        associate_rq()[:-1],
        request_of(b"\x10"),
        request_of(item(0x20, b"")),
        request_of(*_context(2)),
        request_of(*_context(1), *_context(1)),
        request_of(*_context(1, syntaxes=129)),
        request_of(*(c for n in range(200) for c in _context((2 * n + 1) % 256))),
        request_of(struct.pack(">BxH", 0x50, 8), item(0x51, b"\0\0\0\0")[:-1]),
    ],
)
def test_lengths_ids_and_counts_that_cannot_be_are_malformed(pdu: bytes) -> None:
    with pytest.raises(Malformed):
        read(pdu)


@pytest.mark.parametrize("uid", [b"", b"../../etc/passwd", b"1.2\xff", b"1" * 65, b"1.2\n"])
def test_a_uid_that_is_none_rejects_its_context_only(uid: bytes) -> None:
    value = b"\x01\0\0\0" + item(0x30, uid) + item(0x40, IMPLICIT.encode())

    request = read(request_of(item(0x20, value), *_context(3)))

    assert {key: result for key, (result, _) in answered(request).items()} == {1: 3, 3: 0}


def test_an_ae_title_shows_only_printable_ascii() -> None:
    pdu = bytearray(associate_rq())
    pdu[26:42] = b"\x1b[31m\xffRED\n      "

    assert read(bytes(pdu)).calling_ae_title == "?[31m?RED?"


@given(st.binary(max_size=600))
def test_any_items_are_a_request_or_malformed(items: bytes) -> None:
    try:
        request = read(request_of(items))
    except Malformed:
        return

    assert len(negotiate(request, max_pdu_bytes=131_072)[1]) < 100_000


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=4))
def test_mutated_requests_are_answered_or_malformed(changes: list[tuple[int, int]]) -> None:
    pdu = bytearray(associate_rq())
    for place, value in changes:
        pdu[6 + place % (len(pdu) - 6)] = value

    try:
        request = read(bytes(pdu))
    except Malformed:
        return

    _, answer = negotiate(request, max_pdu_bytes=131_072)
    A_ASSOCIATE_AC().decode(answer)
