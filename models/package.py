"""Reads and checks a model package folder; returns a frozen ModelPackage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


class PackageRefused(Exception):
    """A package folder that must not serve: what is wrong with it, in one sentence."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a raw score becomes a probability: sigmoid(slope * raw + intercept). Temperature: slope = 1/T."""

    method: Literal["none", "temperature", "platt"]
    slope: float
    intercept: float
    version: str


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The probability at and above which a score becomes a finding, and how well that did on which data."""

    name: str
    threshold: float
    sensitivity: float
    specificity: float
    chosen_on: str


@dataclass(frozen=True, slots=True)
class Names:
    """A finding's reviewed display names."""

    en: str
    ko: str
    vi: str
    ru: str


@dataclass(frozen=True, slots=True)
class Output:
    """One output channel: which finding, for whom, calibrated how, cut where. From configs/outputs.json."""

    channel: int
    finding: str
    """Key, unique in the package: `pneumonia_like_opacity`, `any_finding`, ..."""
    code_value: str
    code_scheme: str
    code_meaning: str
    names: Names
    calibration: Calibration
    operating_point: OperatingPoint
    min_age_years: float | None
    max_age_years: float | None
    """The output speaks for ages in [min, max); outside it is `not_evaluated`."""
    raises_priority: bool
    priority_class: int
    """The class that a present finding raises a case to: 1 stat, 2 urgent, 3 routine (no change)."""
    experimental: bool


@dataclass(frozen=True, slots=True)
class AppliesTo:
    """Which images the package may score; a rule that is empty holds for all."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    views: tuple[str, ...]
    min_age_years: float | None
    max_age_years: float | None


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A checked model package. Nothing here is read again from disk but the ONNX file's bytes."""

    name: str
    version: str
    kind: Literal["findings", "scope_gate"]
    folder: Path
    onnx_path: Path
    sha256: str
    """Over every file of the package: the identity that is stored with every score."""
    weights_sha256: str
    recipe: str
    """`name/version`, such as `chest_radiograph/1`."""
    recipe_sha256: str
    input_shape: tuple[int, int, int]
    """(channels, rows, columns) of the tensor `image`, float32."""
    outputs: tuple[Output, ...]
    """For kind `findings`: the channels of `logits`."""
    scope_classes: tuple[str, ...]
    """For kind `scope_gate`: what the channels of `logits` mean; the first is `in_scope`, the others are
    `preprocessing.errors.Reason` values; softmax over them."""
    scope_threshold: float | None
    """Least softmax probability of `in_scope` at which an image is let through."""
    gate: str | None
    """Name of the scope gate package that must let an image through first; None for a gate itself."""
    applies_to: AppliesTo
    has_heat_map: bool
    """The graph has an output `heat_map`, float32 (batch, outputs, h, w), of class activations."""
    intended_use: str
    licence: str
    manufacturer: str


def load_package(folder: Path) -> ModelPackage:
    """Read and check a package folder (a MONAI Bundle, DESIGN section 6).

    Args:
        folder: Holds configs/metadata.json, configs/outputs.json, models/model.onnx and docs/README.md.

    Returns:
        The checked package.

    Raises:
        PackageRefused: A file is missing or altered, the recipe's hash differs from the one in
            `preprocessing.recipes`, the ONNX file has external data, unknown operators or other inputs and outputs
            than the description says.
    """
    raise NotImplementedError
