"""Reads an Accept header: which representations a client takes, best first (PS3.18 8.7, RFC 9110 12.5.1)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_MAX_RANGES = 64
_PARTS = re.compile(r'(?:[^,;"]|"(?:[^"\\]|\\.)*"?)+|[,;]')


@dataclass(frozen=True, slots=True)
class Accepted:
    """One media range of an Accept header.

    Attributes:
        media_type: Lower case; for `multipart/related` the type of its parts.
        is_multipart: The client takes `multipart/related` of it.
        transfer_syntax: The parameter `transfer-syntax`: a UID, `*` for whatever is stored, None when not given.
    """

    media_type: str
    is_multipart: bool
    transfer_syntax: str | None

    def takes(self, media_type: str) -> bool:
        """Tell whether the range covers a media type without parameters."""
        if self.media_type in ("*/*", media_type):
            return True
        return self.media_type.endswith("/*") and media_type.startswith(self.media_type[:-1])


def parse_accept(text: str | None) -> tuple[Accepted, ...]:
    """Return what is accepted, best first; nothing said is `*/*`. What makes no sense is left out."""
    found: list[tuple[float, Accepted]] = []
    for media_type, parameters in _ranges(text or "*/*")[:_MAX_RANGES]:
        quality = _quality(parameters.get("q"))
        if quality <= 0.0:
            continue
        transfer_syntax = parameters.get("transfer-syntax")
        if media_type == "multipart/related":
            inner = parameters.get("type", "*/*").lower()
            found.append((quality, Accepted(inner, is_multipart=True, transfer_syntax=transfer_syntax)))
        elif media_type in ("*/*", "multipart/*"):
            found.append((quality, Accepted("*/*", is_multipart=True, transfer_syntax=transfer_syntax)))
        else:
            found.append((quality, Accepted(media_type, is_multipart=False, transfer_syntax=transfer_syntax)))
    return tuple(accepted for _, accepted in sorted(found, key=lambda pair: -pair[0]))


def _ranges(text: str) -> list[tuple[str, Mapping[str, str]]]:
    ranges: list[list[str]] = [[""]]
    for part in _PARTS.findall(text):
        if part == ",":
            ranges.append([""])
        elif part == ";":
            ranges[-1].append("")
        else:
            ranges[-1][-1] += part
    return [(pieces[0].strip().lower(), _parameters(pieces[1:])) for pieces in ranges if "/" in pieces[0]]


def _parameters(pieces: list[str]) -> Mapping[str, str]:
    parameters = {}
    for piece in pieces:
        name, equals, value = piece.partition("=")
        if equals:
            parameters[name.strip().lower()] = value.strip().strip('"')
    return parameters


def _quality(text: str | None) -> float:
    """A quality that is no number says nothing."""
    if text is None or not re.fullmatch(r"[01](\.\d{0,3})?", text):
        return 1.0
    return float(text)
