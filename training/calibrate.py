"""Raw scores on val → calibration, operating point and raise point per finding. Test films play no part."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter
from scipy.optimize import brentq  # type: ignore[import-untyped]  # it has no stubs
from scipy.special import expit  # type: ignore[import-untyped]  # it has no stubs
from sklearn.linear_model import LogisticRegression

from models.calibration import probability
from models.package import Calibration, OperatingPoint
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS, NIH_FINDINGS, ManifestRefused

LEAST_SENSITIVITY: Mapping[str, float] = {
    CHILD_OPACITY: 0.95,
    ANY_FINDING: 0.90,
    ADULT_OPACITY: 0.90,
    **dict.fromkeys(NIH_FINDINGS, 0.90),
}
LEAST_SPECIFICITY_TO_RAISE = 0.90
"""Of ten films without the finding at most one may move up: an order in which everything is urgent is no order."""
LEAST_SPECIFICITY_WHEN_FEW = 0.80
FEW = 10
"""With fewer positive films on val, a slope and a sensitivity would be read off a handful of films. Then the slope is
the common one of the fourteen findings, and the operating point leaves 8 of 10 films without the finding unflagged."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How a finding's raw score is read; `raise_point` is never below `operating_point`."""

    finding: str
    calibration: Calibration
    operating_point: OperatingPoint
    raise_point: OperatingPoint


def calibrate_all(logits: Floats, labels: Floats, *, version: str) -> list[Calibrated]:
    """Return how each finding is read, from the val films of which its label is known.

    Args:
        logits: Raw scores (n, k), columns as in FINDINGS.
        labels: 0, 1 or NaN (n, k).
        version: Version of the calibration.
    """
    fourteen = [FINDINGS.index(finding) for finding in NIH_FINDINGS]
    slope = common_slope(logits[:, fourteen], labels[:, fourteen])
    readings = []
    for column, finding in enumerate(FINDINGS):
        known = ~np.isnan(labels[:, column])
        scores, truth = logits[known, column], labels[known, column]
        readings.append(
            calibrate(
                finding,
                scores,
                truth,
                least_sensitivity=LEAST_SENSITIVITY[finding],
                chosen_on=f"{len(truth)} validation films, {int(truth.sum())} with the finding",
                version=version,
                slope_when_few=slope,
            )
        )
    return readings


def calibrate(
    finding: str,
    logits: Floats,
    labels: Floats,
    *,
    least_sensitivity: float,
    chosen_on: str,
    version: str,
    slope_when_few: float = 1.0,
) -> Calibrated:
    """Fit Platt's slope and intercept and choose both points.

    Args:
        finding: Its key.
        logits: Raw scores (n,).
        labels: 0 or 1 (n,), no NaN.
        least_sensitivity: What the operating point must reach on these films.
        chosen_on: The films, in words.
        version: Version of the calibration.
        slope_when_few: Slope for a finding with fewer than FEW positive films.

    Raises:
        ManifestRefused: There is no film without the finding.
    """
    if not (labels == 0).any():
        raise ManifestRefused(f"no val film is known to be without {finding}: it can not be calibrated")
    few = labels.sum() < FEW
    calibration = _fit(logits, labels, version, fixed_slope=slope_when_few if few else None)
    probabilities = probabilities_of(logits, calibration)
    if few:
        name, threshold = _specific(probabilities, labels, LEAST_SPECIFICITY_WHEN_FEW)
        chosen_on += ": too few for a sensitivity, so a specificity was set"
    else:
        name = f"sensitivity_{least_sensitivity:.2f}"
        threshold = threshold_for(probabilities, labels, least_sensitivity)
    raise_name, raise_threshold = _specific(probabilities, labels, LEAST_SPECIFICITY_TO_RAISE)
    return Calibrated(
        finding,
        calibration,
        _point(name, threshold, probabilities, labels, chosen_on),
        _point(raise_name, max(threshold, raise_threshold), probabilities, labels, chosen_on),
    )


