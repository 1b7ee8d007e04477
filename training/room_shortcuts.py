"""What tells a label without looking at the lungs: how far brightness, shape, view or a number alone get.

Counted on train and val (and on sets that are only looked at); test films stay untouched.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]  # it has no stubs
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from training.cases import Case
from training.datasets import Entry
from training.evaluate_intervals import Interval, area_under_roc, draw_patients
from training.room_films import FilmFacts

LEAST_FILMS = 20
"""Of each class; with fewer, chance alone makes large figures."""
NOTABLE = 0.65
"""From this AUROC on a shortcut is named in words, if its interval keeps clear of 0.55 as well."""
NOTABLE_LOW = 0.55

ALL_SETS = "all sets together"
ERA_MATCHED = ", era matched"
THUMBNAIL = "thumbnail"
FEATURES: Mapping[str, str] = {
    "brightness": "mean brightness",
    "contrast": "contrast",
    "shape": "picture's shape",
    "area": "picture's size",
    "original_shape": "original film's shape",
    "original_area": "original film's size",
    "view": "view",
    "sex": "sex",
    "age": "age",
    "patient_number": "patient's number",
    "data_set": "set it is from",
    THUMBNAIL: "thumbnail model",
}
"""What is tried, in the words of the report."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Tell:
    """How well one thing alone tells films with a finding from films without.

    Attributes:
        scope: The films: a set, its era-matched part, or all together.
        auroc: 0.5 tells nothing, 1 everything; turned round where less means present.
        more_is_present: False where the lower value goes with the finding; None where there is no order.
        interval: By patients; None where it was not worth counting.
    """

    scope: str
    finding: str
    feature: str
    films: int
    positives: int
    auroc: float
    more_is_present: bool | None
    interval: Interval | None

    @property
    def is_notable(self) -> bool:
        """Does it deserve a sentence?"""
        return self.interval is not None and self.auroc >= NOTABLE and self.interval.low >= NOTABLE_LOW


def find_tells(entries: Sequence[Entry], facts: FilmFacts | None, findings: Sequence[str]) -> list[Tell]:
    """Return every tell that can be counted, for each scope, finding and feature.

    Args:
        entries: Whose test films have been taken out by the caller, if they shall not count.
        facts: Of these entries' pictures, in their order; without, only what the manifest says is tried.
        findings: What the labels mean.
    """
    values = numbers(entries, facts)
    categories: dict[str, list[str]] = {
        "view": [entry.case.view for entry in entries],
        "sex": [entry.case.sex for entry in entries],
        "data_set": [entry.case.data_set for entry in entries],
    }
    labels = np.asarray([entry.case.labels for entry in entries], dtype=np.float64).reshape(len(entries), len(findings))
    cases = [entry.case for entry in entries]
    tells = []
    for scope, member in scopes(cases).items():
        for column, finding in enumerate(findings):
            chosen = np.flatnonzero(member & ~np.isnan(labels[:, column]))
            truth = labels[chosen, column]
            if not _enough(truth):
                continue
            if scope == ALL_SETS and len({cases[film].data_set for film in chosen.tolist()}) < 2:
                continue
            told = {name: _number(column_of[chosen], truth) for name, column_of in values.items()}
            told |= {name: _category([words[film] for film in chosen], truth) for name, words in categories.items()}
            if facts is not None:
                told[THUMBNAIL] = _thumbnail_model(facts.thumbnails[chosen], truth, [cases[film] for film in chosen])
            patients = [cases[film].patient_id for film in chosen.tolist()]
            tells += [
                _tell(scope, finding, name, scored, patients) for name, scored in told.items() if scored is not None
            ]
    return tells


