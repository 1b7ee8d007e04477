"""The walk over elements: every encoding, every lie about lengths, and the bounds on time and memory."""

from __future__ import annotations

import io
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from preprocessing.elements import MAX_DEPTH, Elements, Wanted, find_data_set, read_elements
from preprocessing.windows import HeaderRefused, open_window
from tests.preprocessing.phantoms import DEFLATED, EXPLICIT, IMPLICIT, SEQUENCE_END, UNDEFINED, element, implicit, item

BIG_ENDIAN = "1.2.840.10008.1.2.2"
MODALITY, PATIENT_ID, VIEW_CODES, CODE = 0x00080060, 0x00100020, 0x00540220, 0x00080100
PRIVATE, PIXELS = 0x00091010, 0x7FE00010
WANTED: Wanted = {MODALITY: None, PATIENT_ID: None, VIEW_CODES: frozenset({CODE})}


def walk(data: bytes, transfer_syntax_uid: str = EXPLICIT) -> Elements:
    window = open_window(io.BytesIO(data), offset=0, length=len(data), is_deflated=transfer_syntax_uid == DEFLATED)
    return read_elements(window, transfer_syntax_uid=transfer_syntax_uid, wanted=WANTED)


def refusal(data: bytes, transfer_syntax_uid: str = EXPLICIT) -> str:
    with pytest.raises(HeaderRefused) as refused:
        walk(data, transfer_syntax_uid)
    return refused.value.kind


def deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


HEAD = element(MODALITY, "CS", b"CR") + element(PATIENT_ID, "LO", b"P1")
IMPLICIT_HEAD = implicit(MODALITY, b"CR") + implicit(PATIENT_ID, b"P1")
BIG_HEAD = struct.pack(">HH2sH", 8, 0x60, b"CS", 2) + b"CR" + struct.pack(">HH2sH", 16, 0x20, b"LO", 2) + b"P1"
ALL = {MODALITY: b"CR", PATIENT_ID: b"P1"}


@pytest.mark.parametrize(
    ("data", "transfer_syntax_uid"),
    [
        (HEAD, EXPLICIT),
        (IMPLICIT_HEAD, IMPLICIT),
        (BIG_HEAD, BIG_ENDIAN),
        (deflate(HEAD), DEFLATED),
        (IMPLICIT_HEAD, EXPLICIT),  # declared wrongly
        (HEAD, IMPLICIT),
        (element(MODALITY, "CS", b"CR") + implicit(PATIENT_ID, b"P1"), EXPLICIT),  # one element without its VR
        (element(MODALITY, "ZZ", b"CR") + element(PATIENT_ID, "UN", b"P1"), EXPLICIT),
        (HEAD + bytes(7), EXPLICIT),
    ],
)
def test_every_encoding_gives_the_same_values(data: bytes, transfer_syntax_uid: str) -> None:
    assert walk(data, transfer_syntax_uid).values == ALL


INNER = element(CODE, "SH", b"R-10214 ")
IMPLICIT_INNER = implicit(CODE, b"R-10214 ")


@pytest.mark.parametrize(
    "sequence",
    [
        element(VIEW_CODES, "SQ", item(INNER)),
        element(VIEW_CODES, "SQ", item(INNER, is_open=True)),
        element(VIEW_CODES, "SQ", item(INNER) + SEQUENCE_END, length=UNDEFINED),
        element(VIEW_CODES, "SQ", item(INNER, is_open=True) + SEQUENCE_END, length=UNDEFINED),
        element(VIEW_CODES, "SQ", item(IMPLICIT_INNER) + SEQUENCE_END, length=UNDEFINED),
        element(VIEW_CODES, "UN", item(IMPLICIT_INNER)),
        element(VIEW_CODES, "UN", item(IMPLICIT_INNER, is_open=True) + SEQUENCE_END, length=UNDEFINED),
        implicit(VIEW_CODES, item(IMPLICIT_INNER)),
        element(VIEW_CODES, "SQ", item(INNER) + item(element(CODE, "SH", b"second"))),
        # No item delimiter: the sequence's own delimiter ends both.
        element(
            VIEW_CODES, "SQ", struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED) + INNER + SEQUENCE_END, length=UNDEFINED
        ),
    ],
)
def test_the_first_item_of_a_wanted_sequence_is_read_in_every_encoding(sequence: bytes) -> None:
    elements = walk(HEAD + sequence + element(PIXELS, "OW", b"1234"))

    assert elements.items == {VIEW_CODES: {CODE: b"R-10214 "}}
    assert elements.pixel_data is not None


