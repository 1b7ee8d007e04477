"""Raw score → probability, and a scope gate's scores → let through or not."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.package import Calibration, ModelPackage
from preprocessing.errors import Reason


def probability(raw: float, calibration: Calibration) -> float:
    """Return the calibrated probability, 0..1, of one raw score: sigmoid(slope * raw + intercept).

    Args:
        raw: One channel of `logits`; must be finite.
        calibration: From the package's outputs.json.

    Returns:
        The probability; never NaN, never outside 0..1.
    """
    value = calibration.slope * raw + calibration.intercept
    if value >= 0:
        return 1.0 / (1.0 + math.exp(-min(value, 700.0)))
    exponential = math.exp(max(value, -700.0))
    return exponential / (1.0 + exponential)


@dataclass(frozen=True, slots=True)
class ScopeJudgement:
    """What a scope gate says about one image.

    Attributes:
        reason: Why the image is refused; None when it is let through.
        in_scope: Softmax probability of `in_scope`.
    """

    reason: Reason | None
    in_scope: float


def judge_scope(gate: ModelPackage, logits: NDArray[np.float32]) -> ScopeJudgement:
    """Return whether a gate lets an image through.

    Args:
        gate: A package of kind `scope_gate`.
        logits: float32 (k,), one image's channels in the order of `gate.scope_classes`.

    Returns:
        The judgement; a refused image gets the most probable of the other classes as its reason.
    """
    if gate.kind != "scope_gate" or gate.scope_threshold is None:
        raise ValueError(f"{gate.name} is not a scope gate")
    shifted = logits.astype(np.float64) - float(logits.max())
    shares = np.exp(shifted) / np.exp(shifted).sum()
    in_scope = float(shares[0])
    if in_scope >= gate.scope_threshold:
        return ScopeJudgement(reason=None, in_scope=in_scope)
    return ScopeJudgement(reason=Reason(gate.scope_classes[1 + int(shares[1:].argmax())]), in_scope=in_scope)
