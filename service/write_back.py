"""Two system calls that Python has no name for: to begin writing a file's bytes, and to sync a whole file system."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_libc = ctypes.CDLL(None, use_errno=True)
_START_WRITING = 2
"""SYNC_FILE_RANGE_WRITE (Linux, linux/fs.h)."""


def start_writing(descriptor: int, offset: int, length: int) -> None:
    """Have the disk begin with these bytes, so that less is left when they are synced. Promises nothing."""
    if hasattr(_libc, "sync_file_range"):
        _libc.sync_file_range(
            ctypes.c_int(descriptor), ctypes.c_int64(offset), ctypes.c_int64(length), ctypes.c_uint(_START_WRITING)
        )


def sync_file_system(folder: Path) -> None:
    """Write everything to the disk that the folder's file system holds back: bytes and names. Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if _libc.syncfs(ctypes.c_int(descriptor)) != 0:
            raise OSError(ctypes.get_errno(), "the file system was not synced")
    finally:
        os.close(descriptor)