def scopes(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Return named groups of films: every set, its era-matched films where only some are, and all together."""
    found = {}
    for name in dict.fromkeys(case.data_set for case in cases):
        member = np.asarray([case.data_set == name for case in cases])
        matched = member & np.asarray([case.era_matched for case in cases])
        found[name] = member
        if 0 < matched.sum() < member.sum():
            found[name + ERA_MATCHED] = matched
    if len(found) > 1:
        found[ALL_SETS] = np.ones(len(cases), dtype=bool)
    return found


def numbers(entries: Sequence[Entry], facts: FilmFacts | None) -> dict[str, Floats]:
    """Return the features that have an order, (n,) each, NaN where unknown."""
    sizes = [entry.original_size or (np.nan, np.nan) for entry in entries]
    originals = np.asarray(sizes, dtype=np.float64).reshape(-1, 2)
    found: dict[str, Floats] = {
        "original_shape": originals[:, 0] / originals[:, 1],
        "original_area": originals[:, 0] * originals[:, 1],
        "age": np.asarray(
            [np.nan if entry.case.age_years is None else entry.case.age_years for entry in entries], dtype=np.float64
        ),
        "patient_number": np.asarray([patient_number(entry.case.patient_id) for entry in entries]),
    }
    if facts is not None:
        found |= {
            "brightness": facts.brightness,
            "contrast": facts.contrast,
            "shape": facts.sizes[:, 0] / facts.sizes[:, 1],
            "area": facts.sizes[:, 0] * facts.sizes[:, 1],
        }
    return {name: found[name] for name in FEATURES if name in found}


def patient_number(patient_id: str) -> float:
    """Return the number at the end of a patient's key, NaN if there is none: many sets number patients by date."""
    number = re.search(r"[-_](\d+)$", patient_id)
    return float(number[1]) if number else np.nan


@dataclass(frozen=True, slots=True)
class _Scored:
    """Scores of the films on which a feature is known."""

    truth: Floats
    scores: Floats
    chosen: NDArray[np.intp]
    more_is_present: bool | None


def _number(values: Floats, truth: Floats) -> _Scored | None:
    known = np.flatnonzero(~np.isnan(values))
    if not _enough(truth[known]) or np.ptp(values[known]) == 0:
        return None
    more = _auroc(truth[known], values[known]) >= 0.5
    return _Scored(truth[known], values[known] if more else -values[known], known, bool(more))


def _category(words: Sequence[str], truth: Floats) -> _Scored | None:
    """Score each category by its share of films with the finding."""
    known = np.flatnonzero([bool(word) for word in words])
    names = np.asarray(words)[known]
    if not _enough(truth[known]) or len(set(names.tolist())) < 2:
        return None
    share = {name: truth[known][names == name].mean() for name in set(names.tolist())}
    return _Scored(truth[known], np.asarray([share[name] for name in names.tolist()]), known, None)


def _thumbnail_model(thumbnails: Floats, truth: Floats, cases: Sequence[Case]) -> _Scored | None:
    readable = ~np.isnan(thumbnails).any(axis=1)
    train = np.flatnonzero(readable & np.asarray([case.split == "train" for case in cases]))
    val = np.flatnonzero(readable & np.asarray([case.split == "val" for case in cases]))
    if not _enough(truth[train]) or not _enough(truth[val]):
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=2_000))
    model.fit(thumbnails[train], truth[train])
    return _Scored(truth[val], model.decision_function(thumbnails[val]), val, None)


def _tell(scope: str, finding: str, feature: str, scored: _Scored, patients: Sequence[str]) -> Tell:
    auroc, interval = _auroc(scored.truth, scored.scores), None
    if auroc >= NOTABLE:
        weights = draw_patients([patients[film] for film in scored.chosen.tolist()])
        interval = area_under_roc(scored.truth, scored.scores, weights).interval()
    films, positives = len(scored.truth), int(scored.truth.sum())
    return Tell(scope, finding, feature, films, positives, auroc, scored.more_is_present, interval)


def _auroc(truth: Floats, scores: Floats) -> float:
    """Return the chance that a film with the finding has the higher score; ties count half."""
    positives = truth.sum()
    ranks = rankdata(scores)[truth == 1].sum()
    return float((ranks - positives * (positives + 1) / 2) / (positives * (len(truth) - positives)))


def _enough(truth: Floats) -> bool:
    return min(int((truth == 1).sum()), int((truth == 0).sum())) >= LEAST_FILMS
