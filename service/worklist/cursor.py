"""A place in the worklist as text, so that a caller can ask for the page after it."""

from __future__ import annotations

import base64
import binascii
import json
import math

from service.worklist.items import Place

SHAPES: dict[str, tuple[type, ...]] = {
    "order": (int, int, float),
    "due": (float,),
    "received": (float,),
    "patient": (),
    "site": (str, int, int, float),
}
"""The values of a place, by what the list is sorted by."""


class CursorRefused(ValueError):
    """Text that is no place in a worklist."""


def to_text(place: Place) -> str:
    """Return a place as URL-safe text; it holds no patient attribute."""
    values = [place.sort, place.item_id, place.as_of, list(place.values)]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def from_text(text: str, *, sort: str) -> Place:
    """Return the place that `to_text` wrote, of a list sorted so. Raises CursorRefused for anything else."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise CursorRefused from None
    match values:
        case [str(stated), int(item_id), int() | float() as as_of, list(own)] if stated == sort:
            fits = len(own) == len(SHAPES[sort]) and all(map(_is, own, SHAPES[sort]))
            if fits and _is(item_id, int) and _is(as_of, float):
                return Place(sort, item_id, float(as_of), tuple(own))
    raise CursorRefused


def _is(value: object, kind: type) -> bool:
    """Tell whether a value is of a kind that the tables hold: no number that overflows, no text that is too long."""
    match value:
        case bool():
            return False
        case str():
            return kind is str and len(value) <= 64 and value.isprintable()
        case int():
            return kind in (int, float) and abs(value) < 2**63
        case float():
            return kind is float and math.isfinite(value)
    return False
