"""A forward-moving view of a data set's bytes: of a plain file by seeking, of a deflated one by bounded inflating."""

from __future__ import annotations

import sys
import zlib
from typing import BinaryIO, Final, Literal, Protocol

CHUNK_BYTES: Final = 64 * 1024
_SMALL_BYTES: Final = 64
_INFLATE_BYTES: Final = 256 * 1024
MAX_INFLATED_BYTES: Final = 512 << 20
MAX_INFLATE_RATIO: Final = 100
_ALWAYS_INFLATED_BYTES: Final = 1 << 20
"""A header of a few hundred bytes may well be mostly spaces."""


class HeaderRefused(Exception):
    """A data set that cannot be read.

    Args:
        kind: `damaged` (the bytes make no sense), `truncated` (they end too early), `limit` (more than we accept).
    """

    def __init__(self, kind: Literal["damaged", "truncated", "limit"]) -> None:
        super().__init__(kind)
        self.kind: Literal["damaged", "truncated", "limit"] = kind


class Window(Protocol):
    """Bytes `base` to `reach` of a data set are in `data`; positions only grow."""

    data: bytes
    base: int
    reach: int
    end: int
    """Where the data set ends; `sys.maxsize` when only inflating tells."""

    def cover(self, position: int, *, small: bool = False) -> None:
        """Move on to `position`: `data` then holds what follows it, at least 16 bytes unless the data set ends."""
        ...

    def require(self, position: int) -> None:
        """Raise HeaderRefused unless the data set has bytes up to `position`."""
        ...

    def peek(self, position: int, count: int) -> bytes:
        """Return up to `count` bytes at `position`, fewer at the end."""
        ...

    def read(self, position: int, count: int) -> bytes:
        """Return exactly `count` bytes at `position` or raise HeaderRefused."""
        ...


class _FileWindow:
    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file = file
        self._offset = offset
        size = file.seek(0, 2)
        self.data = b""
        self.base = 0
        self.reach = 0
        self.end = max(0, min(length, size - offset))

    def cover(self, position: int, *, small: bool = False) -> None:
        if position > self.end:
            raise HeaderRefused("truncated")
        self._file.seek(self._offset + position)
        self.data = self._file.read(min(_SMALL_BYTES if small else CHUNK_BYTES, self.end - position))
        self.base = position
        self.reach = position + len(self.data)

    def require(self, position: int) -> None:
        if position > self.end:
            raise HeaderRefused("truncated")

    def peek(self, position: int, count: int) -> bytes:
        if position < self.base or position + count > self.reach:
            self.cover(min(position, self.end))
        return self.data[position - self.base : position - self.base + count]

    def read(self, position: int, count: int) -> bytes:
        start = position - self.base
        if position + count <= self.reach and start >= 0:
            return self.data[start : start + count]
        self._file.seek(self._offset + position)
        value = self._file.read(count)
        if len(value) < count:
            raise HeaderRefused("truncated")
        return value


class _InflatingWindow:
    """Inflates as far as asked and keeps only the part ahead: a bomb costs its limit in time, not in memory."""

    def __init__(self, file: BinaryIO, offset: int, length: int) -> None:
        self._file = file
        self._next = offset
        self._file_end = offset + length
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._limit = min(MAX_INFLATED_BYTES, max(_ALWAYS_INFLATED_BYTES, MAX_INFLATE_RATIO * length))
        self._pending = b""
        self.data = b""
        self.base = 0
        self.reach = 0
        self.end = sys.maxsize

    def _more(self) -> bytes:
        """Return the next inflated bytes, b"" at the end of the stream."""
        while not self._inflate.eof:
            if not self._pending:
                self._file.seek(self._next)
                self._pending = self._file.read(min(CHUNK_BYTES, self._file_end - self._next))
                self._next += len(self._pending)
                if not self._pending:
                    return self._check(self._inflate.flush(_INFLATE_BYTES))
            try:
                out = self._inflate.decompress(self._pending, _INFLATE_BYTES)
            except zlib.error as error:
                raise HeaderRefused("damaged") from error
            self._pending = self._inflate.unconsumed_tail
            if out:
                return self._check(out)
        return b""

    def _check(self, out: bytes) -> bytes:
        if self.reach + len(out) > self._limit:
            raise HeaderRefused("limit")
        return out

    def _advance(self, position: int) -> bool:
        out = self._more()
        if not out:
            return False
        kept = self.data[max(0, position - self.base) :]
        self.data = kept + out
        self.reach += len(out)
        self.base = self.reach - len(self.data)
        return True

    def cover(self, position: int, *, small: bool = False) -> None:  # noqa: ARG002 -- inflating knows one step
        while self.reach < position + 16 and self._advance(position):
            pass

    def require(self, position: int) -> None:
        while self.reach < position:
            if not self._advance(position):
                raise HeaderRefused("truncated")

    def peek(self, position: int, count: int) -> bytes:
        self.cover(position)
        start = position - self.base
        return self.data[start : start + count]

    def read(self, position: int, count: int) -> bytes:
        if position < self.base:
            raise HeaderRefused("damaged")  # inflated bytes go by once
        parts = []
        while count:
            if position >= self.reach and not self._advance(position):
                raise HeaderRefused("truncated")
            start = position - self.base
            part = self.data[start : start + count]
            parts.append(part)
            position += len(part)
            count -= len(part)
        return b"".join(parts)


def open_window(file: BinaryIO, *, offset: int, length: int, is_deflated: bool) -> Window:
    """Return the bytes of the data set that starts at `offset` of a seekable file and spans `length` bytes."""
    return (_InflatingWindow if is_deflated else _FileWindow)(file, offset, length)
