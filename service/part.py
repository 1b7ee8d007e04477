"""The parts of the service, and what one tells its parent. Loads nothing, so that the command begins at once."""

from __future__ import annotations

from typing import Literal, get_args

Part = Literal["web", "listener", "worker"]
PARTS: tuple[Part, ...] = get_args(Part)

EXIT_REFUSED = 1
EXIT_CONFIGURATION = 78
"""sysexits.h EX_CONFIG: starting again changes nothing, so the parent stops instead of trying."""
READY_LINE = b"ready\n"
"""What a part writes to its standard output, once."""


class CannotStart(Exception):
    """What an operator must change before the service can start, in one sentence."""
