"""A place in the worklist as text, so that a caller can ask for the page after it."""

from __future__ import annotations

import base64
import binascii
import json
import math

from service.worklist.items import Place


class CursorRefused(ValueError):
    """Text that is no place in a worklist."""


def to_text(place: Place) -> str:
    """Return a place as URL-safe text; it holds no patient attribute."""
    values = [place.waited_too_long, place.priority_class, place.due_at, place.item_id, place.as_of]
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


def from_text(text: str) -> Place:
    """Return the place that `to_text` wrote. Raises CursorRefused for anything else."""
    try:
        values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        raise CursorRefused from None
    match values:
        case [bool(late), int(priority), int() | float() as due, int(item_id), int() | float() as as_of]:
            numbers = (float(due), float(as_of))
            if all(map(math.isfinite, numbers)) and abs(item_id) < 2**63 and abs(priority) < 2**31:
                return Place(late, priority, numbers[0], item_id, numbers[1])
    raise CursorRefused
