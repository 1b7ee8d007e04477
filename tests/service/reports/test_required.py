"""What a signature needs, and what findings propose."""

from __future__ import annotations

from typing import Any

import pytest

from service.reports.content import CodedFinding, Comparison, Content, Quality, Technique
from service.reports.required import missing_parts, proposal

PRIOR = Comparison(kind="prior")


def content(*findings: CodedFinding, **values: Any) -> Content:
    whole = {
        "template": "chest_normal",
        "technique": Technique(code="chest_pa"),
        "comparison": Comparison(kind="none"),
        "recommendations": ["none"],
        "quality": Quality(grade="good"),
        "language": "ko",
    }
    return Content(**{**whole, "findings": list(findings), **values})


def codes(*findings: CodedFinding, **values: Any) -> list[tuple[str, str]]:
    return [(part.field, part.message_code) for part in missing_parts(content(*findings, **values))]


def test_a_whole_report_can_be_signed() -> None:
    assert codes() == []
    assert codes(CodedFinding(code="nodule", side="right", zones=["upper"], size_mm=4, count=2)) == []


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({"technique": Technique()}, ("technique", "required")),
        ({"comparison": None}, ("comparison", "required")),
        ({"template": None, "impression_text": "x"}, ("findings", "required")),
        ({"template": None, "findings_text": "x"}, ("impression_text", "required")),
        ({"findings_text": "Large right pneumothorax."}, ("impression_text", "required")),
        ({"recommendations": []}, ("recommendations", "required")),
        ({"recommendations": ["none", "ct_chest"]}, ("recommendations", "none_with_others")),
        ({"quality": None}, ("quality", "required")),
        ({"quality": Quality(grade="limited")}, ("quality", "quality_reason_needed")),
        ({"quality": Quality(grade="insufficient", reasons=["motion"])}, ("template", "normal_on_insufficient")),
        ({"findings_text": "左", "impression_text": "x"}, ("findings_text", "unprintable")),
    ],
)
def test_what_is_missing_is_named(values: dict[str, Any], problem: tuple[str, str]) -> None:
    assert codes(**values) == [problem]


@pytest.mark.parametrize(
    ("finding", "problem"),
    [
        (CodedFinding(code="any_finding"), "unknown_finding"),
        (CodedFinding(code="cardiomegaly", side="left"), "side_not_possible"),
        (CodedFinding(code="mediastinal_shift", side="both"), "side_not_possible"),
        (CodedFinding(code="effusion", zones=["lower"]), "zone_not_possible"),
        (CodedFinding(code="scoliosis", size_mm=3), "size_not_possible"),
        (CodedFinding(code="effusion", count=2), "count_not_possible"),
        (CodedFinding(code="nodule", severity="mild"), "severity_not_possible"),
        (CodedFinding(code="nodule", presence="absent", size_mm=3), "absent_has_attributes"),
        (CodedFinding(code="nodule", presence="absent", certainty=5), "absent_has_attributes"),
        (CodedFinding(code="nodule", presence="uncertain", certainty=5), "certainty_contradicts"),
        (CodedFinding(code="nodule", presence="present", certainty=1), "certainty_contradicts"),
        (CodedFinding(code="nodule", change="new"), "change_needs_prior"),
        (CodedFinding(code="other_finding"), "describe_in_words"),
    ],
)
def test_what_a_finding_cannot_be_is_refused(finding: CodedFinding, problem: str) -> None:
    assert ("findings.0", problem) in codes(finding)


def test_only_what_is_gone_has_resolved() -> None:
    gone = CodedFinding(code="effusion", presence="absent", change="resolved")
    there = CodedFinding(code="effusion", change="resolved")

    assert codes(gone, comparison=PRIOR) == []
    assert codes(there, comparison=PRIOR) == [("findings.0", "resolved_is_absent")]


@pytest.mark.parametrize(
    ("denied", "said", "contradicts"),
    [
        (None, "right", True),
        ("both", "left", True),
        ("right", "right", True),
        ("right", "both", True),
        ("right", "left", False),
        ("left", None, False),
    ],
)
def test_nothing_is_said_and_denied_of_the_same_side(denied: Any, said: Any, contradicts: bool) -> None:
    found = codes(
        CodedFinding(code="effusion", presence="absent", side=denied), CodedFinding(code="effusion", side=said)
    )

    assert (("findings.1", "contradicts") in found) is contradicts


def test_the_same_finding_twice_is_a_slip_and_on_two_sides_is_not() -> None:
    right, left = (CodedFinding(code="effusion", side=side) for side in ("right", "left"))

    assert codes(right, right) == [("findings.1.side", "found_twice")]
    assert codes(right, left) == []
    scoliosis = CodedFinding(code="scoliosis")
    assert codes(scoliosis, scoliosis) == [("findings.1", "found_twice")]


def test_urgency_follow_up_and_departments_come_from_the_rules() -> None:
    proposed = proposal(content(CodedFinding(code="nodule"), CodedFinding(code="pneumothorax", severity="severe")))

    assert proposed.critical_category == 1
    assert proposed.departments == ["emergency", "thoracic_surgery", "pulmonology"]
    assert proposed.recommendations == ["urgent_evaluation", "ct_chest"]


def test_a_finding_that_is_denied_or_unlikely_proposes_nothing() -> None:
    proposed = proposal(
        content(
            CodedFinding(code="pneumothorax", presence="absent"),
            CodedFinding(code="free_air", presence="uncertain", certainty=1),
        )
    )

    assert (proposed.critical_category, proposed.recommendations, proposed.departments) == (None, ["none"], [])


def test_a_film_of_no_use_is_to_be_repeated() -> None:
    quality = Quality(grade="insufficient", reasons=["motion"])

    assert proposal(content(quality=quality, template=None)).recommendations == ["repeat_radiograph"]
    assert codes(quality=quality, template=None, recommendations=["repeat_radiograph"]) == []
