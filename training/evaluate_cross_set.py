"""Learned on one set, judged on another; and how often films of a hospital without any negatives are flagged."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from training.calibrate import Calibrated, probabilities_of
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS, Case
from training.evaluate_baselines import Films, evenly, linear_scores, thumbnails
from training.evaluate_figures import LEAST_IN_A_GROUP
from training.evaluate_intervals import Floats, Interval, area_under_roc, draw_patients, share
from training.films import stack_labels

OPACITY = "opacity"
TASKS = {OPACITY: (CHILD_OPACITY, ADULT_OPACITY), ANY_FINDING: (ANY_FINDING,)}
"""What two sets have labels for; each film has at most one of a task's labels."""
ALL_SETS = "all sets"


@dataclass(frozen=True, slots=True)
class CrossSet:
    """One reading that learned from one set, judged on the films of another (or, to compare, of the same)."""

    task: str
    reading: str
    """Where it learned from all sets: the output of the network that is judged."""
    learned_from: str
    judged_on: str
    films: int
    positives: int
    auroc: Interval


@dataclass(frozen=True, slots=True)
class CrossSetMatrix:
    """One task's pairs of sets; a pair with too few films is None."""

    task: str
    judged_on: tuple[str, ...]
    lines: tuple[tuple[str, str, tuple[CrossSet | None, ...]], ...]
    """Reading, what it learned from, and the result on each set of `judged_on`."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """How often an output flags the films of a set in which every patient is ill: sensitivity, nothing else."""

    finding: str
    data_set: str
    films: int
    patients: int
    flagged: Interval
    """At the operating point."""
    raised: Interval
    """At the raise point."""


def cross_set(
    train: Films, judged: Films, logits: Floats, *, features: Callable[[Tensor], Floats]
) -> tuple[CrossSet, ...]:
    """Return every pair of sets for two cheap readings, and the network's outputs on each set.

    Args:
        train: Films to learn from; at most 1,000 of each set are used.
        judged: The films that are judged.
        logits: The network's scores on them, (n, k).
        features: Frozen ImageNet features: images (n, 1, rows, columns) → (n, f).
    """
    some = evenly(train)
    readings = {
        "linear, 32x32 thumbnail": (thumbnails(some.images), thumbnails(judged.images)),
        "linear, frozen ImageNet features": (features(some.images), features(judged.images)),
    }
    rows: list[CrossSet] = []
    for task, findings in TASKS.items():
        known, wanted = _task_labels(some.cases, findings), _task_labels(judged.cases, findings)
        names = sorted({case.data_set for case, label in zip(some.cases, known, strict=True) if label == label})
        for reading, (learned, seen) in readings.items():
            for source in names:
                own = np.asarray([case.data_set == source for case in some.cases])
                scores = linear_scores(learned[own], known[own, None], seen)[:, 0]
                rows += _rows(task, reading, source, names, judged.cases, wanted, scores)
        for finding in findings:
            scores = logits[:, FINDINGS.index(finding)]
            rows += _rows(task, finding, ALL_SETS, names, judged.cases, wanted, scores)
    return tuple(rows)


def matrices(rows: Sequence[CrossSet]) -> list[CrossSetMatrix]:
    """Return the pairs of each task as a table: what learned from where, by the set it was judged on."""
    found = []
    for task in dict.fromkeys(row.task for row in rows):
        own = [row for row in rows if row.task == task]
        judged_on = tuple(dict.fromkeys(row.judged_on for row in own))
        lines: dict[tuple[str, str], dict[str, CrossSet]] = {}
        for row in own:
            lines.setdefault((row.reading, row.learned_from), {})[row.judged_on] = row
        found.append(
            CrossSetMatrix(
                task,
                judged_on,
                tuple((*key, tuple(cells.get(name) for name in judged_on)) for key, cells in lines.items()),
            )
        )
    return found


def flagged_elsewhere(
    cases: Sequence[Case], logits: Floats, readings: Sequence[Calibrated], findings: Sequence[str]
) -> tuple[Elsewhere, ...]:
    """Return how often each finding is flagged and raised on films of ill patients, set by set."""
    rows = []
    for data_set in sorted({case.data_set for case in cases}):
        films = np.asarray([film for film, case in enumerate(cases) if case.data_set == data_set])
        patients = [cases[film].patient_id for film in films.tolist()]
        weights = draw_patients(patients)
        for reading in readings:
            if reading.finding not in findings:
                continue
            scores = logits[films, FINDINGS.index(reading.finding)]
            probabilities = probabilities_of(scores, reading.calibration)
            every = np.ones(len(films), dtype=bool)
            flagged, raised = (
                share(probabilities >= point.threshold, every, weights, patients)
                for point in (reading.operating_point, reading.raise_point)
            )
            rows.append(Elsewhere(reading.finding, data_set, len(films), len(set(patients)), flagged, raised))
    return tuple(rows)


def _task_labels(cases: Sequence[Case], findings: Sequence[str]) -> Floats:
    labels = stack_labels(cases)[:, [FINDINGS.index(finding) for finding in findings]]
    merged = np.full(len(cases), np.nan)
    for column in labels.T:
        merged = np.where(np.isnan(merged), column, merged)
    return merged


def _rows(
    task: str,
    reading: str,
    source: str,
    names: Sequence[str],
    cases: Sequence[Case],
    labels: Floats,
    scores: Floats,
) -> list[CrossSet]:
    rows = []
    for name in names:
        films = np.flatnonzero([case.data_set == name for case in cases] & ~np.isnan(labels))
        truth = labels[films]
        if min((truth == 1).sum(), (truth == 0).sum()) < LEAST_IN_A_GROUP:
            continue
        weights = draw_patients([cases[film].patient_id for film in films.tolist()])
        area = area_under_roc(truth, scores[films], weights).interval()
        rows.append(CrossSet(task, reading, source, name, len(films), int(truth.sum()), area))
    return rows
