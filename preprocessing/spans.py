"""Where the frames of encapsulated pixels lie: the only place that tells fragments of one frame from the next's."""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.found import PixelData
from preprocessing.windows import Window

Spans: TypeAlias = tuple[tuple[int, int], ...]
"""Position and length of the pieces of one frame."""


def fragment_spans(pixels: PixelData, window: Window, *, frames: int) -> list[Spans]:
    """Return for each frame its fragments; every fragment belongs to one frame at most, whatever the file says.

    Args:
        pixels: Encapsulated pixels of this window.
        window: The data set's bytes.
        frames: How many there are by the header, from 1.

    Raises:
        UnsupportedImage: It cannot be told where one frame ends and the next begins.
        HeaderRefused: The bytes cannot be read.
    """
    table, fragments = pixels.fragments[:1], pixels.fragments[1:]
    if len(fragments) < frames:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data hold fewer frames than the header says")
    if frames == 1:
        return [fragments]
    if len(fragments) == frames:
        return [(fragment,) for fragment in fragments]
    [(start, length)] = table
    if length == 4 * frames:
        return _by_offsets(struct.unpack(f"<{frames}I", window.read(start, length)), fragments)
    return _by_ends(window, fragments, frames)


def _by_offsets(starts: Sequence[int], fragments: Spans) -> list[Spans]:
    """Tell frames apart by the Basic Offset Table (PS3.5 A.4): where the first fragment of each begins."""
    places = [position - fragments[0][0] for position, _ in fragments]
    bounds = [*(bisect_left(places, start) for start in starts), len(fragments)]
    if bounds[0] != 0 or any(low >= high for low, high in pairwise(bounds)):
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the offset table points back, or beside the pixel data")
    return [fragments[low:high] for low, high in pairwise(bounds)]


def _by_ends(window: Window, fragments: Spans, frames: int) -> list[Spans]:
    """Tell frames apart by the marker that ends a JPEG, JPEG-LS or JPEG 2000 stream."""
    while fragments and not fragments[-1][1]:  # some encoders end with an empty one
        fragments = fragments[:-1]
    found: list[Spans] = []
    first = 0
    for last, (position, length) in enumerate(fragments, start=1):
        tail = window.read(position + max(0, length - 4), min(4, length))
        if tail.rstrip(b"\0").endswith(b"\xff\xd9"):
            found.append(fragments[first:last])
            first = last
    if len(found) != frames or first != len(fragments):
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the frames of the pixel data cannot be told apart")
    return found
