"""A plain encoder of lossless JPEG-LS (ITU T.87) for one component, written from the standard."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

_RUN_BITS = (*(0,) * 4, *(1,) * 4, *(2,) * 4, *(3,) * 4, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 10, 11, 12, 13, 14, 15)
"""J of T.87 A.2.1."""
_RESET = 64
_RUN_CONTEXTS = 365
"""The contexts 365 and 366 belong to samples that end a run."""


def encode(values: NDArray[Any], *, bits: int) -> bytes:
    """Return a lossless JPEG-LS stream.

    Args:
        values: (rows, columns).
        bits: Precision, 8 to 16.
    """
    rows, columns = values.shape
    frame = struct.pack(">HBHHB3B", 11, bits, rows, columns, 1, 1, 0x11, 0)
    scan = struct.pack(">HB2B3B", 8, 1, 1, 0, 0, 0, 0)
    coder = _Coder(bits)
    above = [0] * (columns + 2)
    for line in values.tolist():
        # One more sample on each side: left of the line what stands above its start, right of it the last one again.
        own = [above[1], *line, 0]
        above[-1] = above[-2]
        coder.line(own, above)
        above = own
    return b"".join((b"\xff\xd8\xff\xf7", frame, b"\xff\xda", scan, _stuffed("".join(coder.written)), b"\xff\xd9"))


@dataclass
class _Coder:
    """The state of T.87 A.2.1: statistics of each context, and the place in the table of runs."""

    bits: int
    written: list[str] = field(default_factory=list)
    run_index: int = 0

    def __post_init__(self) -> None:
        self.range = 1 << self.bits
        self.limit = 2 * (self.bits + max(8, self.bits))
        contexts = _RUN_CONTEXTS + 2
        self.a = [max(2, (self.range + 32) >> 6)] * contexts
        self.b, self.c, self.n, self.negative = [0] * contexts, [0] * contexts, [1] * contexts, [0] * contexts
        factor = (min(self.range - 1, 4095) + 128) >> 8
        self.thresholds = (factor + 2, 4 * factor + 3, 17 * factor + 4)
        assert self.range >= 256, "thresholds of fewer bits are not needed here"

    def line(self, own: Sequence[int], above: Sequence[int]) -> None:
        """Code one line; both have a sample more on each side."""
        at, end = 1, len(own) - 1
        while at < end:
            left, up, corner, next_up = own[at - 1], above[at], above[at - 1], above[at + 1]
            gradients = next_up - up, up - corner, corner - left
            if any(gradients):
                self._regular(own[at], left, up, corner, gradients)
                at += 1
            else:
                at = self._run(own, above, at, end)

    def _regular(self, sample: int, left: int, up: int, corner: int, gradients: tuple[int, int, int]) -> None:
        place = 0
        for gradient in gradients:
            place = 9 * place + self._quantized(gradient)
        sign, context = (-1, -place) if place < 0 else (1, place)
        if corner >= max(left, up):
            guess = min(left, up)
        elif corner <= min(left, up):
            guess = max(left, up)
        else:
            guess = left + up - corner
        guess = min(max(guess + sign * self.c[context], 0), self.range - 1)
        error = self._reduced(sign * (sample - guess))
        k = self._golomb_parameter(self.a[context], self.n[context])
        is_turned = k == 0 and 2 * self.b[context] <= -self.n[context]
        if is_turned:
            self._golomb(2 * error + 1 if error >= 0 else -2 * (error + 1), k, self.limit)
        else:
            self._golomb(2 * error if error >= 0 else -2 * error - 1, k, self.limit)
        self._learn(context, error)

    def _quantized(self, gradient: int) -> int:
        level = sum(abs(gradient) >= threshold for threshold in self.thresholds) + 1 if gradient else 0
        return level if gradient > 0 else -level

    def _learn(self, context: int, error: int) -> None:
        """Update a context's statistics and its correction of the prediction (T.87 A.6)."""
        b, n, c = self.b[context] + error, self.n[context], self.c[context]
        self.a[context] += abs(error)
        if n == _RESET:
            self.a[context] >>= 1
            b, n = b >> 1 if b >= 0 else -((1 - b) >> 1), n >> 1
        n += 1
        if b <= -n:
            b, c = max(b + n, -n + 1), max(c - 1, -128)
        elif b > 0:
            b, c = min(b - n, 0), min(c + 1, 127)
        self.b[context], self.n[context], self.c[context] = b, n, c

    def _run(self, own: Sequence[int], above: Sequence[int], at: int, end: int) -> int:
        """Code samples that are all like the one on their left; return where the line goes on (T.87 A.7)."""
        value, start = own[at - 1], at
        while at < end and own[at] == value:
            at += 1
        count = at - start
        while count >= 1 << _RUN_BITS[self.run_index]:
            self.written.append("1")
            count -= 1 << _RUN_BITS[self.run_index]
            self.run_index = min(self.run_index + 1, 31)
        if at == end:
            self.written.extend("1" if count else "")
            return end
        width = _RUN_BITS[self.run_index]
        self.written.append("0" + (f"{count:0{width}b}" if width else ""))
        self._interrupted(own[at], value, above[at], width)
        self.run_index = max(self.run_index - 1, 0)
        return at + 1

    def _interrupted(self, sample: int, left: int, up: int, width: int) -> None:
        is_same = left == up
        context = _RUN_CONTEXTS + is_same
        error = self._reduced(sample - up if left <= up else up - sample)
        n = self.n[context]
        k = self._golomb_parameter(self.a[context] + (n >> 1 if is_same else 0), n)
        is_mostly_negative = 2 * self.negative[context] >= n
        is_odd = (error > 0 and k == 0 and not is_mostly_negative) or (error < 0 and (is_mostly_negative or k != 0))
        mapped = 2 * abs(error) - is_same - is_odd
        self._golomb(mapped, k, self.limit - width - 1)
        self.negative[context] += error < 0
        self.a[context] += (mapped + 1 - is_same) >> 1
        if n == _RESET:
            for statistic in (self.a, self.n, self.negative):
                statistic[context] >>= 1
        self.n[context] += 1

    def _reduced(self, error: int) -> int:
        error %= self.range
        return error - self.range if error >= (self.range + 1) // 2 else error

    @staticmethod
    def _golomb_parameter(a: int, n: int) -> int:
        k = 0
        while n << k < a:
            k += 1
        return k

    def _golomb(self, value: int, k: int, limit: int) -> None:
        """Write a value by T.87 A.5.3."""
        high = value >> k
        if high < limit - self.bits - 1:
            self.written.append("0" * high + "1" + (f"{value & ((1 << k) - 1):0{k}b}" if k else ""))
        else:
            self.written.append("0" * (limit - self.bits - 1) + f"1{value - 1:0{self.bits}b}")


def _stuffed(text: str) -> bytes:
    """Pack bits; after a byte of ones the next has seven, so that no marker comes about (T.87 A.1)."""
    packed = bytearray()
    at = 0
    while at < len(text) or packed[-1:] == b"\xff":
        width = 7 if packed[-1:] == b"\xff" else 8
        packed.append(int(text[at : at + width].ljust(width, "0"), 2))
        at += width
    return bytes(packed)
