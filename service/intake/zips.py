"""A zip that a person uploads: its files one after another, counted while they unpack, names never used as paths."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from service.intake.outcomes import IntakeReason

ZIP_MAGICS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")

_READ_BYTES = 1 << 20
_BYTES_PER_ENTRY = 400
"""Longest average entry of a central directory that is read: a name of 250 bytes and its extra fields."""
_ALWAYS_ALLOWED_BYTES = 16 << 20
"""Blank synthetic images pack better than any sensible ratio; so little cannot hurt."""
_BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, ValueError, OverflowError, RuntimeError, OSError)
"""What the library raises for hostile or damaged zips: places far outside the file, odd text, broken streams."""
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNIX = 3
_ENCRYPTED = 0x1


class ZipRefused(Exception):
    """The zip as a whole, or all that is left of it, is refused, with words for the sender."""

    def __init__(self, reason: IntakeReason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words


class EntryRefused(Exception):
    """One file of the zip is refused, with words for the sender; others may be read."""

    def __init__(self, reason: IntakeReason, words: str) -> None:
        super().__init__(words)
        self.reason = reason
        self.words = words


@dataclass(frozen=True, slots=True)
class Limits:
    """What a zip may be (RELIABILITY section 2, row 3)."""

    max_entries: int
    max_ratio: int


class Zip:
    """An open zip file.

    Args:
        file: The whole zip, seekable.
        size_bytes: Its size.
        limits: What it may be.

    Raises:
        ZipRefused: Not a zip, a damaged one, or too many entries.
    """

    def __init__(self, file: BinaryIO, *, size_bytes: int, limits: Limits) -> None:
        longest_read = max(_READ_BYTES, limits.max_entries * _BYTES_PER_ENTRY)
        self._left_bytes = max(_ALWAYS_ALLOWED_BYTES, size_bytes * limits.max_ratio)
        self._limits = limits
        try:
            self._zip = zipfile.ZipFile(_ShortReads(file, longest_read))
        except _BROKEN as failure:
            words = "the zip is damaged or not whole; make it again and send it again"
            raise ZipRefused(IntakeReason.TRUNCATED, words) from failure
        self.entries = [entry for entry in self._zip.infolist() if not entry.is_dir()]
        if len(self._zip.infolist()) > limits.max_entries:
            words = f"the zip holds more than {limits.max_entries} files; send it in parts"
            raise ZipRefused(IntakeReason.LIMIT_EXCEEDED, words)

    def read(self, entry: zipfile.ZipInfo) -> Iterator[bytes]:
        """Yield the unpacked bytes of a file.

        Raises:
            EntryRefused: This file cannot be read; others may.
            ZipRefused: The zip unpacks to more than its ratio allows: nothing more of it is read.
        """
        _check(entry)
        try:
            with self._zip.open(entry) as file:
                while data := file.read(_READ_BYTES):
                    self._left_bytes -= len(data)
                    if self._left_bytes < 0:
                        words = f"the zip unpacks to more than {self._limits.max_ratio} times its size"
                        raise ZipRefused(IntakeReason.LIMIT_EXCEEDED, words)
                    yield data
        except _BROKEN as failure:
            raise EntryRefused(IntakeReason.TRUNCATED, "damaged inside the zip; make the zip again") from failure


def _check(entry: zipfile.ZipInfo) -> None:
    mode = entry.external_attr >> 16 if entry.create_system == _UNIX else 0
    words = None
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
        words = "a link or a device, not a file; put the file itself in the zip"
    elif entry.flag_bits & _ENCRYPTED:
        words = "encrypted; make the zip without a password"
    elif entry.compress_type not in _METHODS:
        words = "packed in a way that is not read here; make a plain zip"
    if words is not None:
        raise EntryRefused(IntakeReason.NOT_DICOM, words)


class _LongRead(OSError):
    """More bytes at once than any honest zip needs."""


class _ShortReads(io.RawIOBase):
    """The zip's bytes; a central directory that would fill the memory is not read."""

    def __init__(self, file: BinaryIO, longest: int) -> None:
        self._file = file
        self._longest = longest

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(self._longest + 1 if size < 0 else size) if size <= self._longest else None
        if data is None or len(data) > self._longest:
            raise _LongRead
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True
