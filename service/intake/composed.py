"""One instance from metadata in the DICOM JSON model and bulk values → a file (PS3.18 F, 10.5)."""

from __future__ import annotations

import base64
import io
import re
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from pydicom import DataElement, Dataset, config, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate_buffer
from pydicom.uid import ExplicitVRLittleEndian
from pydicom.valuerep import VR, format_number_as_ds
from python_multipart.multipart import parse_options_header

from preprocessing.elements import MAX_DEPTH, MAX_ELEMENTS
from service.intake.multipart import PartBegins
from service.intake.verify import is_valid_uid
from service.media_types import MEDIA_TYPES, OCTETS, default_transfer_syntax
from service.native_model import Json

MAX_TEXT_BYTES = 1 << 20
MAX_UNKNOWN_BYTES = 16 << 20
EXPLICIT = str(ExplicitVRLittleEndian)
_PIXELS = "7FE00010"
_TAG = re.compile("[0-9A-Fa-f]{8}")
_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
_TEXT = frozenset({"AE", "AS", "CS", "DA", "DT", "IS", "LO", "LT", "SH", "ST", "TM", "UC", "UI", "UR", "UT"})
_READ_WHOLE = {**dict.fromkeys(_TEXT, MAX_TEXT_BYTES), "UN": MAX_UNKNOWN_BYTES}
"""Most bytes of bulk values that are held in memory: pydicom writes an unknown value from nothing else."""
_NUMBERS = {"FD": "d", "FL": "f", "SL": "i", "SS": "h", "SV": "q", "UL": "I", "US": "H", "UV": "Q"}
"""What `struct` calls them: a number that does not fit is found before it is written."""
_BROKEN = (
    ArithmeticError, AttributeError, LookupError, NotImplementedError, RecursionError, TypeError, ValueError,
    struct.error,
)  # fmt: skip
"""What values that a sender made raise on their way into a data set, or out of it."""
_JPEG_PROCESSES = {
    0xC0: ("1.2.840.10008.1.2.4.50",),
    0xC1: ("1.2.840.10008.1.2.4.51",),
    0xC3: ("1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.57"),
}
"""Transfer syntaxes by the JPEG marker that begins a frame (ISO 10918-1 B.1.1.3)."""


class NotComposed(ValueError):
    """The metadata and their bulk values make no instance; the text says why, without anything of them."""


@dataclass(slots=True)
class Bulk:
    """A bulk value that was sent: one part, or one for each compressed frame under the same address."""

    media_type: str
    transfer_syntax_uid: str | None
    spans: list[tuple[int, int]] = field(default_factory=list)
    """Position and length of each part in the file that the body was put aside in."""

    @staticmethod
    def of(part: PartBegins) -> Bulk:
        """Return what a part's headers say of it."""
        media_type, parameters = parse_options_header(part.headers.get("content-type"))
        syntax = parameters.get(b"transfer-syntax", b"").decode("latin-1")
        return Bulk(media_type.decode("latin-1").lower(), syntax or None)


