"""What is in a dataset, counted: films, people, labels, copies and shortcuts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from preprocessing.recipes import Recipe
from training.cases import EXTERNAL, SPLITS, Case, Split
from training.datasets import Dataset, Entry, FilmSet
from training.room_duplicates import Alike, find_alike, trouble_of
from training.room_films import FilmFacts, measure
from training.room_shortcuts import Tell, find_tells

DECADES = 10
"""Ages are counted in ten-year bins, the last one 90 and older."""

LEAST_TO_MEASURE = 10
"""Fewer films with (or without) a finding than this in val or test, and no figure on it means much."""


@dataclass(frozen=True, slots=True)
class Amount:
    """So many films of so many patients."""

    films: int
    patients: int


@dataclass(frozen=True, slots=True)
class SetSummary:
    """Who and what is in one set; films that are left out count only as such.

    Attributes:
        views, sexes, age_bands: Films by word; "" where the set does not say.
        decades: Films by age in ten-year bins, where ages are known.
        boxed: Films on which a radiologist marked something.
        left_out: Films by reason.
    """

    film_set: FilmSet
    total: Amount
    splits: Mapping[Split, Amount]
    views: Mapping[str, int]
    sexes: Mapping[str, int]
    age_bands: Mapping[str, int]
    decades: tuple[int, ...]
    boxed: int
    left_out: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Films by what is held true of them."""

    present: int
    absent: int
    unknown: int

    @property
    def prevalence(self) -> float | None:
        """Part of the films with a known label that have the finding; None where none is known."""
        known = self.present + self.absent
        return self.present / known if known else None


@dataclass(frozen=True, slots=True)
class FindingSummary:
    """One finding over the splits and over the sets."""

    finding: str
    splits: Mapping[Split, Labelled]
    sets: Mapping[str, Labelled]

    @property
    def too_few(self) -> tuple[Split, ...]:
        """The splits for measuring that label it, but hold too few films with or without it."""
        return tuple(
            split
            for split in ("val", "test")
            if (counts := self.splits.get(split)) is not None
            and counts.prevalence is not None
            and min(counts.present, counts.absent) < LEAST_TO_MEASURE
        )


@dataclass(frozen=True, slots=True)
class Together:
    """Which findings come together: part of the films with the row's finding that have the column's as well.

    Attributes:
        shares: (k, k); NaN where no film with the row's finding has a known label for the column's.
    """

    findings: tuple[str, ...]
    shares: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page shows but the pictures.

    Attributes:
        alike: Groups of near-duplicates by number of entry, each with its trouble in words or None.
    """

    dataset: Dataset
    total: Amount
    splits: Mapping[Split, Amount]
    sets: tuple[SetSummary, ...]
    findings: tuple[FindingSummary, ...]
    together: Together
    alike: tuple[tuple[Alike, str | None], ...]
    tells: tuple[Tell, ...]


def make_report(dataset: Dataset, recipe: Recipe, show: Callable[[str], None]) -> Report:
    """Read every film of a dataset once and count.

    Near-duplicates are looked for among all films, those left out as well; shortcuts on all but test films.

    Raises:
        ManifestRefused: An image is missing or damaged.
    """
    facts = measure([entry.case for entry in dataset.entries], recipe, show)
    return count(dataset, facts)


def count(dataset: Dataset, facts: FilmFacts) -> Report:
    """Return the report of a dataset whose films have been measured."""
    cases = dataset.cases(dataset.findings)
    every = [entry.case for entry in dataset.entries]
    seen = [n for n, entry in enumerate(dataset.entries) if entry.left_out is None and entry.case.split != "test"]
    return Report(
        dataset=dataset,
        total=_amount(cases),
        splits=_by_split(cases),
        sets=tuple(_summary(each, dataset.entries) for each in dataset.sets),
        findings=tuple(_finding(cases, column, name) for column, name in enumerate(dataset.findings)),
        together=_together(cases, dataset.findings),
        alike=tuple((alike, trouble_of(alike, every)) for alike in find_alike(facts.fingerprints)),
        tells=tuple(find_tells([dataset.entries[n] for n in seen], facts.only(seen), dataset.findings)),
    )


def _amount(cases: Sequence[Case]) -> Amount:
    return Amount(len(cases), len({case.patient_id for case in cases}))


def _by_split(cases: Sequence[Case]) -> dict[Split, Amount]:
    amounts = {split: _amount([case for case in cases if case.split == split]) for split in (*SPLITS, EXTERNAL)}
    return {split: amount for split, amount in amounts.items() if amount.films}


def _summary(film_set: FilmSet, entries: Sequence[Entry]) -> SetSummary:
    own = [entry for entry in entries if entry.case.data_set == film_set.name]
    cases = [entry.case for entry in own if entry.left_out is None]
    ages = [case.age_years for case in cases if case.age_years is not None]
    decades = Counter(min(int(age // 10), DECADES - 1) for age in ages)
    return SetSummary(
        film_set=film_set,
        total=_amount(cases),
        splits=_by_split(cases),
        views=Counter(case.view for case in cases),
        sexes=Counter(case.sex for case in cases),
        age_bands=Counter(case.age_band for case in cases),
        decades=tuple(decades[decade] for decade in range(DECADES)) if ages else (),
        boxed=sum(bool(case.boxes) for case in cases),
        left_out=Counter(entry.left_out for entry in own if entry.left_out is not None),
    )


def _finding(cases: Sequence[Case], column: int, finding: str) -> FindingSummary:
    by_split: dict[Split, list[float]] = {}
    by_set: dict[str, list[float]] = {}
    for case in cases:
        by_split.setdefault(case.split, []).append(case.labels[column])
        by_set.setdefault(case.data_set, []).append(case.labels[column])
    return FindingSummary(
        finding,
        {split: _labelled(labels) for split, labels in by_split.items()},
        {name: _labelled(labels) for name, labels in by_set.items()},
    )


def _labelled(labels: Sequence[float]) -> Labelled:
    present, absent = labels.count(1.0), labels.count(0.0)
    return Labelled(present, absent, len(labels) - present - absent)


def _together(cases: Sequence[Case], findings: tuple[str, ...]) -> Together:
    """Count only findings that stand beside another one on some film."""
    labels = np.asarray([case.labels for case in cases], dtype=np.float64).reshape(len(cases), len(findings))
    present, known = (labels == 1).astype(float), (~np.isnan(labels)).astype(float)
    both, of = present.T @ present, present.T @ known
    shares = np.divide(both, of, out=np.full_like(both, np.nan), where=of > 0)
    kept = [n for n in range(len(findings)) if (np.delete(both[n], n) > 0).any()]
    return Together(tuple(findings[n] for n in kept), shares[np.ix_(kept, kept)])
