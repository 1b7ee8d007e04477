"""Command sets, against pynetdicom's encoding and against nonsense."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pynetdicom.dimse_messages import C_ECHO_RSP, C_STORE_RSP
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode, encode

from service.intake.dimse.commands import Command, CommandField, Malformed, read_command, response
from tests.service.intake.dimse.sender import CR, VERIFICATION, command_bytes, echo_command, store_command

UID = "1.2.826.0.1.3680043.8.498.1"


def test_a_store_request_is_read_as_pynetdicom_writes_it() -> None:
    assert read_command(store_command(CR, UID, message_id=513)) == Command(CommandField.C_STORE, 513, True, CR, UID)


def test_a_store_request_without_a_data_set_says_so() -> None:
    assert not read_command(store_command(CR, UID, has_data_set=False)).has_data_set


def test_an_echo_request_is_read_as_pynetdicom_writes_it() -> None:
    assert read_command(echo_command(7)) == Command(CommandField.C_ECHO, 7, False, None, None)


@pytest.mark.parametrize(("status", "comment"), [(0x0000, ""), (0xA700, "storage is full"), (0xC002, "odd")])
def test_a_store_response_is_encoded_as_pynetdicom_would(status: int, comment: str) -> None:
    primitive = C_STORE()
    primitive.MessageIDBeingRespondedTo = 9
    primitive.AffectedSOPClassUID, primitive.AffectedSOPInstanceUID = CR, UID
    primitive.Status = status
    if comment:
        primitive.ErrorComment = comment

    encoded = response(Command(CommandField.C_STORE, 9, True, CR, UID), status, comment)

    assert encoded == command_bytes(C_STORE_RSP(), primitive)


def test_an_echo_response_is_encoded_as_pynetdicom_would() -> None:
    primitive = C_ECHO()
    primitive.MessageIDBeingRespondedTo = 2
    primitive.AffectedSOPClassUID = VERIFICATION
    primitive.Status = 0

    encoded = response(Command(CommandField.C_ECHO, 2, False, VERIFICATION, None), 0)

    assert encoded == command_bytes(C_ECHO_RSP(), primitive)


def test_an_error_comment_is_at_most_64_characters_of_ascii() -> None:
    encoded = response(Command(CommandField.C_STORE, 9, True, CR, UID), 0xC000, "é" + "x" * 80)

    comment = decode(io.BytesIO(encoded), True, True).ErrorComment

    assert comment == "?" + "x" * 63


def without(keyword: str) -> bytes:
    command = decode(io.BytesIO(store_command(CR, UID)), True, True)
    del command[keyword]
    encoded = encode(command, True, True)
    assert encoded is not None
    return encoded


@pytest.mark.parametrize("keyword", ["AffectedSOPClassUID", "AffectedSOPInstanceUID"])
def test_a_missing_uid_is_none_so_that_the_sender_gets_a_status(keyword: str) -> None:
    command = read_command(without(keyword))

    assert None in (command.sop_class_uid, command.sop_instance_uid)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\0\0\0",
        without("CommandField"),
        without("MessageID"),
        without("CommandDataSetType"),
        store_command(CR, UID)[:-1],
        store_command(CR, UID) + b"\x08\x00\x05\x00\x00\x00\x00\x00",  # an element of group 8
        response(Command(CommandField.C_STORE, 9, True, CR, UID), 0),
    ],
    ids=["empty", "short", "no field", "no message id", "no data set type", "cut", "other group", "response"],
)
def test_what_is_no_request_is_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        read_command(data)


def test_a_uid_of_a_kilobyte_is_malformed() -> None:
    with pytest.raises(Malformed):
        read_command(_with_class("1." * 600))


def test_a_uid_that_is_only_too_long_is_kept_for_the_answer() -> None:
    uid = "1." + "2" * 90

    assert read_command(_with_class(uid)).sop_class_uid == uid


def _with_class(uid: str) -> bytes:
    value = uid.encode() + b"\0" * (len(uid) % 2)
    return without("AffectedSOPClassUID") + b"\0\0\2\0" + len(value).to_bytes(4, "little") + value


@given(st.binary(max_size=300))
def test_any_bytes_are_a_command_or_malformed(data: bytes) -> None:
    try:
        read_command(data)
    except Malformed:
        return


@given(st.integers(0, 200), st.integers(0, 255))
def test_one_wrong_byte_is_a_command_or_malformed(place: int, value: int) -> None:
    data = bytearray(store_command(CR, UID))
    data[place % len(data)] = value

    try:
        command = read_command(data)
    except Malformed:
        return

    assert len(response(command, 0)) < 500
    assert isinstance(decode(io.BytesIO(response(command, 0)), True, True), Dataset)
