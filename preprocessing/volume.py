"""Recipes for one CT or MR series: stored files → modality values on a regular grid along the patient's axes.

Whatever way the slices lie and however the gantry was tilted, the tensor's axes run to the head, to the back and to the
patient's left (the directions of DICOM's LPS), at one spacing, around the middle of the stack. Hounsfield units become
0..1 by a window; the signal of MR, which has no unit, by its own range in this series.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import LOSSY_TRANSFER_SYNTAXES
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.frames import AIR_HU, NOTHING, FrameFile
from preprocessing.geometry import Affine, to_affine
from preprocessing.header import InstanceHeader
from preprocessing.placement import PreparedVolume, VolumePlacement
from preprocessing.planes import VOLUME_CLASSES, Plane
from preprocessing.problems import ProblemCode
from preprocessing.series import arrange
from preprocessing.stacking import Stack

_MOST_HU: Final = np.float32(3071)
_LEAST_AIR_HU: Final = -500.0
"""Values that cannot be as low as this hold no air: whatever they are, they are no Hounsfield units."""
_NO_MAGNITUDE: Final = frozenset({"P", "R", "I", "PHASE", "PHASE MAP", "REAL", "IMAGINARY", "VELOCITY MAP"})
"""Image Type and Frame Type, from value 3 on, of MR images that show no magnitude (PS3.3 C.8.3.1.1.1, C.8.13.3.1.1)."""
_EDGE: Final = 0.5
"""A slice or pixel reaches half a spacing beyond its center."""


@dataclass(frozen=True, slots=True)
class VolumeParameters:
    """What decides a tensor besides the code; part of the recipe's hash.

    Attributes:
        spacing_mm: Of the tensor along z, y, x.
        shape: Of the tensor along z, y, x; what is more is cropped, what is less is filled with air.
        window_hu: What becomes 0 and 1 in CT.
        fewest_slices: A stack of fewer is refused.
        coarsest_mm: Slices further apart are refused.
        modality: CT or MR.
        percentiles: What becomes 0 and 1 in MR: of the tensor's voxels inside the stack.
    """

    spacing_mm: tuple[float, float, float] = (2.0, 2.0, 2.0)
    shape: tuple[int, int, int] = (160, 192, 192)
    window_hu: tuple[float, float] = (-1000.0, 400.0)
    fewest_slices: int = 8
    coarsest_mm: float = 5.0
    modality: str = "CT"
    percentiles: tuple[float, float] = (0.5, 99.5)


MR_PARAMETERS: Final = VolumeParameters(
    spacing_mm=(1.5, 1.5, 1.5), shape=(128, 160, 160), coarsest_mm=8.0, modality="MR"
)
"""A whole head; slices of 7 mm are usual."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """One axis of the stack (slices, rows or columns) and the axis of the patient (z, y, x) that it runs along.

    Attributes:
        along: 0, 1, 2 for z, y, x.
        is_reversed: It runs against the patient's axis.
        direction: Unit vector, LPS.
        size: How many samples the stack has.
        spacing_mm: Between them, along `direction`.
    """

    along: int
    is_reversed: bool
    direction: NDArray[np.float64]
    size: int
    spacing_mm: float


def prepare_series(paths: Sequence[Path], parameters: VolumeParameters) -> PreparedVolume:
    """Make the tensor of a stored CT or MR series.

    Args:
        paths: Every file of the series, in any order.
        parameters: Of the recipe.

    Raises:
        UnsupportedImage: Of another modality, CT not in Hounsfield units, no sound volume, too few slices, or pixels
            that do not decode.
    """
    files = [FrameFile(path) for path in paths]
    headers = [file.header for file in files]
    geometry = arrange(headers, lambda a, b: files[a.image].digest(a.frame) == files[b.image].digest(b.frame))
    stack = geometry.volume
    if stack is None:
        raise UnsupportedImage(
            Reason.GEOMETRY_REFUSED, "; ".join(dict.fromkeys(problem.detail for problem in geometry.refusals))
        )
    used = [files[one.image] for one in stack.order]
    check_stack(stack, [file.header for file in used], parameters)
    values = (file.values(one.frame) for file, one in zip(used, stack.order, strict=True))
    tensor, placement, notes = resample(values, stack, parameters)
    if any(_is_lossy(file.header) for file in used):
        notes += ("lossy",)
    decoders = ", ".join(dict.fromkeys(file.decoder for file in used))
    return PreparedVolume(tensor, placement, notes, decoders)


def check_stack(stack: Stack, headers: Iterable[InstanceHeader], parameters: VolumeParameters) -> None:
    """Refuse a sound stack that the recipe is not made for.

    Args:
        stack: A volume.
        headers: Of its slices, in their order.
        parameters: Of the recipe.

    Raises:
        UnsupportedImage: With the reason.
    """
    has_rescale = set()
    for one, header in zip(stack.order, headers, strict=True):
        if VOLUME_CLASSES.get(header.sop_class_uid or "") != parameters.modality:
            raise UnsupportedImage(Reason.WRONG_MODALITY, f"not a {parameters.modality} series")
        plane = header.planes[one.frame - 1]
        has_rescale.add(plane.rescale is not None)
        if parameters.modality == "CT":
            _check_hounsfield(plane, header)
        elif _NO_MAGNITUDE.intersection(plane.image_type[2:]):
            raise UnsupportedImage(Reason.OUT_OF_SCOPE, "phase or complex images, not the magnitude of the signal")
    if len(has_rescale) > 1:
        raise UnsupportedImage(Reason.CONTRADICTORY_HEADER, "some slices have a rescale and others have none")
    if stack.shape[0] < parameters.fewest_slices:
        raise UnsupportedImage(Reason.TOO_SMALL, f"fewer than {parameters.fewest_slices} slices")
    if stack.spacing_mm is None or stack.spacing_mm[0] > parameters.coarsest_mm:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, f"the slices lie more than {parameters.coarsest_mm:g} mm apart")


def _check_hounsfield(plane: Plane, header: InstanceHeader) -> None:
    if (plane.rescale_type or "HU").upper() != "HU":
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "the values are no Hounsfield units")
    if plane.rescale is not None and header.pixel_representation != 1 and plane.rescale[1] > _LEAST_AIR_HU:
        # The known defect of STANDARDS PIX-20: unsigned values without their intercept.
        raise UnsupportedImage(Reason.CONTRADICTORY_HEADER, "the values cannot be as low as those of air")


def resample(
    slices: Iterable[NDArray[np.float32]], stack: Stack, parameters: VolumeParameters
) -> tuple[NDArray[np.float32], VolumePlacement, tuple[str, ...]]:
    """Bring a volume's slices onto the recipe's grid; also how training reads volumes that are not DICOM.

    Args:
        slices: Modality values, (rows, columns), in the stack's order; one is in memory at a time.
        stack: A volume.
        parameters: Of the recipe.

    Returns:
        The tensor, (1, z, y, x), 0..1; where it lies; notes.
    """
    matrix = np.asarray(stack.affine)
    axes = _axes(matrix, stack.shape)
    depth, rows, columns = (_grid(axis, parameters) for axis in axes)
    step = matrix[:3, 2]
    volume = np.zeros((len(depth), len(rows), len(columns)), np.float32)
    is_inside = np.zeros(volume.shape, np.bool_)
    nothing = NOTHING[parameters.modality]
    for index, values in enumerate(slices):
        wanted = np.flatnonzero(depth[:, index])
        if not len(wanted):
            continue
        # A tilted gantry shifts each slice within its plane against the one in the middle.
        shift_mm = step * (index - (stack.shape[0] - 1) / 2)
        down = _grid(axes[1], parameters, shift_mm) if _is_tilted(stack) else rows
        across = _grid(axes[2], parameters, shift_mm) if _is_tilted(stack) else columns
        seen = (np.clip(values, AIR_HU, _MOST_HU) if parameters.modality == "CT" else values) - nothing
        volume[wanted] += depth[wanted, index][:, None, None] * (down @ seen @ across.T)
        is_inside[wanted] |= np.outer(down.any(axis=1), across.any(axis=1))
    volume += nothing
    _to_unit(volume, is_inside, parameters)
    notes: tuple[str, ...] = ("tilted",) if _is_tilted(stack) else ()
    if any(axis.size * axis.spacing_mm > _extent(axis, parameters) for axis in axes):
        notes += ("cropped",)
    turned = volume.transpose([[axis.along for axis in axes].index(along) for along in range(3)])
    for axis in axes:
        turned = np.flip(turned, axis.along) if axis.is_reversed else turned
    placement = VolumePlacement(_tensor_affine(matrix, stack.shape, axes, parameters))
    return np.ascontiguousarray(turned[None]), placement, notes


def _to_unit(volume: NDArray[np.float32], is_inside: NDArray[np.bool_], parameters: VolumeParameters) -> None:
    """Bring modality values to 0..1 in place; what lies outside the stack becomes what nothing is: 0."""
    low, high = parameters.window_hu
    if parameters.modality == "MR":
        low, high = np.percentile(volume[is_inside], parameters.percentiles) if is_inside.any() else (0.0, 0.0)
        high = high if high > low else np.inf  # one value everywhere tells nothing
    np.clip((volume - np.float32(low)) / np.float32(high - low), 0, 1, out=volume)
    if parameters.modality == "MR":
        volume[~is_inside] = 0


def _axes(matrix: NDArray[np.float64], shape: tuple[int, int, int]) -> tuple[_Axis, _Axis, _Axis]:
    """Return the axes of slices, rows and columns, each with the patient's axis that it is nearest to."""
    column, row = matrix[:3, 0], matrix[:3, 1]
    normal = np.cross(column, row)
    normal /= np.linalg.norm(normal)
    vectors = [normal * (matrix[:3, 2] @ normal), row, column]
    units = [vector / np.linalg.norm(vector) for vector in vectors]
    # LPS counts x, y, z; the tensor's axes are z, y, x.
    fit = [[abs(float(unit[2 - along])) for along in range(3)] for unit in units]
    best = max(permutations(range(3)), key=lambda order: sum(fit[n][along] for n, along in enumerate(order)))
    made = [
        _Axis(along, float(unit[2 - along]) < 0, unit, size, float(np.linalg.norm(vector)))
        for along, unit, size, vector in zip(best, units, shape, vectors, strict=True)
    ]
    return made[0], made[1], made[2]


