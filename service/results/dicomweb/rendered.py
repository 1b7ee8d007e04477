"""How a rendered picture is asked for, and which instances can be one (PS3.18 8.3.5, DWB-25, DWB-26)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Query

from preprocessing.decoders import SUPPORTED_TRANSFER_SYNTAXES
from preprocessing.header import InstanceHeader
from preprocessing.pictures import PICTURE_TYPES, Function, View, Window
from service.accept import Accepted
from service.errors import Invalid
from service.results.dicomweb.records import StoredInstance

MAX_SIDE = 8_192
THUMBNAIL_SIDE = 256
ANNOTATIONS = ("patient", "technique")

_DECIMAL = r"-?[0-9]{1,6}(?:\.[0-9]{1,6})?"
_VIEWPORT = re.compile(rf"([0-9]{{1,4}}),([0-9]{{1,4}})(?:,({_DECIMAL})?,({_DECIMAL})?,({_DECIMAL})?,({_DECIMAL})?)?")
_WINDOW = re.compile(rf"({_DECIMAL}),({_DECIMAL}),(linear|linear-exact|sigmoid)")
MAY_SHOW_NAMES = frozenset({"US", "OT", "SC", "XC", "ES", "DOC", "SR", "PX", "OP"})
"""Modalities whose pixels often hold the patient's name (RELIABILITY section 2, row 17)."""

Size = tuple[int, int]
Region = tuple[float, float, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Wish:
    """A checked wish for a picture, before the client's media types are known."""

    quality: int
    size: Size | None
    region: Region | None
    window: Window | None
    annotations: frozenset[str]

    def view(self, media_type: str, header: InstanceHeader) -> View:
        """Return how to draw an instance."""
        return View(media_type, self.quality, self.size, self.region, self.window, _lines(header, self.annotations))


async def parse_wish(
    quality: Annotated[str | None, Query(max_length=8)] = None,
    viewport: Annotated[str | None, Query(max_length=100)] = None,
    window: Annotated[str | None, Query(max_length=100)] = None,
    annotation: Annotated[str | None, Query(max_length=100)] = None,
) -> Wish:
    """Check the parameters of a rendered picture. Raises Invalid."""
    if quality is not None and not (re.fullmatch("[0-9]{1,3}", quality) and 1 <= int(quality) <= 100):
        raise Invalid("quality is 1 to 100.")
    size, region = _viewport(viewport)
    return Wish(int(quality) if quality else 90, size, region, _window(window), _annotations(annotation))


async def parse_thumbnail(viewport: Annotated[str | None, Query(max_length=100)] = None) -> Wish:
    """Check the parameters of a thumbnail: a viewport of a size, nothing more. Raises Invalid."""
    size, region = _viewport(viewport)
    if region is not None:
        raise Invalid("A thumbnail shows the whole picture: viewport is vw,vh.")
    return Wish(85, size or (THUMBNAIL_SIDE, THUMBNAIL_SIDE), None, None, frozenset())


def is_drawable(instance: StoredInstance) -> bool:
    """Tell whether an instance has pixels that a decode child knows to read."""
    return instance.header.has_pixel_data and instance.transfer_syntax_uid in SUPPORTED_TRANSFER_SYNTAXES


def may_show_names(header: InstanceHeader) -> bool:
    """Tell whether the pixels may hold the patient's name: a thumbnail must not (DWB-26)."""
    burned_in = (header.burned_in_annotation or "").strip().upper()
    return burned_in == "YES" or (burned_in != "NO" and (header.modality or "OT") in MAY_SHOW_NAMES)


def picture_type(accepted: Sequence[Accepted], *, may_be_single: bool) -> tuple[str, bool] | None:
    """Return media type and whether it goes as multipart; None when the client takes no such picture.

    A wildcard of everything is a picture alone where that is possible: what a browser means.
    """
    for one in accepted:
        is_multipart = one.is_multipart and not (one.media_type == "*/*" and may_be_single)
        if not is_multipart and not may_be_single:
            continue
        for media_type in PICTURE_TYPES:
            if one.takes(media_type):
                return media_type, is_multipart
    return None


def _window(text: str | None) -> Window | None:
    if text is None:
        return None
    found = _WINDOW.fullmatch(text)
    # Linear windows are at least 1 wide, the others wider than 0 (PS3.3 C.11.2.1.2).
    if found is None or float(found[2]) < (1 if found[3] == "linear" else 0.000001):
        raise Invalid("window is center,width,function with linear, linear-exact or sigmoid.")
    return Window(float(found[1]), float(found[2]), cast(Function, found[3]))


def _annotations(text: str | None) -> frozenset[str]:
    asked = frozenset(text.split(",")) if text else frozenset()
    if not asked <= set(ANNOTATIONS):
        raise Invalid(f"annotation is {' and '.join(ANNOTATIONS)}, with commas between.")
    return asked


def _lines(header: InstanceHeader, annotations: frozenset[str]) -> tuple[str, ...]:
    lines: list[str] = []
    if "patient" in annotations:
        name = (header.patient_name or "").replace("^", " ").replace("=", "  ")
        born = " ".join(part for part in (header.patient_birth_date, header.patient_sex) if part)
        lines += [name, header.patient_id or "", born]
    if "technique" in annotations:
        what = (header.modality, header.body_part_examined, header.view_position, header.image_laterality)
        lines += [
            " ".join(part for part in what if part),
            header.series_description or "",
            " ".join(part for part in (header.study_date, header.study_time) if part),
        ]
    return tuple(line.strip()[:120] for line in lines if line.strip())


def _viewport(text: str | None) -> tuple[Size | None, Region | None]:
    if text is None:
        return None, None
    found = _VIEWPORT.fullmatch(text)
    if found is None:
        raise Invalid("viewport is vw,vh or vw,vh,sx,sy,sw,sh.")
    columns, rows = int(found[1]), int(found[2])
    if not (0 < columns <= MAX_SIDE and 0 < rows <= MAX_SIDE):
        raise Invalid(f"A viewport is 1 to {MAX_SIDE} pixels on a side.")
    left, top, width, height = (None if found[number] is None else float(found[number]) for number in range(3, 7))
    if all(one is None for one in (left, top, width, height)):
        return (columns, rows), None
    is_long = all(side is None or 1 <= abs(side) <= MAX_SIDE for side in (width, height))
    if (left or 0) < 0 or (top or 0) < 0 or not is_long:
        raise Invalid(f"A region begins inside the picture and is 1 to {MAX_SIDE} pixels on a side.")
    return (columns, rows), (left or 0.0, top or 0.0, width, height)
