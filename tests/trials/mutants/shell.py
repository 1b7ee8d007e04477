"""Mutations of the file's shell: preamble, prefix, group 2, transfer syntax; and of its bytes, whatever they are."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping, Sequence
from random import Random

from tests.trials.mutants.tree import DEFLATED, Element, File, NotHere

PREAMBLES: Mapping[str, bytes] = {
    "MZ": b"MZ\x90\0\x03\0\0\0\x04\0\0\0\xff\xff\0\0",
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\0>\0",
    "Mach-O": b"\xcf\xfa\xed\xfe\x07\0\0\x01",
    "TIFF": b"II*\0\x08\0\0\0",
    "zip": b"PK\x03\x04\x14\0\0\0\x08\0",
    "HTML": b"<!DOCTYPE html><html><script>alert(1)</script>",
    "PDF": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'>",
    "GIF": b"GIF89a\x01\0\x01\0",
    "script": b"#!/bin/sh\ntouch /tmp/polyglot\n",
}
SYNTAXES: Sequence[bytes] = (
    b"1.2.840.10008.1.2", b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.2", b"1.2.840.10008.1.2.1.99",
    b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.57", b"1.2.840.10008.1.2.4.70", b"1.2.840.10008.1.2.4.80",
    b"1.2.840.10008.1.2.4.90", b"1.2.840.10008.1.2.4.201", b"1.2.840.10008.1.2.5", b"1.2.840.10008.1.2.8.1",
    b"1.2.840.10008.1.2.4.204", b"", b"\0", b"..", b"1." * 32 + b"1", b"1" * 65, b"../../etc/passwd", b"1.2.3\xff",
)  # fmt: skip
_INTERESTING = (0, 1, 2, 7, 8, 0x10, 0x7F, 0x80, 0xFE, 0xFF)


def change_preamble(file: File, chance: Random) -> str:
    """Make the file look like a program or a page too."""
    name = chance.choice(sorted(PREAMBLES))
    file.preamble = PREAMBLES[name].ljust(128, b"\0")
    return f"preamble {name}"


def change_magic(file: File, chance: Random) -> str:
    """Leave out or spoil the prefix, or the preamble with it."""
    which = chance.randrange(4)
    file.magic = (b"", b"dicm", b"DICM", b"DIC\0")[which]
    if which == 2:
        file.preamble = file.preamble[: chance.randrange(128)]
    return f"prefix {file.magic!r}, preamble of {len(file.preamble)}"


def change_group_length(file: File, chance: Random) -> str:
    """Let group 2 lie about its length, or say nothing."""
    length = next((one for one in file.meta if one.tag == 0x00020000), None)
    if length is None:
        file.meta.insert(0, Element(0x00020000, b"UL", b"\0\0\0\0"))
        return "group length added as 0"
    if chance.random() < 0.3:
        file.meta.remove(length)
        return "no group length"
    value = chance.choice((0, 1, 7, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, chance.getrandbits(16)))
    length.value = value.to_bytes(4, "little")
    return f"group length {value}"


def double_meta(file: File, chance: Random) -> str:
    """Write group 2 twice, or an element of it behind the data set's first."""
    if chance.random() < 0.5:
        file.meta += file.meta
        return "two meta groups"
    file.elements[1:1] = file.meta[-1:]
    return "group 2 inside the data set"


def change_syntax(file: File, chance: Random) -> str:
    """Declare another transfer syntax than the data set has."""
    for element in file.meta:
        if element.tag == 0x00020010:
            element.value = chance.choice(SYNTAXES)
            element.value += b"\0" * (len(element.value) % 2)
            return f"transfer syntax {element.value!r}"
    raise NotHere


def drop_meta_element(file: File, chance: Random) -> str:
    """Take one element out of group 2, its length left as it was."""
    if not file.meta:
        raise NotHere
    gone = file.meta.pop(chance.randrange(len(file.meta)))
    return f"without {gone.tag:08X}"


