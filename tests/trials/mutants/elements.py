"""Mutations of elements and of their nesting: VR, length, order, groups; depth, items, delimiters."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.trials.mutants.tree import LONG_VRS, UNDEFINED, Element, File

_VRS = (b"UI", b"SQ", b"OB", b"UN", b"zz", b"\0\0", b"UT", b"US", b"PN", b"OW", b"  ", b"AT", b"FD")
_LENGTHS = (0, 1, 3, 0xFF, 0xFFFE, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFE, UNDEFINED)


def _pick(file: File, chance: Random) -> tuple[list[Element], Element]:
    found = list(file.all_elements())
    return chance.choice(found) if found else (file.elements, Element(0x00080060, b"CS", b"CR"))


def change_vr(file: File, chance: Random) -> str:
    """Give an element another VR, its value as it was."""
    _, element = _pick(file, chance)
    element.vr = chance.choice(_VRS)
    return f"{element.tag:08X} as {element.vr!r}"


def change_length(file: File, chance: Random) -> str:
    """Let an element lie about its length."""
    _, element = _pick(file, chance)
    true_length = len(element.value)
    element.length = chance.choice((*_LENGTHS, true_length + 1, true_length + 2, max(0, true_length - 1)))
    return f"{element.tag:08X} declares {element.length:X}"


def empty_value(file: File, chance: Random) -> str:
    """Leave an element without a value."""
    _, element = _pick(file, chance)
    element.value = b""
    return f"{element.tag:08X} empty"


def break_order(file: File, chance: Random) -> str:
    """Write the elements of one level in any order."""
    level, _ = _pick(file, chance)
    chance.shuffle(level)
    return f"{len(level)} elements shuffled"


def double(file: File, chance: Random) -> str:
    """Write an element twice, or very often."""
    level, element = _pick(file, chance)
    count = chance.choice((1, 2, 50, 3_000))
    level[level.index(element) : level.index(element)] = [element] * count
    return f"{element.tag:08X} {count} times more"


def drop(file: File, chance: Random) -> str:
    """Leave an element out."""
    level, element = _pick(file, chance)
    level.remove(element)
    return f"without {element.tag:08X}"


def foreign_group(file: File, chance: Random) -> str:
    """Write an element of a group that cannot stand there."""
    level, element = _pick(file, chance)
    group = chance.choice((0x0000, 0x0002, 0xFFFE, 0xFFFF, 0x6000, 0x60FE, 0x5000, 0x7FE1))
    tag = group << 16 | chance.choice((0, 0x0010, 0xE000, 0xE00D, 0xE0DD, 0x3000, 0xFFFF))
    vr = element.vr and chance.choice((b"UN", b"OW", b"SQ", b"LO"))
    level.insert(chance.randint(0, len(level)), Element(tag, vr, chance.randbytes(chance.choice((0, 2, 4, 64)))))
    return f"{tag:08X} added"


def nest(file: File, chance: Random) -> str:
    """Put sequences into sequences: mostly around the limit of 64, now and then far beyond."""
    depth = chance.choice((2, 20, 63, 64, 65, 66, 200, 1_000, 20_000))
    vr = b"" if file.elements and not file.elements[0].vr else chance.choice((b"SQ", b"UN"))
    how = chance.choice(("delimited", "with lengths", "never closed"))
    rung = ladder(depth, vr, how)
    file.elements.insert(0, Element(0x00091010, vr, rung, length=UNDEFINED if how != "with lengths" else None))
    return f"depth {depth}, {how}"


def ladder(depth: int, vr: bytes, how: str) -> bytes:
    """Return the value of a sequence in which items and sequences stand `depth` deep."""
    head = b"\x09\x00\x10\x10" + (vr + b"\0\0" if vr else b"")
    item, opened = b"\xfe\xff\x00\xe0", b"\xff\xff\xff\xff"
    if how == "with lengths":
        depth = min(depth, 2_000)
        size, step, levels = 0, 12 + len(head), []
        for _ in range(depth):
            levels.append(item + struct.pack("<I", size + len(head) + 4) + head + struct.pack("<I", size))
            size += step
        return b"".join(reversed(levels))
    rungs = (item + opened + head + opened) * depth
    ends = b"\xfe\xff\xdd\xe0\0\0\0\0\xfe\xff\x0d\xe0\0\0\0\0" * depth + b"\xfe\xff\xdd\xe0\0\0\0\0"
    return rungs + ends if how == "delimited" else rungs


def many_items(file: File, chance: Random) -> str:
    """Give a sequence more items than anybody reads."""
    # Around the limit of 50,000 only now and then: so many take seconds.
    count = chance.choice((2, 30, 100, 500, 2_000) if chance.random() < 0.97 else (49_990, 50_010, 120_000))
    vr = b"" if file.elements and not file.elements[0].vr else b"SQ"
    file.elements.insert(0, Element(0x00081115, vr, b"\xfe\xff\x00\xe0\0\0\0\0" * count))
    return f"{count} empty items"


def spoil_delimiters(file: File, chance: Random) -> str:
    """Leave a delimiter out, write one of the wrong level, or an item inside an item."""
    sequences = [one for _, one in file.all_elements() if isinstance(one.value, list) and one.value]
    if not sequences:
        file.elements.insert(0, Element(0xFFFEE0DD, b"", b""))
        return "a delimiter of nothing"
    sequence = chance.choice(sequences)
    item = chance.choice(sequence.value)  # type: ignore[arg-type]
    how = chance.randrange(5)
    if how == 0:
        sequence.is_open, sequence.has_end = True, False
    elif how == 1:
        item.is_open, item.has_end = True, False
    elif how == 2:
        item.elements.append(Element(0xFFFEE0DD, b"", b""))
    elif how == 3:
        item.elements.append(Element(0xFFFEE000, b"", b"\0" * chance.choice((0, 8, 100))))
    else:
        item.length = chance.choice(_LENGTHS)
    return f"{sequence.tag:08X}: delimiters, way {how}"


def private_creator(file: File, chance: Random) -> str:
    """Let private elements miss their creator, or have two."""
    private = [one for one in file.elements if one.tag >> 16 & 1]
    tag = (private[0].tag & 0xFFFF0000 if private else 0x00090000) | chance.choice((0x10, 0x11, 0xFF))
    has_vr = bool(file.elements and file.elements[0].vr)
    creator = chance.choice((b"", b"Philips Imaging DD 001", b"SIEMENS CSA HEADER", b"X" * 70_000, b"PANDOK TRIAL"))
    file.elements.insert(0, Element(tag, b"LO" if has_vr else b"", creator))
    file.elements.append(Element(tag << 8 & 0xFFFF0000 | 0x1068, b"UN" if has_vr else b"", chance.randbytes(40)))
    return f"creator {creator[:30]!r} at {tag:08X}"


def change_all_lengths(file: File, chance: Random) -> str:
    """Shift every declared length of one level by the same number."""
    level, _ = _pick(file, chance)
    shift = chance.choice((-2, -1, 1, 2, 0x10000))
    for element in level:
        if isinstance(element.value, bytes):
            element.length = max(0, len(element.value) + shift)
    return f"{len(level)} lengths shifted by {shift}"


def wide_value(file: File, chance: Random) -> str:
    """Make a value as long as its VR lets it be, and longer."""
    _, element = _pick(file, chance)
    size = chance.choice((65_534, 70_000, 1 << 20, (1 << 20) + 2))
    element.value = chance.choice((b"\\", b"1\\", b"A", b"\0", b"=", b"^")) * size
    if element.vr not in LONG_VRS and element.vr:
        element.value = element.value[:65_534]
    return f"{element.tag:08X} of {len(element.value)} bytes"


OPERATORS: Sequence[Callable[[File, Random], str]] = (
    change_vr, change_length, empty_value, break_order, double, drop, foreign_group, nest, many_items,
    spoil_delimiters, private_creator, change_all_lengths, wide_value,
)  # fmt: skip
