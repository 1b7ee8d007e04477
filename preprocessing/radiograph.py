"""Recipe for one projection radiograph: a stored file or an 8-bit picture → a letter-boxed tensor, bone white."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader
from preprocessing.pixels import look_up, read_stored
from preprocessing.placement import Placement, Prepared
from preprocessing.scope import check_header

_FULL_RANGE: Final = np.arange(256, dtype=np.float32) / np.float32(255)


@dataclass(frozen=True, slots=True)
class RadiographParameters:
    """What decides a tensor besides the code; part of the recipe's hash.

    Attributes:
        size: Rows and columns of the tensor.
        smallest_side: Shorter sides than this are refused.
        border_tolerance: How far from black or white a border may be, as a part of the image's range.
        border_share: Part of a line that must be that dark or bright for the line to be border.
        least_content: Part of the image that must remain; with less, there was no border but a strange image.
        percentiles: What becomes 0 and 1, inside the borders.
    """

    size: int = 224
    smallest_side: int = 128
    border_tolerance: float = 0.02
    border_share: float = 0.98
    least_content: float = 0.2
    percentiles: tuple[float, float] = (0.5, 99.5)


@dataclass(frozen=True, slots=True)
class _Box:
    """Part of an image, in its pixels; the far edges are outside."""

    left: float
    top: float
    right: float
    bottom: float


def prepare_file(path: Path, header: InstanceHeader, parameters: RadiographParameters) -> Prepared:
    """Make the tensor of a stored image.

    Args:
        path: A Part 10 file.
        header: Its header.
        parameters: Of the recipe.

    Returns:
        Tensor (1, size, size), where it lies, and how it came about.

    Raises:
        UnsupportedImage: The header is out of scope, or the pixels cannot be read.
    """
    check_header(header)
    stored = read_stored(path, header)
    _check_size(stored.patterns.shape, parameters)
    return _prepare(look_up(stored.patterns, stored.table.values), parameters, stored.notes, stored.decoder)


def prepare_picture(grey: NDArray[np.uint8], parameters: RadiographParameters) -> Prepared:
    """Make the tensor of an 8-bit picture.

    Args:
        grey: (rows, columns), bright is dense.
        parameters: Of the recipe.

    Raises:
        UnsupportedImage: The picture is too small.
    """
    _check_size(grey.shape, parameters)
    return _prepare(look_up(grey, _FULL_RANGE), parameters, (), "array")


def _check_size(shape: tuple[int, ...], parameters: RadiographParameters) -> None:
    if min(shape) < parameters.smallest_side:
        raise UnsupportedImage(Reason.TOO_SMALL, f"fewer than {parameters.smallest_side} rows or columns")


def _prepare(
    grey: NDArray[np.float32], parameters: RadiographParameters, notes: tuple[str, ...], decoder: str
) -> Prepared:
    """Shrink, find the borders, letter-box, normalise."""
    rows, columns = grey.shape
    size = parameters.size
    # Averaging whole blocks first is exact and fast; what is left for the filter is a factor of two to four.
    block = max(1, min(rows, columns) // (2 * size))
    image = Image.fromarray(np.ascontiguousarray(grey)).reduce(block) if block > 1 else Image.fromarray(grey)
    content = _content(np.asarray(image), parameters)
    if content != _Box(0, 0, image.width, image.height):
        notes += ("borders_masked",)
    scale, box, (top, left, height, width) = _fit(content, size)
    inside = np.asarray(
        image.resize((width, height), Image.Resampling.BILINEAR, box=(box.left, box.top, box.right, box.bottom))
    )
    tensor = np.zeros((1, size, size), np.float32)
    tensor[0, top : top + height, left : left + width] = _normalise(inside, parameters)
    if not tensor.any():
        notes += ("blank",)
    full = scale * block
    placement = Placement(box.left * block - left * full, box.top * block - top * full, full, rows, columns)
    return Prepared(tensor, placement, notes, decoder)


def _content(image: NDArray[np.float32], parameters: RadiographParameters) -> _Box:
    """Return what the collimator, the digitiser's frame or padding left: without the uniform lines at the edges."""
    low, high = np.percentile(image, parameters.percentiles)
    tolerance = parameters.border_tolerance * (high - low)
    is_dark, is_bright = image <= low + tolerance, image >= high - tolerance
    top, bottom, left, right = 0, image.shape[0], 0, image.shape[1]
    if high <= low:
        return _Box(left, top, right, bottom)
    while True:
        before = top, bottom, left, right
        first, last = _inner(is_dark[top:bottom, left:right], is_bright[top:bottom, left:right], 1, parameters)
        top, bottom = top + first, top + last
        first, last = _inner(is_dark[top:bottom, left:right], is_bright[top:bottom, left:right], 0, parameters)
        left, right = left + first, left + last
        if (bottom - top) * (right - left) < parameters.least_content * image.size:
            return _Box(0, 0, image.shape[1], image.shape[0])
        if before == (top, bottom, left, right):
            return _Box(left, top, right, bottom)


def _inner(
    is_dark: NDArray[np.bool_], is_bright: NDArray[np.bool_], axis: int, parameters: RadiographParameters
) -> tuple[int, int]:
    """Return the first line that is no border and the one behind the last; (0, 0) when all are."""
    share = parameters.border_share
    is_border = (is_dark.mean(axis=axis) >= share) | (is_bright.mean(axis=axis) >= share)
    lines = np.flatnonzero(~is_border)
    return (int(lines[0]), int(lines[-1]) + 1) if lines.size else (0, 0)


def _fit(content: _Box, size: int) -> tuple[float, _Box, tuple[int, int, int, int]]:
    """Place the content in a square without stretching it.

    Returns:
        Image pixels for each tensor pixel; the part of the content that fills whole tensor pixels (less than one
        is lost of the shorter side); top, left, height and width of its place in the tensor.
    """
    width, height = content.right - content.left, content.bottom - content.top
    scale = max(width, height) / size
    across, down = max(1, int(width / scale + 1e-6)), max(1, int(height / scale + 1e-6))
    spare_x, spare_y = max(0.0, width - across * scale) / 2, max(0.0, height - down * scale) / 2
    box = _Box(content.left + spare_x, content.top + spare_y, content.right - spare_x, content.bottom - spare_y)
    return scale, box, ((size - down) // 2, (size - across) // 2, down, across)


def _normalise(inside: NDArray[np.float32], parameters: RadiographParameters) -> NDArray[np.float32]:
    low, high = np.percentile(inside, parameters.percentiles)
    if high <= low:
        return np.zeros_like(inside)
    scaled = (inside.astype(np.float64) - low) / (high - low)
    clipped: NDArray[np.float32] = np.clip(scaled, 0, 1).astype(np.float32)
    return clipped
