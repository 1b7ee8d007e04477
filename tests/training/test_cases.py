"""Manifests: whose film, which split, what is known."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.cases import ANY_FINDING, FINDINGS, SPLITS, Case, ManifestRefused, load_grey, of_split, read_cases

ADULT = [nih_row("a.png", "nih-1", "train", "no_finding")]
MORE = [nih_row("m.png", "nih-2", "val", "pneumonia")]


def one(cases: list[Case], patient_id: str) -> Case:
    return next(case for case in cases if case.patient_id == patient_id)


def test_a_set_says_nothing_about_findings_that_it_was_not_labelled_for(tmp_path: Path) -> None:
    sets = write_sets(tmp_path, children=[kermany_row("k.png", "1", "train", 1)], adults=ADULT, more_adults=MORE)

    cases = read_cases(sets)

    child, well, sick = (one(cases, patient).labels for patient in ("kermany-1", "nih-1", "nih-2"))
    assert (child[0], [math.isnan(label) for label in child]) == (1.0, [False, True, True])
    assert (well[1:], math.isnan(well[0])) == ((0.0, 0.0), True)
    assert sick[1:] == (1.0, 1.0)


@pytest.mark.parametrize("airspace", ["consolidation", "infiltration"])
def test_airspace_disease_without_the_word_pneumonia_is_unknown_as_pneumonia_like(
    tmp_path: Path, airspace: str
) -> None:
    sets = write_sets(
        tmp_path,
        children=[kermany_row("k.png", "1", "train", 1)],
        adults=[nih_row("a.png", "nih-1", "train", airspace)],
        more_adults=MORE,
    )

    labels = one(read_cases(sets), "nih-1").labels

    assert labels[FINDINGS.index(ANY_FINDING)] == 1.0
    assert math.isnan(labels[2])


def test_films_of_minors_are_left_out_of_the_adult_sets(tmp_path: Path) -> None:
    adults = [*ADULT, nih_row("b.png", "nih-3", "train", "no_finding", age=17)]
    sets = write_sets(tmp_path, children=[kermany_row("k.png", "1", "train", 1)], adults=adults, more_adults=MORE)

    assert "nih-3" not in {case.patient_id for case in read_cases(sets)}


def test_a_patient_in_two_splits_is_refused(tmp_path: Path) -> None:
    more = [nih_row("m.png", "nih-1", "test", "pneumonia")]
    sets = write_sets(tmp_path, children=[kermany_row("k.png", "1", "train", 1)], adults=ADULT, more_adults=more)

    with pytest.raises(ManifestRefused, match="two splits"):
        read_cases(sets)


def test_a_split_by_another_name_is_refused(tmp_path: Path) -> None:
    sets = write_sets(tmp_path, children=[kermany_row("k.png", "1", "sealed", 1)], adults=ADULT, more_adults=MORE)

    with pytest.raises(ManifestRefused, match="sealed"):
        read_cases(sets)


def test_duplicates_are_dropped_from_training_only(tmp_path: Path) -> None:
    children = [
        kermany_row("k1.png", "1", "train", 1),
        kermany_row("k2.png", "1", "train", 1, duplicate_of="k1.png"),
        kermany_row("k3.png", "2", "test", 0),
        kermany_row("k4.png", "2", "test", 0, duplicate_of="k3.png"),
    ]
    sets = write_sets(tmp_path, children=children, adults=ADULT, more_adults=MORE)

    members = {case.member for case in read_cases(sets)}

    assert {"k1.png", "k3.png", "k4.png"} <= members
    assert "k2.png" not in members


def test_pictures_come_from_files_and_from_tars_alike(tmp_path: Path) -> None:
    sets = write_sets(tmp_path, children=[kermany_row("k.png", "1", "train", 1)], adults=ADULT, more_adults=MORE)

    pictures = list(load_grey(read_cases(sets)))

    assert [picture.shape for picture in pictures] == [(256, 256)] * 3


@pytest.mark.films
def test_the_public_sets_hold_their_promises(shared_data: Path) -> None:
    cases = read_cases(shared_data)

    assert not any("shenzhen" in str(case.image) for case in cases)  # research only: never in the shipped weights
    assert sum(case.data_set == "kermany_pneumonia" for case in of_split(cases, "test")) == 624
    assert all(of_split(cases, split) for split in SPLITS)
