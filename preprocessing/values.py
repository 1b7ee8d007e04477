"""Single values of a data set: bytes → text and numbers; nonsense is absent, never a guess."""

from __future__ import annotations

import math
import struct
from collections.abc import Collection
from typing import Final

from preprocessing.found import Elements

LONGEST_BYTES: Final = 1_024
"""What a header keeps of one value. The longest that the standard allows is a name: three groups of 64 characters of
at most four bytes, and escape sequences (PS3.5 section 6.2); a description has 64 characters, a code string 16."""
MAX_VALUES: Final = 32
"""What a header keeps of a value with many parts; an Image Type has some four, a Specific Character Set one or two."""


def whole(raw: bytes | None) -> bytes | None:
    """Return a value that makes sense only in one piece; None when absent or longer than a header keeps."""
    return raw if raw is not None and len(raw) <= LONGEST_BYTES else None


def uid(raw: bytes | None) -> str | None:
    """Return a UID without padding; one that is longer than a header keeps stays too long to be valid."""
    return plain(raw) if raw is None or len(raw) <= LONGEST_BYTES else raw.decode("latin_1")


def plain(raw: bytes | None) -> str | None:
    """Return a value of the default repertoire without padding; None when absent or empty."""
    if not raw:
        return None
    return raw.strip(b"\0 ").decode("latin_1") or None


def plain_list(raw: bytes | None) -> tuple[str, ...]:
    """Return the values of a multi-valued code string; () when absent or empty."""
    text = raw.strip(b"\0 ") if raw else b""
    return tuple(part.strip() for part in text.decode("latin_1").split("\\")) if text else ()


def few(raw: bytes | None) -> tuple[str, ...]:
    """Return the values that a header keeps of a multi-valued code string: the first ones, each in one piece."""
    values = plain_list(raw)
    return values[: min(MAX_VALUES, len(values) - (raw is not None and len(raw) > LONGEST_BYTES))]


def decimals(raw: bytes | None) -> tuple[float, ...]:
    """Return the finite values of a decimal string; nonsense is left out."""
    found = []
    for part in plain_list(raw):
        try:
            value = float(part.replace(",", "."))
        except ValueError:
            continue
        if math.isfinite(value):
            found.append(value)
    return tuple(found)


def integer(raw: bytes | None) -> int | None:
    """Return an integer string's first value, None when it is nonsense."""
    values = plain_list(raw)
    try:
        return int(values[0]) if values and len(values[0]) <= 20 else None
    except ValueError:
        return None


def short(raw: bytes | None, byte_order: str) -> int | None:
    """Return a US value (a UL where a writer chose that), None when it has another length."""
    if raw and len(raw) in (2, 4):
        value: int = struct.unpack(f"{byte_order}{'H' if len(raw) == 2 else 'I'}", raw)[0]
        return value
    return None


def is_shortened(elements: Elements, several: Collection[int]) -> bool:
    """Tell whether a header leaves something out: of any value, or of the parts of these multi-valued ones."""
    groups = (group for sequence in elements.groups.values() for group in sequence)
    return any(
        len(raw) > LONGEST_BYTES or (tag in several and raw.count(b"\\") >= MAX_VALUES)
        for values in (elements.values, *elements.items.values(), *groups)
        for tag, raw in values.items()
    )
