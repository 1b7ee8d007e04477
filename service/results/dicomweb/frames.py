"""Frames of a stored instance, as they are stored: native ones as bytes, compressed ones in their own media type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian

from preprocessing.elements import MAX_ITEMS, PixelData, read_elements
from preprocessing.errors import UnsupportedImage
from preprocessing.header import InstanceHeader
from preprocessing.spans import Spans, fragment_spans
from preprocessing.windows import HeaderRefused, Window, open_window
from service.accept import Accepted
from service.archive import Archive, StoredFileDamaged
from service.media_types import MEDIA_TYPES, OCTETS
from service.results.dicomweb.explicit import turned
from service.results.dicomweb.records import StoredInstance
from service.results.dicomweb.wado import EXPLICIT, UNPACKABLE

_CHUNK = 1 << 20
_WORDS = {16: 2, 32: 4, 64: 8}
"""Bytes of a word by Bits Allocated: whatever else a file says, its bytes are given as they are."""


class NoSuchFrame(LookupError):
    """The instance has no such frame, or its pixel data is not whole."""


@dataclass(frozen=True, slots=True)
class FrameForm:
    """How frames are sent."""

    content_type: str
    is_multipart: bool
    is_unpacked: bool = False
    """A decode child has to decode them first."""


def frame_form(instance: StoredInstance, accepted: Sequence[Accepted], *, count: int) -> FrameForm | None:
    """Return how an instance's frames can be sent so that the client takes them; None when it takes no such thing."""
    stored = instance.transfer_syntax_uid
    own_type = MEDIA_TYPES.get(stored)
    for one in accepted:
        if not one.is_multipart and count != 1:
            continue
        if own_type is None and one.takes(OCTETS) and one.transfer_syntax in (None, "*", EXPLICIT):
            return FrameForm(f"{OCTETS}; transfer-syntax={EXPLICIT}", one.is_multipart)
        if own_type is not None and one.takes(own_type) and one.transfer_syntax in (None, "*", stored):
            return FrameForm(f"{own_type}; transfer-syntax={stored}", one.is_multipart)
        # Fast viewers ask for bytes "as stored" and read the transfer syntax from the part.
        if own_type is not None and one.takes(OCTETS) and one.transfer_syntax in ("*", stored):
            return FrameForm(f"{OCTETS}; transfer-syntax={stored}", one.is_multipart)
        is_plain = one.takes(OCTETS) and one.transfer_syntax in (None, EXPLICIT)
        if own_type is not None and is_plain and stored in UNPACKABLE:
            return FrameForm(f"{OCTETS}; transfer-syntax={EXPLICIT}", one.is_multipart, is_unpacked=True)
    return None


class Frames:
    """The frames of one stored instance.

    Args:
        archive: Where the file is.
        instance: Which one.

    Raises:
        NoSuchFrame: There are no pixels, or the header does not tell where one frame ends.
    """

    def __init__(self, archive: Archive, instance: StoredInstance) -> None:
        self._archive = archive
        self._path: Path = archive.path(instance.site_id, instance.content_sha256)
        self._instance = instance
        self._is_deflated = instance.transfer_syntax_uid == str(DeflatedExplicitVRLittleEndian)
        try:
            with self._path.open("rb") as file:
                window = self._window(file)
                found = read_elements(window, transfer_syntax_uid=instance.transfer_syntax_uid, wanted={}).pixel_data
                if found is None:
                    raise NoSuchFrame("no pixel data")
                self._spans = _spans(found, instance.header, window)
        except (HeaderRefused, StoredFileDamaged, UnsupportedImage, FileNotFoundError) as error:
            raise NoSuchFrame("pixel data damaged") from error

    @property
    def count(self) -> int:
        """How many frames there are."""
        return len(self._spans)

    def frame(self, number: int) -> Iterator[bytes]:
        """Give the bytes of a frame, the first of which is 1. Raises NoSuchFrame before the first byte."""
        return self._bytes(self.spans(number))

    def spans(self, number: int) -> Sequence[tuple[int, int]]:
        """Return position and length of a frame's pieces in the (inflated) data set. Raises NoSuchFrame."""
        if not 1 <= number <= self.count:
            raise NoSuchFrame(str(number))
        return self._spans[number - 1]

    def _bytes(self, spans: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        swapped = self._instance.transfer_syntax_uid == str(ExplicitVRBigEndian)
        word = _WORDS.get(self._instance.header.bits_allocated or 8, 1) if swapped else 1
        with self._path.open("rb") as file:
            window = self._window(file)
            for position, length in spans:
                for start in range(position, position + length, _CHUNK):
                    chunk = window.read(start, min(_CHUNK, position + length - start))
                    yield turned(chunk, word) if word > 1 else chunk

    def _window(self, file: BinaryIO) -> Window:
        offset = self._archive.dataset_offset(file)
        length = self._instance.size_bytes
        return open_window(file, offset=offset, length=length, is_deflated=self._is_deflated)


def _spans(pixels: PixelData, header: InstanceHeader, window: Window) -> list[Spans]:
    """Return for each frame where its bytes are."""
    frames = max(1, header.number_of_frames or 1)
    if frames > MAX_ITEMS:  # nothing so long was ever made, and each frame costs memory here
        raise NoSuchFrame("more frames than are served")
    if pixels.length_bytes is not None:
        # Two pixels share their colours in this one; every other uncompressed form has whole samples.
        samples = 2 if header.photometric_interpretation == "YBR_FULL_422" else header.samples_per_pixel or 1
        bits = (header.rows or 0) * (header.columns or 0) * samples * (header.bits_allocated or 0)
        size = (bits + 7) // 8
        if size == 0 or (bits % 8 and frames > 1):
            raise NoSuchFrame("frames cannot be told apart")
        frames = min(frames, pixels.length_bytes // size)
        return [((pixels.position + index * size, size),) for index in range(frames)]
    return fragment_spans(pixels, window, frames=frames)
