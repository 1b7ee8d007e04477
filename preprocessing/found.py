"""What a walk over a data set finds: wanted values, and where the pixels lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

PIXEL_DATA: Final = 0x7FE00010
MAX_ELEMENTS: Final = 200_000
MAX_VALUE_BYTES: Final = 1 << 20
MAX_WANTED_BYTES: Final = 32 << 20
"""Of all wanted values together: ten times what the functional groups of the largest images hold."""

Wanted: TypeAlias = Mapping[int, frozenset[int] | Mapping[int, frozenset[int]] | None]
"""Tag → None for a plain value, → the item's tags for a sequence whose first item is wanted, → sequences and their
tags for one of functional groups, every item of which is wanted (PS3.3 C.7.6.16)."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much of a data set is read; more is refused.

    Attributes:
        elements: Elements that are walked over.
        wanted_bytes: Bytes of wanted values, as many as are kept of each.
        kept_bytes: What is kept of a wanted value. Of a longer one it is the beginning, which is no refusal.
    """

    elements: int = MAX_ELEMENTS
    wanted_bytes: int = MAX_WANTED_BYTES
    kept_bytes: int = MAX_VALUE_BYTES


EVERYTHING: Final = Bounds()


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the pixels lie; positions count bytes from the start of the (inflated) data set."""

    tag: int
    position: int
    length_bytes: int | None
    """Length of a native value; None when encapsulated."""
    fragments: tuple[tuple[int, int], ...]
    """Position and length of each fragment, the Basic Offset Table first; empty when native."""
    is_words: bool
    """Its VR is OW."""


@dataclass(frozen=True, slots=True)
class Elements:
    """The wanted values of a data set, as bytes.

    Attributes:
        values: Wanted top-level values, by tag.
        items: For each wanted sequence that there is its first item's wanted values, by tag.
        groups: For each wanted sequence of functional groups, item by item, the values of its groups, flat.
        byte_order: `<` or `>`, for `struct`.
        pixel_data: Where the pixels are; None when the data set has none.
    """

    values: dict[int, bytes]
    items: dict[int, dict[int, bytes]]
    groups: dict[int, list[dict[int, bytes]]]
    byte_order: Literal["<", ">"]
    pixel_data: PixelData | None
