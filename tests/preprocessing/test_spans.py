"""Fragments → frames: a fragment belongs to one frame, whatever an offset table says."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence

import pytest

from preprocessing.elements import read_elements
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.spans import Spans, fragment_spans
from preprocessing.windows import open_window
from tests.preprocessing.phantoms import EXPLICIT, SEQUENCE_END, UNDEFINED, element, item

PIXELS = 0x7FE00010
PLAIN, LAST = b"ab", b"\xff\xd9"


def spans(table: Sequence[int], fragments: Sequence[bytes], frames: int) -> list[Spans]:
    items = b"".join(map(item, (struct.pack(f"<{len(table)}I", *table), *fragments)))
    data = element(PIXELS, "OB", items + SEQUENCE_END, length=UNDEFINED)
    window = open_window(io.BytesIO(data), offset=0, length=len(data), is_deflated=False)
    pixels = read_elements(window, transfer_syntax_uid=EXPLICIT, wanted={}).pixel_data
    assert pixels is not None
    return fragment_spans(pixels, window, frames=frames)


@pytest.mark.parametrize(
    ("table", "fragments", "sizes"),
    [
        ((), [PLAIN], [1]),
        ((), [PLAIN] * 3, [3]),
        ((0, 0), [PLAIN] * 2, [1, 1]),
        ((0, 20), [PLAIN] * 3, [2, 1]),
        ((), [PLAIN, LAST, LAST], [2, 1]),
        ((0,), [PLAIN, LAST, LAST], [2, 1]),
    ],
    ids=["one", "one in pieces", "a fragment each", "by offsets", "by ends", "table of another length"],
)
def test_frames_are_told_apart(table: Sequence[int], fragments: list[bytes], sizes: list[int]) -> None:
    found = spans(table, fragments, len(sizes))

    assert [len(frame) for frame in found] == sizes
    assert len({place for frame in found for place in frame}) == len(fragments)


def test_an_empty_fragment_at_the_end_is_nobodys() -> None:
    found = spans((), [PLAIN, LAST, LAST, b""], 2)

    assert [len(frame) for frame in found] == [2, 1]


@pytest.mark.parametrize(
    ("table", "fragments", "frames"),
    [
        ((20, 0), [PLAIN] * 3, 2),
        ((0, 0), [PLAIN] * 3, 2),
        ((10, 20), [PLAIN] * 3, 2),
        ((0, 900), [PLAIN] * 3, 2),
        ((), [PLAIN] * 3, 2),
        ((), [LAST, PLAIN, PLAIN], 2),
        ((), [LAST] * 3, 2),
        ((), [LAST], 2),
        ((), [], 1),
    ],
    ids=["back", "same", "not from the first", "behind", "no ends", "rest", "more", "fewer", "none"],
)
def test_frames_that_cannot_be_told_apart_are_refused(
    table: Sequence[int], fragments: list[bytes], frames: int
) -> None:
    with pytest.raises(UnsupportedImage) as refused:
        spans(table, fragments, frames)

    assert refused.value.reason is Reason.PIXEL_DATA_DAMAGED


def test_an_offset_table_that_jumps_back_and_forth_costs_nothing() -> None:
    with pytest.raises(UnsupportedImage):
        spans([80_000 * (number % 2) for number in range(9_000)], [b""] * 10_000, 9_000)
