"""A report to begin with: it follows the reader's own word, and never calls normal what nobody has."""

from __future__ import annotations

from typing import Any

import pytest

from service.reports.content import Quality
from service.reports.required import missing_parts
from service.reports.suggest import Basis, suggest, technique_code

PA = {"modality": "DX", "view_position": "PA", "body_part_examined": "CHEST"}


def verdict(code: str, judgement: str = "confirmed", **more: Any) -> dict[str, Any]:
    row = {"finding_code": code, "judgement": judgement, "finding_id": 7, "side": None, "severity": None}
    return {**row, "presence": "present", **more}


def basis(*verdicts: dict[str, Any], **values: Any) -> Basis:
    whole: dict[str, Any] = {
        "headers": [PA],
        "age_years": 50.0,
        "impression": "normal",
        "quality": Quality(grade="good"),
        "has_priors": False,
        "language": "ko",
    }
    return Basis(**{**whole, "verdicts": list(verdicts), **values})


def test_a_normal_film_can_be_signed_as_suggested() -> None:
    suggested = suggest(basis(verdict("any_finding", "rejected")))

    assert missing_parts(suggested) == []
    assert (suggested.template, suggested.findings, suggested.recommendations) == ("chest_normal", [], ["none"])


def test_a_confirmed_finding_is_suggested_with_what_follows_from_it() -> None:
    suggested = suggest(basis(verdict("effusion", side="left", severity="severe"), impression="abnormal"))

    assert missing_parts(suggested) == []
    found = suggested.findings[0]
    assert (found.code, found.side, found.severity, found.finding_id) == ("effusion", "left", "severe", 7)
    assert (suggested.critical_category, suggested.departments) == (2, ["pulmonology"])


@pytest.mark.parametrize("impression", ["normal", "abnormal", "cannot_tell"])
def test_something_not_normal_that_nobody_named_asks_for_words(impression: str) -> None:
    suggested = suggest(basis(verdict("any_finding"), impression=impression))

    assert suggested.template is None
    assert [finding.code for finding in suggested.findings] == ["other_finding"]
    assert ("findings.0", "describe_in_words") in {(p.field, p.message_code) for p in missing_parts(suggested)}


@pytest.mark.parametrize("impression", ["abnormal", "cannot_tell", None])
def test_without_the_readers_word_nothing_is_normal(impression: str | None) -> None:
    suggested = suggest(basis(verdict("any_finding", "rejected"), impression=impression))

    assert suggested.template is None
    assert ("findings", "required") in {(p.field, p.message_code) for p in missing_parts(suggested)}


def test_a_doubt_is_suggested_as_a_doubt_and_a_code_that_we_do_not_know_as_words() -> None:
    suggested = suggest(basis(verdict("nodule", "uncertain"), verdict("from_a_foreign_package"), impression="abnormal"))

    assert [(f.code, f.presence) for f in suggested.findings] == [("nodule", "uncertain")]
    alone = suggest(basis(verdict("from_a_foreign_package"), impression="abnormal"))
    assert [f.code for f in alone.findings] == ["other_finding"]


def test_a_finding_that_the_ai_calls_absent_is_suggested_only_where_the_reader_rejects_that() -> None:
    absent = [
        verdict("nodule", presence="absent"),
        verdict("effusion", presence="undetermined"),
        verdict("mass", "rejected", presence="absent"),
    ]

    assert [(f.code, f.presence) for f in suggest(basis(*absent)).findings] == [("mass", "present")]


def test_the_same_finding_on_two_images_is_told_once_and_the_surer_word_stands() -> None:
    suggested = suggest(basis(verdict("nodule", "uncertain"), verdict("nodule"), verdict("nodule", side="left")))

    assert [(f.side, f.presence) for f in suggested.findings] == [(None, "present"), ("left", "present")]


def test_what_a_finding_cannot_have_is_left_out() -> None:
    suggested = suggest(basis(verdict("cardiomegaly", side="left", severity="terrible")))

    assert (suggested.findings[0].side, suggested.findings[0].severity) == (None, None)


def test_with_priors_the_comparison_is_left_to_the_reader() -> None:
    assert suggest(basis(has_priors=True)).comparison is None


def test_children_have_their_own_template_and_a_useless_film_has_none() -> None:
    assert suggest(basis(age_years=4.0)).template == "chest_child_normal"
    useless = suggest(basis(quality=Quality(grade="insufficient", reasons=["motion"])))
    assert (useless.template, useless.recommendations) == (None, ["repeat_radiograph"])


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ([PA], "chest_pa"),
        ([{**PA, "view_position": "AP"}], "chest_ap"),
        ([{**PA, "view_position": None}], "chest_frontal"),
        ([PA, {**PA, "view_position": "LL"}], "chest_two_views"),
        ([{**PA, "view_position": "LL"}], "chest_lateral"),
        ([{**PA, "body_part_examined": "HAND"}], "radiograph"),
        ([{"modality": "CT", "body_part_examined": "CHEST"}], "ct_chest"),
        ([{"modality": "CT"}], "ct"),
        ([{"modality": "MR"}], "mr"),
        ([{"modality": "US"}], None),
        ([], None),
    ],
)
def test_the_technique_is_told_as_far_as_the_headers_tell(headers: list[dict[str, Any]], code: str | None) -> None:
    assert technique_code(headers) == code
