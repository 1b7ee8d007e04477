"""Media types of pixels, and the transfer syntaxes that they carry (PS3.18 table 8.7.3-2)."""

from __future__ import annotations

OCTETS = "application/octet-stream"
MEDIA_TYPES = {
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.5": "image/dicom-rle",
    "1.2.840.10008.1.2.4.80": "image/jls",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.90": "image/jp2",
    "1.2.840.10008.1.2.4.91": "image/jp2",
    "1.2.840.10008.1.2.4.92": "image/jpx",
    "1.2.840.10008.1.2.4.93": "image/jpx",
    "1.2.840.10008.1.2.4.201": "image/jphc",
    "1.2.840.10008.1.2.4.202": "image/jphc",
    "1.2.840.10008.1.2.4.203": "image/jphc",
    "1.2.840.10008.1.2.4.110": "image/jxl",
    "1.2.840.10008.1.2.4.111": "image/jxl",
    "1.2.840.10008.1.2.4.112": "image/jxl",
}
"""Compressed frames by transfer syntax; the first of a media type is what it means without a parameter."""


def default_transfer_syntax(media_type: str) -> str | None:
    """Return the transfer syntax that a media type of compressed pixels means; None for any other type."""
    return next((uid for uid, name in MEDIA_TYPES.items() if name == media_type), None)
