"""Decodes one frame of any stored image to native samples: grey, palette index or colour (PS3.5 section 8)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import imagecodecs
import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import (
    MAX_DECODED_BYTES,
    Layout,
    Raw,
    _check_codestream,  # the recipe's hash is over that file: it stays as it is
    decode,
    decoder_name,
    is_encapsulated,
)
from preprocessing.display import PLANAR_CONFIGURATION
from preprocessing.elements import Elements, PixelData
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader, short

_LOSSLESS_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"})
_LOSSY_JPEG: Final = frozenset({"1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"})
_DECODED_TO_RGB: Final = frozenset({"YBR_RCT", "YBR_ICT"})
"""JPEG 2000 undoes these itself (PS3.3 C.7.6.3.1.2)."""
_LUMA: Final = ((1.0, 0.0, 1.402), (1.0, -0.344136, -0.714136), (1.0, 1.772, 0.0))


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame.

    Attributes:
        samples: Unsigned bit patterns: (rows, columns), or (rows, columns, 3).
        photometric: What the samples mean now: the header's word, or `RGB` where decoding changed the colours.
    """

    samples: Raw
    photometric: str


def decode_frame(data: bytes, header: InstanceHeader, elements: Elements) -> Frame:
    """Decode one frame.

    Args:
        data: The frame's bytes: native pixels, or its codestream with all fragments joined.
        header: Of the instance.
        elements: At least Planar Configuration and where the pixels lie.

    Raises:
        UnsupportedImage: No pinned decoder, damaged data, too many pixels, or samples of a kind that nobody shows.
    """
    syntax = header.transfer_syntax_uid
    decoder_name(syntax)
    photometric = header.photometric_interpretation or ""
    pixels = elements.pixel_data
    if pixels is None or not photometric:
        raise UnsupportedImage(Reason.NO_PIXEL_DATA, "the file holds no pixels, or does not say what they mean")
    if header.bits_allocated == 1 and not is_encapsulated(syntax):
        return Frame(_bits(data, header), photometric)
    layout = _layout(header, elements, pixels)
    if photometric == "YBR_FULL_422" and not is_encapsulated(syntax):
        return Frame(_half_colour(data, layout), "YBR_FULL")
    if layout.samples == 3 and syntax in _LOSSY_JPEG | _LOSSLESS_JPEG:
        return _colour_jpeg(data, header, layout)
    samples = decode(data, transfer_syntax_uid=syntax, layout=layout)
    return Frame(samples, "RGB" if photometric in _DECODED_TO_RGB else photometric)


def to_rgb(frame: Frame) -> NDArray[np.uint8]:
    """Return a colour frame as 8-bit RGB, (rows, columns, 3). Raises UnsupportedImage."""
    samples = frame.samples
    if samples.dtype.itemsize != 1 or samples.ndim != 3:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "colour pictures have three samples of 8 bits")
    if frame.photometric == "RGB":
        return samples.astype(np.uint8, copy=False)
    if frame.photometric not in ("YBR_FULL", "YBR_FULL_422"):
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "a colour space that is not shown")
    centred = samples.astype(np.float32) - np.array([0, 128, 128], np.float32)
    rgb = centred @ np.array(_LUMA, np.float32).T
    shown: NDArray[np.uint8] = np.clip(np.rint(rgb), 0, 255).astype(np.uint8)
    return shown


def _layout(header: InstanceHeader, elements: Elements, pixels: PixelData) -> Layout:
    samples, allocated = header.samples_per_pixel or 1, header.bits_allocated or 0
    if (header.rows or 0) < 1 or (header.columns or 0) < 1:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "rows or columns are missing")
    if allocated not in (8, 16) or samples not in (1, 3):
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "only pixels of 1, 8 and 16 bits are shown")
    layout = Layout(
        header.rows or 0,
        header.columns or 0,
        samples,
        allocated,
        is_planar=short(elements.values.get(PLANAR_CONFIGURATION), elements.byte_order) == 1,
        is_big_endian=False,  # frames come with their words already turned round
        is_words=pixels.is_words,
    )
    if layout.size_bytes > MAX_DECODED_BYTES:
        raise UnsupportedImage(Reason.LIMIT_EXCEEDED, "the frame is larger than 2 GiB when decoded")
    return layout


def _bits(data: bytes, header: InstanceHeader) -> Raw:
    """Unpack pixels of one bit: the first is the lowest bit (PS3.5 8.1.1)."""
    rows, columns = header.rows or 0, header.columns or 0
    if rows < 1 or columns < 1 or len(data) * 8 < rows * columns:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data are shorter than rows x columns")
    bits: Raw = np.unpackbits(np.frombuffer(data, np.uint8), count=rows * columns, bitorder="little")
    shaped: Raw = bits.reshape(rows, columns)
    return shaped


def _half_colour(data: bytes, layout: Layout) -> Raw:
    """Spread native YBR_FULL_422, Y Y Cb Cr for two pixels, to three samples each (PS3.3 C.7.6.3.1.2)."""
    if layout.bits_allocated != 8 or layout.columns % 2 or len(data) < layout.rows * layout.columns * 2:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data do not fit YBR_FULL_422")
    pairs = np.frombuffer(data, np.uint8, layout.rows * layout.columns * 2).reshape(layout.rows, -1, 4)
    whole = np.empty((layout.rows, layout.columns, 3), np.uint8)
    whole[:, 0::2, 0], whole[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
    whole[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
    return whole


def _colour_jpeg(data: bytes, header: InstanceHeader, layout: Layout) -> Frame:
    """Decode a colour JPEG: a marker in the stream tells its colours, without one the header does."""
    photometric = header.photometric_interpretation or ""
    options: Mapping[str, Any] = {}
    decoded = "RGB"
    if header.transfer_syntax_uid in _LOSSLESS_JPEG:
        options, decoded = {"colorspace": "RGB", "outcolorspace": "RGB"}, photometric  # as they are
    elif b"JFIF" not in data[:64] and b"Adobe" not in data[:512]:
        options = {"colorspace": "RGB" if photometric == "RGB" else "YCBCR", "outcolorspace": "RGB"}
    _check_codestream(data, layout)
    try:
        samples: NDArray[Any] = np.ascontiguousarray(imagecodecs.jpeg8_decode(data, **options))
    except (RuntimeError, ValueError, TypeError) as error:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data cannot be decoded") from error
    if samples.shape != (layout.rows, layout.columns, 3) or samples.dtype != np.uint8:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the codestream does not hold the picture that is described")
    return Frame(samples, decoded)
