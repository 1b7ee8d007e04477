"""One binary value of a stored file, by the address that the metadata name; a long one is never whole in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataelem import RawDataElement
from pydicom.uid import ExplicitVRBigEndian

from preprocessing.datasets import read_dataset
from service.results.dicomweb.explicit import PYDICOM_ERRORS, UNDEFINED, WORD_BYTES, turned, value_pieces
from service.results.dicomweb.metadata import KEEPING, written_vr


@dataclass(frozen=True, slots=True)
class Bulk:
    """A binary value.

    Attributes:
        size_bytes: Its length.
        pieces: Its bytes, in little endian.
    """

    size_bytes: int
    pieces: Iterator[bytes]


def open_bulk(path: Path, transfer_syntax_uid: str, steps: Sequence[str]) -> Bulk | None:
    """Return one binary value of a stored file; None when there is none at this path, or it stands in fragments.

    Args:
        path: A file of the archive.
        transfer_syntax_uid: As it is stored.
        steps: Tags of eight hexadecimal digits, an item's index from 0 after that of each sequence.
    """
    try:
        with path.open("rb") as file:
            dataset = read_dataset(file, transfer_syntax_uid=transfer_syntax_uid, keeping=KEEPING)
        for tag, index in zip(steps[:-1:2], steps[1:-1:2], strict=True):
            dataset = dataset[int(tag, 16)].value[int(index)]
        raw = dataset.get_item(int(steps[-1], 16), keep_deferred=True)
        if isinstance(raw, RawDataElement):
            if raw.length == UNDEFINED:
                return None
            if raw.value is None:
                return Bulk(raw.length, value_pieces(path, transfer_syntax_uid, raw, written_vr(raw)))
        read = dataset[int(steps[-1], 16)]
    except PYDICOM_ERRORS:
        return None
    if not isinstance(read.value, bytes):
        return None
    width = WORD_BYTES.get(read.VR, 1) if transfer_syntax_uid == str(ExplicitVRBigEndian) else 1
    return Bulk(len(read.value), iter([turned(read.value, width)]))
