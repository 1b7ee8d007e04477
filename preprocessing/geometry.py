"""Slices in space: normal, order, spacing, tilt, and the affine of a stack in patient coordinates (LPS, mm).

Voxel indices count (column, row, slice) from the center of the first pixel of the first slice; an affine takes them to
DICOM's patient coordinates: x to the patient's left, y to the back, z to the head (PS3.3 C.7.6.2.1.1). Arrays of a
stack have the shape (slices, rows, columns), as SimpleITK's do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Vector: TypeAlias = NDArray[np.float64]
Affine: TypeAlias = tuple[tuple[float, ...], ...]
"""Four rows of four numbers; `np.asarray` makes the matrix."""

UNIT_TOLERANCE: Final = 1e-2
"""How far direction cosines may be from unit length and from a right angle; writers round them."""


def is_orientation(cosines: Sequence[float]) -> bool:
    """Tell whether six direction cosines are two unit vectors at a right angle."""
    row, column = np.asarray(cosines[:3]), np.asarray(cosines[3:])
    lengths = (float(np.linalg.norm(row)), float(np.linalg.norm(column)))
    return all(abs(one - 1) <= UNIT_TOLERANCE for one in lengths) and abs(float(row @ column)) <= UNIT_TOLERANCE


def directions(cosines: Sequence[float]) -> tuple[Vector, Vector, Vector]:
    """Return the unit vectors along a row, down a column, and along the normal (row x column)."""
    row = np.asarray(cosines[:3], np.float64)
    column = np.asarray(cosines[3:], np.float64)
    row, column = row / np.linalg.norm(row), column / np.linalg.norm(column)
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def affine_of(origin_mm: Vector, step_mm: Vector, cosines: Sequence[float], spacing_mm: Sequence[float]) -> Affine:
    """Return the affine of a stack.

    Args:
        origin_mm: Center of the first pixel of the first slice, LPS.
        step_mm: From each slice to the next; need not be along the normal: a tilted gantry shears the stack.
        cosines: Image Orientation (Patient).
        spacing_mm: Pixel Spacing: between rows, between columns.
    """
    row, column, _ = directions(cosines)
    matrix = np.eye(4)
    matrix[:3, 0] = row * spacing_mm[1]
    matrix[:3, 1] = column * spacing_mm[0]
    matrix[:3, 2] = step_mm
    matrix[:3, 3] = origin_mm
    return to_affine(matrix)


def to_affine(matrix: NDArray[np.float64]) -> Affine:
    """Return a (4, 4) matrix as rows of plain numbers."""
    return tuple(tuple(float(value) for value in line) for line in matrix)


def to_patient(affine: Affine, voxels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take (n, 3) voxel indices (column, row, slice) to LPS, mm."""
    matrix = np.asarray(affine)
    places: NDArray[np.float64] = voxels @ matrix[:3, :3].T + matrix[:3, 3]
    return places


def to_voxels(affine: Affine, places_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Take (n, 3) places in LPS, mm, back to voxel indices (column, row, slice), in parts of a voxel."""
    matrix = np.asarray(affine)
    voxels: NDArray[np.float64] = np.linalg.solve(matrix[:3, :3], (places_mm - matrix[:3, 3]).T).T
    return voxels


def angle_degrees(one: Vector, other: Vector) -> float:
    """Return the angle between two directions, 0 to 90: sense does not count."""
    sine, cosine = np.linalg.norm(np.cross(one, other)), abs(float(one @ other))
    return float(np.degrees(np.arctan2(sine, cosine)))
