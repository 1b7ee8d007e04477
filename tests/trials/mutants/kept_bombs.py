"""Bombs that an entrance rightly keeps, and that those who read the stored file afterwards must bear."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.preprocessing.phantoms import SEQUENCE_END, element, item
from tests.trials.mutants.bombs import CR, HEAD, MIB, Bomb, part10
from tests.trials.mutants.tree import BIG_ENDIAN, EXPLICIT, UNDEFINED

_LOSSLESS = "1.2.840.10008.1.2.4.70"
_VALUES_PER_ELEMENT = 30_000


def kept_bombs() -> Iterator[tuple[str, Bomb]]:
    """Give each bomb and its SOP Instance UID, the same ones each time."""
    texts = {
        "numbers as text": ("DS", b"1"),
        "whole numbers as text": ("IS", b"1"),
        "names": ("PN", b"A"),
        "UIDs": ("UI", b"1"),
    }
    contents = {f"1,000,000 {name}": (_lists(vr, value, 33), EXPLICIT) for name, (vr, value) in texts.items()}
    # As many as a reader that counts their cost takes just about, so that it has to convert them.
    contents |= {f"100,000 {name}": (_lists(vr, value, 3), EXPLICIT) for name, (vr, value) in texts.items()}
    inner = item(element(0x00080104, "LO", b"A"))
    contents |= {f"{count:,} items": (element(0x00211010, "SQ", inner * count), EXPLICIT) for count in (20_000, 49_000)}
    contents["60,000 elements"] = (b"".join(element(0x00210000 + n, "LO", b"A") for n in range(1, 60_001)), EXPLICIT)
    for name, at in (("an offset table back and forth", 25_000), ("an offset table beside the fragments", 0)):
        contents[name] = (_fragments(frames=24_000, fragments=25_000, turn=at), _LOSSLESS)
    for number, (name, (content, syntax)) in enumerate(contents.items(), start=1):
        uid = f"1.2.3.4.{number}"
        head = HEAD.replace(element(0x00080018, "UI", b"1.2.3.4"), element(0x00080018, "UI", uid.encode()))
        yield uid, Bomb(name, "stow", part10(head + content, syntax), must_refuse=False, syntax=syntax)
    uid = "1.2.3.4.900"
    yield uid, Bomb("64 MiB, big endian", "stow", part10(_big_endian(uid, 64 * MIB), BIG_ENDIAN), False, BIG_ENDIAN)


def _lists(vr: str, value: bytes, elements: int) -> bytes:
    many = b"\\".join([value] * _VALUES_PER_ELEMENT)
    return b"".join(element(0x00211010 + number, vr, many) for number in range(elements))


def _fragments(*, frames: int, fragments: int, turn: int) -> bytes:
    """Return frames of one pixel whose table names the first fragment and one far behind it by turns."""
    starts = [8 * turn * (number % 2) for number in range(frames)]
    table = item(struct.pack(f"<{frames}I", *starts))
    return b"".join(
        (
            element(0x00280002, "US", b"\1\0"),
            element(0x00280004, "CS", b"MONOCHROME2"),
            element(0x00280008, "IS", str(frames).encode()),
            *(element(tag, "US", struct.pack("<H", value)) for tag, value in _ONE_PIXEL),
            element(0x7FE00010, "OB", table + item(b"") * fragments + SEQUENCE_END, length=UNDEFINED),
        )
    )


_ONE_PIXEL = ((0x00280010, 1), (0x00280011, 1), (0x00280100, 8), (0x00280101, 8), (0x00280102, 7), (0x00280103, 0))


def _big_endian(uid: str, size_bytes: int) -> bytes:
    def big(tag: int, vr: bytes, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2)
        form = ">HH2sxxI" if vr == b"OW" else ">HH2sH"
        return struct.pack(form, tag >> 16, tag & 0xFFFF, vr, len(value)) + value

    texts = ((0x00080016, CR), (0x00080018, uid), (0x0020000D, "1.2.3.5"), (0x0020000E, "1.2.3.6"))
    rows, columns = 1_024, size_bytes // 2_048
    shorts = ((0x00280002, 1), (0x00280010, rows), (0x00280011, columns), (0x00280100, 16), (0x00280103, 0))
    return b"".join(
        (
            *(big(tag, b"UI", value.encode()) for tag, value in texts),
            *(big(tag, b"US", struct.pack(">H", value)) for tag, value in shorts),
            big(0x7FE00010, b"OW", bytes(range(256)) * (size_bytes // 256)),
        )
    )
