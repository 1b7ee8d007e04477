"""How well each finding is told on each group of films, beside linear thumbnail models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.calibrate import Calibrated, probabilities_of
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, Case
from training.evaluate_baselines import ThumbnailScores
from training.evaluate_intervals import (
    Drawn,
    Floats,
    Interval,
    area_under_roc,
    average_precision,
    draw_patients,
    share,
    wilson,
)
from training.films import stack_labels

MAIN_FINDINGS = (CHILD_OPACITY, ANY_FINDING, ADULT_OPACITY)
LEAST_IN_A_GROUP = 10
"""A subgroup is judged where it holds so many films with and so many without the finding."""
LEAST_OVER_ALL = 2
"""Over all films a figure is given from two of each on, so that no finding is passed over in silence."""
PARTS = 10
CURVE_POINTS = 150
AGE_BANDS = ((18, 40), (40, 60), (60, 75), (75, 200))


@dataclass(frozen=True, slots=True)
class FindingEvaluation:
    """How well one finding is told on one group of films."""

    finding: str
    group: str
    data_sets: tuple[str, ...]
    films: int
    positives: int
    patients: int
    auroc: Interval
    auprc: Interval
    sensitivity: Interval
    specificity: Interval
    """At the operating point."""
    raise_sensitivity: Interval
    raise_specificity: Interval
    """At the raise point."""
    calibration_error: float
    """Mean distance between probability and share of positives over ten equal groups of films."""
    mean_probability: float
    thumbnail_auroc: Interval
    """Logistic regression on the 32x32 thumbnail, trained on the same films of all sets."""
    own_thumbnail_auroc: Interval | None
    """The same, trained on the films of this set alone; None where the films are of several sets."""
    auroc_gain: Interval
    """Model minus the better of the two on these very films, paired: the harder comparison of the two."""

    @property
    def better_thumbnail(self) -> Interval:
        """The thumbnail model that the gain is over."""
        return better_of(self.thumbnail_auroc, self.own_thumbnail_auroc)


@dataclass(frozen=True, slots=True)
class CalibrationPart:
    """One of ten equal groups of films, by rising probability: what was said, and what was so."""

    said: float
    found: Interval
    films: int


@dataclass(frozen=True, slots=True)
class FindingCurves:
    """What is drawn of a finding, over all judged films: (1 - specificity, sensitivity), and calibration."""

    finding: str
    roc: tuple[tuple[float, float], ...]
    thumbnail_roc: tuple[tuple[float, float], ...]
    calibration: tuple[CalibrationPart, ...]


def evaluate_findings(
    cases: Sequence[Case], logits: Floats, baseline: ThumbnailScores, readings: Sequence[Calibrated]
) -> tuple[FindingEvaluation, ...]:
    """Return one evaluation per finding and group of films that holds enough of both classes.

    Args:
        cases: n films.
        logits: Raw scores (n, k).
        baseline: Scores of the thumbnail models.
        readings: Calibration and points of each finding.
    """
    labels = stack_labels(cases)
    rows: list[FindingEvaluation] = []
    for column, reading in enumerate(readings):
        known = ~np.isnan(labels[:, column])
        for group, member in groups(cases).items():
            chosen = np.flatnonzero(member & known)
            truth = labels[chosen, column]
            fewest = min((truth == 1).sum(), (truth == 0).sum())
            if fewest < (LEAST_OVER_ALL if group == "all" else LEAST_IN_A_GROUP):
                continue
            if group != "all" and len(chosen) == known.sum():
                continue  # the same films under another name
            judged = [cases[film] for film in chosen.tolist()]
            thumbnails = [baseline.all_sets[chosen, column]]
            if len({case.data_set for case in judged}) == 1:
                thumbnails.append(baseline.own_set[chosen, column])
            rows.append(_judge(group, judged, truth, logits[chosen, column], thumbnails, reading))
    return tuple(rows)


def finding_curves(
    cases: Sequence[Case], logits: Floats, baseline: ThumbnailScores, readings: Sequence[Calibrated]
) -> tuple[FindingCurves, ...]:
    """Return the curves of the main findings of which both classes are known; arguments as `evaluate_findings`."""
    labels = stack_labels(cases)
    curves = []
    for column, reading in enumerate(readings):
        if reading.finding not in MAIN_FINDINGS:
            continue
        known = ~np.isnan(labels[:, column])
        truth = labels[known, column]
        if min((truth == 1).sum(), (truth == 0).sum()) < LEAST_OVER_ALL:
            continue
        probabilities = probabilities_of(logits[known, column], reading.calibration)
        curves.append(
            FindingCurves(
                reading.finding,
                roc_curve(truth, probabilities),
                roc_curve(truth, baseline.all_sets[known, column]),
                calibration_parts(probabilities, truth),
            )
        )
    return tuple(curves)


def groups(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Return named groups of films; a film may be in several."""
    found = {"all": np.ones(len(cases), dtype=bool)}
    for name in sorted({case.data_set for case in cases}):
        found[name] = np.asarray([case.data_set == name for case in cases])
        era_matched = np.asarray([case.era_matched for case in cases])
        if not era_matched[found[name]].all():
            found[f"{name}, era matched"] = found[name] & era_matched
    adult = np.asarray([case.age_band == "adult" for case in cases])
    for view in ("PA", "AP"):
        found[f"adults, {view}"] = adult & np.asarray([case.view == view for case in cases])
    for sex in ("F", "M"):
        found[f"adults, sex {sex}"] = adult & np.asarray([case.sex == sex for case in cases])
    ages = np.asarray([np.nan if case.age_years is None else case.age_years for case in cases])
    for low, high in AGE_BANDS:
        name = f"adults, {low} to {high - 1} years" if high < AGE_BANDS[-1][1] else f"adults, {low} years and older"
        found[name] = (ages >= low) & (ages < high)
    return found