class Section(io.RawIOBase):
    """Some bytes of a file as a file of their own.

    Args:
        file: The whole file.
        begin: Where they begin in it.
        length: How many they are.
    """

    def __init__(self, file: BinaryIO, begin: int, length: int) -> None:
        super().__init__()
        self._file, self._begin, self._length, self._at = file, begin, length, 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._length}[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read the next bytes."""
        self._file.seek(self._begin + self._at)
        found = self._file.read(max(0, min(len(buffer), self._length - self._at)))
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)


def compose(item: Json, bulk: Mapping[str, Bulk], aside: BinaryIO, *, into: BinaryIO) -> None:
    """Write one instance as a Part-10 file; text becomes UTF-8, bulk values are copied piece by piece.

    Args:
        item: Its metadata.
        bulk: What was sent, by address.
        aside: The file that holds the bulk values.
        into: The new file.

    Raises:
        NotComposed: A value that cannot be written, or a bulk value that was not sent: none is fetched from elsewhere.
        OSError: The disk refuses.
    """

    def value_of(vr: str, address: str) -> Any:
        found = bulk.get(address)
        if found is None:
            raise NotComposed("a bulk value that the metadata name is not in the request")
        if found.media_type not in ("", OCTETS) or len(found.spans) != 1:
            raise NotComposed("a bulk value other than pixels is not one part of application/octet-stream")
        [(begin, length)] = found.spans
        if vr in _BINARY and vr not in _READ_WHOLE:
            return io.BufferedReader(Section(aside, begin, length))
        if vr not in _READ_WHOLE or length > _READ_WHOLE[vr]:
            raise NotComposed("a bulk value is neither binary nor a text, or too long for its kind")
        value = Section(aside, begin, length).read(length)
        return value if vr == "UN" else value.decode()

    pixels = bulk.get(_address(item.get(_PIXELS)) or "")
    try:
        checked(item)
        syntax = EXPLICIT if pixels is None else _transfer_syntax(pixels, aside)
        is_packed = pixels is not None and syntax != EXPLICIT
        dataset = _dataset({tag: e for tag, e in item.items() if not (is_packed and tag == _PIXELS)}, value_of)
        if pixels is not None and is_packed:
            frames: list[io.BufferedIOBase] = [io.BufferedReader(Section(aside, *span)) for span in pixels.spans]
            dataset.add(DataElement(int(_PIXELS, 16), "OB", encapsulate_buffer(frames)))
            dataset[_PIXELS].is_undefined_length = True
        dataset.add(DataElement(0x00080005, "CS", "ISO_IR 192"))
        dataset.preamble = bytes(128)
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = syntax
        dcmwrite(into, dataset, implicit_vr=False, little_endian=True)
    except NotComposed:
        raise
    except _BROKEN as error:
        raise NotComposed("the metadata hold a value that cannot be written; send the original .dcm file") from error


def checked(item: Json) -> None:
    """Walk metadata without recursion. Raises NotComposed for what is nested too deep or no data set."""
    left: list[tuple[object, int]] = [(item, 1)]
    elements = 0
    while left:
        found, depth = left.pop()
        if not isinstance(found, dict) or depth > MAX_DEPTH:
            raise NotComposed("the metadata are nested too deep, or are no data set")
        elements += len(found)
        if elements > MAX_ELEMENTS:
            raise NotComposed("the metadata have too many elements")
        for name, element in found.items():
            if not _TAG.fullmatch(name) or not isinstance(element, dict) or element.get("vr") not in set(VR):
                raise NotComposed("the metadata hold something that is no DICOM attribute")
            values = element.get("Value", [])
            if not isinstance(values, list):
                raise NotComposed("the metadata hold a value that is not an array")
            if element["vr"] == "SQ":
                left += [(inner or {}, depth + 1) for inner in values]


def named(item: object) -> set[str]:
    """Return every address of a bulk value that metadata name, at any depth."""
    found: set[str] = set()
    left = [item]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            found |= {address for address in (_address(one),) if address}
            left += one.values()
        elif isinstance(one, list):
            left += one
    return found


def uids_of(item: Json) -> tuple[str | None, str | None]:
    """Return SOP Class and SOP Instance UID that metadata name, where they are UIDs."""

    def uid(tag: str) -> str | None:
        element = item.get(tag)
        values = element.get("Value") if isinstance(element, dict) else None
        value = values[0] if isinstance(values, list) and values else None
        return value if isinstance(value, str) and is_valid_uid(value) else None

    return uid("00080016"), uid("00080018")


def _address(element: object) -> str | None:
    address = element.get("BulkDataURI") if isinstance(element, dict) else None
    if isinstance(address, list) and address:  # PS3.18's own example has it so
        address = address[0]
    return address if isinstance(address, str) else None


def _transfer_syntax(pixels: Bulk, aside: BinaryIO) -> str:
    """Return the transfer syntax of the pixels that were sent. Raises NotComposed."""
    syntax = pixels.transfer_syntax_uid or default_transfer_syntax(pixels.media_type) or EXPLICIT
    if pixels.media_type in ("", OCTETS):
        if syntax != EXPLICIT and syntax not in MEDIA_TYPES:
            raise NotComposed("the transfer syntax of the pixels is not one of PS3.18 table 8.7.3-2")
    elif MEDIA_TYPES.get(syntax) != pixels.media_type:
        raise NotComposed("media type and transfer syntax of the pixels do not belong together")
    if MEDIA_TYPES.get(syntax) == "image/jpeg":
        begin, length = pixels.spans[0]
        if syntax not in _jpeg_processes(Section(aside, begin, length).read(min(length, 65_536)) or b""):
            raise NotComposed("the pixels are another JPEG process than declared; name it by transfer-syntax")
    return syntax


def _jpeg_processes(head: bytes) -> Sequence[str]:
    """Return the transfer syntaxes that a JPEG stream may be, by its first frame header."""
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        marker = head[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _JPEG_PROCESSES.get(marker, ())
        at += 1 if marker == 0xFF else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return ()


def _dataset(item: Json, value_of: Callable[[str, str], Any]) -> Dataset:
    dataset = Dataset()
    for name, element in item.items():
        tag, vr = int(name, 16), str(element["vr"])
        if tag >> 16 == 0x0002 or tag & 0xFFFF == 0:
            continue
        address = _address(element)
        if address is not None:
            value = value_of(vr, address)
        elif vr == "SQ":
            value = [_dataset(inner or {}, value_of) for inner in element.get("Value", [])]
        elif vr in _BINARY:
            value = base64.b64decode(element.get("InlineBinary", ""), validate=True)
        else:
            value = _plain(vr, element.get("Value", []))
        # Values are stored as they came: what is odd about them is for the reader of the file to judge.
        dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))
    return dataset


def _plain(vr: str, values: Sequence[Any]) -> Any:
    if vr == "PN":
        return "\\".join("=".join(_groups(value)) for value in values)
    if vr in _TEXT:
        return "\\".join("" if value is None else str(value) for value in values)
    if vr == "DS":
        return "\\".join("" if value is None else _decimal(value) for value in values)
    if vr == "AT":
        return [int(value, 16) for value in values if _TAG.fullmatch(value)]
    numbers = [float(value) if vr in ("FD", "FL") else int(value) for value in values]
    struct.pack(f"<{len(numbers)}{_NUMBERS[vr]}", *numbers)
    return numbers


def _groups(name: Mapping[str, str] | None) -> list[str]:
    groups = [(name or {}).get(group, "") for group in ("Alphabetic", "Ideographic", "Phonetic")]
    while groups and not groups[-1]:
        groups.pop()
    return groups


def _decimal(value: str | float) -> str:
    """Return a decimal string of at most 16 characters."""
    text = str(value)
    return text if len(text) <= 16 else str(format_number_as_ds(float(value)))
