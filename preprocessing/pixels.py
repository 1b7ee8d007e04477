"""Reads the pixels of one stored image: decoded by the pinned decoder, then grey as displayed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import (
    LOSSY_TRANSFER_SYNTAXES,
    MAX_DECODED_BYTES,
    SUPPORTED_TRANSFER_SYNTAXES,
    Layout,
    Raw,
    decode,
    decoder_name,
    is_encapsulated,
)
from preprocessing.display import PLANAR_CONFIGURATION, WANTED, GreyTable, grey_table
from preprocessing.elements import PIXEL_DATA, Elements, PixelData, find_data_set, read_elements
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import DEFLATED_LITTLE_ENDIAN, InstanceHeader, short
from preprocessing.windows import HeaderRefused, open_window

_SAMPLE_PIXELS: Final = 1 << 16
"""How many pixels decide the range of an image; the estimate of a percentile is good to a grey level with this many."""
_TAKE_PIXELS: Final = 1 << 15
"""So many at a time keep index and result of a table look-up in the cache."""
_GREY_TOLERANCE: Final = 2
"""How far the channels of a grey picture may differ after lossy compression."""


@dataclass(frozen=True, slots=True)
class Grey:
    """An image as displayed.

    Attributes:
        values: float32 (rows, columns), 0 black to 1 white; dense is white.
        notes: How it came about, see `display.GreyTable`; also "lossy", "grey_from_colour".
        decoder: Which decoder gave the pixels.
    """

    values: NDArray[np.float32]
    notes: tuple[str, ...]
    decoder: str


@dataclass(frozen=True, slots=True)
class Stored:
    """Decoded pixels with the table that displays them.

    Attributes:
        patterns: Bit patterns, (rows, columns).
        table: What each displays as.
        notes: As in Grey.
        decoder: Which decoder gave the pixels.
    """

    patterns: Raw
    table: GreyTable
    notes: tuple[str, ...]
    decoder: str


def read_grey(path: Path, header: InstanceHeader) -> Grey:
    """Read an image as a viewer would show it.

    Args:
        path: A stored Part 10 file.
        header: Its header.

    Returns:
        Every pixel, 0..1, clipped to the window.

    Raises:
        UnsupportedImage: The pixels are missing, damaged, too many, or of a kind that we do not read.
    """
    stored = read_stored(path, header)
    return Grey(look_up(stored.patterns, np.clip(stored.table.values, 0, 1)), stored.notes, stored.decoder)


def read_stored(path: Path, header: InstanceHeader) -> Stored:
    """Decode the single frame of a stored file and build its display table.

    Raises:
        UnsupportedImage: As `read_grey`.
    """
    decoder = decoder_name(header.transfer_syntax_uid)
    _check_photometric(header)
    try:
        with path.open("rb") as file:
            raw, elements = read_frame(file, header)
    except HeaderRefused as error:
        raise UnsupportedImage(Reason.STORED_FILE_DAMAGED, "the stored file cannot be read") from error
    notes: tuple[str, ...] = ()
    if raw.ndim == 3:
        raw, notes = _grey_channel(raw, header), ("grey_from_colour",)
    if header.lossy_image_compression == "01" or header.transfer_syntax_uid in LOSSY_TRANSFER_SYNTAXES:
        notes += ("lossy",)
    step = max(1, int((raw.size / _SAMPLE_PIXELS) ** 0.5))
    table = grey_table(raw[::step, ::step], header, elements, largest=int(raw.max()))
    return Stored(raw, table, table.notes + notes, decoder)


def _check_photometric(header: InstanceHeader) -> None:
    photometric = header.photometric_interpretation or ""
    if not photometric:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the header does not say what black and white are")
    is_grey = photometric in ("MONOCHROME1", "MONOCHROME2")
    is_subsampled = photometric == "YBR_FULL_422" and not is_encapsulated(header.transfer_syntax_uid)
    if is_grey != (header.samples_per_pixel in (1, None)) or is_subsampled:
        raise UnsupportedImage(Reason.COLOUR_IMAGE, "a colour picture, not a radiograph")


def look_up(patterns: Raw, table: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `table[patterns]`, piece by piece: 1.5 times as fast as in one go on a radiograph."""
    flat = patterns.reshape(-1)
    values = np.empty(flat.shape, np.float32)
    index = np.empty(min(_TAKE_PIXELS, flat.size), np.intp)
    for start in range(0, flat.size, _TAKE_PIXELS):
        part = flat[start : start + _TAKE_PIXELS]
        place = index[: part.size]
        place[:] = part
        # mode "clip" only spares numpy a buffered copy: a bit pattern is never outside its table.
        np.take(table, place, out=values[start : start + part.size], mode="clip")
    return values.reshape(patterns.shape)


