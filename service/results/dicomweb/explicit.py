"""Stored files → Explicit VR Little Endian, the transfer syntax that DICOMweb gives when none is asked for."""

from __future__ import annotations

import io
import struct
from pathlib import Path

from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from preprocessing.datasets import Keeping, read_dataset
from preprocessing.windows import HeaderRefused

CONVERTIBLE = frozenset({str(ImplicitVRLittleEndian), str(ExplicitVRBigEndian), str(DeflatedExplicitVRLittleEndian)})
"""Native pixels in another coding of the data set: no pixel value changes."""
MAX_CONVERTED_BYTES = 256 << 20
"""A conversion holds the file in memory; a larger one is sent as it is stored."""

PYDICOM_ERRORS = (
    ArithmeticError, AttributeError, BytesLengthException, EOFError, HeaderRefused, InvalidDicomError, LookupError,
    MemoryError, NotImplementedError, RecursionError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What pydicom is known to raise on values that a sender made: it has no error of its own for most of them."""

_WORD_BYTES = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}


def to_explicit(path: Path, *, transfer_syntax_uid: str, size_bytes: int) -> bytes | None:
    """Return a stored file in Explicit VR Little Endian; None when it cannot be converted.

    Args:
        path: A file of the archive.
        transfer_syntax_uid: Of the stored file; one of CONVERTIBLE.
        size_bytes: Of the stored data set.
    """
    if size_bytes > MAX_CONVERTED_BYTES:
        return None
    keeping = Keeping(MAX_CONVERTED_BYTES, MAX_CONVERTED_BYTES, with_pixels=True)
    try:
        with path.open("rb") as file:
            dataset = read_dataset(file, transfer_syntax_uid=transfer_syntax_uid, keeping=keeping)
        if transfer_syntax_uid == str(ExplicitVRBigEndian):
            _swap(dataset)
        return _written(dataset)
    except PYDICOM_ERRORS:
        return None


def _swap(dataset: Dataset) -> None:
    """Turn the words of binary values round: pydicom writes those as they were read, whatever the byte order."""
    for element in dataset:
        if element.VR == "SQ":
            for item in element.value:
                _swap(item)
        elif (width := _WORD_BYTES.get(element.VR)) and isinstance(element.value, bytes):
            value = element.value[: len(element.value) // width * width]
            element.value = b"".join(value[i : i + width][::-1] for i in range(0, len(value), width))


def _written(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.preamble = bytes(128)
    # The coding is said here and not taken from the data set, which remembers the one that it was read in.
    dcmwrite(buffer, dataset, implicit_vr=False, little_endian=True, enforce_file_format=True)
    return buffer.getvalue()
