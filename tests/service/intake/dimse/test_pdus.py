"""PDUs and presentation data values, against pynetdicom's encoding and against nonsense."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, P_DATA_TF
from pynetdicom.pdu_primitives import P_DATA

from service.intake.dimse.pdus import (
    MAX_VALUES,
    AbortReason,
    Malformed,
    abort_pdu,
    command_pdus,
    fragments,
    reject_pdu,
    release_pdu,
)
from tests.service.intake.dimse.sender import COMMAND, LAST, pdv


def test_short_pdus_are_those_of_pynetdicom() -> None:
    abort, reject = A_ABORT_RQ(), A_ASSOCIATE_RJ()
    abort.source, abort.reason_diagnostic = 2, 6
    reject.result, reject.source, reject.reason_diagnostic = 1, 1, 7

    assert abort_pdu(AbortReason.INVALID_PARAMETER) == abort.encode()
    assert reject_pdu(1, 1, 7) == reject.encode()
    assert release_pdu() == A_RELEASE_RP().encode()


def test_a_command_in_one_pdu_is_that_of_pynetdicom() -> None:
    primitive = P_DATA()
    primitive.presentation_data_value_list = [[7, b"\x03" + b"command!"]]

    assert command_pdus(7, b"command!", max_pdu_bytes=0) == P_DATA_TF(primitive).encode()


@pytest.mark.parametrize("max_pdu_bytes", [0, 1, 8, 9, 20, 16_382])
def test_no_pdu_is_longer_than_the_peer_takes(max_pdu_bytes: int) -> None:
    command = bytes(range(200))

    pdus = command_pdus(3, command, max_pdu_bytes=max_pdu_bytes)

    joined, is_last = b"", []
    while pdus:
        length = struct.unpack_from(">BxL", pdus)[1]
        assert not max_pdu_bytes or length <= max(max_pdu_bytes, 8)  # less than 8 has no room for two bytes
        [fragment] = fragments(memoryview(pdus)[6 : 6 + length])
        joined += fragment.data
        is_last.append(fragment.is_last)
        assert fragment.is_command
        pdus = pdus[6 + length :]
    assert joined == command
    assert is_last == [False] * (len(is_last) - 1) + [True]


def test_several_values_in_one_pdu_are_told_apart() -> None:
    body = pdv(1, COMMAND | LAST, b"command") + pdv(3, 0, b"") + pdv(3, LAST, b"data")

    found = [(f.context_id, f.is_command, f.is_last, bytes(f.data)) for f in fragments(memoryview(body))]

    assert found == [(1, True, True, b"command"), (3, False, False, b""), (3, False, True, b"data")]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\0",
        pdv(1, LAST, b"data")[:-1],
        struct.pack(">LBB", 1, 1, 2),
        struct.pack(">LBB", 2**32 - 1, 1, 2),
        pdv(1, LAST, b"data") + b"\0\0\0\2",
    ],
)
def test_lengths_that_do_not_add_up_are_malformed(body: bytes) -> None:
    with pytest.raises(Malformed) as malformed:
        list(fragments(memoryview(body)))

    assert malformed.value.reason is AbortReason.INVALID_PARAMETER


def test_so_many_values_in_one_pdu_and_no_more() -> None:
    most = memoryview(pdv(3, 0, b"x") * MAX_VALUES)

    assert len(list(fragments(most))) == MAX_VALUES
    with pytest.raises(Malformed) as malformed:
        list(fragments(memoryview(bytes(most) + pdv(3, LAST, b""))))

    assert malformed.value.reason is AbortReason.INVALID_PARAMETER


@given(st.binary(max_size=400))
def test_any_bytes_are_values_or_malformed(body: bytes) -> None:
    try:
        found = list(fragments(memoryview(body)))
    except Malformed:
        return

    assert sum(len(f.data) + 6 for f in found) == len(body)
