"""Received bytes → pydicom's data set without pydicom's parser: the same values, and none of its weaknesses."""

from __future__ import annotations

import io
import struct
import tracemalloc
import zlib
from pathlib import Path

import pydicom.data
import pytest
from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError

from preprocessing.datasets import Keeping, left_out, read_dataset
from preprocessing.header import InstanceHeader, read_header
from preprocessing.windows import HeaderRefused
from tests.preprocessing.phantoms import DEFLATED, EXPLICIT, IMPLICIT, UNDEFINED, element, implicit, item

EVERYTHING = Keeping(256 << 20, 256 << 20, with_pixels=True)
SHORT = Keeping(1 << 20, 1_024, with_pixels=False)
PATIENT_ID, PIXELS = 0x00100020, 0x7FE00010
OPEN_ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, UNDEFINED)
HEAD = element(PATIENT_ID, "LO", b"P1")


def stored(data: bytes, transfer_syntax_uid: str = EXPLICIT) -> io.BytesIO:
    uid = transfer_syntax_uid.encode() + b"\0" * (len(transfer_syntax_uid) % 2)
    meta = element(0x00020010, "UI", uid)
    return io.BytesIO(bytes(128) + b"DICM" + meta + data)


def read(data: bytes, transfer_syntax_uid: str = EXPLICIT, keeping: Keeping = EVERYTHING) -> Dataset:
    return read_dataset(stored(data, transfer_syntax_uid), transfer_syntax_uid=transfer_syntax_uid, keeping=keeping)


def deflate(data: bytes) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return squeeze.compress(data) + squeeze.flush()


@pytest.mark.filterwarnings("ignore")
def test_every_whole_file_of_pydicom_reads_as_pydicom_reads_it() -> None:
    folder = Path(pydicom.data.__file__).parent / "test_files"
    compared = 0
    for path in sorted(path for path in folder.rglob("*") if path.suffix == ".dcm"):
        try:
            theirs = dcmread(path)
            expected = [(one.tag, one.VR, one.value) for one in theirs]
            with path.open("rb") as file:
                syntax = str(theirs.file_meta.TransferSyntaxUID)
                ours = read_dataset(file, transfer_syntax_uid=syntax, keeping=EVERYTHING)
        except (HeaderRefused, InvalidDicomError, AttributeError, NotImplementedError, OSError):
            continue  # truncated, without a preamble or a transfer syntax, or with a VR that nobody knows
        assert [(one.tag, one.VR, one.value) for one in ours] == expected, path.name
        compared += 1
    assert compared > 70


def test_text_of_items_is_read_in_the_character_set_of_the_data_set_around_them() -> None:
    inner = item(element(0x00080104, "LO", "흉부".encode()))
    data = element(0x00080005, "CS", b"ISO_IR 192") + element(0x00082218, "SQ", inner)

    assert read(data).AnatomicRegionSequence[0].CodeMeaning == "흉부"


@pytest.mark.parametrize(
    ("sent", "meant"),
    [
        (b"ISO_IR 192", "ISO_IR 192"),
        (b"utf-8", "ISO_IR 192"),
        (b"ISO-IR 144", "ISO_IR 144"),
        (b"\\ISO 2022 IR 149", ["", "ISO 2022 IR 149"]),
        (b"ISO_IR 192\\ISO_IR 100", "ISO_IR 192"),
        (b"ISO 2022 IR 6\\ISO_IR 192\\ISO 2022 IR 87", ["ISO 2022 IR 6", "ISO 2022 IR 87"]),
        (b"\\".join(b"NO SET %d" % number for number in range(4_000)), None),
        (b"\\ISO 2022 IR 149" * 3_000, ["", "ISO 2022 IR 149"]),
    ],
    ids=["", "spelling", "dash", "extension", "stands alone", "may not extend", "4,000 unknown", "one 3,000 times"],
)
def test_a_character_set_is_kept_in_defined_terms_that_are_looked_up_once(
    sent: bytes, meant: str | list[str] | None
) -> None:
    dataset = read(element(0x00080005, "CS", sent + b" " * (len(sent) % 2)) + HEAD)

    assert (dataset.SpecificCharacterSet or None) == meant
    assert dataset.PatientID == "P1"


