"""Turns the Pixel Data of a single-frame image into stored values: one pinned decoder for each transfer syntax.

Which decoder gives the pixels is decided here and nowhere else; a syntax without a line in the table is refused,
never guessed. Native decoders may crash on hostile data: callers run this in a disposable process.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from preprocessing.errors import Reason, UnsupportedImage

Raw: TypeAlias = NDArray[np.unsignedinteger[Any]]
"""Stored values as unsigned bit patterns, (rows, columns) or (rows, columns, samples)."""

_NATIVE: Final = "native"
_DECODERS: Final[Mapping[str, Callable[[bytes], NDArray[Any]]]] = {
    # libjpeg-turbo 3 decodes 8 and 12 bit and lossless of every predictor; checked against two other decoders.
    "jpeg8": lambda data: imagecodecs.jpeg8_decode(data),
    "jpegls": lambda data: imagecodecs.jpegls_decode(data),
    "jpeg2k": lambda data: imagecodecs.jpeg2k_decode(data),
}
_PINNED: Final[Mapping[str, str]] = {
    "1.2.840.10008.1.2": _NATIVE,
    "1.2.840.10008.1.2.1": _NATIVE,
    "1.2.840.10008.1.2.1.99": _NATIVE,
    "1.2.840.10008.1.2.2": _NATIVE,
    "1.2.840.10008.1.2.4.50": "jpeg8",
    "1.2.840.10008.1.2.4.51": "jpeg8",
    "1.2.840.10008.1.2.4.57": "jpeg8",
    "1.2.840.10008.1.2.4.70": "jpeg8",
    "1.2.840.10008.1.2.4.80": "jpegls",
    "1.2.840.10008.1.2.4.81": "jpegls",
    "1.2.840.10008.1.2.4.90": "jpeg2k",
    "1.2.840.10008.1.2.4.91": "jpeg2k",
    "1.2.840.10008.1.2.4.201": "jpeg2k",
    "1.2.840.10008.1.2.4.202": "jpeg2k",
    "1.2.840.10008.1.2.4.203": "jpeg2k",
    "1.2.840.10008.1.2.5": "dicomrle",
}
SUPPORTED_TRANSFER_SYNTAXES: Final[tuple[str, ...]] = tuple(_PINNED)
"""What we accept: exactly what the table above can decode."""

LOSSY_TRANSFER_SYNTAXES: Final = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in ("50", "51", "81", "91", "203"))
"""Syntaxes that may have lost something; .81, .91 and .203 may also be lossless."""

MAX_DECODED_BYTES: Final = 2 << 30


@dataclass(frozen=True, slots=True)
class Layout:
    """How the stored values of one frame lie in memory."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    is_planar: bool
    is_big_endian: bool
    is_words: bool
    """The value was written as OW."""

    @property
    def size_bytes(self) -> int:
        """Length of the decoded frame."""
        return self.rows * self.columns * self.samples * self.bits_allocated // 8


def decoder_name(transfer_syntax_uid: str) -> str:
    """Return the pinned decoder, with its version, or raise UnsupportedImage."""
    name = _PINNED.get(transfer_syntax_uid)
    if name is None:
        raise UnsupportedImage(Reason.TRANSFER_SYNTAX_UNSUPPORTED, "no decoder is pinned for this transfer syntax")
    return name if name == _NATIVE else f"{name} (imagecodecs {imagecodecs.__version__})"


def is_encapsulated(transfer_syntax_uid: str) -> bool:
    """Tell whether the pixels come in fragments."""
    return _PINNED.get(transfer_syntax_uid, _NATIVE) != _NATIVE


def decode(data: bytes, *, transfer_syntax_uid: str, layout: Layout) -> Raw:
    """Decode one frame.

    Args:
        data: The native Pixel Data value, or the codestream (all fragments of the frame joined).
        transfer_syntax_uid: One of SUPPORTED_TRANSFER_SYNTAXES.
        layout: What the header says; a codestream that says otherwise is refused before it is decoded.

    Returns:
        Bit patterns, (rows, columns) or (rows, columns, samples), C order, machine byte order.

    Raises:
        UnsupportedImage: Unknown syntax, damaged data, or more than a frame of this layout needs.
    """
    name = decoder_name(transfer_syntax_uid).split(" ")[0]
    try:
        if name == _NATIVE:
            return _native(data, layout)
        if name == "dicomrle":
            return _run_length(data, layout)
        _check_codestream(data, layout)
        frame: NDArray[Any] = np.asarray(_DECODERS[name](data))
    except MemoryError as error:
        raise UnsupportedImage(Reason.LIMIT_EXCEEDED, "the image needs more memory than a decoder may use") from error
    except (RuntimeError, ValueError, TypeError, IndexError, struct.error) as error:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data cannot be decoded") from error
    expected = (layout.rows, layout.columns) if layout.samples == 1 else (layout.rows, layout.columns, layout.samples)
    if frame.shape != expected or frame.dtype.kind not in "iu" or frame.dtype.itemsize > 2:
        raise _damaged("the codestream does not hold the image that the header describes")
    patterns: Raw = np.ascontiguousarray(frame).view(f"u{frame.dtype.itemsize}")
    return patterns


