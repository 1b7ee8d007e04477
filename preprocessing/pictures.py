"""Draws a stored frame as a viewer shows it: modality, VOI, colours, part, size, words (PS3.4 N.2, PS3.18 8.3.5)."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from pydicom import Dataset
from pydicom.pixels import apply_color_lut

from preprocessing import display
from preprocessing.decoders import Raw
from preprocessing.elements import Elements
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import InstanceHeader
from preprocessing.samples import Frame, to_rgb

Function = Literal["linear", "linear-exact", "sigmoid"]

_SAMPLE_PIXELS: Final = 1 << 16
_FORMATS: Final[Mapping[str, str]] = {"image/jpeg": "JPEG", "image/png": "PNG", "image/gif": "GIF"}
PICTURE_TYPES: Final = tuple(_FORMATS)
"""What a frame can be drawn as (PS3.18 table 8.7.4-1)."""
_RESCALE: Final = (("RescaleIntercept", 0x00281052), ("RescaleSlope", 0x00281053))
_WINDOW: Final = (("WindowCenter", 0x00281050), ("WindowWidth", 0x00281051), ("VOILUTFunction", 0x00281056))
_GROUPS: Final = (("PixelValueTransformationSequence", _RESCALE), ("FrameVOILUTSequence", _WINDOW))


@dataclass(frozen=True, slots=True)
class Window:
    """A window that the caller chose, in modality values."""

    center: float
    width: float
    function: Function


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is asked for.

    Attributes:
        media_type: One of PICTURE_TYPES.
        quality: Of JPEG, 1..100.
        size: (columns, rows) that the picture must fit into; None for its own.
        region: (left, top, width, height) of the source; a negative width or height flips, None is up to the edge.
            None for all of it.
        window: Instead of the image's own; None for its own.
        lines: Written into the upper left corner.
    """

    media_type: str
    quality: int = 90
    size: tuple[int, int] | None = None
    region: tuple[float, float, float | None, float | None] | None = None
    window: Window | None = None
    lines: tuple[str, ...] = ()


def draw(
    frame: Frame, header: InstanceHeader, elements: Elements, dataset: Dataset, view: View, *, typeface: Path | None
) -> bytes:
    """Draw one decoded frame.

    Args:
        frame: From `decode_frame`.
        header: Of the instance.
        elements: Its display attributes (`display.WANTED`), those of this frame's functional groups included.
        dataset: The data set without its pixels, for palettes.
        view: How.
        typeface: Font for the words.

    Returns:
        A file of the view's media type.

    Raises:
        UnsupportedImage: Samples or colours that nobody shows.
    """
    if frame.samples.ndim == 3:
        picture = Image.fromarray(to_rgb(frame))
    elif frame.photometric == "PALETTE COLOR":
        picture = Image.fromarray(_palette(frame.samples, dataset))
    else:
        shown = replace(header, photometric_interpretation=frame.photometric)
        picture = Image.fromarray(_grey(frame.samples, shown, elements, view.window))
    picture = _placed(picture, view)
    if view.lines:
        _write(picture, view.lines, typeface)
    buffer = io.BytesIO()
    options: dict[str, Any] = {"quality": view.quality} if view.media_type == "image/jpeg" else {}
    if view.media_type == "image/png":
        options["compress_level"] = 3  # half the time of 6 for a few percent
    picture.save(buffer, format=_FORMATS[view.media_type], **options)
    return buffer.getvalue()


def with_functional_groups(elements: Elements, dataset: Dataset, number: int) -> Elements:
    """Return the display attributes of one frame of an enhanced image, the first of which is 1 (PS3.3 C.7.6.16)."""
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    own = (dataset.get("PerFrameFunctionalGroupsSequence") or [])[number - 1 : number]
    values = dict(elements.values)
    for groups in (*shared[:1], *own):
        for sequence, attributes in _GROUPS:
            for item in (groups.get(sequence) or [])[:1]:
                for keyword, tag in attributes:
                    if (value := item.get(keyword)) is not None:
                        several = value if isinstance(value, list | tuple) else [value]
                        values[tag] = "\\".join(map(str, several)).encode("latin-1", "replace")
    return replace(elements, values=values)


