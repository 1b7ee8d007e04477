"""Walks a data set element by element, bounded and without recursion.

What a sender gives is hostile until read: lengths past the end, nesting without end, a million items, a bomb in a
deflated data set. Every loop here is bounded by the counts below and by the bytes that are really present.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from pydicom.datadict import DicomDictionary

from preprocessing.found import EVERYTHING, MAX_VALUE_BYTES, PIXEL_DATA, Bounds, Elements, PixelData, Wanted
from preprocessing.windows import HeaderRefused, Window

MAX_DEPTH: Final = 64
MAX_ITEMS: Final = 50_000
_PIXEL_TAGS: Final = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF
LONG_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_BULK_VRS: Final = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW"})
_NOTHING: Final[Wanted] = {}


@cache
def _sequence_tags() -> frozenset[int]:
    return frozenset(tag for tag, entry in DicomDictionary.items() if entry[0] == "SQ")


def _is_vr(raw: bytes) -> bool:
    return len(raw) == 2 and 0x41 <= raw[0] <= 0x5A and 0x41 <= raw[1] <= 0x5A


@dataclass(slots=True)
class Frame:
    """One open container: the data set, a sequence or an item."""

    is_sequence: bool
    end: int
    """Where it must have ended: its own declared end, or that of the nearest container which declares one."""
    is_open: bool
    """Its own length is undefined; a delimiter ends it."""
    is_implicit: bool
    wanted: Wanted
    target: Any
    """What collects its values; None when nobody wants them."""
    every: list[dict[int, bytes]] | None = None
    """Of a sequence of which every item is wanted: what was read of each."""


class Walk:
    """One pass over a data set, a step an element, the open containers on a list instead of the call stack."""

    def __init__(self, window: Window, *, is_implicit: bool, order: Literal["<", ">"], wanted: Wanted) -> None:
        self.window = window
        self.order: Literal["<", ">"] = order
        self.explicit_header = struct.Struct(f"{order}HH2sH").unpack_from
        self.plain_header = struct.Struct(f"{order}HHI").unpack_from
        self.long_length = struct.Struct(f"{order}I").unpack_from
        self.position = 0
        self.elements = 0
        self.bounds: Bounds = EVERYTHING
        self.wanted_bytes = 0
        self.item_count = 0
        self.values: dict[int, bytes] = {}
        self.items: dict[int, dict[int, bytes]] = {}
        self.groups: dict[int, list[dict[int, bytes]]] = {}
        self.pixel_data: PixelData | None = None
        first = window.peek(0, 6)
        if len(first) == 6:
            # A declared syntax that the very first element contradicts: old writers do it, the VR's letters tell.
            is_implicit = not _is_vr(first[4:6])
        self.stack = [Frame(False, window.end, True, is_implicit, wanted, self.values)]

    def run(self, *, to_end: bool = False) -> Elements:
        """Walk to the pixels, or to the end: behind the pixels nonsense is forgiven, and too much of it is not."""
        try:
            self._walk(to_end=to_end)
        except HeaderRefused as refused:
            if self.pixel_data is None or refused.kind == "limit":
                raise
        return Elements(self.values, self.items, self.groups, self.order, self.pixel_data)

    def _walk(self, *, to_end: bool) -> None:
        window, stack = self.window, self.stack
        while to_end or self.pixel_data is None:
            frame = stack[-1]
            position = self.position
            if position + 16 > window.reach:
                window.cover(position)
            left = min(window.reach, frame.end) - position
            if left < 8:
                if len(stack) == 1:
                    if position > window.reach:
                        raise HeaderRefused("truncated")
                    break  # as other readers do, fewer than 8 trailing bytes are no element
                self._leave_at_end(frame)
                continue
            self.elements += 1
            if self.elements > self.bounds.elements:
                raise HeaderRefused("limit")
            if frame.is_sequence:
                self._step_in_sequence(frame)
            else:
                self._step_in_data_set(frame)

    def _leave_at_end(self, frame: Frame) -> None:
        """Close a container whose bytes are used up; an undelimited one that nothing bounds was cut off."""
        if frame.is_open and frame.end >= self.window.end:
            raise HeaderRefused("truncated")
        self.position = frame.end
        self.stack.pop()

    def _recover(self) -> None:
        """Go on behind the innermost container that declared its length: what it holds makes no sense."""
        for depth in range(len(self.stack) - 1, 0, -1):
            if not self.stack[depth].is_open:
                self.position = self.stack[depth].end
                del self.stack[depth:]
                return
        raise HeaderRefused("truncated" if self.elements > 1 else "damaged")

    def _push(self, frame: Frame, position: int) -> None:
        if len(self.stack) > 2 * MAX_DEPTH:  # a level of nesting is a sequence and an item
            raise HeaderRefused("limit")
        self.stack.append(frame)
        self.position = position

    def _step_in_sequence(self, frame: Frame) -> None:
        position = self.position
        at = position - self.window.base
        group, element, length = self.plain_header(self.window.data, at)
        tag = group << 16 | element
        if tag == _ITEM:
            self.item_count += 1
            if self.item_count > MAX_ITEMS:
                raise HeaderRefused("limit")
            is_open = length == _UNDEFINED
            end = frame.end if is_open else position + 8 + length
            if end > frame.end:
                self._recover()
                return
            is_implicit = frame.is_implicit
            if not is_implicit and end - position >= 16:
                vr = self.window.data[at + 12 : at + 14]
                # Implicit items in an explicit data set happen (PS3.5 6.2.2 note); FFFE is an empty item's end.
                is_implicit = not _is_vr(vr) and self.window.data[at + 8 : at + 12] != self._item_end()
            wanted, target = self._open_item(frame)
            self._push(Frame(False, end, is_open, is_implicit, wanted, target), position + 8)
        elif tag == _SEQUENCE_END:
            self.position = position + 8 if frame.is_open else frame.end
            self.stack.pop()
        elif tag == _ITEM_END:
            self.position = position + 8
        else:
            self._recover()

    def _item_end(self) -> bytes:
        return b"\xfe\xff\x0d\xe0" if self.order == "<" else b"\xff\xfe\xe0\x0d"

    def _step_in_data_set(self, frame: Frame) -> None:
        position = self.position
        data, at = self.window.data, self.position - self.window.base
        vr = b""
        start = position + 8
        if frame.is_implicit:
            group, element, length = self.plain_header(data, at)
        else:
            group, element, vr, length = self.explicit_header(data, at)
            if vr in LONG_VRS:
                if len(data) - at < 12:
                    raise HeaderRefused("truncated")
                (length,) = self.long_length(data, at + 8)
                start = position + 12
            elif not _is_vr(vr):  # a delimiter, or one element that was written without its VR
                vr = b""
                group, element, length = self.plain_header(data, at)
        tag = group << 16 | element
        if self.pixel_data is not None and len(self.stack) == 1 and tag <= self.pixel_data.tag:
            raise HeaderRefused("damaged")  # padding, as some writers leave it behind the last element
        if length == _UNDEFINED:
            self._enter_undefined(frame, tag, vr, start)
        elif group == 0xFFFE:
            self._end_item(frame, tag)
        elif start + length > frame.end:
            self._recover()
        elif tag in _PIXEL_TAGS and len(self.stack) == 1:
            self._take_pixels(frame, vr, PixelData(tag, start, length, (), vr != b"OB"))
            self.position = start + length
        elif vr == b"SQ" or (vr in (b"", b"UN") and tag in _sequence_tags()):
            self._enter_sequence(frame, tag, is_implicit=frame.is_implicit or vr != b"SQ", start=start, length=length)
        else:
            self._take(frame, tag, vr, start, length)
            self.position = start + length

    def _take(self, frame: Frame, tag: int, vr: bytes, start: int, length: int) -> None:  # noqa: ARG002 -- see datasets
        """Meet a plain value."""
        if frame.target is not None and tag in frame.wanted:
            kept = min(length, self.bounds.kept_bytes)
            self.wanted_bytes += kept
            if length > MAX_VALUE_BYTES or self.wanted_bytes > self.bounds.wanted_bytes:
                raise HeaderRefused("limit")
            frame.target[tag] = self.window.read(start, kept)

    def _take_pixels(self, frame: Frame, vr: bytes, pixels: PixelData) -> None:  # noqa: ARG002
        """Meet the pixels."""
        if pixels.length_bytes is not None:
            self.window.require(pixels.position + pixels.length_bytes)
        self.pixel_data = pixels

    def _take_fragments(self, frame: Frame, tag: int, vr: bytes, start: int) -> None:
        """Meet fragments that are no pixels, up to the delimiter before the present position."""

    def _open_sequence(self, frame: Frame, tag: int, made: Frame) -> None:
        """Say of a sequence that begins what is wanted of it, and what collects it."""
        inner = frame.wanted.get(tag)
        if isinstance(inner, Mapping):
            made.wanted, made.every = inner, self.groups.setdefault(tag, [])
        elif inner is not None:
            made.wanted = dict.fromkeys(inner)
            # At the top an item stands by itself; inside functional groups its values lie flat in the group.
            made.target = frame.target
            if len(self.stack) == 1:
                made.target = self.items[tag] = {}

    def _open_item(self, frame: Frame) -> tuple[Wanted, Any]:
        """Say what is wanted of a sequence's next item, and what collects it: of every one, or of the first only."""
        if frame.every is not None:
            target: dict[int, bytes] = {}
            frame.every.append(target)
            return frame.wanted, target
        first = frame.wanted, frame.target
        frame.wanted, frame.target = _NOTHING, None
        return first

    def _end_item(self, frame: Frame, tag: int) -> None:
        """Close the item, and its sequence too where the item's own delimiter is missing; ignore a stray one."""
        if len(self.stack) > 1 and tag in (_ITEM_END, _SEQUENCE_END):
            self.stack.pop()
            self.position = self.position + 8 if frame.is_open else frame.end
            if tag == _SEQUENCE_END:
                parent = self.stack.pop()
                self.position = self.position if parent.is_open else parent.end
        else:
            self.position += 8

    def _enter_sequence(self, frame: Frame, tag: int, *, is_implicit: bool, start: int, length: int) -> None:
        is_open = length == _UNDEFINED
        made = Frame(True, frame.end if is_open else start + length, is_open, is_implicit, _NOTHING, None)
        self._open_sequence(frame, tag, made)
        if length == 0:
            self.position = start
        else:
            self._push(made, start)

    def _enter_undefined(self, frame: Frame, tag: int, vr: bytes, start: int) -> None:
        is_pixel_data = tag in _PIXEL_TAGS and len(self.stack) == 1
        if vr in _BULK_VRS or is_pixel_data:
            fragments = self._fragments(frame, start)
            if is_pixel_data:
                self._take_pixels(frame, vr, PixelData(tag, start, None, fragments, False))
            else:
                self._take_fragments(frame, tag, vr, start)
        elif vr in (b"SQ", b"UN", b""):
            # UN of undefined length holds implicit little endian, whatever surrounds it (PS3.5 6.2.2).
            self._enter_sequence(
                frame, tag, is_implicit=frame.is_implicit or vr != b"SQ", start=start, length=_UNDEFINED
            )
        else:
            raise HeaderRefused("damaged")

    def _fragments(self, frame: Frame, start: int) -> tuple[tuple[int, int], ...]:
        """Walk encapsulated fragments by their lengths; the content is never read."""
        window, position = self.window, start
        fragments: list[tuple[int, int]] = []
        while True:
            if position + 8 > window.reach:
                window.cover(position, small=True)
            if position + 8 > min(window.reach, frame.end):
                raise HeaderRefused("truncated")
            group, element, length = self.plain_header(window.data, position - window.base)
            position += 8
            if (group << 16 | element) == _SEQUENCE_END:
                self.position = position
                return tuple(fragments)
            self.item_count += 1
            self.elements += 1
            if (group << 16 | element) != _ITEM or length == _UNDEFINED:
                raise HeaderRefused("damaged")
            if self.item_count > MAX_ITEMS or self.elements > self.bounds.elements:
                raise HeaderRefused("limit")
            fragments.append((position, length))
            position += length
