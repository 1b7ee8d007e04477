"""Values longer than anybody needs: what a header keeps of them, and that it says so."""

from __future__ import annotations

import io
import json
import struct

import pytest

from preprocessing.elements import Bounds, open_window, read_elements
from preprocessing.header import from_json, to_json
from preprocessing.header_tags import TEXT
from preprocessing.text import Charset
from preprocessing.values import LONGEST_BYTES, MAX_VALUES
from preprocessing.windows import HeaderRefused
from service.intake.verify import is_valid_uid
from tests.preprocessing.phantoms import EXPLICIT, IMPLICIT, element, implicit, item, read
from tests.preprocessing.test_header import FILM, STANDARD_EXAMPLES

CT = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.2")


@pytest.mark.parametrize(
    ("terms", "encoding", "text", "flag"),
    [
        (b"", "cp1251", "Иванова Анна ", "undeclared"),
        (b"", "euc_kr", "김희중", "undeclared"),
        (b"", "utf-8", "Nguyễn Văn Đức ", "undeclared"),
        (b"ISO_IR 100", "utf-8", "Иванова Анна ", "mislabelled:utf-8"),
        (b"ISO_IR 192", "utf-8", "김희중", None),
        (b"ISO_IR 144", "iso8859_5", "Иванова Анна ", None),
        (b"GB18030", "gb18030", "王𠮷 ", None),
        (b"ISO_IR 192", "utf-8", "plain ", None),
    ],
)
@pytest.mark.parametrize("before", ["", "1", "12", "123"])
def test_a_long_text_is_cut_between_two_characters(
    terms: bytes, encoding: str, text: str, flag: str | None, before: str
) -> None:
    sent = before + 40_000 // len(text) * text

    header = read(implicit(0x00080005, terms) + implicit(0x00081030, sent.encode(encoding)), IMPLICIT)

    kept = header.study_description or ""
    assert sent.startswith(kept)
    assert LONGEST_BYTES - 4 < len(kept.encode(encoding)) <= LONGEST_BYTES
    assert (header.charset_flag, header.is_shortened) == (flag, True)


@pytest.mark.parametrize("name", STANDARD_EXAMPLES)
def test_no_cut_through_an_escape_or_a_character_makes_other_text(name: str) -> None:
    terms, raw, expected = STANDARD_EXAMPLES[name]
    several = (raw + b"=") * 3
    charset = Charset(terms)

    for length in range(len(several) + 1):
        text = charset.decode(several[:length], is_cut=True)
        assert ((expected + "=") * 3).startswith(text), length
        assert charset.flag is None, length
    assert charset.decode(several, is_cut=True) == (expected + "=") * 3


def test_a_header_of_megabytes_of_text_becomes_a_small_one() -> None:
    words = ("Иванов Пётр " * 5_500).encode("cp1251")
    data = b"".join(implicit(tag, words) for tag in sorted(TEXT.values()))

    header = read(implicit(0x00080005, b"\\" * 500_000) + implicit(0x00080008, b"\\" * 500_000) + data, IMPLICIT)

    texts = [str(getattr(header, name)) for name in TEXT]
    assert all(len(text) <= LONGEST_BYTES and text.startswith("Иванов Пётр") for text in texts)
    assert len(json.dumps(to_json(header), ensure_ascii=False)) < 20_000
    assert header.is_shortened
    assert from_json(json.loads(json.dumps(to_json(header)))) == header


@pytest.mark.parametrize(
    "name",
    [
        "王" * 64 + "=" + "山田" * 32 + "=" + "𠮷" * 64,
        "^".join(["Nguyễn Văn Đức" * 3] * 5) + "=",
    ],
)
def test_the_longest_name_of_the_standard_is_kept_whole(name: str) -> None:
    header = read(element(0x00080005, "CS", b"ISO_IR 192") + element(0x00100010, "PN", name.encode()))

    assert header.patient_name == name
    assert not header.is_shortened


