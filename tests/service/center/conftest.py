"""Rooms whose reports a center waits for: the reading room's."""

from __future__ import annotations

from tests.service.reading.conftest import room, tools

__all__ = ["room", "tools"]
