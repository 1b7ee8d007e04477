"""A plain encoder of lossless JPEG (ITU T.81 Annex H): its differences wrap around at 65,536, as the standard says."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

_CATEGORIES = 17
"""SSSS 0 to 16: the last stands for the one difference of 32,768 and has no further bits (T.81 table H.2)."""
_CODE_BITS = 5


def encode(values: NDArray[np.uint16], *, bits: int, predictor: int) -> bytes:
    """Return a lossless JPEG stream of one component.

    Args:
        values: (rows, columns).
        bits: Precision, 2 to 16.
        predictor: 1 to 7 (T.81 table H.1).
    """
    rows, columns = values.shape
    table = bytes([0] * (_CODE_BITS - 1) + [_CATEGORIES] + [0] * (16 - _CODE_BITS)) + bytes(range(_CATEGORIES))
    return b"".join(
        (
            b"\xff\xd8",
            _segment(0xC3, struct.pack(">BHHB3B", bits, rows, columns, 1, 1, 0x11, 0)),
            _segment(0xC4, b"\0" + table),
            _segment(0xDA, bytes([1, 1, 0, predictor, 0, 0])),
            _entropy_coded(_differences(values.astype(np.int64), bits, predictor)),
            b"\xff\xd9",
        )
    )


def _segment(marker: int, content: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def _differences(values: NDArray[np.int64], bits: int, predictor: int) -> NDArray[np.int64]:
    """Return each sample less its prediction, from -32,767 to 32,768."""
    left, above, corner = (np.zeros_like(values) for _ in range(3))
    left[:, 1:], above[1:], corner[1:, 1:] = values[:, :-1], values[:-1], values[:-1, :-1]
    predicted = {
        1: left, 2: above, 3: corner, 4: left + above - corner, 5: left + ((above - corner) >> 1),
        6: above + ((left - corner) >> 1), 7: (left + above) >> 1,
    }[predictor].copy()  # fmt: skip
    predicted[0, 1:], predicted[1:, 0] = left[0, 1:], above[1:, 0]
    predicted[0, 0] = 1 << (bits - 1)
    wrapped = (values - predicted) % 65_536
    return np.where(wrapped > 32_768, wrapped - 65_536, wrapped)


def _entropy_coded(differences: NDArray[np.int64]) -> bytes:
    written = []
    for difference in differences.ravel().tolist():
        category = 16 if difference == 32_768 else abs(difference).bit_length()
        written.append(f"{category:0{_CODE_BITS}b}")
        if 0 < category < 16:
            extra = difference if difference > 0 else difference + (1 << category) - 1
            written.append(f"{extra:0{category}b}")
    text = "".join(written)
    text += "1" * (-len(text) % 8)
    packed = int(text, 2).to_bytes(len(text) // 8, "big") if text else b""
    return packed.replace(b"\xff", b"\xff\0")
