"""Bytes that a sender made → a pydicom data set, by our own bounded walk: pydicom's parser never sees them.

pydicom inflates without limit, follows nesting by recursion and takes what it cannot convert for a sequence. Here the
walk of `preprocessing.elements` finds the elements, and pydicom only converts single values of bounded size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO, Final

from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, private_dictionary_VR
from pydicom.dataelem import RawDataElement
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag

from preprocessing.elements import EXPLICIT_BIG_ENDIAN, IMPLICIT_LITTLE_ENDIAN, find_data_set
from preprocessing.found import MAX_VALUE_BYTES, PixelData
from preprocessing.header import DEFLATED_LITTLE_ENDIAN
from preprocessing.text import defined_terms
from preprocessing.walk import Frame, Walk
from preprocessing.windows import HeaderRefused, Window, open_window

MAX_COST_BYTES: Final = 160 << 20
"""What the items, the elements and the values that pydicom converts may take in memory, at most."""
PIECE_BYTES: Final = 1 << 20
"""Of a value that is left in the file, so much is read at once; a multiple of every word."""
_ITEM_COST_BYTES: Final = 700
_ELEMENT_COST_BYTES: Final = 700
_TEXT_COST: Final = 3
"""Of a byte of text: as it came, decoded, and as it is told again."""
_VALUE_COST_BYTES: Final = {"AT": 150, "DS": 500, "IS": 280, "PN": 450, "UI": 220}
"""Of one of several values, besides its own bytes, where pydicom makes an object of each; measured with metadata."""
_NUMBER_COST_BYTES: Final = 48
_PLAIN_COST_BYTES: Final = 90
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_OPAQUE: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_NUMBERS: Final = {"AT": 4, "FD": 8, "FL": 4, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8}


@dataclass(frozen=True, slots=True)
class Keeping:
    """What of a data set is held in memory.

    Attributes:
        bulk_bytes: How many bytes of binary values at most.
        longest_bulk_bytes: A longer binary value is not read: its element has no value, but length and place.
        with_pixels: Go on to the pixels and behind them; otherwise the data set ends before them.
        leaves_pixels: Native pixels are not read, however short: their element has no value, but length and place.
        cost_bytes: What all else may take in memory when it is converted, at most.
    """

    bulk_bytes: int
    longest_bulk_bytes: int
    with_pixels: bool
    leaves_pixels: bool = False
    cost_bytes: int = MAX_COST_BYTES


def open_data_set(file: BinaryIO, *, transfer_syntax_uid: str) -> Window:
    """Return the data set of a stored Part-10 file. Raises HeaderRefused."""
    _, offset = find_data_set(file)
    length = file.seek(0, 2) - offset
    return open_window(file, offset=offset, length=length, is_deflated=transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN)


def read_dataset(file: BinaryIO, *, transfer_syntax_uid: str, keeping: Keeping) -> Dataset:
    """Read a stored Part-10 file whose bytes came from outside.

    Args:
        file: Open for reading, seekable.
        transfer_syntax_uid: As stored with the instance.
        keeping: What is held in memory.

    Returns:
        A data set without file meta. Values are converted when they are asked for; an unknown binary value stays
        bytes, whatever may be in it.

    Raises:
        HeaderRefused: The bytes make no sense, end too early, or exceed a limit.
    """
    window = open_data_set(file, transfer_syntax_uid=transfer_syntax_uid)
    return build_dataset(window, transfer_syntax_uid=transfer_syntax_uid, keeping=keeping)


def build_dataset(window: Window, *, transfer_syntax_uid: str, keeping: Keeping) -> Dataset:
    """Read a data set that is in no file, such as a message's; else as `read_dataset`. Raises HeaderRefused."""
    return _Build(window, transfer_syntax_uid, keeping).dataset()


def left_out(file: BinaryIO, *, transfer_syntax_uid: str, element: RawDataElement) -> Iterator[bytes]:
    """Give a binary value that `read_dataset` left in the file, in pieces, as it stands there. Raises HeaderRefused."""
    window = open_data_set(file, transfer_syntax_uid=transfer_syntax_uid)
    window.require(element.value_tell)
    end = element.value_tell + element.length
    for start in range(element.value_tell, end, PIECE_BYTES):
        yield window.read(start, min(PIECE_BYTES, end - start))


@dataclass(frozen=True, slots=True)
class _Open:
    """A data set or an item that is being read."""

    values: dict[BaseTag, Any]
    encoding: str | list[str]

    def own_encoding(self) -> str | list[str]:
        """Return the character set of its items, which they may replace."""
        own = self.values.get(BaseTag(_SPECIFIC_CHARACTER_SET))
        if not isinstance(own, RawDataElement) or not own.value:
            return self.encoding
        encodings: list[str] = convert_encodings(own.value.decode("ascii").split("\\"))
        return encodings


