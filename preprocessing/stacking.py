"""Parallel slices → one stack: ordered by position, spacing and tilt measured, gaps and copies found, an affine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median_low
from typing import Final

import numpy as np

from preprocessing.geometry import Affine, Vector, affine_of, angle_degrees, directions
from preprocessing.header import InstanceHeader
from preprocessing.planes import Plane, numbers
from preprocessing.problems import Problem, ProblemCode


@dataclass(frozen=True, slots=True)
class Slice:
    """One frame of one image.

    Attributes:
        image: Place of its header in the series as it was given.
        frame: From 1; 0 is the image as a whole, of which nothing says what its frames are.
    """

    image: int
    frame: int


@dataclass(frozen=True, slots=True)
class Stack:
    """Parallel slices in the order of their positions along the normal of the first one (row x column).

    Attributes:
        order: The slices; copies of one that is there already are left out.
        affine: (column, row, slice) → LPS, mm, see `preprocessing.geometry`; None when the slices make no lattice.
        spacing_mm: Between slices along the normal, between rows, between columns; None as `affine`.
        shape: Slices, rows, columns.
        tilt_degrees: Between the normal and the direction in which the slices are stacked.
        problems: What is wrong with it.
    """

    order: tuple[Slice, ...]
    affine: Affine | None
    spacing_mm: tuple[float, float, float] | None
    shape: tuple[int, int, int]
    tilt_degrees: float
    problems: tuple[Problem, ...]

    @property
    def is_volume(self) -> bool:
        """Its slices make a lattice that nothing speaks against."""
        return self.affine is not None and not any(problem.refuses for problem in self.problems)


SamePixels = Callable[[Slice, Slice], bool]
"""Tells whether two slices hold the same values; asked of slices at one position only."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A slice that says where it is.

    Attributes:
        number: What a reader knows it by, where the image has such a number.
    """

    slice: Slice
    plane: Plane
    header: InstanceHeader
    number: int | None

    @property
    def position(self) -> tuple[float, ...]:
        """LPS, mm."""
        return self.plane.position_mm or ()

    @property
    def uid(self) -> str:
        """Of its image."""
        return self.header.sop_instance_uid or ""


SAME_PLACE_MM: Final = 0.01
"""Slices nearer to each other than this claim one place."""
IRREGULAR_SHARE: Final = 0.01
"""How far one distance may be from the mean (STANDARDS PIX-23)."""
ROUNDING_MM: Final = (0.02, 0.1)
"""How far distances may differ because positions are written with two decimals; with one, where that is under 2 %."""
DRIFT_SHARE: Final = 0.1
"""How far a slice may be from its place in the lattice, in slices: many small differences add up."""
GAP_SHARE: Final = 1.5
"""From this many usual distances on a slice is missing."""
SHIFT_PIXELS: Final = 0.5
"""How far slices may be out of line within their planes, in pixels; a tilt of less is none."""
STEEPEST_DEGREES: Final = 45.0
"""No gantry tilts further: such slices are not stacked but strewn."""
TILT_DEGREES: Final = 1.0
"""How far the tilt that the header states may be from the one that the positions show."""
MOST_GAPS: Final = 3
"""More gaps than this are told as one."""


def split_repeats(group: list[Placed]) -> list[list[Placed]]:
    """Split slices that come back to the same positions: echoes, phases, b-values, acquisitions, image types.

    Only what makes whole stacks splits: a mark that differs from slice to slice tells nothing.
    """
    times = max(Counter(_depths(group)).values(), default=0)
    if times < 2:
        return [group]
    names = dict.fromkeys(name for one in group for name, _ in one.plane.marks)
    for name in ("image_type", *names):
        parts: dict[object, list[Placed]] = {}
        for one in group:
            value = one.plane.image_type if name == "image_type" else dict(one.plane.marks).get(name)
            parts.setdefault(value, []).append(one)
        left = [max(Counter(_depths(part)).values()) for part in parts.values()]
        if 1 < len(parts) <= times and max(left) < times:
            order = sorted(parts, key=_mark_in_order)
            return [stack for value in order for stack in split_repeats(parts[value])]
    return [group]


def _mark_in_order(value: object) -> tuple[float, str]:
    """Return by what the values of a mark are put in order: as numbers where they are such, whoever came first."""
    number = numbers(str(value).encode(), 1)
    return (number[0] if number else math.inf, str(value))


def _depths(group: Sequence[Placed]) -> list[int]:
    """Return where along the first slice's normal each slice lies; slices at one place get one number."""
    along = np.array([one.position for one in group]) @ directions(group[0].plane.orientation or ())[2]
    order = np.argsort(along, kind="stable")
    number = np.zeros(len(group), np.int64)
    number[order[1:]] = np.cumsum(np.diff(along[order]) > SAME_PLACE_MM)
    return [int(one) for one in number]