def common_slope(logits: Floats, labels: Floats) -> float:
    """Return one slope for several findings, each with its own intercept; 1.0 where the films say nothing usable."""
    film, column = np.nonzero(~np.isnan(labels))
    own_intercept = np.eye(labels.shape[1])[column]
    truth = labels[film, column]
    if len(np.unique(truth)) < 2:
        return 1.0
    columns = np.column_stack([logits[film, column], own_intercept])
    slope = float(LogisticRegression(C=100.0, max_iter=1_000, fit_intercept=False).fit(columns, truth).coef_[0, 0])
    return slope if slope > 0 else 1.0


def probabilities_of(logits: Floats, calibration: Calibration) -> Floats:
    """Return calibrated probabilities (n,) of raw scores (n,), by the code that serving uses."""
    return np.asarray([probability(float(raw), calibration) for raw in logits])


def threshold_for(probabilities: Floats, labels: Floats, sensitivity: float) -> float:
    """Return the highest threshold at which at least `sensitivity` of the positives are present.

    It lies half-way to the next lower score, so that rounding in another runtime does not tip the film on the edge.
    """
    positives = np.sort(probabilities[labels == 1])[::-1]
    kept = positives[int(np.ceil(sensitivity * len(positives))) - 1]
    lower = probabilities[probabilities < kept]
    threshold = (kept + lower.max()) / 2 if len(lower) else kept * 0.999
    return float(np.clip(threshold, 1e-6, 1 - 1e-6))


def threshold_for_specificity(probabilities: Floats, labels: Floats, specificity: float) -> float:
    """Return the lowest threshold at which at least `specificity` of the negatives are below; half-way, as above."""
    negatives = np.sort(probabilities[labels == 0])
    below = negatives[int(np.ceil(specificity * len(negatives))) - 1]
    higher = probabilities[probabilities > below]
    threshold = (below + higher.min()) / 2 if len(higher) else (below + 1) / 2
    return float(np.clip(threshold, 1e-6, 1 - 1e-6))


def save_calibration(run_folder: Path, readings: Sequence[Calibrated]) -> None:
    """Write run_folder/calibration.json."""
    text = json.dumps([asdict(reading) for reading in readings], indent=1)
    (run_folder / "calibration.json").write_text(text, encoding="utf-8")


def load_calibration(run_folder: Path) -> list[Calibrated]:
    """Return what `save_calibration` wrote."""
    return TypeAdapter(list[Calibrated]).validate_json((run_folder / "calibration.json").read_bytes())


def _fit(logits: Floats, labels: Floats, version: str, *, fixed_slope: float | None) -> Calibration:
    """Fit Platt's targets (Platt 1999), which keep a few films from promising certainty."""
    positives, films = float(labels.sum()), len(labels)
    if fixed_slope is not None:
        share = (positives + 1) / (films + 2)
        intercept = float(brentq(lambda shift: expit(fixed_slope * logits + shift).mean() - share, -1e3, 1e3))
        return Calibration(method="platt", slope=fixed_slope, intercept=intercept, version=version)
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (films - positives + 2))
    twice = np.repeat([1.0, 0.0], films)  # each film once as present, once as absent, with its target as weight
    weights = np.concatenate([targets, 1 - targets])
    regression = LogisticRegression(C=100.0).fit(np.tile(logits, 2)[:, None], twice, sample_weight=weights)
    slope, intercept = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    if slope <= 0:  # the scores do not tell: better uncalibrated than upside down
        return Calibration(method="none", slope=1.0, intercept=0.0, version=version)
    return Calibration(method="platt", slope=slope, intercept=intercept, version=version)


def _specific(probabilities: Floats, labels: Floats, specificity: float) -> tuple[str, float]:
    return f"specificity_{specificity:.2f}", threshold_for_specificity(probabilities, labels, specificity)


def _point(name: str, threshold: float, probabilities: Floats, labels: Floats, chosen_on: str) -> OperatingPoint:
    present = probabilities >= threshold
    return OperatingPoint(
        name=name,
        threshold=threshold,
        sensitivity=float(present[labels == 1].mean()) if labels.any() else None,
        specificity=float((~present[labels == 0]).mean()),
        chosen_on=chosen_on,
    )
