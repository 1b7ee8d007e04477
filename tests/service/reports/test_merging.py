"""What the reader codes by hand beside the AI's same finding is told once; what contradicts it is named."""

from __future__ import annotations

from typing import Any

import pytest

from service import tables
from service.reports.content import CodedFinding, Content
from service.reports.merging import clashes, merged
from tests.service.reading.room import Room
from tests.service.reports.desk import NODULE, writer


def of_ai(**values: Any) -> CodedFinding:
    return CodedFinding(code="nodule", finding_id=7, **values)


def by_hand(**values: Any) -> CodedFinding:
    return CodedFinding(code="nodule", **values)


def content(*findings: CodedFinding) -> Content:
    return Content(language="en", findings=list(findings))


@pytest.mark.parametrize("is_ai_first", [True, False])
def test_the_readers_words_stand_at_the_finding_that_the_ai_has_too(is_ai_first: bool) -> None:
    pair = [of_ai(side="right", severity=None), by_hand(side="right", size_mm=8, text="spiculated")]

    said = content(*(pair if is_ai_first else pair[::-1]))

    assert list(clashes(said)) == []
    assert merged(said).findings == [of_ai(side="right", size_mm=8, text="spiculated")]


def test_the_ais_finding_without_a_place_is_the_one_that_the_reader_placed() -> None:
    said = content(of_ai(), by_hand(side="right", zones=["upper"]), by_hand(side="left"))

    assert merged(said).findings == [of_ai(side="right", zones=["upper"]), by_hand(side="left")]
    assert list(clashes(said)) == []


@pytest.mark.parametrize(
    "other",
    [
        {"side": "left"},
        {"side": "right", "zones": ["lower"]},
        {"side": None, "zones": ["upper"]},
        {"side": "right", "zones": ["upper"], "presence": "absent"},
    ],
)
def test_the_same_finding_of_another_place_is_another_one(other: dict[str, Any]) -> None:
    said = content(of_ai(side="right", zones=["upper"]), by_hand(**other))

    assert merged(said) == said
    assert list(clashes(said)) == []


@pytest.mark.parametrize(
    ("first", "second", "field"),
    [
        ({"size_mm": 8}, {"size_mm": 12}, "size_mm"),
        ({"count": 1}, {"count": 2}, "count"),
        ({"certainty": 5}, {"certainty": 4}, "certainty"),
        ({"change": "new"}, {"change": "unchanged"}, "change"),
        ({"presence": "uncertain"}, {"presence": "present"}, "presence"),
    ],
)
def test_what_the_two_contradict_each_other_in_is_named(
    first: dict[str, Any], second: dict[str, Any], field: str
) -> None:
    said = content(of_ai(side="right", **first), by_hand(side="right", **second))

    assert list(clashes(said)) == [f"findings.1.{field}"]
    assert merged(said) == said


def test_two_by_hand_of_one_place_are_left_to_the_reader() -> None:
    said = content(by_hand(side="right"), by_hand(side="right"))

    assert list(clashes(said)) == ["findings.1.side"]
    assert merged(said) == said


def test_a_confirmed_finding_and_the_same_by_hand_are_signed_as_one(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)
    shown = reader.case(public_id)["ai"]["runs"][0]["shown_findings"]
    confirmed = {"code": "nodule", "finding_id": shown[0]["finding_id"]}
    twice = {**NODULE, "findings": [confirmed, *NODULE["findings"]]}
    clash = {**NODULE, "findings": [{**NODULE["findings"][0], **confirmed, "size_mm": 3}, *NODULE["findings"]]}
    url = f"/api/cases/{public_id}/report/preview"

    previews = [reader.client.post(url, json={"content": said}).json() for said in (twice, clash)]
    refused = reader.sign(public_id, token, clash)
    signed = reader.sign(public_id, token, twice)

    clashing = [{"field": "findings.1.size_mm", "message_code": "found_twice"}]
    assert [preview["missing"] for preview in previews] == [[], clashing]
    assert (refused.status_code, refused.json()["missing"]) == (409, clashing)
    assert signed.status_code == 200, signed.text
    report = reader.get(f"/api/reports/{reader.report(public_id)['public_id']}").json()
    assert len(report["content"]["findings"]) == 1
    impression = next(s for s in report["texts"]["en"]["sections"] if s["code"] == "impression")["paragraphs"]
    assert impression == ["Lung nodule in the right upper zone, measuring 12 mm."]
    assert [s["paragraphs"] for s in previews[0]["en"]["sections"] if s["code"] == "impression"] == [impression]
    assert len(room.rows(tables.report_version)) == 1
