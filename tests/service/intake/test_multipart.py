"""multipart/related bodies in pieces: boundaries, limits, damage."""

from __future__ import annotations

import random

import pytest

from service.errors import ServiceError
from service.intake.multipart import (
    MAX_PART_HEADER_BYTES,
    BadMultipart,
    MultipartReader,
    PartBegins,
    PartData,
    PartEnds,
    boundary_of,
)

DICOM = "application/dicom"


def body(*parts: bytes, boundary: bytes = b"b", headers: bytes = b"Content-Type: application/dicom\r\n") -> bytes:
    return b"".join(b"--%b\r\n%b\r\n%b\r\n" % (boundary, headers, part) for part in parts) + b"--%b--\r\n" % boundary


def read(reader: MultipartReader, *pieces: bytes) -> list[bytes]:
    whole: list[bytes] = []
    open_part: bytearray | None = None
    for piece in pieces:
        for event in reader.feed(piece):
            if isinstance(event, PartBegins):
                open_part = bytearray()
            elif isinstance(event, PartData):
                assert open_part is not None
                open_part += event.data
            elif isinstance(event, PartEnds):
                assert open_part is not None
                whole.append(bytes(open_part))
    return whole


def read_whole(reader: MultipartReader, *pieces: bytes) -> list[bytes]:
    parts = read(reader, *pieces)
    reader.finish()
    return parts


@pytest.mark.parametrize("seed", range(30))
def test_parts_arrive_byte_for_byte_however_the_body_is_cut(seed: int) -> None:
    cut = random.Random(seed)
    alphabet = [b"\r", b"\n", b"-", b"b", b"--b", b"\r\n--", b"\r\n--c", b"x" * 40]
    parts = [b"".join(cut.choices(alphabet, k=cut.randrange(60))).replace(b"\r\n--b", b"") for _ in range(5)]
    whole = body(*parts)
    places = sorted(cut.randrange(len(whole)) for _ in range(cut.randrange(30)))
    pieces = [whole[a:b] for a, b in zip([0, *places], [*places, len(whole)], strict=True)]
    reader = MultipartReader(b"b", max_parts=10)

    received = read(reader, *pieces)

    reader.finish()
    assert received == parts


@pytest.mark.parametrize(
    "content_type",
    [
        'multipart/related; type="application/dicom"; boundary=b',
        'multipart/related; type="application/dicom"; boundary="b"',
        "multipart/related; boundary=b; type=application/dicom",
        'Multipart/Related;boundary="b";TYPE="Application/DICOM";start="<1@x>"',
        "multipart/related; boundary=b",
        'multipart/related; type="application/dicom; transfer-syntax=*"; boundary=b',
    ],
)
def test_boundary_is_found_in_every_way_of_writing_it(content_type: str) -> None:
    assert boundary_of(content_type, accepted=(DICOM, "application/dicom+json")) == (b"b", DICOM)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        (None, 415),
        ("", 415),
        ("application/dicom", 415),
        ("multipart/form-data; boundary=b", 415),
        ('multipart/related; type="application/octet-stream"; boundary=b', 415),
        ('multipart/related; type="application/pdf"; boundary=b', 415),
        ('multipart/related; type="application/dicom"', 400),
        ('multipart/related; type="application/dicom"; boundary=""', 400),
        ('multipart/related; type="application/dicom"; boundary=' + "b" * 71, 400),
    ],
)
def test_other_content_types_are_refused(content_type: str | None, status: int) -> None:
    with pytest.raises(ServiceError) as refusal:
        boundary_of(content_type, accepted=(DICOM, "application/dicom+json"))

    assert refusal.value.status == status


def test_leading_line_breaks_padding_and_epilogue_do_no_harm() -> None:
    whole = b"\r\n--b\r\n\r\none\r\n--b \t\r\n\r\ntwo\r\n--b--\r\nepilogue --b\r\n"
    reader = MultipartReader(b"b", max_parts=10)

    assert read(reader, whole) == [b"one", b"two"]
    reader.finish()


@pytest.mark.parametrize("cut", range(1, 60))
def test_a_body_cut_anywhere_is_not_whole(cut: int) -> None:
    whole = body(b"some data", b"and more")
    reader = MultipartReader(b"b", max_parts=10)

    with pytest.raises(BadMultipart):
        read_whole(reader, whole[: -(cut + 2)])


def test_parts_before_damage_are_given_before_it_is_told() -> None:
    reader = MultipartReader(b"b", max_parts=10)
    damaged = b"--b\r\n\r\none\r\n--b\r\nno colon\r\n\r\ntwo"

    assert read(reader, damaged) == [b"one"]
    with pytest.raises(BadMultipart):
        reader.feed(b"more")
    with pytest.raises(BadMultipart):
        reader.finish()


def test_too_many_parts_are_refused_after_the_allowed_ones() -> None:
    reader = MultipartReader(b"b", max_parts=3)

    assert read(reader, body(b"1", b"2", b"3", b"4")) == [b"1", b"2", b"3"]
    with pytest.raises(BadMultipart) as refusal:
        reader.finish()
    assert refusal.value.status == 413


@pytest.mark.parametrize(
    "headers",
    [
        b"A: " + b"x" * MAX_PART_HEADER_BYTES + b"\r\n",
        b"".join(b"H%d: %b\r\n" % (i, b"x" * 1_000) for i in range(9)),
        b"".join(b"H%d: x\r\n" % i for i in range(17)),
        b"x" * MAX_PART_HEADER_BYTES + b": y\r\n",
    ],
)
def test_headers_of_a_part_have_a_limit(headers: bytes) -> None:
    reader = MultipartReader(b"b", max_parts=10)

    whole = body(b"data", headers=headers)
    with pytest.raises(BadMultipart) as refusal:
        read_whole(reader, *(whole[i : i + 100] for i in range(0, len(whole), 100)))
    assert refusal.value.status == 400
