"""A whole DICOM file as a tree of elements whose lengths may lie: what mutations work on."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
UNDEFINED = 0xFFFFFFFF
ITEM, ITEM_END, SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
PIXEL_DATA = 0x7FE00010
IMPLICIT, EXPLICIT, DEFLATED = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99"
BIG_ENDIAN = "1.2.840.10008.1.2.2"


@dataclass
class Item:
    """One item of a sequence, or one fragment of pixels."""

    elements: list[Element] = field(default_factory=list)
    fragment: bytes | None = None
    is_open: bool = False
    length: int | None = None
    """What is written instead of the true length."""
    has_end: bool = True


@dataclass
class Element:
    """One element; its VR is empty in an implicit data set."""

    tag: int
    vr: bytes
    value: bytes | list[Item]
    is_open: bool = False
    length: int | None = None
    """What is written instead of the true length."""
    has_end: bool = True


@dataclass
class File:
    """A Part-10 file."""

    preamble: bytes
    magic: bytes
    meta: list[Element]
    elements: list[Element]
    syntax: str
    tail: bytes = b""
    is_packed: bool = True
    """Deflate the data set where the transfer syntax says so."""

    def all_elements(self) -> Iterator[tuple[list[Element], Element]]:
        """Give every element of the data set, with the list that it stands in."""
        waiting = [self.elements]
        while waiting:
            level = waiting.pop()
            for element in level:
                yield level, element
                if isinstance(element.value, list):
                    waiting += [item.elements for item in element.value]

    def find(self, tag: int) -> Element | None:
        """Return a top-level element."""
        return next((element for element in self.elements if element.tag == tag), None)


class NotHere(Exception):
    """An operator that has nothing to work on in this file."""


class NotATree(ValueError):
    """A seed that is itself too odd for a tree: its bytes are mutated as they are."""


def read_tree(content: bytes) -> File:
    """Parse a well-formed, not deflated file. Raises NotATree."""
    if content[128:132] != b"DICM":
        raise NotATree
    meta, position = _elements(content, 132, len(content), "<", is_implicit=False, group=2)
    uid = next((one.value for one in meta if one.tag == 0x00020010), b"")
    syntax = uid.rstrip(b"\0 ").decode("ascii", "replace") if isinstance(uid, bytes) else ""
    if syntax == DEFLATED or not syntax:
        raise NotATree
    order = ">" if syntax == BIG_ENDIAN else "<"
    elements, _ = _elements(content, position, len(content), order, is_implicit=syntax == IMPLICIT)
    return File(content[:128], b"DICM", meta, elements, syntax)


def _elements(
    data: bytes, position: int, end: int, order: str, *, is_implicit: bool, group: int | None = None
) -> tuple[list[Element], int]:
    found = []
    while position + 8 <= end:
        tag_group, number = struct.unpack_from(f"{order}HH", data, position)
        tag = tag_group << 16 | number
        if tag in (ITEM_END, SEQUENCE_END):
            return found, position
        if group is not None and tag_group != group:
            break
        vr, length, position = _head(data, position, order, is_implicit=is_implicit)
        if length != UNDEFINED and position + length > end:
            raise NotATree
        if length == UNDEFINED or vr == b"SQ":
            element, position = _sequence(data, position, end, order, Element(tag, vr, []), length)
        else:
            element, position = Element(tag, vr, data[position : position + length]), position + length
        found.append(element)
    return found, position


def _head(data: bytes, position: int, order: str, *, is_implicit: bool) -> tuple[bytes, int, int]:
    if is_implicit:
        return b"", struct.unpack_from(f"{order}I", data, position + 4)[0], position + 8
    vr = data[position + 4 : position + 6]
    if not (vr.isalpha() and vr.isupper()):
        raise NotATree
    if vr in LONG_VRS:
        if position + 12 > len(data):
            raise NotATree
        return vr, struct.unpack_from(f"{order}I", data, position + 8)[0], position + 12
    return vr, struct.unpack_from(f"{order}H", data, position + 6)[0], position + 8


def _sequence(data: bytes, position: int, end: int, order: str, element: Element, length: int) -> tuple[Element, int]:
    element.is_open = length == UNDEFINED
    stop = end if element.is_open else position + length
    is_pixels = element.vr in (b"OB", b"OW") or element.tag == PIXEL_DATA
    items: list[Item] = []
    while position + 8 <= stop:
        group, number, size = struct.unpack_from(f"{order}HHI", data, position)
        tag, position = group << 16 | number, position + 8
        if tag == SEQUENCE_END:
            break
        if tag != ITEM or (size != UNDEFINED and position + size > stop):
            raise NotATree
        if is_pixels:
            items.append(Item(fragment=data[position : position + size]))
            position += size
            continue
        item_end = stop if size == UNDEFINED else position + size
        inner, position = _elements(data, position, item_end, order, is_implicit=not element.vr or element.vr == b"UN")
        position = position + 8 if size == UNDEFINED else item_end
        items.append(Item(inner, is_open=size == UNDEFINED))
    element.value = items
    return element, position if element.is_open else stop


def write_tree(file: File) -> bytes:
    """Return the file's bytes; nothing is repaired."""
    order = ">" if file.syntax == BIG_ENDIAN else "<"
    data_set = b"".join(_written(element, order) for element in file.elements) + file.tail
    meta = b"".join(_written(element, "<") for element in file.meta)
    return file.preamble + file.magic + meta + data_set


def _written(element: Element, order: str) -> bytes:
    if isinstance(element.value, bytes):
        body, true_length = element.value, len(element.value)
    else:
        body = b"".join(_item(item, order) for item in element.value)
        if element.is_open and element.has_end:
            body += _tag(SEQUENCE_END, order) + bytes(4)
        true_length = UNDEFINED if element.is_open else len(body)
    length = true_length if element.length is None else element.length
    tag = _tag(element.tag, order)
    if not element.vr:
        return tag + struct.pack(f"{order}I", length & UNDEFINED) + body
    if element.vr in LONG_VRS:
        return tag + element.vr + b"\0\0" + struct.pack(f"{order}I", length & UNDEFINED) + body
    return tag + element.vr + struct.pack(f"{order}H", length & 0xFFFF) + body


def _item(item: Item, order: str) -> bytes:
    body = item.fragment
    if body is None:
        body = b"".join(_written(element, order) for element in item.elements)
    true_length = UNDEFINED if item.is_open else len(body)
    if item.is_open and item.has_end:
        body += _tag(ITEM_END, order) + bytes(4)
    length = true_length if item.length is None else item.length
    return _tag(ITEM, order) + struct.pack(f"{order}I", length & UNDEFINED) + body


def _tag(tag: int, order: str) -> bytes:
    return struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
