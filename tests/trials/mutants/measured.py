"""The real recipes, that note in the work folder how much memory their decode child took for an image."""

from __future__ import annotations

import resource
from pathlib import Path

from preprocessing.header import InstanceHeader
from preprocessing.placement import Prepared
from preprocessing.recipes import RECIPES as REAL
from preprocessing.recipes import SERIES_RECIPES, Recipe

MODULE = __name__


def noted(work_folder: Path, film: Path) -> Path:
    """Return where it is noted."""
    return work_folder / f"{film.stem}.peak"


class Measured:
    """A recipe that says how far its child's memory rose, however it ended; a child that is killed says nothing."""

    def __init__(self, real: Recipe) -> None:
        self._real = real
        self.name, self.sha256 = real.name, real.sha256

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        before_kib = _peak_kib()  # which begins, in a fork, with what is resident
        try:
            return self._real.prepare(path, header)
        finally:
            [archive] = [parent for parent in path.parents if parent.name == "archive"]
            noted(archive.with_name("work"), path).write_text(str(_peak_kib() - before_kib))


def _peak_kib() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


RECIPES = {name: Measured(real) for name, real in REAL.items()}

__all__ = ["MODULE", "RECIPES", "SERIES_RECIPES"]
