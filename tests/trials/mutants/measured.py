"""The real recipes, that note beside an image's file how much memory their decode child took for it."""

from __future__ import annotations

import resource
from pathlib import Path

from preprocessing.header import InstanceHeader
from preprocessing.placement import Prepared
from preprocessing.recipes import RECIPES as REAL
from preprocessing.recipes import SERIES_RECIPES, Recipe

MODULE = __name__
NOTED = ".peak"


class Measured:
    """A recipe that says how far its child's memory rose, however it ended; a child that is killed says nothing."""

    def __init__(self, real: Recipe) -> None:
        self._real = real
        self.name, self.sha256 = real.name, real.sha256

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        before = _resident_kib()
        try:
            return self._real.prepare(path, header)
        finally:
            grown_kib = max(0, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
            path.with_suffix(NOTED).write_text(str(grown_kib))


def _resident_kib() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024


RECIPES = {name: Measured(real) for name, real in REAL.items()}

__all__ = ["MODULE", "RECIPES", "SERIES_RECIPES"]