def test_values_inside_other_sequences_are_not_mistaken_for_the_image() -> None:
    nested = item(element(MODALITY, "CS", b"XX") + element(PIXELS, "OW", b"icon"))
    data = element(PRIVATE, "SQ", nested) + HEAD + element(PIXELS, "OW", b"12345678")

    elements = walk(data)

    assert elements.values == ALL
    assert elements.pixel_data is not None
    assert elements.pixel_data.length_bytes == 8


def test_encapsulated_pixels_are_walked_by_their_lengths_only() -> None:
    fragments = [b"", b"\xfe\xff\xdd\xe0\0\0\0\0", b"x" * 1000]
    data = HEAD + element(PIXELS, "OB", b"".join(map(item, fragments)) + SEQUENCE_END, length=UNDEFINED)

    pixels = walk(data).pixel_data

    assert pixels is not None
    assert pixels.length_bytes is None
    assert [data[start : start + length] for start, length in pixels.fragments] == fragments


def test_what_follows_the_pixels_is_not_read() -> None:
    assert walk(HEAD + element(PIXELS, "OW", b"1234") + b"\xff" * 5000).values == ALL


def test_a_sequence_with_a_wrong_inside_is_left_at_its_declared_end() -> None:
    for inside in (
        b"no item at all! ",
        item(element(CODE, "SH", b"ab", length=60000)),
        struct.pack("<HHI", 0xFFFE, 0xE000, 99),
    ):
        assert walk(element(PRIVATE, "SQ", inside) + HEAD).values == ALL


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (HEAD + element(0x00100040, "CS", b"F", length=60000), "truncated"),
        (HEAD + element(PRIVATE, "OB", b"F", length=0xFFFFFFF0), "truncated"),
        (HEAD + element(PIXELS, "OW", b"1234", length=8), "truncated"),
        (HEAD + element(PRIVATE, "SQ", item(INNER), length=UNDEFINED), "truncated"),
        (HEAD + element(PIXELS, "OB", item(b"") + item(b"1234"), length=UNDEFINED), "truncated"),
        (HEAD + element(PIXELS, "OB", item(b"") + b"nonsense", length=UNDEFINED), "damaged"),
        (HEAD + element(PRIVATE, "UT", b"", length=UNDEFINED), "damaged"),
        (b"%PDF-1.7 " + bytes(range(200)), "damaged"),
        (element(MODALITY, "OB", bytes((1 << 20) + 2)), "limit"),
    ],
)
def test_lies_about_lengths_are_refused_with_their_kind(data: bytes, kind: str) -> None:
    assert refusal(data) == kind


def test_a_data_set_cut_anywhere_is_refused_or_ends_between_two_elements() -> None:
    data = HEAD + element(VIEW_CODES, "SQ", item(INNER, is_open=True) + SEQUENCE_END, length=UNDEFINED)
    whole = data + element(PIXELS, "OW", b"12345678")

    for end in range(len(whole)):
        assert kind_or_pixels(whole[:end]) in ("truncated", "damaged", None)


def kind_or_pixels(data: bytes) -> object:
    try:
        return walk(data).pixel_data
    except HeaderRefused as refused:
        return refused.kind


# --- hostile -----------------------------------------------------------------------------------------------------


