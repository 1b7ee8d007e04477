"""Raw scores on val → calibration and operating point per finding. Test films play no part."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from models.calibration import probability
from models.package import Calibration, OperatingPoint


@dataclass(frozen=True, slots=True)
class Calibrated:
    """How a finding's raw score is read."""

    finding: str
    calibration: Calibration
    operating_point: OperatingPoint


def calibrate(
    finding: str,
    logits: NDArray[np.float64],
    labels: NDArray[np.float64],
    *,
    least_sensitivity: float,
    chosen_on: str,
    version: str,
) -> Calibrated:
    """Fit Platt's slope and intercept, and take the highest threshold that reaches the stated sensitivity.

    Args:
        finding: Its key.
        logits: Raw scores (n,).
        labels: 0 or 1 (n,), no NaN.
        least_sensitivity: What the operating point must reach on these films.
        chosen_on: The films, in words.
        version: Version of the calibration.
    """
    regression = LogisticRegression(C=100.0).fit(logits[:, None], labels)
    slope, intercept = float(regression.coef_[0, 0]), float(regression.intercept_[0])
    method: Literal["platt", "none"] = "platt"
    if slope <= 0:  # too few films to tell: better uncalibrated than upside down
        method, slope, intercept = "none", 1.0, 0.0
    calibration = Calibration(method=method, slope=slope, intercept=intercept, version=version)
    probabilities = probabilities_of(logits, calibration)
    threshold = threshold_for(probabilities, labels, least_sensitivity)
    sensitivity, specificity = rates(probabilities, labels, threshold)
    point = OperatingPoint(
        name=f"sensitivity_{least_sensitivity:.2f}",
        threshold=threshold,
        sensitivity=sensitivity,
        specificity=specificity,
        chosen_on=chosen_on,
    )
    return Calibrated(finding, calibration, point)


def probabilities_of(logits: NDArray[np.float64], calibration: Calibration) -> NDArray[np.float64]:
    """Return calibrated probabilities (n,) of raw scores (n,), by the code that serving uses."""
    return np.asarray([probability(float(raw), calibration) for raw in logits])


def threshold_for(probabilities: NDArray[np.float64], labels: NDArray[np.float64], sensitivity: float) -> float:
    """Return the highest threshold at which at least `sensitivity` of the positives are present.

    It lies half-way to the next lower score, so that rounding in another runtime does not tip the film on the edge.
    """
    positives = np.sort(probabilities[labels == 1])[::-1]
    kept = positives[int(np.ceil(sensitivity * len(positives))) - 1]
    lower = probabilities[probabilities < kept]
    threshold = (kept + lower.max()) / 2 if len(lower) else kept * 0.999
    return float(np.clip(threshold, 1e-6, 1 - 1e-6))


def rates(probabilities: NDArray[np.float64], labels: NDArray[np.float64], threshold: float) -> tuple[float, float]:
    """Return (sensitivity, specificity) at a threshold."""
    present = probabilities >= threshold
    return float(present[labels == 1].mean()), float((~present[labels == 0]).mean())