def read_frame(file: BinaryIO, header: InstanceHeader) -> tuple[Raw, Elements]:
    """Decode the only frame of a Part 10 file.

    Returns:
        Bit patterns, (rows, columns) or (rows, columns, 3), and the display attributes.

    Raises:
        UnsupportedImage: Missing, damaged, too large, multi-frame, or neither 8 nor 16 bits.
        HeaderRefused: The file cannot be walked.
    """
    _, offset = find_data_set(file)
    length = file.seek(0, 2) - offset
    is_deflated = header.transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN
    window = open_window(file, offset=offset, length=length, is_deflated=is_deflated)
    elements = read_elements(window, transfer_syntax_uid=header.transfer_syntax_uid, wanted=WANTED)
    pixels = elements.pixel_data
    if pixels is None or not header.has_pixel_data:
        raise UnsupportedImage(Reason.NO_PIXEL_DATA, "the file holds no pixel data")
    layout = _layout(header, elements, pixels)
    if is_encapsulated(header.transfer_syntax_uid) != (pixels.length_bytes is None):
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data are not encoded as the file says")
    if pixels.length_bytes is None:
        data = b"".join(window.read(position, count) for position, count in pixels.fragments[1:])
    else:
        # A deflated data set can only be read forward: start again.
        window = open_window(file, offset=offset, length=length, is_deflated=is_deflated)
        data = window.read(pixels.position, min(layout.size_bytes, pixels.length_bytes))
    return decode(data, transfer_syntax_uid=header.transfer_syntax_uid, layout=layout), elements


def _layout(header: InstanceHeader, elements: Elements, pixels: PixelData) -> Layout:
    rows, columns, samples = header.rows or 0, header.columns or 0, header.samples_per_pixel or 1
    if rows < 1 or columns < 1:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "rows or columns are missing")
    allocated = header.bits_allocated or 0
    if allocated not in (8, 16) or samples not in (1, 3) or pixels.tag != PIXEL_DATA:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "only 8 and 16 bit integer pixels are read")
    if (header.number_of_frames or 1) > 1:
        raise UnsupportedImage(Reason.MULTI_FRAME, "the image has more than one frame")
    layout = Layout(
        rows,
        columns,
        samples,
        allocated,
        is_planar=short(elements.values.get(PLANAR_CONFIGURATION), elements.byte_order) == 1,
        is_big_endian=elements.byte_order == ">",
        is_words=pixels.is_words,
    )
    if layout.size_bytes > MAX_DECODED_BYTES:
        raise UnsupportedImage(Reason.LIMIT_EXCEEDED, "the image is larger than 2 GiB when decoded")
    return layout


def _grey_channel(raw: Raw, header: InstanceHeader) -> Raw:
    """Take a colour picture that shows no colour, such as a screenshot, as grey."""
    photometric = header.photometric_interpretation or ""
    channels = raw.astype(np.int32)
    if photometric.startswith("YBR_FULL") and not is_encapsulated(header.transfer_syntax_uid):
        spread = np.abs(channels[..., 1:] - 128).max()
    elif photometric == "RGB" or photometric.startswith("YBR"):
        spread = np.ptp(channels, axis=2).max()
    else:
        spread = np.int32(_GREY_TOLERANCE + 1)
    if header.bits_allocated != 8 or spread > _GREY_TOLERANCE:
        raise UnsupportedImage(Reason.COLOUR_IMAGE, "a colour picture, not a radiograph")
    return np.ascontiguousarray(raw[..., 0])


__all__ = ["SUPPORTED_TRANSFER_SYNTAXES", "Grey", "Stored", "look_up", "read_frame", "read_grey", "read_stored"]
