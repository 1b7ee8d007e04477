"""The frames of one stored CT or MR file, one at a time: stored values → modality values, Hounsfield units in CT."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import MAX_DECODED_BYTES, Layout, Raw, decode, decoder_name, is_encapsulated
from preprocessing.elements import PIXEL_DATA, PixelData, find_data_set, read_elements
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import DEFLATED_LITTLE_ENDIAN, InstanceHeader, read_header
from preprocessing.planes import VOLUME_CLASSES
from preprocessing.spans import Spans, fragment_spans
from preprocessing.windows import HeaderRefused, Window, open_window

_PIECE_BYTES: Final = 1 << 20

AIR_HU: Final = np.float32(-1024)
NOTHING: Final[Mapping[str, np.float32]] = {"CT": AIR_HU, "MR": np.float32(0)}
"""What padding outside the scanner's field of view becomes: air (STANDARDS PIX-20), no signal."""


class FrameFile:
    """A stored file of one image with one frame or many.

    Args:
        path: A Part 10 file.

    Raises:
        UnsupportedImage: It cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            with path.open("rb") as file:
                syntax, self._offset = find_data_set(file)
                self._length = file.seek(0, 2) - self._offset
                self.header: InstanceHeader = read_header(
                    file, transfer_syntax_uid=syntax or "", offset=self._offset, length=self._length
                )
        except HeaderRefused as error:
            raise UnsupportedImage(Reason.STORED_FILE_DAMAGED, "a stored file cannot be read") from error

    @property
    def decoder(self) -> str:
        """Which decoder gives the pixels."""
        return decoder_name(self.header.transfer_syntax_uid)

    def values(self, frame: int) -> NDArray[np.float32]:
        """Return the modality values of a frame (the first is 1), (rows, columns), float32; padding as `NOTHING`.

        The stored values of an MR image without a rescale are its modality values (PS3.3 C.8.3.1 has none).

        Raises:
            UnsupportedImage: Missing, damaged, too large, or without a rescale that makes modality values.
        """
        kind = VOLUME_CLASSES.get(self.header.sop_class_uid or "", "CT")
        rescale = self.header.planes[frame - 1].rescale or ((1.0, 0.0) if kind == "MR" else None)
        if rescale is None or rescale[0] == 0:
            raise UnsupportedImage(Reason.CONTRADICTORY_HEADER, "no rescale from stored to modality values")
        raw = decode(self._bytes(frame), transfer_syntax_uid=self.header.transfer_syntax_uid, layout=self._layout)
        stored = _signed(raw, self.header)
        values = stored.astype(np.float32) * np.float32(rescale[0]) + np.float32(rescale[1])
        if self.header.pixel_padding_value is not None:
            values[_is_padding(raw, stored, self.header)] = NOTHING[kind]
        return values

    def digest(self, frame: int) -> str:
        """Return the SHA-256 of a frame's stored bytes and of what they mean. Raises UnsupportedImage."""
        header = self.header
        means = (header.transfer_syntax_uid, self._layout, header.bits_stored, header.high_bit)
        text = repr((*means, header.pixel_representation, header.photometric_interpretation))
        digest = hashlib.sha256(text.encode())
        for piece in self._pieces(frame):
            digest.update(piece)
        return digest.hexdigest()

    @cached_property
    def _layout(self) -> Layout:
        return self._found[0]

    @cached_property
    def _spans(self) -> list[Spans]:
        return self._found[1]

    @cached_property
    def _found(self) -> tuple[Layout, list[Spans]]:
        """Where the pixels are and how they lie; only of a file whose pixels are asked for."""
        syntax = self.header.transfer_syntax_uid
        try:
            with self._path.open("rb") as file:
                window = self._window(file)
                found = read_elements(window, transfer_syntax_uid=syntax, wanted={})
                if found.pixel_data is None or not self.header.has_pixel_data:
                    raise UnsupportedImage(Reason.NO_PIXEL_DATA, "a file of the series holds no pixel data")
                layout = _layout(self.header, found.pixel_data, is_big_endian=found.byte_order == ">")
                return layout, _frame_spans(found.pixel_data, self.header, layout, window)
        except HeaderRefused as error:
            raise UnsupportedImage(Reason.STORED_FILE_DAMAGED, "a stored file cannot be read") from error

    def _bytes(self, frame: int) -> bytes:
        return b"".join(self._pieces(frame))

    def _pieces(self, frame: int) -> Iterator[bytes]:
        if not 1 <= frame <= len(self._spans):
            raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data hold fewer frames than the header says")
        try:
            with self._path.open("rb") as file:
                window = self._window(file)
                for position, length in self._spans[frame - 1]:
                    for start in range(0, length, _PIECE_BYTES):
                        yield window.read(position + start, min(_PIECE_BYTES, length - start))
        except HeaderRefused as error:
            raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data end too early") from error

    def _window(self, file: BinaryIO) -> Window:
        is_deflated = self.header.transfer_syntax_uid == DEFLATED_LITTLE_ENDIAN
        return open_window(file, offset=self._offset, length=self._length, is_deflated=is_deflated)


