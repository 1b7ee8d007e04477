"""What papers and the data sets' own notes state, and what this model was to reach. Nothing here was measured by us."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from training.cases import ANY_FINDING, CHILD_OPACITY
from training.evaluate_figures import FindingEvaluation
from training.evaluate_intervals import Interval

CHEXNET: Mapping[str, float] = {
    "atelectasis": 0.8094,
    "cardiomegaly": 0.9248,
    "effusion": 0.8638,
    "infiltration": 0.7345,
    "mass": 0.8676,
    "nodule": 0.7802,
    "pneumonia": 0.7680,
    "pneumothorax": 0.8887,
    "consolidation": 0.7901,
    "edema": 0.8878,
    "emphysema": 0.9371,
    "fibrosis": 0.8047,
    "pleural_thickening": 0.8062,
    "hernia": 0.9164,
}
"""AUROC of CheXNet (Rajpurkar et al. 2017, arXiv 1711.05225, table 2), which learned from about 98,000 films of the
same source; judged on another test set than ours, without intervals."""


@dataclass(frozen=True, slots=True)
class Stated:
    """A figure that others state; AUROC and rates at their own threshold, without intervals."""

    model: str
    auroc: float
    sensitivity: float | None
    specificity: float | None
    source: str


MEDMNIST = "Yang et al. MedMNIST v2, Scientific Data 2023;10:41 (PneumoniaMNIST, the same 624 films)"
OWN_NOTE = "the data set's own note, which comes with the films"

ON_KERMANY_TEST: tuple[Stated, ...] = (
    Stated("Inception V3, ImageNet weights", 0.968, 0.932, 0.901, "Kermany et al. Cell 2018;172(5):1122-1131"),
    Stated("ResNet-18, 224 pixels", 0.956, None, None, MEDMNIST),
    Stated("ResNet-50, 224 pixels", 0.962, None, None, MEDMNIST),
    Stated("Google AutoML Vision", 0.991, None, None, MEDMNIST),
    Stated("linear, 32x32 thumbnail", 0.915, None, None, OWN_NOTE),
)
ON_NIH_SUBSET_TEST: tuple[Stated, ...] = (
    Stated("linear, 32x32 thumbnail", 0.842, None, None, f"{OWN_NOTE}; a few films of minors among them"),
)
ON_NIH_MORE_TEST: tuple[Stated, ...] = (Stated("linear, 32x32 thumbnail", 0.67, None, None, OWN_NOTE),)


@dataclass(frozen=True, slots=True)
class Target:
    """What was to be reached on test films before this model is called good."""

    finding: str
    group: str
    title: str
    wanted: float
    least: float
    stated: tuple[Stated, ...]
    """Others' figures on the same films, for the table beside ours."""


TARGETS: tuple[Target, ...] = (
    Target(CHILD_OPACITY, "all", "Children 1 to 5 years: the published 624 films", 0.985, 0.975, ON_KERMANY_TEST),
    Target(
        ANY_FINDING, "nih_cxr14_subset", "Adults: pneumonia against no finding (NIH)", 0.90, 0.87, ON_NIH_SUBSET_TEST
    ),
    Target(ANY_FINDING, "nih_cxr14_more", "Adults: all fourteen findings (NIH)", 0.80, 0.67, ON_NIH_MORE_TEST),
)

Reached = Literal["target reached", "least reached, target missed", "missed"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a target was met."""

    finding: str
    group: str
    title: str
    wanted: float
    least: float
    auroc: Interval
    thumbnail_auroc: Interval
    own_thumbnail_auroc: Interval | None
    auroc_gain: Interval
    """Over the better of the two thumbnail models."""
    sensitivity: Interval
    specificity: Interval
    """At the operating point that was chosen on val."""
    beats_thumbnail: bool
    """The lower end of the paired interval of the difference lies above 0."""
    reached: Reached
    stated: tuple[Stated, ...]


def outcomes(rows: Sequence[FindingEvaluation]) -> tuple[Outcome, ...]:
    """Return how each target was met, for those whose films were judged."""
    judged = {(row.finding, row.group): row for row in rows}
    found = []
    for target in TARGETS:
        row = judged.get((target.finding, target.group))
        if row is None:
            continue
        reached: Reached = "missed"
        if row.auroc.value >= target.wanted:
            reached = "target reached"
        elif row.auroc.value >= target.least:
            reached = "least reached, target missed"
        found.append(
            Outcome(
                finding=target.finding,
                group=target.group,
                title=target.title,
                wanted=target.wanted,
                least=target.least,
                auroc=row.auroc,
                thumbnail_auroc=row.thumbnail_auroc,
                own_thumbnail_auroc=row.own_thumbnail_auroc,
                auroc_gain=row.auroc_gain,
                sensitivity=row.sensitivity,
                specificity=row.specificity,
                beats_thumbnail=row.auroc_gain.low > 0,
                reached=reached,
                stated=target.stated,
            )
        )
    return tuple(found)
