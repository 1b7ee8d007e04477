"""Outputs and operating points → Findings, and the priority that they suggest."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.calibration import probability
from models.package import Evidence, ModelPackage, Output
from preprocessing.errors import Reason
from preprocessing.recipes import Placement
from service.inference.plan import ADULT_AGE_YEARS
from service.results.places import Box, peak_box


class Presence(StrEnum):
    """What a package says of one finding. Silence is never "absent" (STANDARDS section 0, 4)."""

    PRESENT = "present"
    ABSENT = "absent"
    UNDETERMINED = "undetermined"
    NOT_EVALUATED = "not_evaluated"


@dataclass(frozen=True, slots=True)
class Finding:
    """One output channel of one run, judged.

    Attributes:
        finding: The output's key in the package.
        reason: Why it was not evaluated; None otherwise.
        probability: Calibrated, 0..1; None when not evaluated.
        raw_score: The network's own number, kept for the record even when not evaluated; None when it gave none.
        threshold: The operating point's probability: at or above it the finding is present.
        raises_priority: Present, and at or above the probability from which it raises its case.
        shown: Readers see it; the others are kept for the record alone.
        calibrated: `probability` is one; otherwise the value only ranks.
        evidence: How far the output was tested, where that is known and readers see it.
        place: Around the strongest activation of a present finding, in columns and rows of the full-resolution
            image (left, top, right, bottom). It says where the network looked, not where a lesion ends.
    """

    channel: int
    finding: str
    presence: Presence
    reason: Reason | None
    probability: float | None
    raw_score: float | None
    operating_point: str
    threshold: float
    raises_priority: bool
    experimental: bool
    shown: bool
    calibrated: bool
    evidence: Evidence | None
    place: Box | None


def judge_findings(
    package: ModelPackage,
    logits: NDArray[np.float32],
    *,
    age_years: float | None,
    unknown_age_as_adult: bool,
    shown: Collection[str] | None = None,
    heat_map: NDArray[np.float32] | None = None,
    placement: Placement | None = None,
) -> tuple[Finding, ...]:
    """Judge every output of a package for one image: each is reported, none is left out.

    Args:
        package: Of kind `findings`.
        logits: float32 (k,), one image's raw scores, channels as in `package.outputs`.
        age_years: The patient's age at the study; None when unknown.
        unknown_age_as_adult: The site's policy `unknown_age=adult`.
        shown: The findings that readers see; None: all.
        heat_map: float32 (k, h, w), class activations on a grid over the tensor.
        placement: Where the tensor lies in the image; needed with `heat_map`.
    """
    age = ADULT_AGE_YEARS if age_years is None and unknown_age_as_adult else age_years
    judged = []
    for output in package.outputs:
        is_shown = shown is None or output.finding in shown
        finding = _judge(output, float(logits[output.channel]), age, is_shown)
        if finding.presence is Presence.PRESENT and heat_map is not None and placement is not None:
            _, rows, columns = package.input_shape
            box = peak_box(heat_map[output.channel], placement, (rows, columns))
            finding = replace(finding, place=box)
        judged.append(finding)
    return tuple(judged)


def not_evaluated(package: ModelPackage, reason: Reason, shown: Collection[str] | None = None) -> tuple[Finding, ...]:
    """Say of every output of a package that it was not evaluated: the run failed or did not apply."""
    return tuple(
        _finding(
            output, Presence.NOT_EVALUATED, None, None, reason=reason, shown=shown is None or output.finding in shown
        )
        for output in package.outputs
    )


def ai_priority(findings: Iterable[Finding], outputs: Sequence[Output]) -> int | None:
    """Return the class that present findings raise a study to (1 is most urgent), or None: AI only ever raises."""
    classes = {output.channel: output.priority_class for output in outputs}
    raised = [
        classes[finding.channel]
        for finding in findings
        if finding.presence is Presence.PRESENT and finding.raises_priority and not finding.experimental
    ]
    return min(raised, default=None)


def _judge(output: Output, raw: float, age_years: float | None, shown: bool) -> Finding:
    reason = _out_of_band(output, age_years)
    if reason is None and not math.isfinite(raw):
        reason = Reason.MODEL_FAILED
    if reason is not None:
        kept = raw if math.isfinite(raw) else None
        return _finding(output, Presence.NOT_EVALUATED, kept, None, shown=shown, reason=reason)
    calibrated = probability(raw, output.calibration)
    presence = Presence.PRESENT if calibrated >= output.operating_point.threshold else Presence.ABSENT
    return _finding(output, presence, raw, calibrated, shown=shown)


def _out_of_band(output: Output, age_years: float | None) -> Reason | None:
    """The output speaks for ages in [min, max)."""
    low, high = output.min_age_years, output.max_age_years
    if low is None and high is None:
        return None
    if age_years is None:
        return Reason.AGE_UNKNOWN
    inside = (low is None or age_years >= low) and (high is None or age_years < high)
    return None if inside else Reason.AGE_OUT_OF_RANGE


def _finding(
    output: Output,
    presence: Presence,
    raw: float | None,
    calibrated: float | None,
    *,
    shown: bool,
    reason: Reason | None = None,
) -> Finding:
    point = output.raise_point
    raises = presence is Presence.PRESENT and point is not None and (calibrated or 0.0) >= point.threshold
    return Finding(
        channel=output.channel,
        finding=output.finding,
        presence=presence,
        reason=reason,
        probability=calibrated,
        raw_score=raw,
        operating_point=output.operating_point.name,
        threshold=output.operating_point.threshold,
        raises_priority=raises and not output.experimental,
        experimental=output.experimental,
        shown=shown,
        calibrated=output.calibration.method != "none",
        evidence=output.evidence if shown else None,
        place=None,
    )
