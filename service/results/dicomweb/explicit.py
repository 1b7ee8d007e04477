"""Stored files → Explicit VR Little Endian, the transfer syntax that DICOMweb gives when none is asked for."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.charset import convert_encodings
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from preprocessing.datasets import Keeping, left_out, read_dataset
from preprocessing.windows import HeaderRefused

CONVERTIBLE = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian), str(DeflatedExplicitVRLittleEndian)})
"""Native pixels in another coding of the data set: no pixel value changes."""
MAX_CONVERTED_BYTES = 256 << 20
"""A larger file is sent as it is stored."""
_HELD = Keeping(bulk_bytes=32 << 20, longest_bulk_bytes=32 << 20, with_pixels=True, leaves_pixels=True)
"""The pixels are sent from the file; other binary values are held in memory, some times over while they are coded."""

PYDICOM_ERRORS = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, HeaderRefused, InvalidDicomError, LookupError,
    MemoryError, NotImplementedError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom is known to raise on values that a sender made: it has no error of its own for most of them."""

UNDEFINED = 0xFFFFFFFF
"""The length of a value that stands in fragments."""
_PIXEL_TAGS = (0x7FE00008, 0x7FE00009, 0x7FE00010)
WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def to_explicit(path: Path, *, transfer_syntax_uid: str, size_bytes: int) -> Iterator[bytes] | None:
    """Return a stored file in Explicit VR Little Endian, in pieces; None when it cannot be converted.

    Args:
        path: A file of the archive.
        transfer_syntax_uid: Of the stored file; one of CONVERTIBLE.
        size_bytes: Of the stored data set.
    """
    if size_bytes > MAX_CONVERTED_BYTES:
        return None
    try:
        with path.open("rb") as file:
            dataset = read_dataset(file, transfer_syntax_uid=transfer_syntax_uid, keeping=_HELD)
        pixels = _take_pixels(dataset)
        if transfer_syntax_uid == str(ExplicitVRBigEndian):
            _swap(dataset)
        if pixels is None:
            return iter((_head(dataset),))
        before, behind = _head(dataset[: pixels.tag]), _behind(dataset, pixels.tag)
    except PYDICOM_ERRORS:
        return None
    return _around(before, _pixels(path, transfer_syntax_uid, pixels), behind)


def turned(words: bytes, width: int) -> bytes:
    """Big endian words → little endian; what is less than a word stays."""
    if width == 1:
        return words
    whole = len(words) // width * width
    little = bytearray(words)
    for index in range(width):
        little[index:whole:width] = words[width - 1 - index : whole : width]
    return bytes(little)


def _take_pixels(dataset: Dataset) -> RawDataElement | None:
    """Remove from a data set the pixels that were left in the file, and return them."""
    for tag in _PIXEL_TAGS:
        pixels = dataset.get_item(tag, keep_deferred=True) if tag in dataset else None
        if isinstance(pixels, RawDataElement) and pixels.value is None:
            del dataset[tag]
            return pixels
    return None


def _swap(dataset: Dataset) -> None:
    """Turn the words of binary values round: pydicom writes those as they were read, whatever the byte order."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap(item)
        elif (width := WORD_BYTES.get(element.VR)) and isinstance(element.value, bytes):
            element.value = turned(element.value[: len(element.value) // width * width], width)


def _head(dataset: Dataset) -> bytes:
    """Return the preamble, the file meta information and a data set."""
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.preamble = bytes(128)
    return _written(dataset, is_file=True)


def _behind(dataset: Dataset, tag: int) -> bytes:
    """Return what follows an element, its texts in the character set that stands before."""
    behind = Dataset()
    for own in filter(tag.__lt__, list(dataset.keys())):
        behind[own] = dataset[own]  # read in the data set's character set, which a slice would not know
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = False, True
    write_dataset(buffer, behind, parent_encoding=convert_encodings(dataset.get("SpecificCharacterSet")))
    return bytes(buffer.getvalue())


def _written(dataset: Dataset, *, is_file: bool = False) -> bytes:
    buffer = io.BytesIO()
    # The coding is said here and not taken from the data set, which remembers the one that it was read in.
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=is_file)
    return buffer.getvalue()


def _pixels(path: Path, transfer_syntax_uid: str, pixels: RawDataElement) -> Iterator[bytes]:
    """Give the element of the pixels, its value from the file."""
    vr = pixels.VR or "OW"
    yield struct.pack("<HH2sxxI", pixels.tag.group, pixels.tag.element, vr.encode(), pixels.length + pixels.length % 2)
    yield from value_pieces(path, transfer_syntax_uid, pixels, vr)
    yield bytes(pixels.length % 2)


def value_pieces(path: Path, transfer_syntax_uid: str, element: RawDataElement, vr: str) -> Iterator[bytes]:
    """Give a value that was left in the file, in pieces and in little endian; a last part of a word stays as it is."""
    width = WORD_BYTES.get(vr, 1) if transfer_syntax_uid == str(ExplicitVRBigEndian) else 1
    with path.open("rb") as file:
        for piece in left_out(file, transfer_syntax_uid=transfer_syntax_uid, element=element):
            yield turned(piece, width)


def _around(before: bytes, pixels: Iterator[bytes], behind: bytes) -> Iterator[bytes]:
    yield before
    yield from pixels
    yield behind
