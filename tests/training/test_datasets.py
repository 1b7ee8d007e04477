"""Datasets: joined without mixing patients, refused where their terms forbid, split the same everywhere."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from training.cases import FINDINGS, Case, ManifestRefused
from training.datasets import (
    Dataset,
    Entry,
    FilmSet,
    UseRefused,
    check_dataset,
    joined,
    require_uses,
    split_by_hash,
)

SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}


def film_set(name: str, **changed: object) -> FilmSet:
    uses = ("training", "evaluation", "published_weights")
    made = FilmSet(name, "site-1", name, "free", "nobody", "made", "nobody", uses, Path("/films") / name)
    return replace(made, **changed)


def entry(name: str, image: str, patient: str, split: str = "train", labels: tuple[float, ...] = (1.0,)) -> Entry:
    case = Case(Path("/films") / name / image, None, name, patient, split, labels, "adult", "", "", era_matched=True)  # type: ignore[arg-type]
    return Entry(case)


def dataset(of: FilmSet, *entries: Entry, findings: tuple[str, ...] = ("any_finding",)) -> Dataset:
    return Dataset(of.name, "1", findings, (of,), entries)


def test_joined_sets_line_up_their_labels_and_know_nothing_of_the_others() -> None:
    lungs = dataset(film_set("a"), entry("a", "1.png", "p1"), findings=("any_finding",))
    masses = dataset(film_set("b"), entry("b", "1.png", "p2", labels=(0.0, 1.0)), findings=("tuberculosis", "mass"))

    whole = joined("both", "2", [lungs, masses])

    assert whole.findings == ("any_finding", "mass", "tuberculosis")
    assert [[None if math.isnan(x) else x for x in each.case.labels] for each in whole.entries] == [
        [1.0, None, None],
        [None, 1.0, 0.0],
    ]


def test_cases_come_with_the_labels_that_are_asked_for() -> None:
    masses = dataset(film_set("b"), entry("b", "1.png", "p2", labels=(0.0, 1.0)), findings=("tuberculosis", "mass"))

    labels = masses.cases()[0].labels

    assert len(labels) == len(FINDINGS)
    assert labels[FINDINGS.index("mass")] == 1.0
    assert sum(math.isnan(label) for label in labels) == len(FINDINGS) - 1


def test_what_is_left_out_is_no_case_and_is_not_recorded_as_one() -> None:
    kept, out = entry("a", "1.png", "p1"), replace(entry("a", "2.png", "p1"), left_out="copy")

    both = dataset(film_set("a"), kept, out)

    assert both.cases(("any_finding",)) == [kept.case]
    assert both.record()["films"] == {"train": 1, "val": 0, "test": 0, "external": 0}


@pytest.mark.parametrize(
    ("second", "entries", "why"),
    [
        (film_set("a"), [], "same name"),
        (film_set("b"), [entry("b", "1.png", "p1", "val")], "two splits"),
        (film_set("b", site="site-2"), [entry("b", "1.png", "p1")], "two sites"),
        (film_set("b"), [entry("b", "1.png", "p2"), entry("b", "1.png", "p2")], "twice"),
        (film_set("b"), [entry("c", "1.png", "p2")], "no set"),
        (film_set("b"), [entry("b", "1.png", "p2", labels=(1.0, 0.0))], "2 labels"),
        (film_set("b", uses=("evaluation",)), [entry("b", "1.png", "p2", "val")], "may not be used for training"),
    ],
)
def test_a_dataset_that_contradicts_itself_is_refused(second: FilmSet, entries: list[Entry], why: str) -> None:
    sets = (film_set("a"), second)

    with pytest.raises(ManifestRefused, match=why):
        check_dataset(Dataset("d", "1", ("any_finding",), sets, (entry("a", "1.png", "p1"), *entries)))


def test_terms_are_asked_of_the_sets_that_are_used_so() -> None:
    research = film_set("b", uses=("training", "evaluation"))
    looked_at = film_set("c", uses=("evaluation",))
    a = dataset(film_set("a"), entry("a", "1.png", "p1"))
    c = dataset(looked_at, entry("c", "1.png", "p3", "external"))

    require_uses(joined("free", "1", [a, c]), "training", "evaluation", "published_weights")
    with pytest.raises(UseRefused, match="b do not permit published weights"):
        require_uses(joined("x", "1", [a, dataset(research, entry("b", "1.png", "p2"))]), "published_weights")
    with pytest.raises(UseRefused, match="c do not permit evaluation"):
        require_uses(dataset(replace(looked_at, uses=()), entry("c", "1.png", "p3", "external")), "evaluation")


def test_a_patients_split_hangs_on_key_and_pseudonym_alone() -> None:
    patients = [f"p{n}" for n in range(4_000)]

    first = [split_by_hash(patient, "a key", SHARES) for patient in patients]
    counts = Counter(first)

    assert [split_by_hash(patient, "a key", SHARES) for patient in reversed(patients)] == first[::-1]
    assert [split_by_hash(patient, "another", SHARES) for patient in patients] != first
    assert counts["train"] == pytest.approx(2_800, abs=120)
    assert counts["val"] == pytest.approx(400, abs=80)
    assert split_by_hash("p0", "a key", SHARES) == "train"  # a hash of another kind would move patients
