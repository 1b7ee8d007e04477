"""Recipe name and version → function: the one place where a path from pixels to tensor is named."""

from __future__ import annotations

import ast
import hashlib
import io
import tokenize
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Final, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from preprocessing import (
    decoders,
    display,
    frames,
    geometry,
    pixels,
    planes,
    problems,
    radiograph,
    series,
    stacking,
    volume,
)
from preprocessing.header import InstanceHeader
from preprocessing.placement import Placement, Prepared, PreparedVolume, VolumePlacement
from preprocessing.radiograph import RadiographParameters
from preprocessing.volume import MR_PARAMETERS, VolumeParameters


class Recipe(Protocol):
    """A pure, versioned path from a stored file to a tensor."""

    @property
    def name(self) -> str:
        """`chest_radiograph/1`."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its code and parameters; a model package pins it."""
        ...

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        """Decode the file and make the tensor. Raises UnsupportedImage."""
        ...

    def prepare_array(self, grey: NDArray[np.uint8]) -> Prepared:
        """Make the tensor of an 8-bit picture, (rows, columns), bright = dense: how training reads public sets.

        The same code as `prepare` from the grey values on.
        """
        ...


class SeriesRecipe(Protocol):
    """A pure, versioned path from the stored files of a series to the tensor of a volume."""

    @property
    def name(self) -> str:
        """`ct_volume/1`."""
        ...

    @property
    def sha256(self) -> str:
        """Hash of its code and parameters; a model package pins it."""
        ...

    def prepare_series(self, paths: Sequence[Path]) -> PreparedVolume:
        """Order, check and decode the files, in any order, and make the tensor. Raises UnsupportedImage."""
        ...


_PIXEL_MODULES: Final[tuple[ModuleType, ...]] = (decoders, display, pixels, radiograph)
"""The modules that decide what a pixel becomes. Scope rules and header parsing refuse, but never change a value."""
_VOLUME_MODULES: Final[tuple[ModuleType, ...]] = (
    decoders,
    planes,
    geometry,
    problems,
    stacking,
    series,
    frames,
    volume,
)
"""Those that decide what a voxel becomes; where a slice lies is read by `planes`."""


_Parameters = TypeVar("_Parameters")


class _Hashed(Generic[_Parameters]):
    """A recipe that is known by its name, its parameters and the code of its modules.

    Args:
        name: Name and version.
        parameters: What it does with an image or a series besides its code.
    """

    modules: ClassVar[tuple[ModuleType, ...]]

    def __init__(self, name: str, parameters: _Parameters) -> None:
        self.name = name
        self.parameters = parameters

    @cached_property
    def sha256(self) -> str:
        """Hash of its code and parameters."""
        return recipe_hash(self.name, repr(self.parameters), *map(_source, self.modules))


class RadiographRecipe(_Hashed[RadiographParameters]):
    """The recipe for chest radiographs."""

    modules = _PIXEL_MODULES

    def prepare(self, path: Path, header: InstanceHeader) -> Prepared:
        """Decode the file and make the tensor. Raises UnsupportedImage."""
        return radiograph.prepare_file(path, header, self.parameters)

    def prepare_array(self, grey: NDArray[np.uint8]) -> Prepared:
        """Make the tensor of an 8-bit picture. Raises UnsupportedImage."""
        return radiograph.prepare_picture(grey, self.parameters)


class VolumeRecipe(_Hashed[VolumeParameters]):
    """The recipes for CT and MR series."""

    modules = _VOLUME_MODULES

    def prepare_series(self, paths: Sequence[Path]) -> PreparedVolume:
        """Order, check and decode the files, in any order, and make the tensor. Raises UnsupportedImage."""
        return volume.prepare_series(paths, self.parameters)


def _source(module: ModuleType) -> str:
    return Path(module.__file__ or "").read_text(encoding="utf-8")


def recipe_hash(name: str, parameters: str, *sources: str) -> str:
    """Return the SHA-256 over a recipe's name, parameters and code; comments, docstrings and blank lines do not count.

    Works on lines, not on a syntax tree, so that every Python version gives the same hash.
    """
    parts = [name, parameters, *(bare_code(source) for source in sources)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def bare_code(source: str) -> str:
    """Return Python source without comments, docstrings and blank lines."""
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for row in range(node.lineno, (node.end_lineno or node.lineno) + 1):
                lines[row - 1] = ""
    return "\n".join(line.rstrip() for line in lines if line.strip())


_CHEST_RADIOGRAPH: Final[Recipe] = RadiographRecipe("chest_radiograph/1", RadiographParameters())
_CT_VOLUME: Final[SeriesRecipe] = VolumeRecipe("ct_volume/1", VolumeParameters())
_MR_VOLUME: Final[SeriesRecipe] = VolumeRecipe("mr_volume/1", MR_PARAMETERS)

RECIPES: Final[Mapping[str, Recipe]] = {recipe.name: recipe for recipe in (_CHEST_RADIOGRAPH,)}
SERIES_RECIPES: Final[Mapping[str, SeriesRecipe]] = {recipe.name: recipe for recipe in (_CT_VOLUME, _MR_VOLUME)}

__all__ = [
    "RECIPES",
    "SERIES_RECIPES",
    "Placement",
    "Prepared",
    "PreparedVolume",
    "Recipe",
    "SeriesRecipe",
    "VolumePlacement",
]