def _layout(header: InstanceHeader, pixels: PixelData, *, is_big_endian: bool) -> Layout:
    rows, columns, allocated = header.rows or 0, header.columns or 0, header.bits_allocated or 0
    if (header.samples_per_pixel or 1) != 1 or header.photometric_interpretation not in ("MONOCHROME2", None):
        raise UnsupportedImage(Reason.COLOUR_IMAGE, "a slice that is not grey, or is stored inverted")
    if rows < 1 or columns < 1 or allocated not in (8, 16) or pixels.tag != PIXEL_DATA:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "only 8 and 16 bit integer pixels are read")
    layout = Layout(rows, columns, 1, allocated, False, is_big_endian, pixels.is_words)
    if layout.size_bytes > MAX_DECODED_BYTES:
        raise UnsupportedImage(Reason.LIMIT_EXCEEDED, "a slice is larger than 2 GiB when decoded")
    if is_encapsulated(header.transfer_syntax_uid) != (pixels.length_bytes is None):
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the pixel data are not encoded as the file says")
    return layout


def _frame_spans(pixels: PixelData, header: InstanceHeader, layout: Layout, window: Window) -> list[Spans]:
    """Return for each frame that has a plane where its bytes are; the header may well claim a billion frames."""
    frames = max(1, header.number_of_frames or 1)
    if pixels.length_bytes is not None:
        size = layout.size_bytes
        count = min(frames, pixels.length_bytes // size, len(header.planes))
        return [((pixels.position + index * size, size),) for index in range(count)]
    return fragment_spans(pixels, window, frames=frames)


def _is_padding(raw: Raw, stored: NDArray[np.int32], header: InstanceHeader) -> NDArray[np.bool_]:
    """Tell which pixels hold nothing (PS3.3 C.7.5.1.1.2): the padding value, or all from it to the range's limit."""
    value = header.pixel_padding_value or 0
    if header.pixel_padding_range_limit is not None:
        low, high = sorted(_padding(pattern, header) for pattern in (value, header.pixel_padding_range_limit))
        is_padding: NDArray[np.bool_] = (stored >= low) & (stored <= high)
    else:  # some writers set the whole word to a value that the stored bits cannot hold
        is_padding = (raw == value) | (stored == _padding(value, header))
    return is_padding


def _padding(pattern: int, header: InstanceHeader) -> int:
    return pattern - (1 << 16) if header.pixel_representation == 1 and pattern >> 15 else pattern


def _signed(raw: Raw, header: InstanceHeader) -> NDArray[np.int32]:
    """Return stored values: the bits that are stored, with their sign (PS3.5 section 8.1)."""
    stored = header.bits_stored or 8 * raw.dtype.itemsize
    width = 8 * raw.dtype.itemsize
    if stored > width:  # a codestream may be narrower than the header allows
        stored = width
    shift = max(0, (header.high_bit if header.high_bit is not None else stored - 1) + 1 - stored)
    patterns: NDArray[Any] = (raw.astype(np.int32) >> shift) & ((1 << stored) - 1)
    if header.pixel_representation == 1:
        patterns = patterns - ((patterns >> (stored - 1)) << stored)
    return patterns.astype(np.int32, copy=False)
