"""The public sets: what each of their columns says, and what none of them says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from tests.training.public_sets import box_row, kermany_row, nih_row, write_sets
from training.cases import ANY_FINDING, FINDINGS, SPLITS, Case, FindingBox, ManifestRefused, load_grey, of_split
from training.datasets import require_uses
from training.public_sets import PUBLIC_SETS, read_cases, read_public

CHILD = [kermany_row("k.png", "1", "train", 1)]
ADULT = [nih_row("a.png", "nih-1", "train", "no_finding")]
MORE = [nih_row("m.png", "nih-2", "val", "pneumonia")]


def one(cases: list[Case], patient_id: str) -> Case:
    return next(case for case in cases if case.patient_id == patient_id)


def test_a_set_says_nothing_about_findings_that_it_was_not_labelled_for(tmp_path: Path) -> None:
    cases = read_cases(write_sets(tmp_path, children=CHILD, adults=ADULT, more_adults=MORE))

    child, well, sick = (one(cases, patient).labels for patient in ("kermany-1", "nih-1", "nih-2"))
    assert (child[0], [math.isnan(label) for label in child]) == (1.0, [False] + 16 * [True])
    assert (well[1:], math.isnan(well[0])) == (16 * (0.0,), True)
    assert {finding for finding, label in zip(FINDINGS, sick, strict=True) if label == 1.0} == {
        "any_finding", "pneumonia_like_opacity", "pneumonia",
    }  # fmt: skip


@pytest.mark.parametrize("airspace", ["consolidation", "infiltration"])
def test_airspace_disease_without_the_word_pneumonia_is_unknown_as_pneumonia_like(
    tmp_path: Path, airspace: str
) -> None:
    adults = [nih_row("a.png", "nih-1", "train", airspace)]
    sets = write_sets(tmp_path, children=CHILD, adults=adults, more_adults=MORE)

    labels = one(read_cases(sets), "nih-1").labels

    assert labels[FINDINGS.index(ANY_FINDING)] == 1.0
    assert math.isnan(labels[2])


def test_films_of_minors_are_left_out_of_the_adult_sets_and_say_so(tmp_path: Path) -> None:
    adults = [*ADULT, nih_row("b.png", "nih-3", "train", "no_finding", age=17)]
    dataset = read_public(write_sets(tmp_path, children=CHILD, adults=adults, more_adults=MORE))

    assert "nih-3" not in {case.patient_id for case in dataset.cases()}
    assert [(entry.case.age_band, entry.left_out) for entry in dataset.entries if entry.left_out] == [
        ("6-17 years", "younger than 18, in a set used for adults")
    ]


def test_an_adult_brings_an_age_and_what_radiologists_marked(tmp_path: Path) -> None:
    boxes = [box_row("m.png", "Infiltrate", 10, 20, 30.5, 40), box_row("m.png", "Mass", 1, 2, 3, 4)]
    cases = read_cases(write_sets(tmp_path, children=CHILD, adults=ADULT, more_adults=MORE, more_boxes=boxes))

    assert one(cases, "nih-2").boxes == (FindingBox("infiltration", 10, 20, 30.5, 40), FindingBox("mass", 1, 2, 3, 4))
    assert [(case.age_years, case.boxes) for case in cases[:2]] == [(None, ()), (50, ())]


def test_a_box_of_no_finding_that_the_set_labels_is_refused(tmp_path: Path) -> None:
    boxes = [box_row("m.png", "Fracture", 1, 2, 3, 4)]
    sets = write_sets(tmp_path, children=CHILD, adults=ADULT, more_adults=MORE, more_boxes=boxes)

    with pytest.raises(ManifestRefused, match="Fracture"):
        read_cases(sets)


def test_a_patient_in_two_splits_of_two_sets_is_refused(tmp_path: Path) -> None:
    more = [nih_row("m.png", "nih-1", "test", "pneumonia")]
    sets = write_sets(tmp_path, children=CHILD, adults=ADULT, more_adults=more)

    with pytest.raises(ManifestRefused, match="two splits"):
        read_cases(sets)


def test_a_split_by_another_name_is_refused(tmp_path: Path) -> None:
    children = [kermany_row("k.png", "1", "sealed", 1)]
    sets = write_sets(tmp_path, children=children, adults=ADULT, more_adults=MORE)

    with pytest.raises(ManifestRefused, match="sealed"):
        read_cases(sets)


def test_copies_are_left_out_of_training_only(tmp_path: Path) -> None:
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
    sets = write_sets(tmp_path, children=CHILD, adults=ADULT, more_adults=MORE)

    assert [picture.shape for picture in load_grey(read_cases(sets))] == [(256, 256)] * 3


def test_a_set_that_is_not_there_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ManifestRefused, match="kermany_pneumonia is not in"):
        read_public(tmp_path)
    with pytest.raises(ManifestRefused, match="my_films is not one of"):
        read_public(tmp_path, ["my_films"])


@pytest.mark.films
def test_the_default_sets_hold_their_promises(shared_data: Path) -> None:
    dataset = read_public(shared_data)
    cases = dataset.cases()

    require_uses(dataset, "training", "evaluation", "published_weights")
    assert sum(case.data_set == "kermany_pneumonia" for case in of_split(cases, "test")) == 624
    assert all(of_split(cases, split) for split in SPLITS)
    assert sum(len(case.boxes) for case in cases) == 42 + 327 - 1  # one is on a minor
    assert sum(entry.left_out is not None for entry in dataset.entries) == 14 + 77


@pytest.mark.films
def test_every_public_set_can_be_read_with_its_terms(shared_data: Path) -> None:
    dataset = read_public(shared_data, tuple(PUBLIC_SETS))

    uses = {each.name: each.uses for each in dataset.sets}
    films = {name: sum(entry.case.data_set == name for entry in dataset.entries) for name in uses}
    assert films == {
        "kermany_pneumonia": 4_968,
        "nih_cxr14_subset": 808,
        "nih_cxr14_more": 948,
        "shenzhen_tb_128": 433,
        "hannover_covid": 200,
    }
    assert uses["shenzhen_tb_128"] == ("training", "evaluation")  # research only: no published weights
    assert uses["hannover_covid"] == ("evaluation",)
    assert {entry.case.split for entry in dataset.entries if entry.case.data_set == "hannover_covid"} == {"external"}
    assert dataset.findings == (*FINDINGS, "covid_19", "tuberculosis")
