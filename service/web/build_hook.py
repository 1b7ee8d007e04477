"""Hatchling's hook: whoever installs or packs the project gets the pages built, once for each state of the sources."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from service.web import build


class PagesHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is there in a build only
    """Builds the pages before the package is packed or linked."""

    def dependencies(self) -> list[str]:
        """Ask for Node only when there is something to build: it is a hundred times the size of the pages."""
        return [] if build.is_skipped() or build.is_current() else [build.NODE_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the pages and take them along."""
        if not build.is_skipped() and not build.is_current():
            self.app.display_info(f"Building the pages ({version}) ...")
            build.build()
        build_data["artifacts"].append("/service/web/dist/")