class _Build(Walk):
    """The walk that keeps everything."""

    def __init__(self, window: Window, transfer_syntax_uid: str, keeping: Keeping) -> None:
        order = ">" if transfer_syntax_uid == EXPLICIT_BIG_ENDIAN else "<"
        is_implicit = transfer_syntax_uid == IMPLICIT_LITTLE_ENDIAN
        super().__init__(window, is_implicit=is_implicit, order=order, wanted={})  # type: ignore[arg-type]
        self._keeping = keeping
        self._cost_left = keeping.cost_bytes
        self._bulk_left = keeping.bulk_bytes
        self._root = _Open({}, "iso8859")
        self._sequences: list[tuple[_Open, BaseTag, list[Dataset]]] = []
        self._unnamed: list[tuple[dict[BaseTag, Any], BaseTag]] = []
        """Elements whose VR is not told, or as UN: pydicom asks its dictionary for one."""
        self.stack[0].target = self._root

    def dataset(self) -> Dataset:
        """Walk, and return what was found."""
        self.run(to_end=self._keeping.with_pixels)
        for values, tag in self._unnamed:
            _keep_closed(values, tag)
        for place, tag, items in self._sequences:
            place.values[tag] = DataElement(tag, "SQ", Sequence(items))
        return Dataset(self._root.values)

    def _take(self, frame: Frame, tag: int, vr: bytes, start: int, length: int) -> None:
        name = vr.decode("ascii") or None
        self._put(frame, tag, name, self._read(name, tag, start, length), (start, length))

    def _take_pixels(self, frame: Frame, vr: bytes, pixels: PixelData) -> None:
        if self._keeping.with_pixels:
            if pixels.length_bytes is None:
                self._take_fragments(frame, pixels.tag, vr or b"OB", pixels.position)
            elif self._keeping.leaves_pixels:
                name = (vr or b"OW").decode("ascii")
                self._put(frame, pixels.tag, name, None, (pixels.position, pixels.length_bytes))
            else:
                self._take(frame, pixels.tag, vr or b"OW", pixels.position, pixels.length_bytes)
        super()._take_pixels(frame, vr, pixels)

    def _take_fragments(self, frame: Frame, tag: int, vr: bytes, start: int) -> None:
        value = self._read_bulk(start, self.position - 8 - start)
        self._put(frame, tag, vr.decode("ascii"), value, (start, 0xFFFFFFFF))

    def _put(self, frame: Frame, tag: int, vr: str | None, value: bytes | None, place: tuple[int, int]) -> None:
        self._pay(_ELEMENT_COST_BYTES)
        name, (start, length) = BaseTag(tag), place
        if tag == _SPECIFIC_CHARACTER_SET and value is not None:
            vr, value = "CS", _plain_character_sets(value)
        raw = RawDataElement(name, vr, length, value, start, frame.is_implicit, self.order == "<")
        frame.target.values[name] = raw
        if vr in (None, "UN"):
            self._unnamed.append((frame.target.values, name))

    def _open_sequence(self, frame: Frame, tag: int, made: Frame) -> None:
        self._pay(_ELEMENT_COST_BYTES)
        made.target = []
        self._sequences.append((frame.target, BaseTag(tag), made.target))

    def _open_item(self, frame: Frame) -> tuple[dict[int, None], _Open]:
        self._pay(_ITEM_COST_BYTES)
        parent = next(one.target for one in reversed(self.stack) if isinstance(one.target, _Open))
        item = _Open({}, parent.own_encoding())
        frame.target.append(Dataset(item.values, parent_encoding=item.encoding))
        return {}, item

    def _read(self, vr: str | None, tag: int, start: int, length: int) -> bytes | None:
        vr = vr or _public_vr(tag)
        if vr in _OPAQUE:
            return self._read_bulk(start, length)
        if length > MAX_VALUE_BYTES:
            raise HeaderRefused("limit")
        value = self.window.read(start, length)
        if vr in _NUMBERS:
            values, each = length // _NUMBERS[vr], _NUMBER_COST_BYTES
        else:
            values, each = 1 + value.count(b"\\"), _PLAIN_COST_BYTES
        self._pay(_TEXT_COST * length + _VALUE_COST_BYTES.get(vr, each) * values)
        return value

    def _pay(self, cost_bytes: int) -> None:
        self._cost_left -= cost_bytes
        if self._cost_left < 0:
            raise HeaderRefused("limit")

    def _read_bulk(self, start: int, length: int) -> bytes | None:
        if length > self._keeping.longest_bulk_bytes:
            return None
        self._bulk_left -= length
        if self._bulk_left < 0:
            raise HeaderRefused("limit")
        return self.window.read(start, length)


def _plain_character_sets(value: bytes) -> bytes:
    """Return a Specific Character Set in defined terms alone: pydicom looks at all of them for each element."""
    terms = value.rstrip(b"\0 ").decode("latin-1").split("\\")
    return "\\".join(defined_terms(term.strip() for term in terms)).encode("ascii")


def _public_vr(tag: int) -> str:
    """Return the dictionary's VR, the first of two that it allows; UN for what it does not know."""
    try:
        return str(dictionary_VR(tag)).split(" or ")[0]
    except KeyError:
        return "UN"


def _keep_closed(values: dict[BaseTag, Any], tag: BaseTag) -> None:
    """Keep a value as mere bytes that pydicom would open as a sequence: the walk did not go into it."""
    raw = values[tag]
    if isinstance(raw, RawDataElement) and raw.value is not None and _pydicom_vr(values, tag) == "SQ":
        values[tag] = DataElement(tag, "UN", raw.value, already_converted=True)


def _pydicom_vr(values: dict[BaseTag, Any], tag: BaseTag) -> str:
    if not tag.is_private:
        return _public_vr(tag)
    creator = values.get(BaseTag(tag.group << 16 | tag.element >> 8))
    if not isinstance(creator, RawDataElement) or not creator.value or len(creator.value) > 64:
        return "UN"
    try:
        return str(private_dictionary_VR(tag, creator.value.decode("latin-1").strip(" \0")))
    except KeyError:
        return "UN"
