"""Pictures of our own results for viewers without a DICOM decoder (PS3.18 8.3.5)."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from PIL import Image

from service.errors import Invalid
from service.results.dicomweb.frames import Frames
from service.results.dicomweb.records import StoredInstance
from service.results.dicomweb.wado import EXPLICIT

RENDERED_TYPES = ("image/jpeg", "image/png")
MAX_SIDE = 8_192

_DECIMAL = r"-?\d{1,6}(?:\.\d{1,6})?"
_VIEWPORT = re.compile(rf"(\d{{1,4}}),(\d{{1,4}})(?:,({_DECIMAL})?,({_DECIMAL})?,({_DECIMAL})?,({_DECIMAL})?)?")
_WINDOW = re.compile(rf"{_DECIMAL},{_DECIMAL},(linear|linear-exact|sigmoid)")


class NotRendered(Exception):
    """Not one of the pictures that we made: its pixels belong to the decode children."""


@dataclass(frozen=True, slots=True)
class View:
    """How a picture is asked for.

    Attributes:
        quality: Of JPEG, 1..100.
        size: (columns, rows) that the picture must fit into; None for its own.
        region: (left, top, width, height) of the source; a negative width or height flips. None for all of it.
    """

    quality: int
    size: tuple[int, int] | None
    region: tuple[float, float, float, float] | None


def parse_view(
    quality: Annotated[str | None, Query(max_length=8)] = None,
    viewport: Annotated[str | None, Query(max_length=100)] = None,
    window: Annotated[str | None, Query(max_length=100)] = None,
) -> View:
    """Check the parameters of a rendered picture. Raises Invalid. A window is checked; colours have none."""
    if window is not None and not _WINDOW.fullmatch(window):
        raise Invalid("window is center,width,function with linear, linear-exact or sigmoid.")
    if quality is not None and not (quality.isascii() and quality.isdigit() and 1 <= int(quality) <= 100):
        raise Invalid("quality is 1 to 100.")
    size, region = _viewport(viewport)
    return View(int(quality) if quality else 90, size, region)


def render(frames: Frames, instance: StoredInstance, view: View, media_type: str) -> bytes:
    """Return a picture in a media type of RENDERED_TYPES. Raises NotRendered and NoSuchFrame."""
    header = instance.header
    is_ours = instance.is_result and instance.transfer_syntax_uid == EXPLICIT
    if not is_ours or header.photometric_interpretation != "RGB" or not header.rows or not header.columns:
        raise NotRendered
    content = b"".join(frames.frame(1))
    picture = Image.frombytes("RGB", (header.columns, header.rows), content)
    buffer = io.BytesIO()
    if media_type == "image/png":
        _shown(picture, view).save(buffer, format="PNG")
    else:
        _shown(picture, view).save(buffer, format="JPEG", quality=view.quality)
    return buffer.getvalue()


def _shown(picture: Image.Image, view: View) -> Image.Image:
    if view.region is not None:
        left, top, width, height = view.region
        picture = picture.crop((round(left), round(top), round(left + abs(width)), round(top + abs(height))))
        if width < 0:
            picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if height < 0:
            picture = picture.transpose(Image.Transpose.FLIP_TOP_BOTTOM)
    if view.size is not None:
        scale = min(view.size[0] / picture.width, view.size[1] / picture.height)
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BILINEAR)
    return picture


def _viewport(text: str | None) -> tuple[tuple[int, int] | None, tuple[float, float, float, float] | None]:
    if text is None:
        return None, None
    found = _VIEWPORT.fullmatch(text)
    if found is None:
        raise Invalid("viewport is vw,vh or vw,vh,sx,sy,sw,sh.")
    columns, rows = int(found[1]), int(found[2])
    if not (0 < columns <= MAX_SIDE and 0 < rows <= MAX_SIDE):
        raise Invalid(f"A viewport is 1 to {MAX_SIDE} pixels on a side.")
    if found[5] is None or found[6] is None:
        return (columns, rows), None
    region = (float(found[3] or 0), float(found[4] or 0), float(found[5]), float(found[6]))
    if region[0] < 0 or region[1] < 0 or not (1 <= abs(region[2]) <= MAX_SIDE and 1 <= abs(region[3]) <= MAX_SIDE):
        raise Invalid(f"A region begins inside the picture and is 1 to {MAX_SIDE} pixels on a side.")
    return (columns, rows), region