def test_a_private_value_that_pydicom_knows_as_a_sequence_stays_bytes() -> None:
    nested = b""
    for _ in range(40):
        nested = item(implicit(0x00101001, nested))
    data = implicit(0x20010010, b"Philips Imaging DD 001") + implicit(0x20011068, nested)  # a sequence, by pydicom

    dataset = read(data, IMPLICIT)

    assert dataset[0x20011068].VR == "UN"
    assert dataset[0x20011068].value == nested


def test_long_binary_values_stay_in_the_file_until_they_are_asked_for() -> None:
    long = bytes(range(256)) * 8
    data = element(0x00091010, "OB", long) + HEAD
    for syntax, content in ((EXPLICIT, data), (DEFLATED, deflate(data))):
        raw = read(content, syntax, SHORT).get_item(0x00091010, keep_deferred=True)

        assert raw.value is None
        file = stored(content, syntax)
        assert b"".join(left_out(file, transfer_syntax_uid=syntax, element=raw)) == long
        with pytest.raises(HeaderRefused):
            list(left_out(file, transfer_syntax_uid=syntax, element=raw._replace(length=1 << 20)))


def test_inflated_pixels_are_the_pixels() -> None:
    pixels = bytes(range(256)) * 4_000

    dataset = read(deflate(HEAD + element(PIXELS, "OW", pixels) + element(0xFFFCFFFC, "OB", b"end!")), DEFLATED)

    assert dataset.PixelData == pixels
    assert dataset[0xFFFCFFFC].value == b"end!"


@pytest.mark.parametrize(
    "data",
    [
        element(0x00091010, "SQ", item(b"") * 60_000),
        element(0x00091010, "LO", b"") * 210_000,
        element(0x00091010, "UT", bytes((1 << 20) + 2)),
        b"".join(element(0x00090000 + n, "US", bytes(60_000)) for n in range(0x1000, 0x10A0)),
        b"".join(element(0x00090000 + n, "DS", b"1\\" * 30_000) for n in range(0x1000, 0x1040)),
        (struct.pack("<HH2sxxI", 9, 0x1010, b"SQ", UNDEFINED) + OPEN_ITEM) * 200,
    ],
    ids=["items", "elements", "text", "numbers", "decimals", "depth"],
)
def test_what_would_fill_the_memory_is_refused(data: bytes) -> None:
    tracemalloc.start()
    with pytest.raises(HeaderRefused, match="limit"):
        read(data)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak_bytes < 192 << 20


BOMB_BEHIND = [
    deflate(HEAD + element(PIXELS, "OW", b"1234") + element(0xFFFCFFFC, "OB", bytes(150 << 20))),
    deflate(HEAD + element(PIXELS, "OW", b"1234") + bytes(150 << 20)),
]


def test_a_bomb_behind_the_pixels_is_refused_at_the_door_or_never_inflated() -> None:
    with pytest.raises(HeaderRefused, match="limit"):
        header(BOMB_BEHIND[0], DEFLATED)
    assert header(BOMB_BEHIND[1], DEFLATED).patient_id == "P1"  # padding: nobody reads on

    tracemalloc.start()
    assert read(BOMB_BEHIND[1], DEFLATED).PatientID == "P1"
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 8 << 20


@pytest.mark.parametrize(
    "behind",
    [
        element(0x7FE11010, "SQ", item(b"") * 60_000),
        element(0x7FE11010, "LO", b"") * 210_000,
        (struct.pack("<HH2sxxI", 0x7FE1, 0x1010, b"SQ", UNDEFINED) + OPEN_ITEM) * 100,
    ],
    ids=["items", "elements", "depth"],
)
def test_too_much_behind_the_pixels_is_refused_at_the_door(behind: bytes) -> None:
    with pytest.raises(HeaderRefused, match="limit"):
        header(HEAD + element(PIXELS, "OW", b"1234") + behind)


def test_padding_behind_the_pixels_is_forgiven() -> None:
    for behind in (bytes(4_000_000), b"\xff" * 5_000, element(0x7FE11010, "OB", b"cut", length=9_000)):
        assert header(HEAD + element(PIXELS, "OW", b"1234") + behind).patient_id == "P1"


def header(data: bytes, transfer_syntax_uid: str = EXPLICIT) -> InstanceHeader:
    return read_header(io.BytesIO(data), transfer_syntax_uid=transfer_syntax_uid, offset=0, length=len(data))
