"""Where the frames of CT and MR images lie, as their headers state it: by themselves or in functional groups."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any, Final, Literal, TypeAlias

from preprocessing.elements import Elements
from preprocessing.values import MAX_VALUES, few, plain_list, whole

VOLUME_CLASSES: Final[Mapping[str, str]] = {
    "1.2.840.10008.5.1.4.1.1.2": "CT",
    "1.2.840.10008.5.1.4.1.1.2.1": "CT",  # Enhanced
    "1.2.840.10008.5.1.4.1.1.2.2": "CT",  # Legacy Converted Enhanced
    "1.2.840.10008.5.1.4.1.1.4": "MR",
    "1.2.840.10008.5.1.4.1.1.4.1": "MR",  # Enhanced
    "1.2.840.10008.5.1.4.1.1.4.4": "MR",  # Legacy Converted Enhanced
}
"""SOP classes whose frames are slices of a patient, and the modality that they are of."""

Kind: TypeAlias = Literal["text", "decimal", "short", "double", "long"]

_POSITION, _ORIENTATION, _SPACING = 0x00200032, 0x00200037, 0x00280030
_INTERCEPT, _SLOPE, _RESCALE_TYPE = 0x00281052, 0x00281053, 0x00281054
_IMAGE_TYPE, _FRAME_TYPE, _DIMENSION_VALUES = 0x00080008, 0x00089007, 0x00209157

_MARKS: Final[Mapping[str, tuple[tuple[int, Kind], tuple[int, Kind]]]] = {
    # What tells slices at one position apart: tag and kind in a single-frame image, and in functional groups.
    "stack": ((0x00209056, "text"), (0x00209056, "text")),
    "temporal_position": ((0x00200100, "decimal"), (0x00209128, "long")),
    "echo_time": ((0x00180081, "decimal"), (0x00189082, "double")),
    "b_value": ((0x00189087, "double"), (0x00189087, "double")),
    "trigger_time": ((0x00181060, "decimal"), (0x00209153, "double")),
    "acquisition": ((0x00200012, "decimal"), (0x00209156, "short")),
}
SINGLE_TAGS: Final = frozenset(
    {_POSITION, _ORIENTATION, _INTERCEPT, _SLOPE, _RESCALE_TYPE, *(single[0] for single, _ in _MARKS.values())}
)

_MACROS: Final[Mapping[int, frozenset[int]]] = {
    0x00209113: frozenset({_POSITION}),  # Plane Position
    0x00209116: frozenset({_ORIENTATION}),  # Plane Orientation
    0x00289110: frozenset({_SPACING}),  # Pixel Measures; its Slice Thickness is no spacing
    0x00289145: frozenset({_INTERCEPT, _SLOPE, _RESCALE_TYPE}),  # Pixel Value Transformation
    0x00189329: frozenset({_FRAME_TYPE}),  # CT Image Frame Type
    0x00189226: frozenset({_FRAME_TYPE}),  # MR Image Frame Type
    0x00209111: frozenset({_DIMENSION_VALUES, 0x00209056, 0x00209128, 0x00209156}),  # Frame Content
    0x00189114: frozenset({0x00189082}),  # MR Echo
    0x00189117: frozenset({0x00189087}),  # MR Diffusion
    0x00189118: frozenset({0x00209153}),  # Cardiac Synchronization
}
_SHARED, _PER_FRAME = 0x52009229, 0x52009230
GROUPS: Final = {_SHARED: _MACROS, _PER_FRAME: _MACROS}
"""The functional groups that tell of geometry, values and what repeats (PS3.3 C.7.6.16, C.8.15, C.8.13)."""


@dataclass(frozen=True, slots=True)
class Plane:
    """One frame, as its header states it; None where it does not, or states no numbers.

    Attributes:
        position_mm: Image Position (Patient): the center of the first pixel, LPS.
        orientation: Image Orientation (Patient): direction cosines along a row, then down a column.
        spacing_mm: Pixel Spacing: between rows, between columns; both above zero.
        image_type: Image Type or Frame Type.
        rescale: Slope and intercept from stored to modality values.
        rescale_type: `HU` where the header says so.
        marks: Name and value of whatever may tell repeated positions apart, such as the echo time.
    """

    position_mm: tuple[float, ...] | None
    orientation: tuple[float, ...] | None
    spacing_mm: tuple[float, ...] | None
    image_type: tuple[str, ...]
    rescale: tuple[float, ...] | None
    rescale_type: str | None
    marks: tuple[tuple[str, str], ...]


def read_planes(elements: Elements) -> tuple[Plane, ...]:
    """Return one plane for each frame: of functional groups where the image has them, else the image's own."""
    frames = elements.groups.get(_PER_FRAME)
    if not frames:
        return (_plane(elements.values, elements.byte_order, is_grouped=False),)
    shared = next(iter(elements.groups.get(_SHARED, ())), {})
    return tuple(_plane({**shared, **frame}, elements.byte_order, is_grouped=True) for frame in frames)


