"""Stored files → Explicit VR Little Endian: the same values, and the pixels never in memory."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread, dcmwrite
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from service.results.dicomweb.explicit import to_explicit
from tests.factories import make_radiograph

SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]


def film(side: int) -> tuple[Dataset, np.ndarray]:  # type: ignore[type-arg]
    pixels = np.random.default_rng(1).integers(0, 4_096, (side, side), dtype=np.uint16)
    dataset = make_radiograph(pixels, Rows=side, Columns=side)
    dataset.WindowCenter = ["40", "50.5"]
    dataset.DataSetTrailingPadding = b"behind"
    dataset.SpecificCharacterSet = "ISO_IR 144"
    dataset.add_new(0x7FE10010, "LO", "Станция")  # a maker's own group stands behind the pixels
    dataset.add_new(0x7FE11002, "LO", "Привет")
    return dataset, pixels


def stored(dataset: Dataset, syntax: str, path: Path) -> Path:
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    dataset.preamble = bytes(128)
    dcmwrite(path, dataset, enforce_file_format=True)
    return path


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_a_file_is_recoded_with_what_is_behind_its_pixels(tmp_path: Path, syntax: str) -> None:
    dataset, pixels = film(1_500)
    path = stored(dataset, syntax, tmp_path / "film.dcm")

    pieces = to_explicit(path, transfer_syntax_uid=syntax, size_bytes=path.stat().st_size)

    assert pieces is not None
    given = dcmread(io.BytesIO(b"".join(pieces)))
    assert given.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert given.WindowCenter == [40, 50.5]
    assert given.DataSetTrailingPadding == b"behind"
    assert given[0x7FE10010].value == "Станция"
    if syntax == ExplicitVRBigEndian:  # where VRs are told, a maker's too
        assert given[0x7FE11002].value == "Привет"
    np.testing.assert_array_equal(given.pixel_array, pixels)


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_pixels_are_recoded_without_being_held(tmp_path: Path, syntax: str) -> None:
    path = stored(film(2_048)[0], syntax, tmp_path / "film.dcm")

    tracemalloc.start()
    pieces = to_explicit(path, transfer_syntax_uid=syntax, size_bytes=path.stat().st_size)
    size = sum(map(len, pieces or ()))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > 8 << 20
    assert peak_bytes < 5 << 20


def test_a_file_that_ends_within_its_pixels_is_not_recoded(tmp_path: Path) -> None:
    path = stored(film(64)[0], ImplicitVRLittleEndian, tmp_path / "film.dcm")
    path.write_bytes(path.read_bytes()[:-1_000])

    assert to_explicit(path, transfer_syntax_uid=ImplicitVRLittleEndian, size_bytes=path.stat().st_size) is None
