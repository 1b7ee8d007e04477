"""From which side a radiograph was taken, and which attribute says so."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from preprocessing.header import InstanceHeader


class View(StrEnum):
    """Direction of a projection."""

    PA = "pa"
    AP = "ap"
    FRONTAL = "frontal"
    """PA or AP; the header does not tell which."""
    LATERAL = "lateral"
    OTHER = "other"
    """Oblique, decubitus or another special view."""
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class StatedView:
    """A view and who says so.

    Attributes:
        view: The direction.
        source: Keyword of the attribute in snake_case; None when no attribute tells.
    """

    view: View
    source: str | None


_CODES: Final[Mapping[str, View]] = {
    # CID 4010, SNOMED CT and the older SNOMED-RT identifiers.
    "272479007": View.PA,
    "R-10214": View.PA,
    "399348003": View.AP,
    "R-10206": View.AP,
    "399067008": View.LATERAL,
    "R-10202": View.LATERAL,
    "399173006": View.LATERAL,
    "R-10236": View.LATERAL,
    "399198007": View.LATERAL,
    "R-10232": View.LATERAL,
}
_POSITIONS: Final[Mapping[str, View]] = {
    "PA": View.PA,
    "POSTEROANTERIOR": View.PA,
    "AP": View.AP,
    "ANTEROPOSTERIOR": View.AP,
    "FRONTAL": View.FRONTAL,
    **dict.fromkeys(("LL", "RL", "LAT", "LATERAL", "LLAT", "RLAT", "LLATERAL", "RLATERAL"), View.LATERAL),
    **dict.fromkeys(("LEFTLATERAL", "RIGHTLATERAL"), View.LATERAL),
    **dict.fromkeys(("LLD", "RLD", "LLO", "RLO", "LAO", "RAO", "LPO", "RPO", "OBLIQUE"), View.OTHER),
}
_TEXTS: Final[tuple[tuple[View, re.Pattern[str]], ...]] = tuple(
    (view, re.compile(pattern, re.IGNORECASE))
    for view, pattern in (
        # Look-arounds instead of \b: in "흉부PA" there is no word boundary.
        (View.LATERAL, r"(?<![a-z])(lat(eral)?|profile?)(?![a-z])|측면|옆면|nghiêng|боков|(?<!\w)бок(?!\w)"),
        (View.PA, r"(?<![a-z])p\.?a(?![a-z])|postero.?anterior|후전|sau.{0,3}trước|задне.?перед"),
        (View.AP, r"(?<![a-z])a\.?p(?![a-z])|antero.?posterior|전후|trước.{0,3}sau|передне.?зад"),
        (View.FRONTAL, r"(?<![a-z])frontal(?![a-z])|정면|thẳng|прям"),
    )
)


def read_view(header: InstanceHeader) -> StatedView:
    """Return the view, from the most to the least reliable attribute (STANDARDS PIX-6)."""
    if header.view_code is not None and header.view_code.value in _CODES:
        return StatedView(_CODES[header.view_code.value], "view_code_sequence")
    position = _position(header.view_position)
    if position is not None:
        return StatedView(position, "view_position")
    orientation = _orientation(header.patient_orientation)
    if orientation is View.LATERAL:
        return StatedView(orientation, "patient_orientation")
    for source, text in (("series_description", header.series_description), ("protocol_name", header.protocol_name)):
        view = _text(text)
        if view is not None and (orientation is None or view in (View.PA, View.AP)):
            return StatedView(view, source)
    if orientation is not None:
        return StatedView(orientation, "patient_orientation")
    position = _position(header.patient_position)  # meant for lying patients; some stations write the view there
    return StatedView(position, "patient_position") if position is not None else StatedView(View.UNKNOWN, None)


def _position(value: str | None) -> View | None:
    return _POSITIONS.get(re.sub(r"[^A-Z]", "", (value or "").upper()))


def _orientation(directions: tuple[str, ...]) -> View | None:
    """Read Patient Orientation: where the rows point tells frontal from lateral."""
    along_rows = directions[0][:1].upper() if directions and directions[0] else ""
    return {"L": View.FRONTAL, "R": View.FRONTAL, "A": View.LATERAL, "P": View.LATERAL}.get(along_rows)


def _text(text: str | None) -> View | None:
    """Read a description; None when it names no view, or several as in `Chest PA + LAT`."""
    found = {view for view, pattern in _TEXTS if pattern.search(text or "")}
    if found in ({View.FRONTAL, View.PA}, {View.FRONTAL, View.AP}):
        found.discard(View.FRONTAL)
    return found.pop() if len(found) == 1 else None
