"""The fonts that reports are set in; they come with the program, so that every machine prints the same page."""

from __future__ import annotations

import functools
from pathlib import Path

from fontTools.ttLib import TTFont

FOLDER = Path(__file__).parent / "typefaces"
FAMILY = "Pretendard"
INSTEAD = "\N{WHITE SQUARE}"


@functools.cache
def _printable() -> frozenset[int]:
    with TTFont(FOLDER / "Pretendard-Regular.otf", lazy=True) as font:
        return frozenset(font.getBestCmap()) | {ord("\n"), ord("\t"), ord("\r")}


def unprintable(text: str) -> str:
    """Return the characters of a text that no page of ours can show, each once."""
    return "".join(dict.fromkeys(sign for sign in text if ord(sign) not in _printable()))


def printable(text: str) -> str:
    """Return a text with a square in place of what cannot be shown."""
    return "".join(sign if ord(sign) in _printable() else INSTEAD for sign in text)
