"""Verdicts → labels: what is said, what stays unknown, and what was said with the AI in view."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from preprocessing.header import from_json
from service.learning.cases import Film, Judged, labels_of, pseudonym, row_of, why_not

FRONTAL: dict[str, object] = {"modality": "DX", "view_position": "PA", "body_part_examined": "CHEST"}


def film(*judged: Judged, impression: str | None = "abnormal", only: bool = True, **header: object) -> Film:
    return Film(
        site="hanoi", site_id=1, patient="P1", instance_id=7, sop_instance_uid="1.2.3", content_sha256="0" * 64,
        header=from_json(FRONTAL | header), age_years=64.123, sex="F", is_only_frontal=only, judged=judged,
        impression=impression,
    )  # fmt: skip


def said(judgement: str, presence: str | None, code: str = "effusion", **more: Any) -> Judged:
    return dataclasses.replace(Judged(7, code, judgement, presence, None, ai_visible=True), **more)


@pytest.mark.parametrize(
    ("judgement", "presence", "label"),
    [
        ("confirmed", "present", "present"),
        ("rejected", "present", "absent"),
        ("uncertain", "present", None),
        ("confirmed", "absent", "absent"),
        ("rejected", "absent", "present"),
        ("uncertain", "absent", None),
        ("confirmed", "undetermined", None),
        ("rejected", "not_evaluated", None),
        ("missed", None, "present"),
    ],
)
def test_a_verdict_says_the_ais_word_its_opposite_or_nothing(
    judgement: str, presence: str | None, label: str | None
) -> None:
    labels = labels_of(film(said(judgement, presence)))

    assert labels.by_finding.get("effusion") == label
    assert labels.by_finding.get("any_finding") == ("present" if label == "present" else None)
    assert labels.with_ai is (label is not None)


def test_what_nobody_said_is_unknown() -> None:
    assert labels_of(film()).by_finding == {}


def test_a_normal_impression_says_that_nothing_is_there_unless_something_was_said_later() -> None:
    normal = {"impression": "normal"}

    assert labels_of(film(**normal)) == labels_of(film(**normal, only=True))
    assert (labels_of(film(**normal)).by_finding, labels_of(film(**normal)).with_ai) == (
        {"any_finding": "absent"},
        False,
    )
    assert labels_of(film(**normal, only=False)).by_finding == {}
    assert labels_of(film(said("uncertain", "present"), **normal)).by_finding == {}
    elsewhere = said("missed", None, instance_id=8)
    assert labels_of(film(elsewhere, **normal)).by_finding == {}
    assert labels_of(film(said("missed", None), **normal)).by_finding["any_finding"] == "present"


def test_a_verdict_without_an_image_is_on_the_only_frontal_film_or_on_none() -> None:
    on_the_study = said("missed", None, instance_id=None)

    assert labels_of(film(on_the_study)).by_finding == {"effusion": "present", "any_finding": "present"}
    assert labels_of(film(on_the_study, only=False)).by_finding == {}
    assert labels_of(film(said("missed", None, instance_id=8))).by_finding == {}


def test_what_the_reader_marked_himself_stands_over_what_he_rejected() -> None:
    labels = labels_of(film(said("missed", None, place=(10.0, 20.0, 30.0, 50.0)), said("rejected", "present")))

    assert labels.by_finding["effusion"] == "present"
    assert labels.boxes == (("effusion", 10.0, 20.0, 20.0, 30.0),)


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({}, None),
        ({"view_position": "LL"}, "not_a_frontal_film"),
        ({"modality": "CT"}, "not_a_frontal_film"),
        ({"body_part_examined": "HAND"}, "not_a_chest"),
        ({"burned_in_annotation": "YES"}, "burned_in_annotation"),
    ],
)
def test_only_frontal_chest_films_without_text_go_out(header: dict[str, object], why: str | None) -> None:
    assert why_not(film(**header)) == why


@pytest.mark.parametrize(("age", "told"), [(None, None), (0.0, 0.0), (64.123, 64.12), (89.99, 89.99), (97.0, 90.0)])
def test_a_row_holds_no_more_than_training_needs(age: float | None, told: float | None) -> None:
    case = dataclasses.replace(film(said("missed", None)), age_years=age)

    row = row_of(case, labels_of(case), key=b"k", data_set="hanoi-with-ai", image="films/x.dcm", split=None)

    assert row.pop("age_years", None) == told
    assert row == {
        "set": "hanoi-with-ai", "image": "films/x.dcm", "patient": f"hanoi-{pseudonym(b'k', 'hanoi', 'P1')}",
        "labels": {"any_finding": "present", "effusion": "present"}, "sex": "F", "view": "PA",
    }  # fmt: skip


def test_pseudonyms_of_two_sites_and_of_two_keys_differ() -> None:
    assert len({pseudonym(key, site, "P1") for key in (b"a", b"b") for site in ("hanoi", "hue")}) == 4
