"""Figures with their bootstrap 95 % intervals: all draws of patients at once, as weights of films."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DRAWS = 1_000
SEED = 0
"""The same draws for every figure of the same films, so that differences are paired."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap 95 % interval; patients, not films, are drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure on the films as they are, and on every draw; NaN on a draw that lacks a class."""

    value: float
    draws: Floats

    def minus(self, other: Drawn) -> Drawn:
        """Return the paired difference of two figures of the same films."""
        return Drawn(self.value - other.value, self.draws - other.draws)

    def interval(self) -> Interval:
        """Return the figure with its 95 % interval, widened to hold the figure where few films make it lopsided."""
        low, high = np.nanpercentile(self.draws, [2.5, 97.5])
        return Interval(self.value, min(float(low), self.value), max(float(high), self.value))


def draw_patients(patients: Sequence[str], *, draws: int = DRAWS) -> Floats:
    """Return how often each film counts in each draw, (draws + 1, n films); row 0 is the films as they are.

    Patients are drawn with replacement, each with all their films (Efron's bootstrap by cluster).
    """
    _, patient_of = np.unique(np.asarray(patients), return_inverse=True)
    count = int(patient_of.max()) + 1
    counts = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), size=draws)
    return np.vstack([np.ones(len(patients)), counts[:, patient_of]])


def area_under_roc(truth: Floats, scores: Floats, weights: Floats) -> Drawn:
    """Return the chance that a positive film has the higher score; ties count half.

    Args:
        truth: 0 or 1 (n,).
        scores: (n,).
        weights: From `draw_patients`, (draws + 1, n).
    """
    positives, negatives = _by_score(truth, scores, weights)
    below = np.cumsum(negatives, axis=1) - negatives / 2
    return _drawn((positives * below).sum(axis=1), positives.sum(axis=1) * negatives.sum(axis=1))


def average_precision(truth: Floats, scores: Floats, weights: Floats) -> Drawn:
    """Return the area under the precision-recall curve, as steps; films of equal score enter together."""
    positives, negatives = _by_score(truth, -scores, weights)
    found = np.cumsum(positives, axis=1)
    flagged = found + np.cumsum(negatives, axis=1)
    precision = np.divide(found, flagged, out=np.zeros_like(found), where=flagged > 0)
    return _drawn((precision * positives).sum(axis=1), positives.sum(axis=1))


def share(hits: NDArray[np.bool_], among: NDArray[np.bool_], weights: Floats, patients: Sequence[str]) -> Interval:
    """Return which part of some films are hits.

    Where all or none are, every draw says the same and the bootstrap knows no doubt; Wilson's interval over the
    patients stands in for it there.

    Args:
        hits: (n,).
        among: The films that count, (n,).
        weights: From `draw_patients`.
        patients: Whose film each is, (n,).
    """
    counted = weights[:, among]
    drawn = _drawn(counted @ hits[among].astype(np.float64), counted.sum(axis=1))
    if drawn.value in (0.0, 1.0):
        number = len({patients[film] for film in np.flatnonzero(among).tolist()})
        return wilson(round(drawn.value * number), number)
    return drawn.interval()


def wilson(count: int, total: int) -> Interval:
    """Return a share with its 95 % Wilson interval."""
    z, value = 1.96, count / total
    middle = (value + z * z / (2 * total)) / (1 + z * z / total)
    half = z * ((value * (1 - value) + z * z / (4 * total)) / total) ** 0.5 / (1 + z * z / total)
    return Interval(value, min(value, max(0.0, middle - half)), max(value, min(1.0, middle + half)))


def _by_score(truth: Floats, scores: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return the weight of positive and of negative films at each distinct score, rising; two (draws + 1, u)."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf) != 0)
    sorted_weights, sorted_truth = weights[:, order], truth[order]
    positives = np.add.reduceat(sorted_weights * sorted_truth, starts, axis=1)
    return positives, np.add.reduceat(sorted_weights * (1 - sorted_truth), starts, axis=1)


def _drawn(above: Floats, below: Floats) -> Drawn:
    ratios = np.divide(above, below, out=np.full_like(above, np.nan), where=below > 0)
    return Drawn(float(ratios[0]), ratios[1:])
