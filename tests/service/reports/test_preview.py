"""Before the signature: the catalogue, the suggestion and the preview over HTTP."""

from __future__ import annotations

import pytest

from service import tables
from service.catalogue import FINDING_CODES, LANGUAGES
from service.roles import Role
from tests.service.house import House
from tests.service.reading.room import Room, shown
from tests.service.reports.desk import NODULE, Writer, writer


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


@pytest.mark.parametrize("policy", ["triage", "blind"])
def test_a_preview_names_no_model_before_the_impression_of_these_images(room: Room, policy: str) -> None:
    public_id, film = room.send()
    room.score("findings")
    author = room.reader(policy)
    reader = Writer(author.client, author.account_id, room)
    url = f"/api/cases/{public_id}/report/preview"

    def told() -> str:
        preview = reader.client.post(url, json={"content": NODULE}).json()
        words = [notice for language in LANGUAGES for notice in preview[language]["notices"]]
        return " ".join(words)

    before = told()
    token = reader.has_read(public_id)
    after = told()
    reader.client.delete(f"/api/worklist/{public_id}/claim", headers=shown(token))
    room.send(study=film, seed=5)
    room.score("findings")
    of_new_images = told()

    package = room.rows(tables.run)[0]["package"]
    assert package in after
    for early in (before, of_new_images):
        assert package not in early
        assert "AI" not in early
        assert "인공지능" not in early


def test_a_free_technique_and_several_zones_stand_in_every_language(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    said = {
        **NODULE,
        "language": "en",
        "technique": {"code": "chest_pa", "text": "Inspiration and expiration."},
        "findings": [{"code": "opacity", "side": "left", "zones": ["lower", "middle", "lower", "perihilar"]}],
    }

    report_id = reader.signed(public_id, said)

    report = reader.get(f"/api/reports/{report_id}").json()
    parts = {
        language: {section["code"]: section["paragraphs"] for section in told["sections"]}
        for language, told in report["texts"].items()
    }
    assert {language: told["technique"] for language, told in parts.items()} == {
        "en": ["Chest radiograph, PA view.", "Inspiration and expiration."],
        "ko": ["흉부 X선 촬영, 후전(PA) 방향.", "[영어] Inspiration and expiration."],
        "vi": ["X quang ngực thẳng, tư thế sau – trước (PA).", "[tiếng Anh] Inspiration and expiration."],
        "ru": [
            "Рентгенография органов грудной клетки в прямой задне-передней проекции (PA).",
            "[английский язык] Inspiration and expiration.",
        ],
    }
    assert {language: told["impression"] for language, told in parts.items()} == {
        "en": ["Lung opacity in the left middle, lower and perihilar zones."],
        "ko": ["좌측 중폐야, 하폐야 및 폐문 주위에 폐음영 증가가 관찰됨."],
        "vi": ["Có đám mờ phổi ở vùng giữa, vùng dưới và vùng quanh rốn phổi trái."],
        "ru": ["В среднем, нижнем и прикорневом отделах левого лёгкого определяется затемнение."],
    }
    assert report["content"]["findings"][0]["zones"] == ["middle", "lower", "perihilar"]


def test_the_suggestion_follows_the_verdicts_and_can_be_signed_as_it_is(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    before = reader.report(public_id)
    token = reader.claim(public_id)
    assert reader.impression(public_id, token, "normal").status_code == 200
    found_now = [found for run in reader.case(public_id)["ai"]["runs"] for found in run["shown_findings"]]
    verdicts = [
        {"finding_id": found["finding_id"], "code": found["code"], "judgement": "rejected"}
        for found in found_now
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
