"""Small data sets written byte by byte or by pydicom, for the tests of preprocessing."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmwrite
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from preprocessing.elements import find_data_set
from preprocessing.header import InstanceHeader, read_header

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
DEFLATED = "1.2.840.10008.1.2.1.99"


def picture(side: int = 256) -> NDArray[np.float64]:
    """Return a ramp with a small black and a small white box, 0..1, (side, side)."""
    grey = np.linspace(0.02, 0.98, side)[None, :] * np.ones((side, 1))
    grey += np.linspace(-0.015, 0.015, side)[:, None]
    box = side // 10
    grey[side // 4 : side // 4 + box, side // 4 : side // 4 + box] = 0
    grey[-side // 4 : -side // 4 + box, side // 2 : side // 2 + box] = 1
    return grey


def film(stored: NDArray[Any], **attributes: Any) -> Dataset:
    """Return a CR chest data set with these stored values, (rows, columns), 8 or 16 bit, signed or not."""
    dataset = Dataset()
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = "1.2.3.4"
    dataset.StudyInstanceUID = "1.2.3"
    dataset.SeriesInstanceUID = "1.2.3.1"
    dataset.Modality = "CR"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = stored.shape[:2]
    dataset.BitsAllocated = 8 * stored.dtype.itemsize
    dataset.BitsStored = dataset.BitsAllocated
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(dataset, keyword, value)
    dataset.HighBit = attributes.get("HighBit", dataset.BitsStored - 1)
    data = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB" if stored.dtype.itemsize == 1 else "OW"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return dataset


def lut_item(entries: NDArray[Any], first: int, *, bits: int = 16, is_signed: bool = False) -> Dataset:
    """Return an item of a Modality or VOI LUT Sequence."""
    item = Dataset()
    descriptor = [len(entries) % 65536, first, bits]
    item.add_new("LUTDescriptor", "SS" if is_signed else "US", descriptor)
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return item


def save(dataset: Dataset, path: Path) -> InstanceHeader:
    """Write a data set as a Part 10 file and return its header as we read it."""
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    path.write_bytes(buffer.getvalue())
    return header_of(path)


def header_of(path: Path) -> InstanceHeader:
    """Read the header of a Part 10 file."""
    with path.open("rb") as file:
        transfer_syntax_uid, offset = find_data_set(file)
        return read_header(
            file,
            transfer_syntax_uid=transfer_syntax_uid or EXPLICIT,
            offset=offset,
            length=path.stat().st_size - offset,
        )


def read(data: bytes, transfer_syntax_uid: str = EXPLICIT) -> InstanceHeader:
    """Read the header of a bare data set."""
    return read_header(io.BytesIO(data), transfer_syntax_uid=transfer_syntax_uid, offset=0, length=len(data))


def element(tag: int, vr: str, value: bytes, *, length: int | None = None) -> bytes:
    """Return one explicit little endian element; `length` lies about its size."""
    value += (b"\0" if vr in ("UI", "OB", "UN", "OW") else b" ") * (len(value) % 2)
    size = len(value) if length is None else length
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    is_long = vr in ("OB", "OW", "SQ", "UN", "UT")
    return head + (struct.pack("<2xI", size) if is_long else struct.pack("<H", size)) + value


def implicit(tag: int, value: bytes, *, length: int | None = None) -> bytes:
    """Return one implicit little endian element."""
    value += b" " * (len(value) % 2)
    return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, len(value) if length is None else length) + value


def item(content: bytes, *, is_open: bool = False) -> bytes:
    """Return one sequence item."""
    if is_open:
        return struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + content + struct.pack("<HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


SEQUENCE_END = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
UNDEFINED = 0xFFFFFFFF
