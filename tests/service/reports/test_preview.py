"""Before the signature: the catalogue, the suggestion and the preview over HTTP."""

from __future__ import annotations

import pytest

from service.catalogue import FINDING_CODES, LANGUAGES
from service.roles import Role
from tests.service.house import House
from tests.service.reading.room import Room
from tests.service.reports.desk import NODULE, writer


def test_the_catalogue_names_every_code_in_every_language(house: House) -> None:
    answer = house.signed_in(Role.RADIOLOGIST).get("/api/findings")

    catalogue = answer.json()
    assert {finding["code"] for finding in catalogue["findings"]} == FINDING_CODES
    choices = [
        choice
        for name, choices in catalogue.items()
        if isinstance(choices, list)
        for choice in choices
        if name != "version"
    ]
    assert len(choices) > 120
    assert all(set(choice["names"]) == set(LANGUAGES) for choice in choices)
    assert all(all(choice["names"].values()) for choice in choices)


def test_a_preview_shows_what_would_be_signed_and_what_is_missing(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    url = f"/api/cases/{public_id}/report/preview"

    whole = reader.client.post(url, json={"content": NODULE}).json()
    part = reader.client.post(url, json={"content": {"language": "ko"}}).json()

    assert whole["missing"] == []
    assert whole["proposed"] == {
        "critical_category": 3, "recommendations": ["ct_chest"], "departments": ["pulmonology"],
    }  # fmt: skip
    assert whole["vi"]["notices"][0].startswith("BẢN NHÁP")
    assert {"field": "technique", "message_code": "required"} in part["missing"]
    report_id = reader.signed(public_id, NODULE)
    signed = reader.get(f"/api/reports/{report_id}").json()["texts"]
    assert {language: signed[language]["sections"] for language in LANGUAGES} == {
        language: whole[language]["sections"] for language in LANGUAGES
    }


def test_the_suggestion_follows_the_verdicts_and_can_be_signed_as_it_is(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    before = reader.report(public_id)
    token = reader.claim(public_id)
    assert reader.impression(public_id, token, "normal").status_code == 200
    shown = [found for run in reader.case(public_id)["ai"]["runs"] for found in run["shown_findings"]]
    verdicts = [
        {"finding_id": found["finding_id"], "code": found["code"], "judgement": "rejected"}
        for found in shown
        if found["presence"] == "present"
    ]
    reader.verdicts(public_id, token, *verdicts, quality={"grade": "good", "reasons": []})

    suggested = reader.report(public_id)["suggestion"]
    answer = reader.sign(public_id, token, suggested)

    assert (before["versions"], before["draft"], before["suggestion"]["template"]) == ([], None, None)
    assert suggested["template"] == "chest_normal"
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "content",
    [
        {"language": "fr"},
        {"language": "ko", "findings": [{"code": "made_up"}]},
        {"language": "ko", "findings": [{"code": "nodule", "size_mm": -1}]},
        {"language": "ko", "findings": [{"code": "nodule", "certainty": 6}]},
        {"language": "ko", "recommendations": ["made_up"]},
        {"language": "ko", "patient": "someone"},
        {"language": "ko", "findings_text": "x" * 8001},
    ],
)
def test_what_no_report_can_hold_is_refused_without_an_echo(house: House, content: dict[str, object]) -> None:
    answer = house.signed_in(Role.RADIOLOGIST).post(f"/api/cases/{'0' * 32}/report/preview", json={"content": content})

    assert answer.status_code == 400
    assert "made_up" not in answer.text
    assert "someone" not in answer.text


def test_only_readers_write_reports(house: House) -> None:
    house.add_study()
    for role in (Role.SITE_PHYSICIAN, Role.ADMINISTRATOR, Role.AUDITOR, Role.ML_ENGINEER):
        person = house.signed_in(role)
        assert person.get(f"/api/cases/{1:032x}/report").status_code == 403
        body = {"content": {"language": "ko"}}
        assert person.post(f"/api/cases/{1:032x}/report/preview", json=body).status_code == 403
