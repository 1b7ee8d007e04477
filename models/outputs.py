"""configs/outputs.json: what each output channel means, for whom it speaks, how it is cut and how far it was tested."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from models.files import OUTPUTS, PackageRefused


@dataclass(frozen=True, slots=True)
class Calibration:
    """How a raw score becomes a probability: sigmoid(slope * raw + intercept). Temperature: slope = 1/T."""

    method: Literal["none", "temperature", "platt"]
    """`none`: nobody held the value against films of known outcome; it ranks, and is no probability."""
    slope: float
    intercept: float
    version: str


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """The probability at and above which something holds, and how well that did on which data."""

    name: str
    threshold: float
    sensitivity: float | None
    specificity: float | None
    """None: taken over with the weights, and never measured."""
    chosen_on: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """How well an output parts films with the finding from films without it, on films kept out of training.

    Attributes:
        auroc: The chance that of two such films the one with the finding scores higher; 0.5 is a coin.
        low: Lower end of its 95 % interval, by patient.
        high: Upper end.
        films: How many films that stands on.
        positives: How many of them have the finding.
        data: Which films, in words.
    """

    auroc: float
    low: float
    high: float
    films: int
    positives: int
    data: str


@dataclass(frozen=True, slots=True)
class Names:
    """A finding's display names, one per language of the pages."""

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
    """At and above it the finding is present."""
    raise_point: OperatingPoint | None
    """At and above it a present finding raises its case; None: it never does."""
    priority_class: int
    """The class that it raises a case to: 1 stat, 2 urgent, 3 routine (no change)."""
    min_age_years: float | None
    max_age_years: float | None
    """The output speaks for ages in [min, max); outside it is `not_evaluated`."""
    experimental: bool
    """Kept from readers until a release shows it; then marked as experimental, and never raising a case."""
    evidence: Evidence | None
    """None: not tested on films of known outcome."""


def check_output(output: Output) -> None:
    """Hold one output's record against itself. Raises PackageRefused with the finding's name."""
    for words in (
        _wrong_cut(output),
        _wrong_raise(output),
        _wrong_evidence(output.evidence),
        _wrong_ages(output),
    ):
        if words is not None:
            raise PackageRefused(f"{OUTPUTS}: {output.finding}: {words}")


def _wrong_cut(output: Output) -> str | None:
    calibration, point = output.calibration, output.operating_point
    if not (math.isfinite(calibration.slope) and math.isfinite(calibration.intercept)) or calibration.slope <= 0:
        return "calibration must be finite and rising"
    if not 0 < point.threshold < 1:
        return "threshold must lie between 0 and 1"
    if output.experimental:
        return None
    if calibration.method == "none":
        return "an output without calibration must be experimental"
    if point.sensitivity is None or point.specificity is None:
        return "an output whose operating point was never measured must be experimental"
    return None


def _wrong_raise(output: Output) -> str | None:
    point = output.raise_point
    if output.priority_class not in (1, 2, 3):
        return "priority class must be 1, 2 or 3"
    if point is None:
        return None
    if output.experimental:
        return "an experimental output must not raise a priority"
    if not output.operating_point.threshold <= point.threshold < 1:
        return "the raise point must not lie below the operating point"
    return None


def _wrong_evidence(evidence: Evidence | None) -> str | None:
    if evidence is None:
        return None
    if not 0 <= evidence.low <= evidence.auroc <= evidence.high <= 1:
        return "the evidence's AUROC must lie inside its interval, between 0 and 1"
    if not 0 < evidence.positives < evidence.films:
        return "the evidence must stand on films with and without the finding"
    if not evidence.data:
        return "the evidence must name its films"
    return None


def _wrong_ages(output: Output) -> str | None:
    low, high = output.min_age_years, output.max_age_years
    if low is not None and high is not None and low >= high:
        return "the age range is empty"
    return None
