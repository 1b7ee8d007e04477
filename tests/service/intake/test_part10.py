"""Part-10 files in pieces: what is forwarded, what is turned away, and that memory stays bounded."""

from __future__ import annotations

import random
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.intake.outcomes import IntakeReason, Sender
from service.intake.part10 import MAX_FILE_META_BYTES, Part10Splitter, Received, Turned
from service.intake.spool import DATASET_OFFSET
from tests.factories import Parts, dataset_bytes, make_radiograph, part10

EXPLICIT = "1.2.840.10008.1.2.1"
DEFLATED = "1.2.840.10008.1.2.1.99"
FILM = make_radiograph()
FILM_BYTES = part10(FILM)
DATASET = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100"


def split(parts: Parts, *pieces: bytes) -> Received | Turned:
    splitter = Part10Splitter(parts.intake, parts.sender())
    for piece in pieces:
        splitter.feed(piece)
    return splitter.finish()


def forwarded(file: Received | Turned) -> bytes:
    assert isinstance(file, Received)
    file.spooled.close()
    stored = file.spooled.path.read_bytes()[DATASET_OFFSET:]
    file.spooled.abandon()
    return stored


def spool_files(parts: Parts) -> list[str]:
    return [path.name for path in parts.settings.spool_folder.glob("*.part")]


def ui(element: int, value: str) -> bytes:
    raw = value.encode() + b"\x00" * (len(value) % 2)
    return struct.pack("<HH2sH", 2, element, b"UI", len(raw)) + raw


def ul(element: int, value: int) -> bytes:
    return struct.pack("<HH2sHL", 2, element, b"UL", 4, value)


def ob(element: int, value: bytes) -> bytes:
    return struct.pack("<HH2sHL", 2, element, b"OB", 0, len(value)) + value


def implicit(element: int, value: str) -> bytes:
    raw = value.encode() + b"\x00" * (len(value) % 2)
    return struct.pack("<HHL", 2, element, len(raw)) + raw


def with_meta(*elements: bytes, dataset: bytes = DATASET) -> bytes:
    return bytes(128) + b"DICM" + b"".join(elements) + dataset


@pytest.mark.parametrize("seed", range(20))
def test_data_set_arrives_byte_for_byte_however_the_file_is_cut(parts: Parts, seed: int) -> None:
    cut = random.Random(seed)
    places = sorted(cut.randrange(len(FILM_BYTES)) for _ in range(cut.randrange(40)))
    pieces = [FILM_BYTES[a:b] for a, b in zip([0, *places], [*places, len(FILM_BYTES)], strict=True)]

    file = split(parts, *pieces)

    assert forwarded(file) == dataset_bytes(FILM)


def test_data_set_arrives_when_each_byte_comes_alone(parts: Parts) -> None:
    head = FILM_BYTES[:900]

    file = split(parts, *(head[i : i + 1] for i in range(len(head))))

    assert forwarded(file) == dataset_bytes(FILM)[: len(head) - (len(FILM_BYTES) - len(dataset_bytes(FILM)))]


@pytest.mark.parametrize(
    "elements",
    [
        pytest.param([ui(0x10, EXPLICIT)], id="nothing but the transfer syntax"),
        pytest.param([ui(0x10, EXPLICIT), ui(0x02, "1.2.3"), ob(0x01, b"\0\1")], id="odd order"),
        pytest.param([ul(0, 4), ui(0x02, "1.2.3"), ui(0x10, EXPLICIT)], id="group length too short"),
        pytest.param([ul(0, 60_000), ui(0x10, EXPLICIT)], id="group length too long"),
        pytest.param([ui(0x10, EXPLICIT), ob(0x102, bytes(60_000))], id="long private information"),
        pytest.param([implicit(0x02, "1.2.3"), implicit(0x10, EXPLICIT)], id="implicit VR"),
        pytest.param([ui(0x10, EXPLICIT + "\x00\x00 ")], id="padded transfer syntax"),
    ],
)
def test_odd_but_readable_file_meta_is_read(parts: Parts, elements: list[bytes]) -> None:
    file = split(parts, with_meta(*elements))

    assert forwarded(file) == DATASET


def test_file_meta_without_preamble_is_read(parts: Parts) -> None:
    assert forwarded(split(parts, FILM_BYTES[132:])) == dataset_bytes(FILM)
    assert forwarded(split(parts, ui(0x02, "1.2.3") + ui(0x10, EXPLICIT) + DATASET)) == DATASET


def test_deflated_data_set_that_begins_like_group_2_is_not_taken_for_it(parts: Parts) -> None:
    element = ui(0x10, DEFLATED)
    deflated = b"\x02\x00\x10\x9c\x01\x02\x03\x04\x05\x06\x07\x08"

    file = split(parts, with_meta(ul(0, len(element)), element, dataset=deflated))

    assert forwarded(file) == deflated