def deep(levels: int) -> bytes:
    return (
        struct.pack("<HH2sxxI", 9, 0x1010, b"SQ", UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
    ) * levels


def deep_with_lengths(levels: int) -> bytes:
    size = 20 * levels
    return b"".join(
        struct.pack("<HH2sxxI", 9, 0x1010, b"SQ", size - 20 * level - 12)
        + struct.pack("<HHI", 0xFFFE, 0xE000, size - 20 * level - 20)
        for level in range(levels)
    )


HOSTILE: dict[str, Callable[[], tuple[bytes, str]]] = {
    "depth 100,000": lambda: (deep(100_000), EXPLICIT),
    "depth 100,000 with lengths": lambda: (deep_with_lengths(100_000), EXPLICIT),
    "depth of UN": lambda: (
        (struct.pack("<HHI", 9, 0x1010, UNDEFINED) + struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)) * 100_000,
        IMPLICIT,
    ),
    "a million items": lambda: (element(PRIVATE, "SQ", item(b"") * 1_000_000), EXPLICIT),
    "a million fragments": lambda: (element(PIXELS, "OB", item(b"") * 1_000_000, length=UNDEFINED), EXPLICIT),
    "a million elements": lambda: (element(PRIVATE, "LO", b"") * 1_000_000, EXPLICIT),
    "a million stray delimiters": lambda: (HEAD + struct.pack("<HHI", 0xFFFE, 0xE00D, 0) * 1_000_000, EXPLICIT),
    "a bomb of 1000 to 1": lambda: (deflate(HEAD + element(PRIVATE, "OB", bytes(150 << 20))), DEFLATED),
    "a bomb in the pixels": lambda: (deflate(HEAD + element(PIXELS, "OB", bytes(150 << 20))), DEFLATED),
    "a bomb of many values": lambda: (deflate(HEAD + element(PRIVATE, "OB", bytes(900_000)) * 150), DEFLATED),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_data_sets_are_refused_within_two_seconds_and_64_mib(name: str) -> None:
    data, transfer_syntax_uid = HOSTILE[name]()

    started = time.process_time()
    assert refusal(data, transfer_syntax_uid) == "limit"
    seconds = time.process_time() - started

    tracemalloc.start()
    refusal(data, transfer_syntax_uid)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seconds < 2
    assert peak_bytes < 64 << 20


def test_as_deep_as_allowed_is_read() -> None:
    nested = HEAD
    for _ in range(MAX_DEPTH - 1):
        nested = element(PRIVATE, "SQ", item(nested, is_open=True) + SEQUENCE_END, length=UNDEFINED)

    assert walk(nested + HEAD).values == ALL


def test_deflated_pixels_that_end_too_early_are_noticed() -> None:
    whole = deflate(HEAD + element(PIXELS, "OW", bytes(range(256)) * 400))

    assert walk(whole, DEFLATED).pixel_data is not None
    assert refusal(whole[: len(whole) // 2], DEFLATED) == "truncated"
    assert refusal(deflate(HEAD + element(PIXELS, "OW", b"12", length=400)), DEFLATED) == "truncated"
    assert refusal(b"\xff" * 500, DEFLATED) == "damaged"


def test_a_small_header_that_is_mostly_spaces_is_no_bomb() -> None:
    data = deflate(HEAD + element(PRIVATE, "UT", b" " * 500_000))

    assert walk(data, DEFLATED).values == ALL


def test_the_data_set_of_a_part_10_file_is_found() -> None:
    meta = element(0x00020001, "OB", b"\0\1") + element(0x00020010, "UI", IMPLICIT.encode())

    assert find_data_set(io.BytesIO(bytes(128) + b"DICM" + meta + IMPLICIT_HEAD)) == (IMPLICIT, 132 + len(meta))
    with pytest.raises(HeaderRefused):
        find_data_set(io.BytesIO(b"no preamble"))