def _plane(values: Mapping[int, bytes], order: str, *, is_grouped: bool) -> Plane:
    spacing = numbers(values.get(_SPACING), 2)
    slope, intercept = numbers(values.get(_SLOPE), 1), numbers(values.get(_INTERCEPT), 1)
    marks = []
    for name, (single, grouped) in _MARKS.items():
        tag, kind = grouped if is_grouped else single
        value = _mark(values.get(tag), kind, order)
        if value is not None:
            marks.append((name, value))
    if is_grouped:
        dimensions = _mark(values.get(_DIMENSION_VALUES), "long", order)
        several = (dimensions or "").split("\\")[:MAX_VALUES]
        marks += [(f"dimension_{n}", value) for n, value in enumerate(several, 1) if value]
    return Plane(
        position_mm=numbers(values.get(_POSITION), 3),
        orientation=numbers(values.get(_ORIENTATION), 6),
        spacing_mm=spacing if spacing and min(spacing) > 0 else None,
        image_type=few(values.get(_FRAME_TYPE if is_grouped else _IMAGE_TYPE)),
        rescale=(slope[0], intercept[0]) if slope and intercept else None,
        rescale_type=next(iter(few(values.get(_RESCALE_TYPE))), None),
        marks=tuple(marks),
    )


def numbers(raw: bytes | None, count: int) -> tuple[float, ...] | None:
    """Return exactly `count` finite numbers of a decimal string, or None: a part of a vector is no vector."""
    parts = plain_list(whole(raw))
    try:
        values = tuple(float(part.replace(",", ".")) for part in parts)
    except ValueError:
        return None
    return values if len(values) == count and all(map(math.isfinite, values)) else None


def _mark(raw: bytes | None, kind: Kind, order: str) -> str | None:
    """Return a value as text that is equal when the value is."""
    raw = whole(raw)
    if not raw:
        return None
    if kind == "text":
        return "\\".join(few(raw)) or None
    if kind == "decimal":
        values = numbers(raw, 1)
        return format(values[0], "g") if values else None
    width, letter = {"double": (8, "d"), "long": (4, "I"), "short": (2, "H")}[kind]
    if len(raw) % width:
        return None
    return "\\".join(format(value, "g") for value in struct.unpack(f"{order}{len(raw) // width}{letter}", raw))


def planes_to_json(planes: tuple[Plane, ...]) -> list[list[object]]:
    """Return planes as rows of plain values: an enhanced image has thousands."""
    return [list(astuple(plane)) for plane in planes]


def planes_from_json(rows: object) -> tuple[Plane, ...]:
    """Return the planes that `planes_to_json` wrote; a header from before they were read has none."""
    return tuple(_plane_of(row) for row in rows) if isinstance(rows, list) else ()


def _plane_of(row: list[Any]) -> Plane:
    position, orientation, spacing, image_type, rescale, rescale_type, marks = row
    vectors = [None if one is None else tuple(one) for one in (position, orientation, spacing, rescale)]
    pairs = tuple((str(name), str(value)) for name, value in marks)
    return Plane(vectors[0], vectors[1], vectors[2], tuple(image_type), vectors[3], rescale_type, pairs)
