"""Headers of a CT or MR series → stacks of slices in the order of their positions, checked, each with its affine.

Nothing is guessed: what does not add up is a problem with a code from a closed list, and a stack with a problem that
makes a volume of it wrong has none. Slice Thickness is never a spacing, and no number of an image is an order.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np

from preprocessing.geometry import directions, is_orientation
from preprocessing.header import InstanceHeader
from preprocessing.planes import VOLUME_CLASSES, Plane
from preprocessing.problems import SENTENCES, Problem, ProblemCode
from preprocessing.stacking import (
    Placed,
    SamePixels,
    Slice,
    Stack,
    build_stack,
    split_repeats,
)


class Why(StrEnum):
    """Why slices stand apart from the stacks."""

    LOCALIZER = "localizer"
    OTHER_KIND = "other_kind"
    DERIVED = "derived"
    ODD = "odd"
    COPY = "copy"
    UNPLACED = "unplaced"


@dataclass(frozen=True, slots=True)
class Apart:
    """Slices that belong to no stack: they can be looked at, and are never a part of a volume."""

    why: Why
    order: tuple[Slice, ...]


@dataclass(frozen=True, slots=True)
class SeriesGeometry:
    """What a series' headers say of its slices.

    Attributes:
        stacks: The largest first.
        apart: What is in no stack.
        problems: Of the series as a whole.
    """

    stacks: tuple[Stack, ...]
    apart: tuple[Apart, ...]
    problems: tuple[Problem, ...]

    @property
    def volume(self) -> Stack | None:
        """The one stack that is a volume; None when there is none, or more than one to choose from."""
        if len(self.stacks) != 1 or self.problems or not self.stacks[0].is_volume:
            return None
        return self.stacks[0]

    @property
    def refusals(self) -> tuple[Problem, ...]:
        """Why there is no volume, the series' own problems first."""
        return (*self.problems, *(p for stack in self.stacks for p in stack.problems if p.refuses))


MOST_SLICES: Final = 20_000
"""More are not arranged; a series of a whole body has 3,000."""
FEW_SLICES: Final = 3
FEW_SHARE: Final = 0.1
"""A stack of so few slices beside one that much larger stands apart."""
SAME_PLANE: Final = 2e-3
"""How far cosines, and relatively spacings, of slices of one stack may differ."""


def arrange(headers: Sequence[InstanceHeader], same_pixels: SamePixels | None = None) -> SeriesGeometry:
    """Sort the slices of a series into stacks.

    Args:
        headers: Of every image of one series, in any order.
        same_pixels: Tells copies of a slice from two slices that claim one place; without it both are refused.
    """
    if sum(max(1, len(header.planes)) for header in headers) > MOST_SLICES:
        return _too_many(len(headers))
    apart: dict[Why, list[Slice]] = {}
    problems: Counter[ProblemCode] = Counter()
    placed: list[Placed] = []
    for image, header in enumerate(headers):
        _sort(image, header, is_alone=len(headers) == 1, placed=placed, apart=apart, problems=problems)
    groups = [stack for group in _parallel(placed) for stack in split_repeats(group)]
    originals = [group for group in groups if not _is_derived(group[0].plane)]
    for group in groups if originals else ():
        if _is_derived(group[0].plane):
            apart.setdefault(Why.DERIVED, []).extend(one.slice for one in group)
    kept = originals or groups
    most = max(map(len, kept), default=0)
    stacks = []
    for group in sorted(kept, key=len, reverse=True):
        if len(group) <= FEW_SLICES and len(group) <= FEW_SHARE * most:
            apart.setdefault(Why.ODD, []).extend(one.slice for one in group)
        else:
            stacks.append(build_stack(group, same_pixels))
            copies = {one.slice for one in group}.difference(stacks[-1].order)
            if copies:
                apart.setdefault(Why.COPY, []).extend(one.slice for one in group if one.slice in copies)
    if len(stacks) > 1:
        problems[ProblemCode.SEVERAL_STACKS] = len(stacks)
    if not stacks and not problems:
        problems[ProblemCode.NO_SLICES] = 1
    return SeriesGeometry(
        tuple(stacks),
        tuple(Apart(why, tuple(slices)) for why, slices in apart.items()),
        tuple(Problem(code, SENTENCES[code], count) for code, count in problems.items()),
    )


