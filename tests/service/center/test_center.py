"""What a center sees of its studies: where each stands, what it can put right, and its reports; never the AI."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from service import tables
from service.intake.studies import fold
from service.roles import Role
from tests.service.house import House
from tests.service.reading.room import Room
from tests.service.reports.desk import NODULE, NORMAL, writer

STUDIES = "/api/center/studies"


def studies(center: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    answer = center.get(STUDIES, params=parameters)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def test_a_study_goes_from_arriving_to_its_signed_report(room: Room) -> None:
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    reader = writer(room)
    stages = []

    def look() -> dict[str, Any]:
        study = studies(center)[0]
        stages.append(study["stage"])
        return study

    public_id, _ = room.send()
    look()
    room.score("findings")
    look()
    reader.confirm()
    token = reader.read(public_id)
    look()
    assert reader.sign(public_id, token, NORMAL, status="preliminary").status_code == 200
    preliminary = look()
    assert reader.sign(public_id, token, NODULE).status_code == 200
    final = look()
    report_id = reader.report(public_id)["public_id"]
    assert reader.correct(report_id, "addendum", text="추가 설명.").status_code == 200
    look()
    assert reader.correct(report_id, "amend", content=NORMAL, reason="잘못된 소견 정정").status_code == 200
    look()
    assert reader.correct(report_id, "retract", reason="다른 환자의 영상").status_code == 200
    retracted = look()

    assert stages == [
        "arriving", "received", "being_read", "preliminary", "reported", "reported", "amended", "retracted",
    ]  # fmt: skip
    assert preliminary["report"] is None
    assert (final["report"]["version"], final["report"]["critical_category"]) == (2, 3)
    assert (retracted["report"]["version"], retracted["report"]["status"]) == (5, "cancelled")
    item = room.rows(tables.worklist_item)[0]
    assert (item["state"], item["completed_at"]) == ("scheduled", None), "a retracted report leaves the study unread"


def test_nothing_that_the_ai_found_is_in_the_centers_view(room: Room) -> None:
    public_id = room.scored()
    for role in (Role.SITE_UPLOADER, Role.SITE_PHYSICIAN):
        center = room.house.signed_in(role)

        text = (center.get(STUDIES).text + center.get(f"{STUDIES}/{public_id}").text).lower()

        for word in ("score", "probability", "finding", "unscored", "ai_", "heat"):
            assert word not in text, word


def test_a_read_report_is_marked_for_who_read_it(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())
    center, colleague = (room.house.signed_in(Role.SITE_PHYSICIAN) for _ in range(2))

    assert center.get(f"/api/reports/{report_id}/pdf", params={"language": "vi"}).status_code == 200

    assert studies(center)[0]["report"]["is_read"] is True
    assert studies(colleague)[0]["report"]["is_read"] is False


def test_images_that_come_after_the_report_are_told(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    writer(room).signed(public_id)
    room.send(study=film, seed=1)

    study = studies(room.house.signed_in(Role.SITE_PHYSICIAN))[0]

    assert (study["stage"], study["attention"]) == (
        "reported",
        [{"code": "images_after_report", "reason": None, "count": 1}],
    )


def test_a_center_sees_its_own_studies_only(house: House) -> None:
    house.add_study()
    house.add_study(site_id=house.other_site_id)
    center = house.signed_in(Role.SITE_UPLOADER)

    seen = studies(center)

    assert [study["public_id"] for study in seen] == [f"{1:032x}"]
    other, nowhere = center.get(f"{STUDIES}/{2:032x}"), center.get(f"{STUDIES}/{'f' * 32}")
    assert (other.status_code, other.content) == (404, nowhere.content)


def test_what_only_the_center_can_put_right_asks_for_attention(house: House) -> None:
    house.add_study(state="scored", expected_instances=3)
    house.add_study(state="scored")
    house.add_study(state="scored")
    with house.database.transaction() as tx:
        for resolved_at in (None, house.clock()):
            uid = "1.2.3.2" if resolved_at is None else "1.2.3.3"
            tx.execute(
                insert(tables.problem).values(
                    site_id=house.site_id, kind="held", reason="patient_conflict", detail="", status="0xB007",
                    door="dimse", sender="PACS", study_instance_uid=uid, occurred_at=house.clock(), count=2,
                    resolved_at=resolved_at,
                )
            )  # fmt: skip
    center = house.signed_in(Role.SITE_UPLOADER)

    seen = {study["study_instance_uid"]: (study["stage"], study["attention"]) for study in studies(center)}

    assert seen == {
        "1.2.3.1": ("needs_attention", [{"code": "images_missing", "reason": None, "count": 2}]),
        "1.2.3.2": ("needs_attention", [{"code": "held", "reason": "patient_conflict", "count": 2}]),
        "1.2.3.3": ("received", []),
    }
    page = center.get(STUDIES, params={"state": "needs_attention"}).json()
    assert len(page["items"]) == page["counts"]["needs_attention"] == 2


def test_pages_follow_one_another_and_search_finds_what_a_center_knows(house: House) -> None:
    for number in range(5):
        house.add_study(patient_id=f"VN-{number}", accession_number=f"A%{number}")
    center = house.signed_in(Role.SITE_UPLOADER)

    first = center.get(STUDIES, params={"limit": 3}).json()
    second = center.get(STUDIES, params={"limit": 3, "cursor": first["next_cursor"]}).json()

    together = [study["patient"]["id"] for study in first["items"] + second["items"]]
    assert together == ["VN-4", "VN-3", "VN-2", "VN-1", "VN-0"]
    assert second["next_cursor"] is None
    assert [study["patient"]["id"] for study in studies(center, q="vn-2")] == ["VN-2"]
    assert [study["patient"]["id"] for study in studies(center, q="%3")] == ["VN-3"]


@pytest.mark.parametrize("words", ["Nguyễn Văn", "nguyen van", "NGUYỄN^VĂN", "Nguye\u0302\u0303n"])
def test_search_finds_a_name_as_its_people_write_it(house: House, words: str) -> None:
    house.add_study(patient_name="Nguyễn^Văn An", patient_name_folded=fold("Nguyễn^Văn An"))
    house.add_study(patient_name="Lê^An", patient_name_folded=fold("Lê^An"))
    center = house.signed_in(Role.SITE_UPLOADER)

    assert [study["patient"]["name"] for study in studies(center, q=words)] == ["Nguyễn^Văn An"]


def test_the_newest_question_counts_also_when_it_came_before_the_images(house: House) -> None:
    center = house.signed_in(Role.SITE_UPLOADER)
    for question in ("Ho kéo dài?", "Nghi lao phổi?"):
        body = {"study_instance_uid": "1.2.3.1", "question": question, "history": "", "language": "vi"}
        assert center.post("/api/center/questions", json=body).status_code == 204
    stranger = house.signed_in(Role.SITE_UPLOADER, site_id=house.other_site_id)
    stranger.post("/api/center/questions", json={**body, "question": "Not ours"})
    house.add_study()

    asked = studies(center)[0]["question"]

    assert (asked["question"], asked["language"], asked["by"]) == ("Nghi lao phổi?", "vi", "Person 1")


@pytest.mark.parametrize(
    "body",
    [
        {"study_instance_uid": "1.2.3", "question": " ", "history": "", "language": "vi"},
        {"study_instance_uid": "../1", "question": "?", "history": "", "language": "vi"},
        {"study_instance_uid": "1.2.3", "question": "?", "history": "", "language": "fr"},
        {"study_instance_uid": "1.2.3", "question": "x" * 4001, "history": "", "language": "vi"},
    ],
)
def test_a_question_that_says_nothing_is_refused(house: House, body: dict[str, Any]) -> None:
    center = house.signed_in(Role.SITE_UPLOADER)

    assert center.post("/api/center/questions", json=body).status_code == 400


def test_readers_and_administrators_are_not_the_center(house: House) -> None:
    for role in (Role.RADIOLOGIST, Role.ADMINISTRATOR, Role.AUDITOR):
        assert house.signed_in(role).get(STUDIES).status_code == 403


@pytest.mark.parametrize(("seconds_left", "stage"), [(60, "being_read"), (-1, "received")])
def test_a_claim_counts_as_reading_until_it_runs_out(house: House, seconds_left: float, stage: str) -> None:
    house.add_study(state="scored")
    account_id = house.new_account(Role.RADIOLOGIST)
    with house.database.transaction() as tx:
        ends = house.clock() + seconds_left
        tx.execute(update(tables.worklist_item).values(claimed_by_id=account_id, claim_expires_at=ends))
    center = house.signed_in(Role.SITE_UPLOADER)

    assert studies(center)[0]["stage"] == stage


def test_a_center_reads_preliminary_reports_where_its_policy_says_so(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)
    assert reader.sign(public_id, token, NORMAL, status="preliminary").status_code == 200
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    hidden = studies(center)[0]
    with room.house.database.transaction() as tx:
        tx.execute(update(tables.site).values(policy={"preliminary_reports": "shown"}))

    shown = studies(center)[0]

    assert (hidden["stage"], hidden["report"]) == ("preliminary", None)
    assert (shown["stage"], shown["report"]["status"]) == ("preliminary", "preliminary")
    page = center.get(f"/api/reports/{shown['report']['public_id']}").json()
    assert page["texts"]["vi"]["notices"][0].startswith("KẾT QUẢ SƠ BỘ")
    assert reader.sign(public_id, token, NODULE).status_code == 200
    assert reader.report(public_id)["versions"][-1]["status"] == "final"
    assert studies(center)[0]["report"]["version"] == 2
