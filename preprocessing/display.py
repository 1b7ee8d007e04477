"""From stored values to grey as displayed, as one table: modality LUT, VOI, inversion last (PS3.3 C.7.6.3, C.11)."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from preprocessing.elements import Elements, Wanted
from preprocessing.header import InstanceHeader, decimals, plain

_LUT_DESCRIPTOR, _LUT_DATA = 0x00283002, 0x00283006
_LUT_TAGS: Final = frozenset({_LUT_DESCRIPTOR, _LUT_DATA})
_MODALITY_LUT_SEQUENCE, _VOI_LUT_SEQUENCE = 0x00283000, 0x00283010
_CENTER, _WIDTH, _FUNCTION = 0x00281050, 0x00281051, 0x00281056
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_PADDING, _PADDING_LIMIT = 0x00280120, 0x00280121
_OVERLAY_BITS: Final = tuple(0x60000100 + (group << 17) for group in range(16))
PLANAR_CONFIGURATION: Final = 0x00280006

WANTED: Final[Wanted] = {
    **dict.fromkeys((_CENTER, _WIDTH, _FUNCTION, _INTERCEPT, _SLOPE, _PADDING, _PADDING_LIMIT, *_OVERLAY_BITS)),
    PLANAR_CONFIGURATION: None,
    _MODALITY_LUT_SEQUENCE: _LUT_TAGS,
    _VOI_LUT_SEQUENCE: _LUT_TAGS,
}

MARGIN: Final = 0.1
"""How far beyond black and white the table still tells values apart, as a part of the window. A film whose window is a
few levels off loses nothing to it; a recipe that normalises by percentiles decides for itself what is black."""

_PERCENTILES: Final = (0.5, 99.5)
_LARGEST_NUMBER: Final = 1e9
"""Slopes, intercepts and windows beyond this are nonsense and would overflow."""
_LEAST_CONTRAST: Final = 0.05
"""A window that shows the middle 90 % of an image as less than this is for other data (another bit depth)."""


@dataclass(frozen=True, slots=True)
class GreyTable:
    """What every bit pattern displays as.

    Attributes:
        values: float32, one entry for each bit pattern (256 or 65,536), 0 black to 1 white, up to MARGIN beyond.
        notes: How it came about: "window", "voi_lut", "percentile_window", "full_range", "window_ignored", ...
    """

    values: NDArray[np.float32]
    notes: tuple[str, ...]


def grey_table(
    sample: NDArray[np.unsignedinteger[Any]], header: InstanceHeader, elements: Elements, *, largest: int
) -> GreyTable:
    """Build the table for one image.

    Args:
        sample: Bit patterns of the image, or of a regular part of its pixels; any shape.
        header: The image's header.
        elements: Its display attributes (WANTED).
        largest: The largest bit pattern of the whole image.

    Returns:
        The table, for the bit patterns of `sample`'s type.
    """
    notes: list[str] = []
    stored = stored_values(sample, largest, header, elements, notes)
    is_padding = _padding(stored, header, elements)
    modality = _modality_values(stored, header, elements, notes)
    shown = sample.ravel()
    if is_padding[shown].any() and not is_padding[shown].all():
        shown = shown[~is_padding[shown]]
        notes.append("padding_masked")
    grey = _voi(modality, shown, header, elements, notes)
    # In MONOCHROME1 the smallest value after the VOI is white: inversion is last, and once.
    if header.photometric_interpretation == "MONOCHROME1" or header.presentation_lut_shape == "INVERSE":
        grey = 1 - grey
        notes.append("inverted")
    grey[is_padding] = 0
    return GreyTable(np.clip(grey, -MARGIN, 1 + MARGIN).astype(np.float32), tuple(notes))


def stored_values(
    sample: NDArray[np.unsignedinteger[Any]],
    largest: int,
    header: InstanceHeader,
    elements: Elements,
    notes: list[str],
) -> NDArray[np.int64]:
    """Give each bit pattern its value: masked to Bits Stored, signed by Pixel Representation."""
    allocated = 8 * sample.dtype.itemsize
    bits = header.bits_stored or allocated
    if not 1 <= bits <= allocated:
        bits = allocated
    patterns = np.arange(1 << allocated, dtype=np.int64)
    is_signed = header.pixel_representation == 1
    high_bit = header.high_bit if header.high_bit is not None else bits - 1
    shift = high_bit + 1 - bits if bits <= high_bit + 1 <= allocated else 0
    has_overlay_bits = any(_us(elements, tag) not in (None, 1) for tag in _OVERLAY_BITS)
    if shift == 0 and bits < allocated and not has_overlay_bits:
        # A negative value may come with its sign in the unused bits, or with zeros there.
        sign_bits = (1 << (allocated - bits)) - 1
        if (largest >> bits) and not (is_signed and np.isin(sample >> bits, (0, sign_bits)).all()):
            # Without an overlay in the unused bits, values that do not fit mean that Bits Stored is wrong.
            notes.append("bits_stored_wrong")
            bits = allocated
    values = (patterns >> shift) & ((1 << bits) - 1)
    if is_signed:
        values = np.where(values >= 1 << (bits - 1), values - (1 << bits), values)
    return values


def _us(elements: Elements, tag: int) -> int | None:
    raw = elements.values.get(tag)
    if raw is None or len(raw) < 2:
        return None
    value: int = struct.unpack_from(f"{elements.byte_order}H", raw)[0]
    return value


def _padding(stored: NDArray[np.int64], header: InstanceHeader, elements: Elements) -> NDArray[np.bool_]:
    """Mark the stored values that are padding: Pixel Padding Value, up to the limit where there is one."""
    value, limit = _us(elements, _PADDING), _us(elements, _PADDING_LIMIT)
    if value is None:
        return np.zeros(stored.shape, bool)
    ends = [value, value if limit is None else limit]
    if header.pixel_representation == 1:
        ends = [end - 65536 if end > 32767 else end for end in ends]
    return (stored >= min(ends)) & (stored <= max(ends))


def _modality_values(
    stored: NDArray[np.int64], header: InstanceHeader, elements: Elements, notes: list[str]
) -> NDArray[np.float64]:
    lut = _lut(elements.items.get(_MODALITY_LUT_SEQUENCE), elements, is_signed=header.pixel_representation == 1)
    if lut is not None:
        notes.append("modality_lut")
        first, data, _ = lut
        mapped: NDArray[np.float64] = data[np.clip(stored - first, 0, len(data) - 1)]
        return mapped
    slope = (decimals(elements.values.get(_SLOPE)) or (1.0,))[0]
    intercept = (decimals(elements.values.get(_INTERCEPT)) or (0.0,))[0]
    if slope == 0 or max(abs(slope), abs(intercept)) > _LARGEST_NUMBER:
        notes.append("rescale_ignored")
        slope, intercept = 1.0, 0.0
    return stored.astype(np.float64) * slope + intercept


def _lut(
    item: Mapping[int, bytes] | None, elements: Elements, *, is_signed: bool
) -> tuple[int, NDArray[np.float64], float] | None:
    """Read a LUT item: first mapped value, entries, largest possible entry; None when it is not usable.

    Descriptors in the field are wrong in count, in sign and in bits; the data decide where they can.
    """
    descriptor, data = (item or {}).get(_LUT_DESCRIPTOR, b""), (item or {}).get(_LUT_DATA, b"")
    if len(descriptor) < 6 or len(data) < 4:
        return None
    order = elements.byte_order
    count, first, bits = struct.unpack(f"{order}H{'h' if is_signed else 'H'}H", descriptor[:6])
    count = count or 65536
    is_bytes = len(data) in (count, count + 1) and count > 2
    entries = np.frombuffer(data[: len(data) // 2 * 2], np.uint8 if is_bytes else f"{order}u2").astype(np.float64)
    entries = entries[:count]
    needed = int(entries.max()).bit_length()
    if needed == 0:
        return None
    if not needed <= bits <= 16:
        bits = max(8, needed)
    return first, entries, float((1 << bits) - 1)


def _voi(
    values: NDArray[np.float64],
    shown: NDArray[np.unsignedinteger[Any]],
    header: InstanceHeader,
    elements: Elements,
    notes: list[str],
) -> NDArray[np.float64]:
    """Give the grey of each modality value: VOI LUT, else window 0, else what the data suggest."""
    is_signed = header.pixel_representation == 1 or bool(values.min() < 0)
    lut = _lut(elements.items.get(_VOI_LUT_SEQUENCE), elements, is_signed=is_signed)
    if lut is not None:
        first, data, largest = lut
        grey: NDArray[np.float64] = data[np.clip(np.rint(values - first), 0, len(data) - 1).astype(np.int64)] / largest
        if _shows(grey[shown]):
            notes.append("voi_lut")
            return grey
        notes.append("voi_lut_ignored")
    grey_by_window = _window(values, elements)
    if grey_by_window is not None:
        if _shows(grey_by_window[shown]):
            notes.append("window")
            return grey_by_window
        notes.append("window_ignored")
    if header.bits_stored == 8 and "modality_lut" not in notes:
        # An 8-bit capture without a window is shown as it is, and so is what training reads.
        notes.append("full_range")
        low, high = float(values.min()), float(values.max())
    else:
        notes.append("percentile_window")
        low, high = _robust_range(values[shown])
    return (values - low) / (high - low)


def _window(values: NDArray[np.float64], elements: Elements) -> NDArray[np.float64] | None:
    """Apply the first window (PS3.3 C.11.2.1.2), linear ones without their clipping; None when there is none."""
    centers, widths = decimals(elements.values.get(_CENTER)), decimals(elements.values.get(_WIDTH))
    if not centers or not widths or widths[0] < 1 or max(abs(centers[0]), widths[0]) > _LARGEST_NUMBER:
        return None
    center, width = centers[0], widths[0]
    function = (plain(elements.values.get(_FUNCTION)) or "LINEAR").split("\\")[0].strip()
    if function == "SIGMOID":
        return 1 / (1 + np.exp(np.clip(-4 * (values - center) / width, -700, 700)))
    if function == "LINEAR_EXACT":
        return (values - center) / width + 0.5
    if width == 1:
        return (values > center - 0.5).astype(np.float64)
    return (values - (center - 0.5)) / (width - 1) + 0.5


def _shows(grey: NDArray[np.float64]) -> bool:
    """Tell whether a VOI leaves something to see of the image."""
    low, high = np.percentile(np.clip(grey, 0, 1), (5, 95))
    return bool(high - low >= _LEAST_CONTRAST)


def _robust_range(seen: NDArray[np.float64]) -> tuple[float, float]:
    """Return the percentiles inside the collimated area: a border sits on the smallest or the largest value."""
    for extreme in (seen.min(), seen.max()):
        is_extreme = seen == extreme
        if 0.02 < is_extreme.mean() < 0.8:
            seen = seen[~is_extreme]
    low, high = np.percentile(seen, _PERCENTILES)
    return (float(low), float(high)) if high > low else (float(low), float(low) + 1)