def _damaged(detail: str) -> UnsupportedImage:
    return UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, detail)


def _native(data: bytes, layout: Layout) -> Raw:
    if len(data) < layout.size_bytes:
        raise _damaged("the pixel data are shorter than rows x columns")
    count = layout.size_bytes * 8 // layout.bits_allocated
    if layout.bits_allocated == 8:
        frame: Raw = np.frombuffer(data, np.uint8, count)
        if layout.is_big_endian and layout.is_words:
            # Words of two pixels each (PS3.5 Annex A.3): every pair is swapped.
            padded = np.frombuffer(data[:count].ljust(count + count % 2, b"\0"), np.uint8)
            frame = padded.reshape(-1, 2)[:, ::-1].reshape(-1)[:count]
    else:
        stored = np.frombuffer(data, ">u2" if layout.is_big_endian else "<u2", count)
        frame = stored.astype(np.uint16, copy=False)
    return _shaped(frame, layout)


def _run_length(data: bytes, layout: Layout) -> Raw:
    """Decode RLE Lossless (PS3.5 Annex G): one segment for each byte of each sample."""
    dtype = np.dtype(np.uint8 if layout.bits_allocated == 8 else np.uint16)
    segments, *offsets = struct.unpack_from("<16I", data)
    if segments != layout.samples * dtype.itemsize:
        raise _damaged("the number of RLE segments does not fit the header")
    bounds = [*offsets[:segments], len(data)]
    plane_bytes = layout.rows * layout.columns
    planes = np.empty((layout.samples, dtype.itemsize, plane_bytes), np.uint8)
    for index in range(segments):
        segment = imagecodecs.packbits_decode(data[bounds[index] : bounds[index + 1]])
        if len(segment) < plane_bytes:
            raise _damaged("an RLE segment ends too early")
        # The most significant byte comes first.
        place = dtype.itemsize - 1 - index % dtype.itemsize
        planes[index // dtype.itemsize, place] = np.frombuffer(segment, np.uint8, plane_bytes)
    frame: Raw = np.ascontiguousarray(planes.transpose(0, 2, 1)).view(dtype.newbyteorder("<")).reshape(-1)
    return _shaped(frame.astype(dtype, copy=False), replace(layout, is_planar=True))


def _shaped(frame: Raw, layout: Layout) -> Raw:
    if layout.samples == 1:
        return frame.reshape(layout.rows, layout.columns)
    if layout.is_planar:
        return np.ascontiguousarray(frame.reshape(layout.samples, layout.rows, layout.columns).transpose(1, 2, 0))
    return frame.reshape(layout.rows, layout.columns, layout.samples)


def _check_codestream(data: bytes, layout: Layout) -> None:
    """Refuse a codestream of another size before a decoder allocates what it claims."""
    start = data.find(b"\xff\x4f\xff\x51")
    if data[:2] == b"\xff\xd8":
        size = _jpeg_size(data)
        # libjpeg fills up what is missing with grey and says nothing; a whole stream ends with EOI.
        if b"\xff\xd9" not in data.rstrip(b"\0")[-64:]:
            raise _damaged("the pixel data end too early")
    elif 0 <= start <= 4096:
        right, bottom, left, top = struct.unpack_from(">4I", data, start + 8)
        size = bottom - top, right - left
    else:
        raise _damaged("the pixel data do not start like their transfer syntax")
    if size != (layout.rows, layout.columns):
        raise _damaged("the codestream has another size than the header says")


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return (rows, columns) of a JPEG or JPEG-LS frame header (SOF0-15 but DHT, JPG, DAC; SOF55)."""
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            rows, columns = struct.unpack_from(">2H", data, position + 5)
            return rows, columns
        else:
            position += 2 + struct.unpack_from(">H", data, position + 2)[0]
    raise _damaged("the pixel data hold no frame header")