def roc_curve(truth: Floats, scores: Floats) -> tuple[tuple[float, float], ...]:
    """Return points (1 - specificity, sensitivity) from (0, 0) to (1, 1), one per distinct score, thinned to draw."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    sensitivity = np.cumsum(truth[order])[ends] / truth.sum()
    false_alarms = np.cumsum(1 - truth[order])[ends] / (1 - truth).sum()
    kept = np.unique(np.linspace(0, len(ends) - 1, min(CURVE_POINTS, len(ends))).round().astype(int))
    points = zip(false_alarms[kept].round(4).tolist(), sensitivity[kept].round(4).tolist(), strict=True)
    return ((0.0, 0.0), *points)


def calibration_parts(probabilities: Floats, truth: Floats) -> tuple[CalibrationPart, ...]:
    """Return ten equal groups of films by rising probability; fewer films than ten give as many groups."""
    parts = np.array_split(np.argsort(probabilities, kind="stable"), min(PARTS, len(truth)))
    return tuple(
        CalibrationPart(float(probabilities[part].mean()), wilson(int(truth[part].sum()), len(part)), len(part))
        for part in parts
    )


def calibration_error(parts: Sequence[CalibrationPart]) -> float:
    """Return the mean |probability - share of positives| over the groups, weighted by their films."""
    films = sum(part.films for part in parts)
    return sum(part.films * abs(part.said - part.found.value) for part in parts) / films


def better_of(all_sets: Interval, own_set: Interval | None) -> Interval:
    """Return the thumbnail model with the higher AUROC on the films at hand, which a network is judged against."""
    return all_sets if own_set is None or all_sets.value >= own_set.value else own_set


def _judge(
    group: str,
    cases: Sequence[Case],
    truth: Floats,
    logits: Floats,
    thumbnails: Sequence[Floats],
    reading: Calibrated,
) -> FindingEvaluation:
    patients = [case.patient_id for case in cases]
    weights = draw_patients(patients)
    probabilities = probabilities_of(logits, reading.calibration)

    def rates(threshold: float) -> tuple[Interval, Interval]:
        present = probabilities >= threshold
        return share(present, truth == 1, weights, patients), share(~present, truth == 0, weights, patients)

    area: Drawn = area_under_roc(truth, logits, weights)
    theirs = [area_under_roc(truth, scores, weights) for scores in thumbnails]
    sensitivity, specificity = rates(reading.operating_point.threshold)
    raise_sensitivity, raise_specificity = rates(reading.raise_point.threshold)
    return FindingEvaluation(
        finding=reading.finding,
        group=group,
        data_sets=tuple(sorted({case.data_set for case in cases})),
        films=len(truth),
        positives=int(truth.sum()),
        patients=len(set(patients)),
        auroc=area.interval(),
        auprc=average_precision(truth, logits, weights).interval(),
        sensitivity=sensitivity,
        specificity=specificity,
        raise_sensitivity=raise_sensitivity,
        raise_specificity=raise_specificity,
        calibration_error=calibration_error(calibration_parts(probabilities, truth)),
        mean_probability=float(probabilities.mean()),
        thumbnail_auroc=theirs[0].interval(),
        own_thumbnail_auroc=theirs[1].interval() if len(theirs) > 1 else None,
        auroc_gain=area.minus(max(theirs, key=lambda drawn: drawn.value)).interval(),
    )
