"""Series of slices with known answers: order, spacing, tilt, gaps, copies, several stacks, and what stands apart."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom import Dataset, dcmread

from preprocessing.geometry import to_patient, to_voxels
from preprocessing.header import InstanceHeader, from_json, to_json
from preprocessing.problems import ProblemCode
from preprocessing.series import SeriesGeometry, Why, arrange
from preprocessing.stacking import Slice, Stack
from tests.preprocessing.headers import headers_of
from tests.volumes import AXIAL, make_enhanced, make_series

CORONAL = (1, 0, 0, 0, 0, -1)
SAGITTAL = (0, 1, 0, 0, 0, -1)
OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
FEET_FIRST = (-1, 0, 0, 0, 1, 0)


def codes(problems: Sequence[Any]) -> list[str]:
    return [problem.code.value for problem in problems]


def one_stack(geometry: SeriesGeometry) -> Stack:
    [stack] = geometry.stacks
    return stack


def numbers(stack: Stack, slices: Sequence[Dataset]) -> list[int]:
    return [int(slices[one.image].InstanceNumber) for one in stack.order]


# ------------------------------------------------------------ order, spacing and affine


@pytest.mark.parametrize("cosines", [AXIAL, CORONAL, SAGITTAL, OBLIQUE, FEET_FIRST])
@pytest.mark.parametrize("seed", [0, 1])
def test_shuffled_slices_come_out_by_position_with_the_affine_of_an_independent_library(
    cosines: tuple[float, ...], seed: int
) -> None:
    slices = make_series(7, cosines=cosines, middle_mm=(12, -30, 200))
    random.Random(seed).shuffle(slices)

    stack = one_stack(arrange(headers_of(slices)))

    assert numbers(stack, slices) == [1, 2, 3, 4, 5, 6, 7]
    assert stack.is_volume
    assert stack.shape == (7, 48, 40)
    assert stack.spacing_mm == pytest.approx((3.0, 1.5, 1.25), abs=1e-4)
    agrees_with_highdicom(stack, slices)


def agrees_with_highdicom(stack: Stack, slices: Sequence[Dataset]) -> None:
    """Compare where voxels lie: highdicom counts (slice, row, column), and its slices from the other end."""
    volume = hd.get_volume_from_series(list(slices))
    places = np.array([(0, 0, 0), (5, 3, 2), (1, 7, 0)], float)  # column, row, slice
    theirs = places[:, ::-1].copy()
    if float(np.asarray(stack.affine)[:3, 2] @ volume.affine[:3, 0]) < 0:
        theirs[:, 0] = stack.shape[0] - 1 - theirs[:, 0]
    expected = theirs @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    assert stack.affine is not None
    assert to_patient(stack.affine, places) == pytest.approx(expected, abs=1e-3)
    assert to_voxels(stack.affine, expected) == pytest.approx(places, abs=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_what_is_a_stack_does_not_depend_on_who_came_first(seed: int) -> None:
    # Cosines that drift from slice to slice by rounding, then by more than rounding.
    slices = make_series(9)
    for index, one in enumerate(slices):
        one.ImageOrientationPatient = [1, 0, 0, 0, 1, round(0.0006 * index, 4)]
    order = random.Random(seed).sample(range(9), 9)

    expected, shuffled = arrange(headers_of(slices)), arrange(headers_of([slices[n] for n in order]))

    assert [[order[one.image] for one in stack.order] for stack in shuffled.stacks] == [
        [one.image for one in stack.order] for stack in expected.stacks
    ]
    assert [stack.affine for stack in shuffled.stacks] == [stack.affine for stack in expected.stacks]


def test_numbers_thickness_and_stated_spacing_are_no_order_and_no_distance() -> None:
    slices = make_series(6, distance_mm=2.5)
    for number, one in zip((3, 3, 900, -1, 0, 7), slices, strict=True):
        one.InstanceNumber, one.SliceLocation, one.SpacingBetweenSlices = number, 100 - number, 77

    stack = one_stack(arrange(headers_of(slices[::-1])))

    assert [one.image for one in stack.order] == [5, 4, 3, 2, 1, 0]
    assert stack.spacing_mm is not None
    assert stack.spacing_mm[0] == pytest.approx(2.5)


@pytest.mark.parametrize("degrees", [3.0, 18.0, -25.0])
def test_tilted_gantry_is_measured_and_each_slice_lies_where_it_says(degrees: float) -> None:
    # The planes lean about the patient's left-right axis; the table moves along his long axis.
    radians = np.radians(degrees)
    cosines = (1, 0, 0, 0, np.cos(radians), np.sin(radians))
    slices = make_series(9, cosines=cosines, step_mm=(0, 0, 4.0), GantryDetectorTilt=degrees)

    stack = one_stack(arrange(headers_of(slices)))

    assert codes(stack.problems) == ["tilted"]
    assert stack.is_volume
    assert stack.tilt_degrees == pytest.approx(abs(degrees), abs=1e-3)
    assert stack.spacing_mm is not None
    assert stack.spacing_mm[0] == pytest.approx(4.0 * np.cos(radians), abs=1e-4)
    for k, one in enumerate(slices):
        there = hd.spatial.PixelToReferenceTransformer(
            one.ImagePositionPatient, one.ImageOrientationPatient, one.PixelSpacing
        )(np.array([[3, 5]]))
        assert stack.affine is not None
        assert to_patient(stack.affine, np.array([[3.0, 5.0, k]])) == pytest.approx(there, abs=1e-4)


def test_tilt_in_the_header_that_the_positions_do_not_show_is_refused() -> None:
    stack = one_stack(arrange(headers_of(make_series(6, GantryDetectorTilt=15.0))))

    assert codes(stack.problems) == ["tilt_contradicted"]
    assert stack.affine is None


# ------------------------------------------------------------ gaps, distances, copies


@pytest.mark.parametrize(
    ("left_out", "gaps"),
    [
        ((4,), [(1, 4, 6)]),
        ((4, 5), [(2, 4, 7)]),
        ((2, 7, 8), [(1, 2, 4), (2, 7, 10)]),
        ((1, 3, 5, 7), [(4, 1, 9)]),
    ],
)
def test_missing_slices_are_counted_between_the_numbers_beside_them(
    left_out: tuple[int, ...], gaps: list[tuple[int, int, int]]
) -> None:
    slices = [one for index, one in enumerate(make_series(14)) if index not in left_out]

    stack = one_stack(arrange(headers_of(slices)))

    assert [(p.code, p.count, p.first, p.last) for p in stack.problems] == [
        (ProblemCode.SLICES_MISSING, *gap) for gap in gaps
    ]
    assert not stack.is_volume
    assert stack.affine is None


@pytest.mark.parametrize(("jitter_mm", "is_volume"), [(0.01, True), (0.5, False)])
def test_uneven_distances_are_told_from_rounding(jitter_mm: float, is_volume: bool) -> None:
    slices = make_series(10)
    x, y, z = map(float, slices[4].ImagePositionPatient)
    slices[4].ImagePositionPatient = [x, y, round(z + jitter_mm, 3)]

    stack = one_stack(arrange(headers_of(slices)))

    assert stack.is_volume == is_volume
    assert codes(stack.problems) == ([] if is_volume else ["spacing_irregular"])


def test_small_differences_that_add_up_to_another_lattice_are_refused() -> None:
    slices = make_series(60)
    depth = 0.0
    for index, one in enumerate(slices):
        one.ImagePositionPatient = [0, 0, round(depth, 4)]
        depth += 3.0 * (1.009 if index < 30 else 0.991)

    assert codes(one_stack(arrange(headers_of(slices))).problems) == ["spacing_irregular"]


def test_slice_shifted_within_its_plane_is_refused() -> None:
    slices = make_series(10)
    x, y, z = map(float, slices[6].ImagePositionPatient)
    slices[6].ImagePositionPatient = [x + 5, y, z]

    assert codes(one_stack(arrange(headers_of(slices))).problems) == ["slices_shifted"]


def test_copy_is_left_out_and_a_slice_that_differs_is_refused() -> None:
    slices = make_series(8)
    headers = headers_of([*slices, slices[3]])

    same = one_stack(arrange(headers, lambda one, other: True))
    other = one_stack(arrange(headers, lambda one, other: False))
    unknown = one_stack(arrange(headers))

    assert (codes(same.problems), same.is_volume, len(same.order)) == (["duplicates"], True, 8)
    assert [(one.why, len(one.order)) for one in arrange(headers, lambda one, other: True).apart] == [(Why.COPY, 1)]
    assert (codes(other.problems), other.is_volume, len(other.order)) == (["duplicates_differ"], False, 9)
    assert codes(unknown.problems) == ["duplicates_differ"]


@pytest.mark.parametrize("twins", [[6], list(range(10))])
def test_missing_slices_are_told_beside_slices_that_differ(twins: list[int]) -> None:
    slices = [one for index, one in enumerate(make_series(12)) if index not in (4, 5)]

    stack = one_stack(arrange(headers_of([*slices, *(slices[n] for n in twins)]), lambda one, other: False))

    assert codes(stack.problems) == ["duplicates_differ" if len(twins) == 1 else "repeated", "slices_missing"]
    assert (stack.problems[1].count, stack.is_volume) == (2, False)


def test_slices_that_come_back_to_every_position_unexplained_are_told_as_that() -> None:
    slices = make_series(8)

    stack = one_stack(arrange(headers_of([*slices, *slices, *slices]), lambda one, other: False))

    assert [(p.code.value, p.count) for p in stack.problems] == [("repeated", 3)]
    assert not stack.is_volume


def test_series_that_came_twice_is_one_volume() -> None:
    slices = make_series(8)

    stack = one_stack(arrange(headers_of([*slices, *slices]), lambda one, other: True))

    assert (codes(stack.problems), stack.is_volume, len(stack.order)) == (["duplicates"], True, 8)


def test_copy_with_another_rescale_is_no_copy() -> None:
    slices = make_series(8)
    twin = make_series(8)[3]
    twin.RescaleIntercept, twin.FrameOfReferenceUID = -1000, slices[0].FrameOfReferenceUID

    stack = one_stack(arrange(headers_of([*slices, twin]), lambda one, other: True))

    assert codes(stack.problems) == ["duplicates_differ"]


def test_slices_that_all_claim_one_place_are_refused() -> None:
    slices = make_series(5)
    for one in slices:
        one.ImagePositionPatient = [0, 0, 0]

    assert codes(one_stack(arrange(headers_of(slices))).problems) == ["position_constant"]


# ------------------------------------------------------------ what headers leave out


@pytest.mark.parametrize(
    ("keyword", "value", "code"),
    [
        ("ImagePositionPatient", None, "position_missing"),
        ("ImagePositionPatient", [1.0, 2.0], "position_missing"),
        ("ImageOrientationPatient", None, "orientation_missing"),
        ("ImageOrientationPatient", [0, 0, 0, 0, 0, 0], "orientation_degenerate"),
        ("ImageOrientationPatient", [1, 0, 0, 1, 0, 0], "orientation_degenerate"),
        ("ImageOrientationPatient", [2, 0, 0, 0, 2, 0], "orientation_degenerate"),
        ("PixelSpacing", None, "spacing_missing"),
        ("PixelSpacing", [0, 0], "spacing_missing"),
        ("PixelSpacing", [-1, 1], "spacing_missing"),
    ],
)
def test_slice_that_does_not_say_where_it_is_refuses_the_series(keyword: str, value: Any, code: str) -> None:
    slices = make_series(6)
    setattr(slices[2], keyword, value)

    geometry = arrange(headers_of(slices))

    assert codes(geometry.problems) == [code]
    assert geometry.volume is None
    assert [(one.why, len(one.order)) for one in geometry.apart] == [(Why.UNPLACED, 1)]


def test_one_slice_is_no_volume() -> None:
    assert codes(one_stack(arrange(headers_of(make_series(1)))).problems) == ["single_slice"]


def test_nothing_is_no_volume() -> None:
    assert codes(arrange([]).problems) == ["no_slices"]


# ------------------------------------------------------------ several stacks, and what stands apart


def test_two_echoes_are_two_stacks_and_neither_is_chosen() -> None:
    short, long = make_series(6, EchoTime=10), make_series(6, EchoTime=80)
    for one in long:
        one.SeriesInstanceUID, one.FrameOfReferenceUID = short[0].SeriesInstanceUID, short[0].FrameOfReferenceUID
    mixed = [one for pair in zip(short, long, strict=True) for one in pair]

    geometry = arrange(headers_of(mixed))

    assert [stack.shape for stack in geometry.stacks] == [(6, 48, 40)] * 2
    assert [{float(mixed[one.image].EchoTime) for one in s.order} for s in geometry.stacks] == [{10.0}, {80.0}]
    assert all(stack.is_volume for stack in geometry.stacks)
    assert (codes(geometry.problems), geometry.volume) == (["several_stacks"], None)


@pytest.mark.parametrize("keyword", ["AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime"])
def test_phases_at_the_same_positions_are_told_apart(keyword: str) -> None:
    slices = [one for phase in (1, 2, 3) for one in make_series(5, **{keyword: phase})]
    for one in slices:
        one.FrameOfReferenceUID = slices[0].FrameOfReferenceUID

    assert [len(stack.order) for stack in arrange(headers_of(slices)).stacks] == [5, 5, 5]


def test_mark_that_differs_from_slice_to_slice_splits_nothing() -> None:
    slices = make_series(8)
    for index, one in enumerate(slices):
        one.AcquisitionNumber = index
    copy = make_series(8, AcquisitionNumber=99)[3]
    copy.FrameOfReferenceUID = slices[0].FrameOfReferenceUID

    stack = one_stack(arrange(headers_of([*slices, copy]), lambda one, other: True))

    assert codes(stack.problems) == ["duplicates"]


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ({"cosines": CORONAL}, (48, 40)),
        ({"spacing_mm": (0.5, 0.5)}, (48, 40)),
        ({"ConvolutionKernel": "B70f"}, (48, 40)),
        ({}, (24, 24)),
    ],
)
def test_stacks_of_another_orientation_spacing_kernel_or_size_are_never_mixed(
    attributes: dict[str, Any], size: tuple[int, int]
) -> None:
    first, second = make_series(6), make_series(5, size=size, **attributes)
    for one in second:
        one.FrameOfReferenceUID = first[0].FrameOfReferenceUID

    geometry = arrange(headers_of([*first, *second]))

    assert [len(stack.order) for stack in geometry.stacks] == [6, 5]
    assert geometry.volume is None


def test_scouts_odd_slices_screens_and_reformats_stand_apart() -> None:
    slices = make_series(30)
    scouts = make_series(2, cosines=CORONAL, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])
    odd = make_series(2, size=(16, 16))
    derived = make_series(12, cosines=SAGITTAL, ImageType=["DERIVED", "SECONDARY", "MPR"])
    [screen] = make_series(1)
    screen.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    everything = [*scouts, *slices, *odd, *derived, screen]
    for one in everything:
        one.FrameOfReferenceUID = slices[0].FrameOfReferenceUID

    geometry = arrange(headers_of(everything))

    assert {one.why: len(one.order) for one in geometry.apart} == {
        Why.LOCALIZER: 2, Why.ODD: 2, Why.DERIVED: 12, Why.OTHER_KIND: 1,
    }  # fmt: skip
    assert geometry.volume is not None
    assert len(geometry.volume.order) == 30


def test_series_of_reformats_alone_is_shown_in_order_and_refused() -> None:
    stack = one_stack(arrange(headers_of(make_series(6, ImageType=["DERIVED", "SECONDARY", "MPR"]))))

    assert (codes(stack.problems), stack.is_volume) == (["derived"], False)
    assert stack.affine is not None


# ------------------------------------------------------------ enhanced multi-frame


def test_enhanced_image_gives_what_its_slices_give_whatever_the_order_of_frames() -> None:
    slices = make_series(9, cosines=OBLIQUE)
    turned = [slices[n] for n in (4, 0, 8, 1, 7, 2, 6, 3, 5)]

    [header] = headers_of([make_enhanced(turned)])
    frames, singles = one_stack(arrange([header])), one_stack(arrange(headers_of(slices)))

    assert from_json(to_json(header)) == header
    assert [one.frame for one in frames.order] == [2, 4, 6, 8, 1, 9, 7, 5, 3]
    assert frames.affine == singles.affine
    assert (frames.shape, frames.spacing_mm) == (singles.shape, singles.spacing_mm)


def test_dimensions_of_an_enhanced_image_tell_its_phases_apart() -> None:
    slices = make_series(5)
    marks = [{"DimensionIndexValues": [1, phase, n + 1]} for phase in (1, 2) for n in range(5)]

    geometry = arrange(headers_of([make_enhanced([*slices, *slices], marks)]))

    assert [[one.frame for one in stack.order] for stack in geometry.stacks] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]


def test_gap_in_an_enhanced_image_is_told_by_its_frames() -> None:
    slices = make_series(9)

    [problem] = one_stack(arrange(headers_of([make_enhanced([*slices[:4], *slices[6:]])]))).problems

    assert (problem.count, problem.first, problem.last) == (2, 4, 5)


def test_functional_groups_of_another_number_of_frames_are_refused() -> None:
    image = make_enhanced(make_series(6))
    del image.PerFrameFunctionalGroupsSequence[3]

    geometry = arrange(headers_of([image]))

    assert codes(geometry.problems) == ["frames_contradict"]
    assert geometry.volume is None


def test_claim_of_two_billion_frames_costs_nothing() -> None:
    [header] = headers_of(make_series(1))

    geometry = arrange([replace(header, number_of_frames=2**31 - 1)])

    assert geometry.apart[0].order == (Slice(0, 0),)
    assert codes(geometry.problems) == ["frames_contradict"]


def test_more_slices_than_anyone_scans_are_not_put_in_order() -> None:
    [header] = headers_of(make_series(1))
    many = replace(header, number_of_frames=7_000, planes=header.planes * 7_000)

    assert codes(arrange([many] * 3).problems) == ["too_many"]


# ------------------------------------------------------------ real files


def test_shared_brain_series_is_one_stack_of_twenty(shared_data: Path) -> None:
    paths = sorted((shared_data / "dicom" / "mr_series").glob("*.dcm"))[::-1]

    stack = one_stack(arrange(headers_of(paths)))

    assert stack.is_volume
    assert stack.shape == (20, 256, 256)
    assert [int(paths[one.image].stem[-3:]) for one in stack.order] == list(range(1, 21))
    assert stack.spacing_mm == pytest.approx((7.0, 0.859375, 0.859375), abs=0.01)
    for k, one in enumerate(stack.order):
        stated = dcmread(paths[one.image], stop_before_pixels=True).ImagePositionPatient
        assert stack.affine is not None
        # Its positions are rounded to a tenth of a millimeter.
        assert to_patient(stack.affine, np.array([[0.0, 0.0, k]]))[0] == pytest.approx([*map(float, stated)], abs=0.2)


def test_shared_ct_slices_agree_with_an_independent_library(shared_data: Path) -> None:
    paths = sorted((shared_data / "dicom" / "ct").glob("ct3slice_*.dcm"))

    stack = one_stack(arrange(headers_of(paths)))

    assert stack.is_volume
    agrees_with_highdicom(stack, [dcmread(path) for path in paths])


@pytest.mark.parametrize(
    ("name", "shape", "problems"),
    [
        ("ct/eCT_Supplemental.dcm", (2, 512, 512), []),
        ("mr/mr_brucker.dcm", (4, 128, 256), []),
        ("mr/MR_small.dcm", (1, 64, 64), ["derived", "single_slice"]),
    ],
)
def test_shared_files_of_one_image(shared_data: Path, name: str, shape: tuple[int, ...], problems: list[str]) -> None:
    stack = one_stack(arrange(headers_of([shared_data / "dicom" / name])))

    assert (stack.shape, codes(stack.problems)) == (shape, problems)


@pytest.mark.parametrize(
    ("name", "why", "problem"),
    [
        ("ct/jpeg_lossless_sel1.dcm", Why.LOCALIZER, "no_slices"),
        ("ct/MAROTECH_CT_JP2Lossy.dcm", Why.LOCALIZER, "no_slices"),
        ("mr/emri_small.dcm", Why.UNPLACED, "frames_contradict"),
    ],
)
def test_shared_files_that_are_no_stack(shared_data: Path, name: str, why: Why, problem: str) -> None:
    geometry = arrange(headers_of([shared_data / "dicom" / name]))

    assert geometry.stacks == ()
    assert ([one.why for one in geometry.apart], codes(geometry.problems)) == ([why], [problem])


# ------------------------------------------------------------ whatever comes

BASE = headers_of(make_series(12))


@st.composite
def troubled(draw: st.DrawFn) -> list[InstanceHeader]:
    """A sound series with slices lost, doubled, moved, turned, or without what they should say."""
    headers = list(BASE)
    for _ in range(draw(st.integers(0, 4))):
        if not headers:
            break
        at = draw(st.integers(0, len(headers) - 1))
        [plane] = headers[at].planes
        x, y, z = plane.position_mm or (0.0, 0.0, 0.0)
        move = draw(st.floats(-8, 8))
        changes: list[Any] = [
            None,
            replace(plane, position_mm=(x, y, z + move)),
            replace(plane, position_mm=(x + move, y, z)),
            replace(plane, position_mm=None),
            replace(plane, orientation=(1.0, 0.0, 0.0, 0.0, 0.0, move)),
            replace(plane, spacing_mm=(1.5, 1.5)),
            replace(plane, marks=(("acquisition", str(round(move))),)),
        ]
        change = changes[draw(st.integers(0, len(changes) - 1))]
        if change is None:
            headers.pop(at)
        elif draw(st.booleans()):
            headers[at] = replace(headers[at], planes=(change,))
        else:
            headers.append(replace(headers[at], planes=(change,)))
    return draw(st.permutations(headers))


@settings(max_examples=400, deadline=None)
@given(troubled(), st.booleans())
def test_volume_never_misplaces_a_slice_and_no_slice_is_lost(headers: list[InstanceHeader], is_copy: bool) -> None:
    geometry = arrange(headers, lambda one, other: is_copy)

    told = [one for stack in geometry.stacks for one in stack.order] + [s for a in geometry.apart for s in a.order]
    copies = sum(p.count for stack in geometry.stacks for p in stack.problems if p.code is ProblemCode.DUPLICATES)
    assert len(told) == len(set(told))
    assert set(told) <= {Slice(image, 1) for image in range(len(headers))}
    assert len(told) == len(headers)
    assert [len(one.order) for one in geometry.apart if one.why is Why.COPY] == ([copies] if copies else [])
    for stack in geometry.stacks:
        if not stack.is_volume or stack.affine is None or stack.spacing_mm is None:
            continue
        for k, one in enumerate(stack.order):
            [plane] = headers[one.image].planes
            there = to_patient(stack.affine, np.array([[0.0, 0.0, k]]))[0]
            assert there == pytest.approx(np.array(plane.position_mm), abs=max(0.15 * stack.spacing_mm[0], 0.7))