def _grey(samples: Raw, header: InstanceHeader, elements: Elements, window: Window | None) -> NDArray[np.uint8]:
    if header.photometric_interpretation not in ("MONOCHROME1", "MONOCHROME2"):
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "a colour space that is not shown")
    if header.bits_allocated == 1:
        is_inverse = header.photometric_interpretation == "MONOCHROME1"
        return np.where((samples == 0) == is_inverse, 255, 0).astype(np.uint8)
    step = max(1, int((samples.size / _SAMPLE_PIXELS) ** 0.5))
    sample, largest = samples[::step, ::step], int(samples.max())
    if window is None:
        values: NDArray[Any] = display.grey_table(sample, header, elements, largest=largest).values
    else:
        values = _windowed(sample, largest, header, elements, window)
    table = np.rint(np.clip(values.astype(np.float32), 0, 1) * 255).astype(np.uint8)
    shown: NDArray[np.uint8] = table[samples]
    return shown


def _windowed(
    sample: Raw, largest: int, header: InstanceHeader, elements: Elements, window: Window
) -> NDArray[np.float64]:
    """Build the table for the caller's window; what it leaves to see is the caller's will.

    `display` is part of the recipes' hashes and stays as it is: its own steps are used here one by one.
    """
    notes: list[str] = []
    stored = display.stored_values(sample, largest, header, elements, notes)
    modality = display._modality_values(stored, header, elements, notes)
    chosen = {
        0x00281050: repr(window.center).encode(),
        0x00281051: repr(window.width).encode(),
        0x00281056: window.function.upper().replace("-", "_").encode(),
    }
    grey = display._window(modality, replace(elements, values={**elements.values, **chosen}))
    if grey is None:
        raise UnsupportedImage(Reason.OUT_OF_SCOPE, "a window is at least 1 wide")
    is_inverse = header.photometric_interpretation == "MONOCHROME1" or header.presentation_lut_shape == "INVERSE"
    grey = 1 - grey if is_inverse else grey
    grey[display._padding(stored, header, elements)] = 0
    return grey


def _palette(samples: Raw, dataset: Dataset) -> NDArray[np.uint8]:
    try:
        colours = apply_color_lut(samples, dataset)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
        raise UnsupportedImage(Reason.PIXEL_DATA_DAMAGED, "the palette cannot be read") from error
    if colours.dtype.itemsize == 2:
        # 8-bit entries written as words stay in the low byte (PS3.3 C.7.6.3.1.6).
        colours = colours >> 8 if colours.max() > 255 else colours
    shown: NDArray[np.uint8] = colours[..., :3].astype(np.uint8)
    return shown


def _placed(picture: Image.Image, view: View) -> Image.Image:
    if view.region is not None:
        left, top, width, height = view.region
        width = max(1.0, picture.width - left) if width is None else width
        height = max(1.0, picture.height - top) if height is None else height
        picture = picture.crop((round(left), round(top), round(left + abs(width)), round(top + abs(height))))
        if width < 0:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if view.size is not None:
        scale = min(view.size[0] / picture.width, view.size[1] / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR, reducing_gap=3.0)
    return picture


def _write(picture: Image.Image, lines: tuple[str, ...], typeface: Path | None) -> None:
    """Write words as large as the picture allows, white on a black edge: readable on whatever is below."""
    height = max(8, min(48, picture.height // 40))
    font = ImageFont.truetype(str(typeface), height) if typeface else ImageFont.load_default(height)
    pen = ImageDraw.Draw(picture)
    black, white = ((0, 0, 0), (255, 255, 255)) if picture.mode == "RGB" else (0, 255)
    for row, line in enumerate(lines):
        place = (height // 2, height // 2 + row * height * 5 // 4)
        pen.text(place, line, fill=white, font=font, stroke_width=max(1, height // 12), stroke_fill=black)