def _too_many(images: int) -> SeriesGeometry:
    code = ProblemCode.TOO_MANY
    whole = tuple(Slice(image, 0) for image in range(images))
    return SeriesGeometry((), (Apart(Why.UNPLACED, whole),), (Problem(code, SENTENCES[code], images),))


def _sort(
    image: int,
    header: InstanceHeader,
    *,
    is_alone: bool,
    placed: list[Placed],
    apart: dict[Why, list[Slice]],
    problems: Counter[ProblemCode],
) -> None:
    """Put an image's slices where they belong: to be placed, or apart."""
    whole, planes = Slice(image, 0), header.planes
    if header.sop_class_uid not in VOLUME_CLASSES:
        apart.setdefault(Why.OTHER_KIND, []).append(whole)
        return
    if len(planes) != max(1, header.number_of_frames or 1):
        # How many frames there are is only a claim: nothing is counted by it.
        problems[ProblemCode.FRAMES_CONTRADICT if planes else ProblemCode.POSITION_MISSING] += 1
        apart.setdefault(Why.UNPLACED, []).append(whole)
        return
    for frame, plane in enumerate(planes, start=1):
        one = Slice(image, frame)
        missing = _missing(plane)
        if "LOCALIZER" in plane.image_type:
            apart.setdefault(Why.LOCALIZER, []).append(one)
        elif missing is not None:
            problems[missing] += 1
            apart.setdefault(Why.UNPLACED, []).append(one)
        else:
            number = header.instance_number if len(planes) == 1 else one.frame if is_alone else None
            placed.append(Placed(one, plane, header, number))


def _missing(plane: Plane) -> ProblemCode | None:
    if plane.position_mm is None:
        return ProblemCode.POSITION_MISSING
    if plane.orientation is None:
        return ProblemCode.ORIENTATION_MISSING
    if not is_orientation(plane.orientation):
        return ProblemCode.ORIENTATION_DEGENERATE
    return ProblemCode.SPACING_MISSING if plane.spacing_mm is None else None


def _is_derived(plane: Plane) -> bool:
    """Reformatted, projected or captured (PS3.3 C.7.6.1.1.2), not what a scanner reconstructed first."""
    return plane.image_type[:2] == ("DERIVED", "SECONDARY")


def _parallel(placed: Sequence[Placed]) -> list[list[Placed]]:
    """Group slices that can be one stack: same size, kernel and frame of reference, parallel, equally spaced."""
    alike: dict[tuple[object, ...], list[Placed]] = {}
    for one in placed:
        header = one.header
        key = (header.frame_of_reference_uid, header.convolution_kernel, header.rows, header.columns)
        alike.setdefault((*key, _is_derived(one.plane)), []).append(one)
    groups = []
    for candidates in alike.values():
        # Whatever the order of arrival, the same slices are held against the same one.
        left = candidates = sorted(candidates, key=_in_order)
        described = np.array([[*_axes(one.plane), *np.log(one.plane.spacing_mm or (1.0, 1.0))] for one in candidates])
        while left:
            is_same = np.abs(described - described[0]).max(axis=1) <= SAME_PLANE
            groups.append([one for one, same in zip(left, is_same, strict=True) if same])
            left = [one for one, same in zip(left, is_same, strict=True) if not same]
            described = described[~is_same]
    return sorted(groups, key=lambda group: _in_order(group[0]))


def _in_order(one: Placed) -> tuple[object, ...]:
    spacing = one.plane.spacing_mm or ()
    return (*_axes(one.plane), *spacing, *one.position, one.uid, one.slice.frame)


def _axes(plane: Plane) -> list[float]:
    row, column, _ = directions(plane.orientation or ())
    return [*map(float, row), *map(float, column)]