def test_data_set_shorter_than_an_element_is_left_to_the_header_reader(parts: Parts) -> None:
    assert forwarded(split(parts, with_meta(ui(0x10, EXPLICIT), dataset=b"\x08\x00\x05"))) == b"\x08\x00\x05"
    assert forwarded(split(parts, with_meta(ui(0x10, EXPLICIT), dataset=b""))) == b""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty"),
        (b"DICM", "text"),
        (b"%PDF-1.7\n" + bytes(500), "PDF"),
        (b"PK\x03\x04" + bytes(500), "zip"),
        (b"\x1f\x8b\x08" + bytes(500), "gzip"),
        (b"\xff\xd8\xff\xe0" + bytes(500), "JPEG"),
        (b"MZ" + bytes(500), "program"),
        (b"[autorun]\r\nopen=viewer.exe\r\n" * 20, "text"),
        (dataset_bytes(FILM), "bare data set"),
        (bytes(128) + b"DIXM" + bytes(500), "Part 10"),
        (bytes(131), "Part 10"),
    ],
)
def test_what_is_not_part_10_is_turned_away_by_name(parts: Parts, content: bytes, words: str) -> None:
    file = split(parts, content)

    assert isinstance(file, Turned)
    assert file.reason is IntakeReason.NOT_DICOM
    assert words in (file.detail or file.reason.comment)
    assert spool_files(parts) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (with_meta(ui(0x02, "1.2.840.10008.1.3.10"), ui(0x10, EXPLICIT)), IntakeReason.DICOMDIR),
        (with_meta(ui(0x02, "1.2.3")), IntakeReason.TRANSFER_SYNTAX_NOT_SUPPORTED),
        (with_meta(ui(0x10, "../../etc/passwd")), IntakeReason.TRANSFER_SYNTAX_NOT_SUPPORTED),
        (with_meta(ui(0x10, "1.2.840.10008.1.2.4.204")), IntakeReason.TRANSFER_SYNTAX_NOT_SUPPORTED),
        (with_meta(ui(0x10, EXPLICIT))[:140], IntakeReason.TRUNCATED),
        (with_meta(ui(0x10, EXPLICIT), ob(0x102, bytes(9_000)))[:5_000], IntakeReason.TRUNCATED),
        (with_meta(ui(0x10, EXPLICIT), ob(0x102, bytes(MAX_FILE_META_BYTES))), IntakeReason.LIMIT_EXCEEDED),
        (with_meta(struct.pack("<HH2sHL", 2, 1, b"OB", 0, 0xFFFFFFFF), dataset=bytes(99_000)),
         IntakeReason.LIMIT_EXCEEDED),
    ],
)  # fmt: skip
def test_unusable_file_meta_is_turned_away_with_its_reason(parts: Parts, content: bytes, reason: IntakeReason) -> None:
    whole, in_pieces = split(parts, content), split(parts, *(content[i : i + 777] for i in range(0, len(content), 777)))

    assert isinstance(whole, Turned)
    assert whole.reason is reason
    assert in_pieces == whole
    assert spool_files(parts) == []


def test_what_comes_after_a_refusal_is_swallowed_and_takes_no_memory(parts: Parts) -> None:
    splitter = Part10Splitter(parts.intake, parts.sender())
    splitter.feed(b"%PDF" + bytes(200))

    for _ in range(64):
        splitter.feed(bytes(1 << 20))

    assert isinstance(splitter.finish(), Turned)
    assert len(splitter._head) == 0


def test_a_data_set_past_the_limit_is_too_large_and_leaves_no_file(tmp_path_factory: pytest.TempPathFactory) -> None:
    from tests.factories import open_parts

    with open_parts(tmp_path_factory.mktemp("small"), max_dataset_bytes=4_000) as parts:
        file = split(parts, FILM_BYTES)

        assert isinstance(file, Turned)
        assert file.reason is IntakeReason.TOO_LARGE
        assert spool_files(parts) == []


def test_an_abandoned_file_leaves_nothing(parts: Parts) -> None:
    splitter = Part10Splitter(parts.intake, parts.sender())
    splitter.feed(FILM_BYTES[:2_000])
    assert len(spool_files(parts)) == 1

    splitter.abandon()

    assert spool_files(parts) == []


class FullDisk:
    """An intake whose disk refuses a new file."""

    def open(self, sender: Sender, *, transfer_syntax_uid: str) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_disk_is_an_outcome() -> None:
    splitter = Part10Splitter(FullDisk(), None)  # type: ignore[arg-type]  # stands in for a full disk
    splitter.feed(FILM_BYTES)

    file = splitter.finish()

    assert isinstance(file, Turned)
    assert file.reason is IntakeReason.OUT_OF_RESOURCES


class NoDisk:
    """An intake that counts what it is given."""

    def open(self, sender: Sender, *, transfer_syntax_uid: str) -> NoDisk:
        return self

    def write(self, data: bytes) -> None:
        pass

    def abandon(self) -> None:
        pass


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400), st.booleans(), st.integers(1, 50))
def test_no_bytes_at_all_make_it_raise(tail: bytes, is_dicom: bool, step: int) -> None:
    content = (bytes(128) + b"DICM" + b"\x02\x00" if is_dicom else b"") + tail
    splitter = Part10Splitter(NoDisk(), None)  # type: ignore[arg-type]  # nothing is written
    for i in range(0, len(content), step):
        splitter.feed(content[i : i + step])

    assert isinstance(splitter.finish(), Received | Turned)
