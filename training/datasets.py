"""A dataset: films from one or more sets, with their provenance and what may be done with them."""

from __future__ import annotations

import hashlib
import hmac
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from training.cases import EXTERNAL, FINDINGS, SPLITS, UNKNOWN, Case, ManifestRefused, Split, check_splits

Use = Literal["training", "evaluation", "published_weights"]
USES: tuple[Use, ...] = get_args(Use)
"""What the owner of a set permits: learning from it, measuring on it, giving away weights that learned from it."""


class UseRefused(ManifestRefused):
    """A dataset must not be used for what was asked: its terms forbid it."""


@dataclass(frozen=True, slots=True)
class FilmSet:
    """One source of films: a public set, or what a site exported.

    Attributes:
        site: Key of the place whose patients these are; two sets of one site share their patients' pseudonyms.
        labels_from: Who or what says that a finding is there.
        uses: What its terms permit.
        folder: Where its images lie on this machine; part of no hash.
    """

    name: str
    site: str
    title: str
    licence: str
    attribution: str
    source: str
    labels_from: str
    uses: tuple[Use, ...]
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a manifest: a case, and what the case itself need not know.

    Attributes:
        sha256: Of the image file's bytes; None until somebody has read them.
        left_out: Why nobody trains or measures on it ("copy of ..."); None for a film that counts.
        original_size: Columns and rows of the film before the set's publisher made it smaller.
    """

    case: Case
    sha256: str | None = None
    left_out: str | None = None
    original_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Films of some sets under one name and version.

    Attributes:
        findings: What the labels of its cases say, in their order.
        sha256: Over everything but the place of the files; None until frozen or hashed.
    """

    name: str
    version: str
    findings: tuple[str, ...]
    sets: tuple[FilmSet, ...]
    entries: tuple[Entry, ...]
    sha256: str | None = None

    def cases(self, findings: Sequence[str] = FINDINGS) -> list[Case]:
        """Return the cases that count, with one label for each of `findings`; a finding that is not here is unknown."""
        counted = [entry.case for entry in self.entries if entry.left_out is None]
        if tuple(findings) == self.findings:
            return counted
        columns = [self.findings.index(finding) if finding in self.findings else None for finding in findings]
        return [
            replace(case, labels=tuple(UNKNOWN if column is None else case.labels[column] for column in columns))
            for case in counted
        ]

    def record(self) -> dict[str, object]:
        """Return what a run and an evaluation write down, so that one can tell later which films they saw."""
        films = {split: sum(case.split == split for case in self.cases()) for split in (*SPLITS, EXTERNAL)}
        return {"name": self.name, "version": self.version, "sha256": self.sha256, "films": films}


def joined(name: str, version: str, parts: Sequence[Dataset]) -> Dataset:
    """Return one dataset of several, labels lined up, in the order given.

    Raises:
        ManifestRefused: As `check_dataset`.
    """
    named = {finding for part in parts for finding in part.findings}
    known = [finding for finding in FINDINGS if finding in named]
    findings = (*known, *sorted(named - set(known)))
    entries = [
        replace(entry, case=replace(entry.case, labels=_lined_up(entry.case.labels, part.findings, findings)))
        for part in parts
        for entry in part.entries
    ]
    whole = Dataset(name, version, findings, tuple(each for part in parts for each in part.sets), tuple(entries))
    check_dataset(whole)
    return whole


def check_dataset(dataset: Dataset) -> None:
    """Raise ManifestRefused if the dataset contradicts itself.

    Two sets of one name; one film twice; a patient in two splits; one pseudonym at two sites, which would be two people
    or a leak; films in train or val of a set that must not be trained on; a number of labels other than of findings.
    """
    sets = {each.name: each for each in dataset.sets}
    if len(sets) < len(dataset.sets):
        raise ManifestRefused("two sets have the same name")
    check_splits(entry.case for entry in dataset.entries)
    site_of: dict[str, str] = {}
    seen: set[tuple[Path, str | None]] = set()
    for entry in dataset.entries:
        case = entry.case
        if case.data_set not in sets:
            raise ManifestRefused(f"{case.file_name} belongs to no set of this dataset")
        if (case.image, case.member) in seen:
            raise ManifestRefused(f"{case.data_set}: {case.file_name} stands there twice")
        seen.add((case.image, case.member))
        if site_of.setdefault(case.patient_id, sets[case.data_set].site) != sets[case.data_set].site:
            raise ManifestRefused("two sites use the same pseudonym for a patient")
        if len(case.labels) != len(dataset.findings):
            raise ManifestRefused(f"{case.data_set}: {case.file_name} has {len(case.labels)} labels")
        if case.split in ("train", "val") and "training" not in sets[case.data_set].uses:
            raise UseRefused(f"{case.data_set} may not be used for training, but has films in {case.split}")


def require_uses(dataset: Dataset, *uses: Use) -> None:
    """Raise UseRefused unless every set that is learned from permits `uses`; evaluation is asked of every set."""
    for each in dataset.sets:
        splits = {entry.case.split for entry in dataset.entries if entry.case.data_set == each.name}
        for use in uses:
            if use not in each.uses and (use == "evaluation" or splits & {"train", "val"}):
                raise UseRefused(f"the terms of {each.name} do not permit {use.replace('_', ' ')}: {each.licence}")


def split_by_hash(patient_id: str, key: str, shares: Mapping[Split, float]) -> Split:
    """Return the split of a patient: the same on every machine and in every later version under the same key.

    Args:
        patient_id: The pseudonym.
        key: Any text; another key draws other patients.
        shares: Part of the patients for each split, together 1.
    """
    digest = hmac.digest(key.encode(), patient_id.encode(), hashlib.sha256)
    place = int.from_bytes(digest[:8]) / 2**64
    for split, share in shares.items():
        if place < share:
            return split
        place -= share
    return list(shares)[-1]  # the shares' sum was rounded below 1


def _lined_up(labels: Iterable[float], have: Sequence[str], wanted: Sequence[str]) -> tuple[float, ...]:
    known = dict(zip(have, labels, strict=True))
    return tuple(known.get(finding, math.nan) for finding in wanted)