def build_stack(group: list[Placed], same_pixels: SamePixels | None) -> Stack:
    """Order parallel slices along their normal and check that they make a lattice."""
    first = group[0]
    cosines, pixel_mm = first.plane.orientation or (), first.plane.spacing_mm or ()
    normal = directions(cosines)[2]
    group = sorted(
        group, key=lambda one: (float(np.dot(one.position, normal)), one.number or 0, one.uid, one.slice.frame)
    )
    group, problems = _without_copies(group, same_pixels)
    stack = Stack(
        order=tuple(one.slice for one in group),
        affine=None,
        spacing_mm=None,
        shape=(len(group), first.header.rows or 0, first.header.columns or 0),
        tilt_degrees=0.0,
        problems=(*problems, *(_derived(first.plane))),
    )
    if len(group) == 1:
        return _with(stack, Problem(ProblemCode.SINGLE_SLICE, "one slice has no distance to a next one", 1))
    if any(problem.refuses for problem in problems):
        return _with(stack, *_gaps(_one_of_each(group), normal))
    positions = np.array([one.position for one in group])
    step = (positions[-1] - positions[0]) / (len(group) - 1)
    found = [
        *(_gaps(group, normal) or _uneven(positions @ normal)),
        *_out_of_line(positions, step, normal, min(pixel_mm)),
    ]
    stack = _with(replace(stack, tilt_degrees=angle_degrees(step, normal)), *found)
    stack = _with(stack, *_tilt(stack, first.header, step, normal))
    if any(problem.code in LATTICE for problem in stack.problems):
        return stack
    return replace(
        stack,
        affine=affine_of(positions[0], step, cosines, pixel_mm),
        spacing_mm=(float(step @ normal), pixel_mm[0], pixel_mm[1]),
    )


LATTICE: Final = frozenset(
    {ProblemCode.SLICES_MISSING, ProblemCode.SPACING_IRREGULAR, ProblemCode.SLICES_SHIFTED}
    | {ProblemCode.TILT_CONTRADICTED}
)
"""With these there is no affine that would be right for every slice."""


def _with(stack: Stack, *problems: Problem) -> Stack:
    return replace(stack, problems=(*stack.problems, *problems))


def _derived(plane: Plane) -> list[Problem]:
    if plane.image_type[:2] != ("DERIVED", "SECONDARY"):
        return []
    return [Problem(ProblemCode.DERIVED, "reformatted or projected images, not what the scanner reconstructed first")]


def _without_copies(group: list[Placed], same_pixels: SamePixels | None) -> tuple[list[Placed], list[Problem]]:
    """Leave out copies of a slice; slices that claim one place and differ are all kept, and refused."""
    depths = _depths(group)
    if len(group) > 1 and len(set(depths)) == 1:
        return group, [Problem(ProblemCode.POSITION_CONSTANT, "all slices claim one position", len(group))]
    kept, copies, differing = [group[0]], 0, 0
    for one, (depth, own) in zip(group[1:], pairwise(depths), strict=True):
        if depth != own:
            kept.append(one)
        elif differing == 0 and _is_copy(kept[-1], one, same_pixels):
            copies += 1
        else:  # no file is read after the first that differs: there is no volume any more
            differing += 1
            kept.append(one)
    problems = []
    if copies:
        problems.append(Problem(ProblemCode.DUPLICATES, "slices are there twice; the copies are left out", copies))
    times = set(Counter(depths).values())
    if differing and len(times) == 1:
        sentence = "the slices come back to every position, and nothing in their headers tells them apart"
        problems.append(Problem(ProblemCode.REPEATED, sentence, times.pop()))
    elif differing:
        sentence = "slices claim the position of another one and show something else"
        problems.append(Problem(ProblemCode.DUPLICATES_DIFFER, sentence, differing))
    return kept, problems


