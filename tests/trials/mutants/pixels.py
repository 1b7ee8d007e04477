"""Mutations of what describes the pixels, and of the codestreams themselves: JPEG, JPEG-LS, JPEG 2000, RLE."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random

from tests.trials.mutants.tree import PIXEL_DATA, File, Item, NotHere

_SHORTS = {
    0x00280010: (0, 1, 2, 63, 65, 65_535),
    0x00280011: (0, 1, 2, 63, 65, 65_535),
    0x00280002: (0, 2, 3, 4, 65_535),
    0x00280100: (0, 1, 7, 8, 12, 16, 32, 64, 65_535),
    0x00280101: (0, 1, 8, 12, 16, 17, 32, 65_535),
    0x00280102: (0, 7, 15, 16, 65_535),
    0x00280103: (0, 1, 2, 65_535),
    0x00280006: (0, 1, 2),
    0x00280120: (0, 4_095, 65_535),
}
_PHOTOMETRICS = (
    b"MONOCHROME1 ", b"MONOCHROME2 ", b"RGB ", b"YBR_FULL", b"YBR_FULL_422", b"PALETTE COLOR ", b"YBR_RCT ",
    b"XYZ ", b"",
)  # fmt: skip
_FRAMES = (b"0", b"-1", b"2", b"1000", b"1000000000", b"1e9", b"2147483648")


def change_short(file: File, chance: Random) -> str:
    """Change rows, columns, bits or samples, now and then to a long number."""
    tag = chance.choice(sorted(_SHORTS))
    element, value = file.find(tag), chance.choice(_SHORTS[tag])
    if element is None:
        raise NotHere
    element.value = struct.pack("<H", value)
    if chance.random() < 0.1:
        element.vr, element.value = element.vr and b"UL", struct.pack("<I", value)
    return f"{tag:08X} {value}"


def change_frames(file: File, chance: Random) -> str:
    """Tell another number of frames."""
    element, value = file.find(0x00280008), chance.choice(_FRAMES)
    if element is None:
        element = file.find(0x00200013)
        if element is None:
            raise NotHere
        element.tag = 0x00280008
        file.elements.sort(key=lambda one: one.tag)
    element.value = value + b" " * (len(value) % 2)
    return f"{value!r} frames"


def change_photometric(file: File, chance: Random) -> str:
    """Name another kind of colour."""
    element, value = file.find(0x00280004), chance.choice(_PHOTOMETRICS)
    if element is None:
        raise NotHere
    element.value = value
    return f"photometric {value!r}"


def change_buffer(file: File, chance: Random) -> str:
    """Give more or fewer bytes of pixels than there should be."""
    element = file.find(PIXEL_DATA)
    if element is None:
        raise NotHere
    if isinstance(element.value, list):
        items = element.value
        how = chance.randrange(6)
        if how == 0:
            del items[1:]
        elif how == 1:
            items += items[1:] * chance.choice((1, 5, 1_000))
        elif how == 2:
            items[0].fragment = b"".join(
                struct.pack("<I", chance.getrandbits(32)) for _ in range(chance.choice((1, 9)))
            )
        elif how == 3:
            chance.choice(items).length = chance.choice((0, 1, 0xFFFFFFFE, 0xFFFFFFFF, 1 << 20))
        elif how == 4:
            items += [Item(fragment=b"")] * chance.choice((1, 1_000, 50_010))
        else:
            element.has_end = False
        return f"fragments, way {how}"
    change = chance.choice((-1, 1, -2, 2, -len(element.value) // 2, -len(element.value), 4_096))
    element.value = element.value[:change] if change < 0 else element.value + bytes(change)
    return f"pixels longer by {change}"


def spoil_codestream(file: File, chance: Random) -> str:
    """Change a codestream: its first bytes, where the headers are, more often than the rest."""
    element = file.find(PIXEL_DATA)
    if element is None or not isinstance(element.value, list) or len(element.value) < 2:
        raise NotHere
    item = chance.choice(element.value[1:])
    data = bytearray(item.fragment or b"\0")
    for _ in range(chance.randint(1, 6)):
        reach = chance.choice((64, 256, len(data)))
        place = chance.randrange(min(reach, len(data)))
        data[place] = chance.choice((0, 1, 0xFF, 0x7F, chance.randrange(256)))
    item.fragment = bytes(data)
    return f"codestream of {len(data)} changed"


def spoil_marker(file: File, chance: Random) -> str:
    """Cut, double or rewrite one marker segment of a JPEG family codestream, or a box of a JP2 file."""
    element = file.find(PIXEL_DATA)
    if element is None or not isinstance(element.value, list) or len(element.value) < 2:
        raise NotHere
    item = element.value[1]
    data = item.fragment or b""
    places = [at for at in range(2, min(len(data) - 4, 4_000)) if data[at] == 0xFF and data[at + 1] >= 0x4F]
    if not places:
        raise NotHere
    at = chance.choice(places)
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    segment, how = data[at : at + 2 + length], chance.randrange(5)
    if how == 0:
        item.fragment = data[:at] + data[at + 2 + length :]
    elif how == 1:
        item.fragment = data[:at] + segment * chance.choice((2, 50, 2_000)) + data[at + 2 + length :]
    elif how == 2:
        item.fragment = data[: at + 2] + struct.pack(">H", chance.choice((0, 1, 2, 0xFFFF))) + data[at + 4 :]
    elif how == 3:
        item.fragment = data[: at + 1] + bytes([chance.randrange(0x4F, 0x100)]) + data[at + 2 :]
    else:
        boxed = struct.pack(">I", chance.choice((0, 1, 7, 0xFFFFFFFF))) + b"jp2h" + data[:40]
        item.fragment = b"\0\0\0\x0cjP  \r\n\x87\n" + boxed + data
    return f"marker {data[at + 1]:02X} at {at}, way {how}"


def foreign_codestream(file: File, chance: Random) -> str:
    """Put a codestream where another one belongs."""
    element = file.find(PIXEL_DATA)
    if element is None:
        raise NotHere
    stream = chance.choice(
        (
            b"\xff\xd8\xff\xc0\0\x0b\x08\xff\xff\xff\xff\x01\x01\x11\0" + bytes(40) + b"\xff\xd9",
            b"\xff\x4f\xff\x51\0\x29"
            + bytes(2)
            + struct.pack(">8I", *[0xFFFFFFFF] * 8)
            + b"\x40\0"
            + b"\x0f\x01\x01" * 4,
            struct.pack("<16I", 15, *[64] * 15) + b"\x81\0" * 2_000,
            struct.pack("<16I", 2, 64, 0xFFFFFFF0, *[0] * 13) + b"\x81\0" * 2_000,
            b"\xff\xd8\xff\xf7\0\x0b\x10\0\x48\0\x40\x01\x01\x11\0\xff\xda\0\x08\x01\x01\0\0\0\0"
            + bytes(99)
            + b"\xff\xd9",
        )
    )
    element.value = [Item(fragment=b""), Item(fragment=stream)]
    element.is_open, element.vr = True, element.vr and b"OB"
    return f"codestream {stream[:6].hex()}"


OPERATORS: Sequence[Callable[[File, Random], str]] = (
    change_short, change_short, change_frames, change_photometric, change_buffer, spoil_codestream, spoil_codestream,
    spoil_marker, foreign_codestream,
)  # fmt: skip