@pytest.mark.parametrize("uid", [b"1." * 1_000 + b"1", b"1.2.3" + bytes(2_000) + b"4", b"1.2.3" + bytes(2_001)])
def test_a_uid_that_is_too_long_is_never_cut_to_a_valid_one(uid: bytes) -> None:
    header = read(b"".join(element(tag, "UI", uid) for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)))

    uids = (header.sop_class_uid, header.sop_instance_uid, header.study_instance_uid, header.series_instance_uid)
    assert all(uid and not is_valid_uid(uid) for uid in uids)


@pytest.mark.parametrize(
    ("field", "sent"),
    [
        ("patient_birth_date", element(0x00100030, "DA", b"19800101" * 200)),
        ("patient_age", element(0x00101010, "AS", b"081Y" * 300)),
        ("modality", element(0x00080060, "CS", b"CT" * 600)),
        ("frame_of_reference_uid", element(0x00200052, "UI", b"1.2." * 300 + b"1")),
        ("instance_number", element(0x00200013, "IS", b" " * 1_200 + b"7")),
        ("number_of_frames", element(0x00280008, "IS", b"1\\" * 600)),
        ("pixel_spacing_mm", element(0x00280030, "DS", b"0.15\\0.1" + b"5" * 1_200)),
        ("gantry_tilt_degrees", element(0x00181120, "DS", b"1" * 1_200)),
        ("anatomic_region", element(0x00082218, "SQ", item(element(0x00080100, "SH", b"T-D3000" * 200)))),
    ],
)
def test_a_long_value_that_makes_sense_only_whole_is_absent(field: str, sent: bytes) -> None:
    header = read(sent)

    assert getattr(header, field) is None
    assert header.is_shortened


def test_of_many_values_the_first_are_kept_each_in_one_piece() -> None:
    header = read(element(0x00080008, "CS", b"ORIGINAL\\PRIMARY\\AXIAL\\" * 20))
    long = read(element(0x00080008, "CS", b"\\".join([b"DERIVED", *(b"X" * 100 for _ in range(20))])))

    assert header.image_type == ("ORIGINAL", "PRIMARY", "AXIAL") * (MAX_VALUES // 3) + ("ORIGINAL", "PRIMARY")
    assert header.is_shortened
    assert long.image_type == ("DERIVED", *("X" * 100 for _ in range(10)))
    assert long.is_shortened


def test_a_frame_whose_position_or_marks_are_too_long_has_none() -> None:
    long = element(0x00200032, "DS", b"1\\2\\" + b"3" * 1_200)
    marks = element(0x00209157, "UL", struct.pack("<200I", *range(200)))
    frame = item(element(0x00209113, "SQ", item(long)) + element(0x00209111, "SQ", item(marks)))

    [plane] = read(CT + element(0x52009230, "SQ", frame)).planes

    assert plane.position_mm is None
    assert plane.marks == tuple((f"dimension_{n}", str(n - 1)) for n in range(1, MAX_VALUES + 1))


def test_a_film_as_stations_write_it_is_not_shortened() -> None:
    assert not read(FILM).is_shortened
    assert not from_json({"transfer_syntax_uid": EXPLICIT}).is_shortened


def test_more_wanted_bytes_than_asked_for_are_refused() -> None:
    data = b"".join(element(tag, "LO", b"x" * 100) for tag in sorted(TEXT.values()))

    def kept(bounds: Bounds) -> int:
        window = open_window(io.BytesIO(data), offset=0, length=len(data), is_deflated=False)
        wanted = dict.fromkeys(TEXT.values())
        found = read_elements(window, transfer_syntax_uid=EXPLICIT, wanted=wanted, bounds=bounds)
        return sum(map(len, found.values.values()))

    assert kept(Bounds(wanted_bytes=1_300)) == 1_300
    assert kept(Bounds(wanted_bytes=1_300, kept_bytes=10)) == 130
    with pytest.raises(HeaderRefused) as refused:
        kept(Bounds(wanted_bytes=1_299))
    assert refused.value.kind == "limit"