def _is_copy(one: Placed, other: Placed, same_pixels: SamePixels | None) -> bool:
    if same_pixels is None or one.plane.rescale != other.plane.rescale:
        return False
    is_near = np.abs(np.subtract(one.position, other.position)).max() <= SAME_PLACE_MM
    return bool(is_near) and same_pixels(one.slice, other.slice)


def _one_of_each(group: Sequence[Placed]) -> list[Placed]:
    """Return one slice of each position, of slices in order."""
    depths = [-1, *_depths(group)]
    return [one for one, (before, own) in zip(group, pairwise(depths), strict=True) if own != before]


def _gaps(group: Sequence[Placed], normal: Vector) -> list[Problem]:
    """Find where slices in order have one missing between them."""
    if len(group) < 2:
        return []
    distances = np.diff(np.array([one.position for one in group]) @ normal)
    usual = median_low(distances.tolist())
    gaps = np.flatnonzero(distances > GAP_SHARE * usual)
    names = _numbers(group)
    missing = [max(1, round(float(distances[gap]) / usual) - 1) for gap in gaps]
    if len(gaps) > MOST_GAPS:
        return [_gap(sum(missing), names[int(gaps[0])], names[int(gaps[-1]) + 1])]
    return [_gap(count, names[int(at)], names[int(at) + 1]) for count, at in zip(missing, gaps, strict=True)]


def _uneven(along: Vector) -> list[Problem]:
    """Find uneven distances between slices in order."""
    distances = np.diff(along)
    mean = float(distances.mean())
    allowed = max(IRREGULAR_SHARE * mean, ROUNDING_MM[0], min(ROUNDING_MM[1], 2 * IRREGULAR_SHARE * mean))
    uneven = np.abs(distances - mean) > allowed
    drift = np.abs(along - along[0] - mean * np.arange(len(along))).max()
    if not uneven.any() and drift <= DRIFT_SHARE * mean + SAME_PLACE_MM:
        return []
    count = int(uneven.sum()) or len(along)
    return [Problem(ProblemCode.SPACING_IRREGULAR, "the slices lie at uneven distances", count)]


def _gap(count: int, one: int, other: int) -> Problem:
    first, last = sorted((one, other))
    return Problem(ProblemCode.SLICES_MISSING, f"slices are missing between {first} and {last}", count, first, last)


def _numbers(group: Sequence[Placed]) -> list[int]:
    """Return what a reader knows the slices by: their own numbers where each has one, else their places."""
    own = [one.number for one in group if one.number is not None]
    return own if len(set(own)) == len(group) else list(range(1, len(group) + 1))


def _out_of_line(positions: Vector, step: Vector, normal: Vector, pixel_mm: float) -> list[Problem]:
    """Find slices that are shifted within their planes against the line from the first to the last."""
    off = positions - positions[0] - np.arange(len(positions))[:, None] * step
    off -= np.outer(off @ normal, normal)
    shifted = np.linalg.norm(off, axis=1) > SHIFT_PIXELS * pixel_mm
    if not shifted.any() and angle_degrees(step, normal) <= STEEPEST_DEGREES:
        return []
    sentence = "the slices are shifted against each other within their planes"
    return [Problem(ProblemCode.SLICES_SHIFTED, sentence, int(shifted.sum()) or len(positions))]


def _tilt(stack: Stack, header: InstanceHeader, step: Vector, normal: Vector) -> list[Problem]:
    """Compare the tilt that the positions show with none, and with what the header of an axial stack states."""
    stated = abs(header.gantry_tilt_degrees or 0.0)
    is_axial = abs(float(normal[2])) > 1 - 1e-6
    if stated > TILT_DEGREES and is_axial and abs(stated - stack.tilt_degrees) > TILT_DEGREES:
        sentence = f"the header states a gantry tilt of {stated:.1f} degrees, the positions {stack.tilt_degrees:.1f}"
        return [Problem(ProblemCode.TILT_CONTRADICTED, sentence, stack.shape[0])]
    drift_mm = float(np.linalg.norm(step - (step @ normal) * normal)) * (stack.shape[0] - 1)
    if drift_mm <= SHIFT_PIXELS * min(header.planes[0].spacing_mm or (1.0,)):
        return []
    sentence = f"the slices are stacked {stack.tilt_degrees:.1f} degrees off their normal"
    return [Problem(ProblemCode.TILTED, sentence, stack.shape[0])]
