"""Where frames lie, read by the bounded reader: functional groups of every form, nonsense, and no end of items."""

from __future__ import annotations

import io
from typing import Any

import pytest
from pydicom import Dataset, dcmwrite
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from preprocessing.elements import find_data_set
from preprocessing.header import InstanceHeader, from_json, read_header, to_json
from preprocessing.planes import numbers
from preprocessing.windows import HeaderRefused
from tests.preprocessing.headers import header_of
from tests.volumes import make_enhanced, make_series


def item(**attributes: Any) -> Dataset:
    made = Dataset()
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    return made


def written(dataset: Dataset, syntax: str) -> InstanceHeader:
    dataset.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    is_big = syntax == ExplicitVRBigEndian
    dcmwrite(buffer, dataset, enforce_file_format=True, implicit_vr=syntax == ImplicitVRLittleEndian,
             little_endian=not is_big)  # fmt: skip
    stated, offset = find_data_set(buffer)
    return read_header(buffer, transfer_syntax_uid=stated or "", offset=offset, length=buffer.seek(0, 2) - offset)


def enhanced() -> Dataset:
    image = make_enhanced(make_series(4))
    for n, frame in enumerate(image.PerFrameFunctionalGroupsSequence):
        frame.FrameContentSequence[0].DimensionIndexValues = [1, 70_000 + n]
        frame.FrameContentSequence[0].TemporalPositionIndex = n + 1
        frame.FrameContentSequence[0].FrameAcquisitionNumber = 513
        frame.MREchoSequence = [item(EffectiveEchoTime=12.25)]
        frame.MRDiffusionSequence = [item(DiffusionBValue=1000.0)]
    return image


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_functional_groups_read_the_same_in_every_encoding(syntax: str) -> None:
    header = written(enhanced(), syntax)

    assert len(header.planes) == 4
    assert dict(header.planes[2].marks) == {
        "stack": "1", "temporal_position": "3", "echo_time": "12.25", "b_value": "1000", "acquisition": "513",
        "dimension_1": "1", "dimension_2": "70002",
    }  # fmt: skip
    assert header.planes[2].rescale == (1.0, -1024.0)
    assert header.planes[2].image_type == ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
    assert header.planes == written(enhanced(), ExplicitVRLittleEndian).planes
    assert from_json(to_json(header)) == header


def test_what_a_frame_says_stands_above_what_all_share() -> None:
    image = enhanced()
    image.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence = [item(PixelSpacing=[9, 8])]

    spacings = [plane.spacing_mm for plane in header_of(image).planes]

    assert spacings == [(1.5, 1.25), (9.0, 8.0), (1.5, 1.25), (1.5, 1.25)]


def test_values_elsewhere_in_a_frame_are_not_taken_for_its_own() -> None:
    image = enhanced()
    stray = item(ImagePositionPatient=[7, 7, 7], PixelSpacing=[7, 7], ImageOrientationPatient=[0] * 6)
    for frame in image.PerFrameFunctionalGroupsSequence:
        frame.DerivationImageSequence = [item(SourceImageSequence=[stray])]
        frame.FrameContentSequence[0].ImagePositionPatient = [7, 7, 7]
    expected = header_of(enhanced()).planes

    found = header_of(image).planes

    assert [plane.position_mm for plane in found] != [(7.0, 7.0, 7.0)] * 4
    assert [plane.spacing_mm for plane in found] == [plane.spacing_mm for plane in expected]
    assert [plane.orientation for plane in found] == [plane.orientation for plane in expected]


def test_second_item_of_a_group_counts_for_nothing() -> None:
    image = enhanced()
    for frame in image.PerFrameFunctionalGroupsSequence:
        frame.PlanePositionSequence.append(item(ImagePositionPatient=[7, 7, 7]))

    assert [p.position_mm for p in header_of(image).planes] == [p.position_mm for p in header_of(enhanced()).planes]


def test_items_without_end_are_refused() -> None:
    image = make_enhanced(make_series(1))
    image.PerFrameFunctionalGroupsSequence = [Dataset() for _ in range(50_001)]

    with pytest.raises(HeaderRefused) as refused:
        header_of(image)

    assert refused.value.kind == "limit"


@pytest.mark.parametrize(
    ("raw", "count", "expected"),
    [
        (b"1\\2\\3", 3, (1.0, 2.0, 3.0)),
        (b" 1,5 \\-2e1", 2, (1.5, -20.0)),
        (b"1\\x\\2\\3", 3, None),
        (b"1\\2", 3, None),
        (b"1\\\\3", 3, None),
        (b"nan\\1\\1", 3, None),
        (b"inf\\1\\1", 3, None),
        (b"", 3, None),
        (None, 3, None),
    ],
)
def test_part_of_a_vector_is_no_vector(raw: bytes | None, count: int, expected: tuple[float, ...] | None) -> None:
    assert numbers(raw, count) == expected


def test_header_from_before_planes_were_read_has_none() -> None:
    values = to_json(header_of(make_series(1)[0]))
    for name in ("planes", "gantry_tilt_degrees", "frame_of_reference_uid"):
        del values[name]

    header = from_json(values)

    assert (header.planes, header.gantry_tilt_degrees, header.frame_of_reference_uid) == ((), None, None)