def lengthen_meta(file: File, chance: Random) -> str:
    """Fill group 2 with private information."""
    size = chance.choice((100, 65_000, 65_536, 200_000))
    file.meta.append(Element(0x00020102, b"OB", bytes(size)))
    return f"meta longer by {size}"


FILE_OPERATORS: Sequence[Callable[[File, Random], str]] = (
    change_preamble, change_magic, change_group_length, double_meta, change_syntax, drop_meta_element, lengthen_meta,
)  # fmt: skip


def flip_bits(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Flip up to eight bits."""
    changed = bytearray(content)
    places = [chance.randrange(len(changed)) for _ in range(chance.randint(1, 8))]
    for place in places:
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed), f"bits flipped at {places}"


def set_bytes(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Write interesting values over up to four bytes."""
    changed = bytearray(content)
    place, count = chance.randrange(len(changed)), chance.randint(1, 4)
    value = chance.choice(_INTERESTING)
    changed[place : place + count] = bytes([value]) * count
    return bytes(changed), f"{count} bytes of {value} at {place}"


def cut_block(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Take a block out, put it elsewhere, or write it twice."""
    start = chance.randrange(len(content))
    size = min(len(content) - start, 1 << chance.randrange(12))
    block, to = content[start : start + size], chance.randrange(len(content))
    how = chance.choice(("deleted", "doubled", "moved", "randomised"))
    if how == "deleted":
        return content[:start] + content[start + size :], f"{size} bytes deleted at {start}"
    if how == "randomised":
        return content[:start] + chance.randbytes(size) + content[start + size :], f"{size} bytes random at {start}"
    rest = content if how == "doubled" else content[:start] + content[start + size :]
    return rest[:to] + block + rest[to:], f"{size} bytes of {start} {how} to {to}"


def truncate(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Cut the end off, early ones as likely as late ones."""
    end = chance.choice((chance.randrange(len(content)), min(len(content), 1 << chance.randrange(4, 20))))
    return content[:end], f"cut at {end}"


def append(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Write something behind the end."""
    more = chance.choice((bytes(4_096), b"\xff" * 64, chance.randbytes(50), b"\xfe\xff\x00\xe0\xff\xff\xff\xff" * 500))
    return content + more, f"{len(more)} bytes appended"


def deflate_rest(content: bytes, chance: Random) -> tuple[bytes, str]:
    """Deflate the data set: honestly, cut short, with a second stream, or endless."""
    at = content.find(b"\x08\x00", 132)
    place = content.find(b"1.2.840.10008.1.2", 0, at if at > 0 else 0)
    if at < 0 or place < 0:
        return content, "nothing to deflate"
    how = chance.choice(("whole", "cut", "twice", "bomb", "spoilt"))
    squeeze = zlib.compressobj(1, zlib.DEFLATED, -15)
    data = content[at:] + (bytes(4_000_000) if how == "bomb" else b"")
    packed = squeeze.compress(data) + squeeze.flush()
    packed = {"cut": packed[: len(packed) // 2], "twice": packed + packed}.get(how, packed)
    if how == "spoilt":
        packed = flip_bits(packed, chance)[0]
    return _head_with(content[:at], DEFLATED) + packed, f"deflated, {how}"


def _head_with(head: bytes, syntax: str) -> bytes:
    """Return a file's head with another transfer syntax, wherever its element is."""
    place = head.find(b"\x02\x00\x10\x00UI")
    if place < 0:
        return head
    length = int.from_bytes(head[place + 6 : place + 8], "little")
    uid = syntax.encode() + b"\0" * (len(syntax) % 2)
    return head[:place] + b"\x02\x00\x10\x00UI" + len(uid).to_bytes(2, "little") + uid + head[place + 8 + length :]


BYTE_OPERATORS: Sequence[Callable[[bytes, Random], tuple[bytes, str]]] = (
    flip_bits, set_bytes, cut_block, truncate, append, deflate_rest,
)  # fmt: skip
