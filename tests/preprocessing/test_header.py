"""Headers: names in every character set, ages, and the promise that nothing but HeaderRefused is ever raised."""

from __future__ import annotations

import csv
import json
import time
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preprocessing.elements import find_data_set
from preprocessing.header import Code, InstanceHeader, age_years, from_json, read_header, to_json
from preprocessing.text import Charset
from preprocessing.windows import HeaderRefused
from tests.preprocessing.phantoms import (
    EXPLICIT,
    IMPLICIT,
    SEQUENCE_END,
    UNDEFINED,
    element,
    header_of,
    implicit,
    item,
    read,
)

# Expected names and bytes as printed in PS3.5 annexes H, I, J and K.
STANDARD_EXAMPLES = {
    "H.3.1 Japanese": (
        ("", "ISO 2022 IR 87"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
        "Yamada^Tarou=山田^太郎=やまだ^たろう",
    ),
    "H.3.2 Japanese": (
        ("ISO 2022 IR 13", "ISO 2022 IR 87"),
        b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J=\x1b$B$d$^$@\x1b(J^\x1b$B$?$m$&\x1b(J",
        "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    ),
    "I.2 Korean": (
        ("", "ISO 2022 IR 149"),
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf",
        "Hong^Gildong=洪^吉洞=홍^길동",
    ),
    "J.1 Chinese UTF-8": (
        ("ISO_IR 192",),
        b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
        "Wang^XiaoDong=王^小東=",
    ),
    "J.2 Chinese GB18030": (("GB18030",), b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "Wang^XiaoDong=王^小东="),
    "K.2 Chinese GB2312": (
        ("", "ISO 2022 IR 58"),
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
        "Zhang^XiaoDong=张^小东=",
    ),
}


@pytest.mark.parametrize("name", STANDARD_EXAMPLES)
def test_the_examples_of_the_standard_decode(name: str) -> None:
    terms, raw, expected = STANDARD_EXAMPLES[name]
    charset = Charset(terms)

    assert charset.decode(raw) == expected
    assert charset.flag is None


@pytest.mark.parametrize(
    ("terms", "encoding", "text"),
    [
        (("ISO_IR 144",), "iso8859_5", "Люксембург^Роза Ивановна"),
        (("ISO_IR 144",), "iso8859_5", "ИВАНОВ^ПЁТР"),
        (("ISO 2022 IR 144",), "iso8859_5", "Ким^Ольга"),
        (("ISO_IR 192",), "utf-8", "Nguyễn^Văn Đức"),
        (("ISO_IR 192",), "utf-8", "김^희중"),
        (("ISO_IR 149",), "euc_kr", "김^희중"),
        (("ISO 2022 IR 149",), "euc_kr", "박^서준"),
        (("", "ISO 2022 IR 149"), "euc_kr", "이^순신"),
        (("ISO_IR 100",), "latin_1", "Äneas^Rüdiger"),
        (("ISO_IR 100",), "latin_1", "Buc^Jérôme"),
        (("ISO_IR 100",), "latin_1", "Müller-Lüdenscheidt^Hélène"),
        (("ISO_IR 101",), "iso8859_2", "Wałęsa^Łukasz"),
        (("ISO_IR 126",), "iso8859_7", "Διονυσιος"),
        (("ISO_IR 127",), "iso8859_6", "قباني^لنزار"),
        (("ISO_IR 138",), "iso8859_8", "שרון^דבורה"),
        (("ISO_IR 148",), "iso8859_9", "Çavuşoğlu^Işıl"),
        (("ISO_IR 166",), "iso8859_11", "นามสกุล^ชื่อ"),
        (("ISO_IR 13",), "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        (("GBK",), "gbk", "王^小東"),
        (("iso-ir 192",), "utf-8", "Trần^Thị Hoa"),
    ],
)
def test_text_that_is_as_declared_decodes_without_a_flag(terms: tuple[str, ...], encoding: str, text: str) -> None:
    charset = Charset(terms)

    assert charset.decode(text.encode(encoding) + b" ") == text
    assert charset.flag is None


def test_past_a_delimiter_the_first_character_set_holds_again() -> None:
    charset = Charset(("ISO 2022 IR 100", "ISO 2022 IR 149"))

    assert charset.decode(b"\x1b$)C\xb1\xe8^M\xfcller") == "김^Müller"


@pytest.mark.parametrize(
    ("terms", "raw", "text", "flag"),
    [
        ((), "김^희중".encode(), "김^희중", "undeclared"),
        ((), "Nguyễn^Văn".encode(), "Nguyễn^Văn", "undeclared"),
        ((), "김^희중".encode("euc_kr"), "김^희중", "undeclared"),
        ((), "Иванов^Пётр".encode("cp1251"), "Иванов^Пётр", "undeclared"),
        ((), "Иванов^Петр".encode("koi8_r"), "Иванов^Петр", "undeclared"),
        ((), b"\x1b$)C\xb1\xe8", "김", "undeclared"),
        ((), "Müller^Jörg".encode("latin_1"), "Müller^Jörg", "undeclared"),
        (("ISO_IR 100",), "김^희중".encode(), "김^희중", "mislabelled:utf-8"),
        (("ISO_IR 100",), "Nguyễn^Văn Đức".encode(), "Nguyễn^Văn Đức", "mislabelled:utf-8"),
        (("ISO_IR 100",), "Иванов^Пётр".encode("cp1251"), "Иванов^Пётр", "mislabelled:cp1251"),
        (("ISO_IR 100",), "ИВАНОВ^ПЕТР".encode("cp1251"), "ИВАНОВ^ПЕТР", "mislabelled:cp1251"),
        (("ISO_IR 100",), "Иванов^Петр".encode("koi8_r"), "Иванов^Петр", "mislabelled:koi8_r"),
        (("ISO_IR 100",), "ИВАНОВ^ПЕТР".encode("koi8_r"), "ИВАНОВ^ПЕТР", "mislabelled:koi8_r"),
        (("ISO_IR 100",), "рентген грудной клетки".encode("cp1251"), "рентген грудной клетки", "mislabelled:cp1251"),
        (("ISO_IR 100",), "김희중".encode("euc_kr"), "김희중", "mislabelled:euc_kr"),
        (("ISO_IR 100",), "김^희중".encode("euc_kr"), "김^희중", "mislabelled:euc_kr"),
        (("ISO_IR 144",), "Иванов^Пётр".encode(), "Иванов^Пётр", "mislabelled:utf-8"),
        (("ISO_IR 144",), "Иванов^Петр".encode("cp1251"), "Иванов^Петр", "mislabelled:cp1251"),
        (("ISO_IR 192",), "김^희중".encode("euc_kr"), "김^희중", "mislabelled:euc_kr"),
        (("ISO_IR 192",), "Иванов^Пётр".encode("cp1251"), "Иванов^Пётр", "mislabelled:cp1251"),
        (("ISO_IR 192",), "Müller".encode("latin_1"), "Müller", "mislabelled:latin_1"),
        (("KS_X 1001",), "김^희중".encode("euc_kr"), "김^희중", "unknown:KS_X 1001"),
        (("ISO 2022 IR 149",), b"\x1b$)C\xb1\xff\xff", "\x1b$)C±ÿÿ", "mislabelled:unknown"),
        (("ISO_IR 100",), b"\x1b%G\xea\xb9\x80", "\x1b%G김", "mislabelled:utf-8"),
    ],
)
def test_mislabelled_text_is_flagged_and_not_mangled(terms: tuple[str, ...], raw: bytes, text: str, flag: str) -> None:
    charset = Charset(terms)

    assert charset.decode(raw) == text
    assert charset.flag == flag


@given(
    st.lists(st.sampled_from(["", "ISO_IR 100", "ISO 2022 IR 149", "ISO_IR 192", "GBK", "x"]), max_size=3), st.binary()
)
def test_no_bytes_break_the_decoding(terms: list[str], raw: bytes) -> None:
    text = Charset(tuple(terms)).decode(raw)

    assert "\ufffd" not in text or b"\xef\xbf\xbd" in raw or "GBK" in terms or b"\x84\x31\xa4\x37" in raw


# --- fields --------------------------------------------------------------------------------------------------------

CODED = item(
    element(0x00080100, "SH", b"272479007") + element(0x00080102, "SH", b"SCT") + element(0x00080104, "LO", b"PA")
)
FILM = (
    element(0x00080005, "CS", b"\\ISO 2022 IR 149")
    + element(0x00080008, "CS", b"ORIGINAL\\PRIMARY ")
    + element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.1")
    + element(0x00080018, "UI", b"1.2.3.4")
    + element(0x00080060, "CS", b"DX")
    + element(0x00100010, "PN", b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7")
    + element(0x00100020, "LO", b" 0042")
    + element(0x00101010, "AS", b"81")
    + element(0x00180015, "CS", b"CHEST ")
    + element(0x0020000D, "UI", b"1.2.3")
    + element(0x0020000E, "UI", b"1.2.3.1")
    + element(0x00200013, "IS", b" 7")
    + element(0x00200020, "CS", b"L\\F")
    + element(0x00280008, "IS", b"1A")
    + element(0x00280010, "US", b"\x40\x01")
    + element(0x00280011, "UL", b"\x00\x01\0\0")
    + element(0x00280030, "DS", b"0.15\\0,2")
    + element(0x00280100, "US", b"\x10")
    + element(0x00540220, "SQ", CODED)
    + element(0x7FE00010, "OW", bytes(32))
)


def test_fields_are_read_decoded_and_typed() -> None:
    header = read(FILM)

    assert header.patient_name == "Hong^Gildong=洪^吉洞"
    assert header.patient_id == " 0042"
    assert header.sop_instance_uid == "1.2.3.4"
    assert header.image_type == ("ORIGINAL", "PRIMARY")
    assert header.patient_orientation == ("L", "F")
    assert header.instance_number == 7
    assert header.number_of_frames is None
    assert (header.rows, header.columns) == (320, 256)
    assert header.pixel_spacing_mm == (0.15, 0.2)
    assert header.view_code == Code("272479007", "SCT", "PA")
    assert header.anatomic_region is None
    assert header.has_pixel_data
    assert header.pixel_data_length_bytes == 32
    assert header.specific_character_set == ("", "ISO 2022 IR 149")
    assert header.charset_flag is None


def test_a_header_survives_json_and_ignores_what_a_later_version_wrote() -> None:
    header = read(FILM)
    values = json.loads(json.dumps(to_json(header)))

    assert from_json(values) == header
    assert from_json({**values, "new_field": 1}) == header
    assert from_json({"transfer_syntax_uid": EXPLICIT}).rows is None


def test_an_empty_data_set_is_a_header_without_values() -> None:
    header = read(b"")

    assert header.sop_instance_uid is None
    assert not header.has_pixel_data


def test_empty_pixel_data_are_no_pixel_data() -> None:
    empty = element(0x7FE00010, "OW", b"")
    only_a_table = element(0x7FE00010, "OB", item(b"") + SEQUENCE_END, length=UNDEFINED)

    assert not read(empty).has_pixel_data
    assert not read(only_a_table).has_pixel_data


@pytest.mark.parametrize(
    ("age", "born", "years"),
    [
        ("045Y", None, 45),
        ("81", None, 81),
        ("7", None, 7),
        ("006M", None, 0.5),
        ("010W", None, 70 / 365.25),
        ("003D", None, 3 / 365.25),
        ("45 y", None, 45),
        ("000D", None, 0),
        ("000Y", None, None),
        ("000Y", "19800101", 46),
        ("999Y", None, None),
        ("abc", None, None),
        ("-5", None, None),
        ("", "19800101", 46),
        (None, "1980.01.01", 46),
        (None, "19801341", None),
        (None, "20300101", None),
        (None, "d14a028c2a3a2bc9", None),
        (None, None, None),
    ],
)
def test_age_is_read_in_every_spelling_and_nonsense_is_unknown(
    age: str | None, born: str | None, years: float | None
) -> None:
    header = replace(read(b""), patient_age=age, patient_birth_date=born, study_date="20260101")

    found = age_years(header)

    assert (found is None) == (years is None)
    assert found is None or abs(found - (years or 0)) < 0.01


# --- nothing but HeaderRefused ------------------------------------------------------------------------------------

IMPLICIT_FILM = implicit(0x00080005, b"ISO_IR 192") + implicit(0x00540220, item(implicit(0x00080100, b"R-10214 ")))


@settings(max_examples=400, deadline=2000)
@given(st.data())
def test_a_mutated_header_is_read_or_refused(data: st.DataObject) -> None:
    source, transfer_syntax_uid = data.draw(
        st.sampled_from([(FILM, EXPLICIT), (IMPLICIT_FILM, IMPLICIT), (FILM, "1.2.840.10008.1.2.2")])
    )
    mutant = bytearray(source)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(mutant) - 1))
        mutant[place : place + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not mutant:
            break
    try:
        header = read(bytes(mutant), transfer_syntax_uid)
    except HeaderRefused:
        return
    assert from_json(json.loads(json.dumps(to_json(header)))) == header
    age_years(header)


# --- real files ------------------------------------------------------------------------------------------------------

NAMES = {
    "chrArab": "قباني^لنزار",
    "chrFren": "Buc^Jérôme",
    "chrFrenMulti": "Buc^Jérôme",
    "chrGB2312": "Zhang^XiaoDong=张^小东=",
    "chrGerm": "Äneas^Rüdiger",
    "chrGreek": "Διονυσιος",
    "chrH31": "Yamada^Tarou=山田^太郎=やまだ^たろう",
    "chrH32": "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎=やまだ^たろう",
    "chrHbrw": "שרון^דבורה",
    "chrI2": "Hong^Gildong=洪^吉洞=홍^길동",
    "chrJapMulti": "やまだ^たろう",
    "chrKoreanMulti": "김희중",
    "chrRuss": "Люкceмбypг",
    "chrX1": "Wang^XiaoDong=王^小東=",
    "chrX2": "Wang^XiaoDong=王^小东=",
}


@pytest.mark.films
@pytest.mark.parametrize("name", NAMES)
def test_names_of_the_character_set_files_are_right(shared_data: Path, name: str) -> None:
    header = header_of(shared_data / "dicom" / "charset" / f"{name}.dcm")

    assert header.patient_name == NAMES[name]
    assert header.charset_flag is None


def read_any(path: Path) -> InstanceHeader:
    """Read a file as intake does, or as bare data set where there is no preamble."""
    with path.open("rb") as file:
        try:
            transfer_syntax_uid, offset = find_data_set(file)
        except HeaderRefused:
            transfer_syntax_uid, offset = IMPLICIT, 0
        return read_header(
            file,
            transfer_syntax_uid=transfer_syntax_uid or EXPLICIT,
            offset=offset,
            length=path.stat().st_size - offset,
        )


@pytest.mark.films
def test_every_real_file_is_read_and_every_malformed_one_is_read_or_refused_quickly(shared_data: Path) -> None:
    with (shared_data / "dicom" / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        started = time.process_time()
        try:
            header = read_any(shared_data / "dicom" / row["file"])
        except HeaderRefused:
            assert row["file"].startswith("malformed/"), row["file"]
            assert not row["pydicom_3_0_decode"].startswith("ok"), row["file"]
        else:
            if row["pydicom_3_0_decode"].startswith("ok"):
                assert header.has_pixel_data, row["file"]
                assert str(header.rows) == row["rows"], row["file"]
                assert (header.modality or "") == row["modality"], row["file"]
        assert time.process_time() - started < 2, row["file"]
    assert len(rows) >= 190