def _grid(
    axis: _Axis, parameters: VolumeParameters, shift_mm: NDArray[np.float64] | None = None
) -> NDArray[np.float32]:
    """Return the weights (tensor, stack) of linear interpolation along one axis, both around its middle.

    Where the grid is coarser than the stack, the triangle is as wide as the grid's spacing: nothing is skipped. A line
    of the tensor that lies outside the stack has no weights.
    """
    wanted, spacing = parameters.shape[axis.along], parameters.spacing_mm[axis.along]
    centers = (axis.size - 1) / 2 + (np.arange(wanted) - (wanted - 1) / 2) * spacing / axis.spacing_mm
    if shift_mm is not None:
        centers = centers - float(shift_mm @ axis.direction) / axis.spacing_mm
    reach = max(1.0, spacing / axis.spacing_mm)
    weights = np.clip(1 - np.abs(centers[:, None] - np.arange(axis.size)) / reach, 0, None)
    is_outside = (centers < -_EDGE) | (centers > axis.size - 1 + _EDGE)
    weights[is_outside] = 0
    total = weights.sum(axis=1, keepdims=True)
    shares: NDArray[np.float64] = weights / np.where(total > 0, total, 1.0)
    return shares.astype(np.float32)


def _extent(axis: _Axis, parameters: VolumeParameters) -> float:
    return parameters.shape[axis.along] * parameters.spacing_mm[axis.along]


def _is_tilted(stack: Stack) -> bool:
    return any(problem.code is ProblemCode.TILTED for problem in stack.problems)


def _is_lossy(header: InstanceHeader) -> bool:
    return header.lossy_image_compression == "01" or header.transfer_syntax_uid in LOSSY_TRANSFER_SYNTAXES


def _tensor_affine(
    matrix: NDArray[np.float64],
    shape: tuple[int, int, int],
    axes: tuple[_Axis, _Axis, _Axis],
    parameters: VolumeParameters,
) -> Affine:
    """Return the affine of the tensor: its (x, y, z) indices → LPS, mm."""
    middle = matrix @ np.array([*((size - 1) / 2 for size in reversed(shape)), 1.0])
    made = np.eye(4)
    made[:3, 3] = middle[:3]
    for axis in axes:
        direction = -axis.direction if axis.is_reversed else axis.direction
        vector = direction * parameters.spacing_mm[axis.along]
        made[:3, 2 - axis.along] = vector
        made[:3, 3] -= vector * (parameters.shape[axis.along] - 1) / 2
    return to_affine(made)
