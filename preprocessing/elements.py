"""Reads the elements of a DICOM data set: which values lie where, pixels untouched."""

from __future__ import annotations

import struct
from typing import BinaryIO, Final, Literal

from preprocessing.found import EVERYTHING, MAX_ELEMENTS, PIXEL_DATA, Bounds, Elements, PixelData, Wanted
from preprocessing.walk import LONG_VRS, MAX_DEPTH, MAX_ITEMS, Walk
from preprocessing.windows import HeaderRefused, Window, open_window

IMPLICIT_LITTLE_ENDIAN: Final = "1.2.840.10008.1.2"
EXPLICIT_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


def read_elements(
    window: Window,
    *,
    transfer_syntax_uid: str,
    wanted: Wanted,
    to_end: bool = False,
    bounds: Bounds = EVERYTHING,
) -> Elements:
    """Walk a data set up to its pixels and return the wanted values.

    Args:
        window: The data set's bytes, from `open_window`.
        transfer_syntax_uid: As declared; an obvious contradiction in the first element is forgiven.
        wanted: What to keep.
        to_end: Walk on behind the pixels, to bound what lies there too.
        bounds: More is refused.

    Raises:
        HeaderRefused: The bytes make no sense, end too early, or exceed a limit.
    """
    order: Literal["<", ">"] = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
    is_implicit = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
    walk = Walk(window, is_implicit=is_implicit, order=order, wanted=wanted)
    walk.bounds = bounds
    return walk.run(to_end=to_end)


def find_data_set(file: BinaryIO) -> tuple[str | None, int]:
    """Return the Transfer Syntax UID and the start of the data set of a Part 10 file.

    Raises:
        HeaderRefused: No preamble, or file meta information that cannot be walked.
    """
    file.seek(128)
    if file.read(4) != b"DICM":
        raise HeaderRefused("damaged")
    window = open_window(file, offset=132, length=1 << 20, is_deflated=False)
    position, transfer_syntax_uid = 0, None
    while True:
        head = window.peek(position, 12)
        if len(head) < 8 or head[:2] != b"\x02\x00":
            return transfer_syntax_uid, 132 + position
        element, vr, short = struct.unpack_from("<2xH2sH", head)
        if vr in LONG_VRS and len(head) == 12:
            position, length = position + 12, struct.unpack_from("<I", head, 8)[0]
        else:
            position, length = position + 8, short
        if element == 0x0010:
            transfer_syntax_uid = window.read(position, min(length, 64)).rstrip(b"\0 ").decode("ascii", "replace")
        position += length


__all__ = [
    "EXPLICIT_BIG_ENDIAN",
    "IMPLICIT_LITTLE_ENDIAN",
    "MAX_DEPTH",
    "MAX_ELEMENTS",
    "MAX_ITEMS",
    "PIXEL_DATA",
    "Bounds",
    "Elements",
    "HeaderRefused",
    "PixelData",
    "Wanted",
    "find_data_set",
    "open_window",
    "read_elements",
]
