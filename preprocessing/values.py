"""Single values of a data set: bytes → text and numbers; nonsense is absent, never a guess."""

from __future__ import annotations

import math
import struct


def plain(raw: bytes | None) -> str | None:
    """Return a value of the default repertoire without padding; None when absent or empty."""
    if not raw:
        return None
    return raw.strip(b"\0 ").decode("latin_1") or None


def plain_list(raw: bytes | None) -> tuple[str, ...]:
    """Return the values of a multi-valued code string; () when absent or empty."""
    text = raw.strip(b"\0 ") if raw else b""
    return tuple(part.strip() for part in text.decode("latin_1").split("\\")) if text else ()


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
