"""A signed report is added to, amended and retracted, and every version stays as it was signed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from service import tables
from service.reports.versions import verify_reports
from service.roles import Role
from tests.service.reading.room import Room
from tests.service.reports.desk import NODULE, NORMAL, Writer, writer
from tests.service.results.makers import dciodvfy_errors


def path_of(room: Room, row: dict[str, Any]) -> Path:
    return Path(room.house.app.state.archive.path(room.house.site_id, row["content_sha256"]))


def kept_object(room: Room, row: dict[str, Any]) -> Dataset:
    return dcmread(path_of(room, row), stop_before_pixels=True)


def predecessor_of(dataset: Dataset) -> tuple[str, str, str, str]:
    [study] = dataset.PredecessorDocumentsSequence
    [series] = study.ReferencedSeriesSequence
    [one] = series.ReferencedSOPSequence
    return study.StudyInstanceUID, series.SeriesInstanceUID, one.ReferencedSOPInstanceUID, one.ReferencedSOPClassUID


def test_corrections_are_versions_that_follow_one_another_and_the_first_one_stays(room: Room, tmp_path: Path) -> None:
    public_id = room.scored()
    reader = writer(room)
    report_id = reader.signed(public_id, NORMAL)
    first_page = reader.get(f"/api/reports/{report_id}/pdf", language="ko", version=1).content
    first = reader.get(f"/api/reports/{report_id}", version=1).json()["texts"]

    added = reader.correct(report_id, "addendum", text="이전 영상과 비교함.").json()
    amended = reader.correct(report_id, "amend", content=NODULE, reason="결절 누락").json()

    versions = room.rows(tables.report_version)
    assert [(row["number"], row["status"]) for row in versions] == [(1, "final"), (2, "appended"), (3, "amended")]
    assert [row["previous_sha256"] for row in versions] == ["0" * 64, versions[0]["sha256"], added["sha256"]]
    assert amended["reason"] == "결절 누락"
    assert reader.get(f"/api/reports/{report_id}", version=1).json()["texts"] == first
    assert reader.get(f"/api/reports/{report_id}/pdf", language="ko", version=1).content == first_page
    newest = reader.get(f"/api/reports/{report_id}").json()
    assert newest["may_correct"]
    assert newest["texts"]["en"]["notices"][0].startswith("This version replaces an earlier one.")
    assert any(section["code"] == "addendum" for section in newest["texts"]["ko"]["sections"])
    with room.house.database.reading() as rx:
        assert verify_reports(rx) == []
    stored = [row for row in room.rows(tables.instance) if row["sop_class_uid"].endswith("104.1")]
    assert len({row["sop_instance_uid"] for row in stored}) == 3
    kept = [kept_object(room, row) for row in stored]
    assert "PredecessorDocumentsSequence" not in kept[0]
    assert [predecessor_of(one) for one in kept[1:]] == [
        (one.StudyInstanceUID, one.SeriesInstanceUID, one.SOPInstanceUID, one.SOPClassUID) for one in kept[:-1]
    ]
    assert [dciodvfy_errors(path_of(room, row).read_bytes(), tmp_path) for row in stored] == [[], [], []]
    assert len({row["series_id"] for row in stored}) == 1
    actions = [row["action"] for row in room.rows(tables.audit_event)]
    assert {"report_signed", "report_addended", "report_amended"} <= set(actions)


def test_a_retracted_report_tells_only_that_and_its_study_is_read_again(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    report_id = reader.signed(public_id, NODULE)

    assert reader.correct(report_id, "retract", reason="wrong patient").status_code == 200
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    shown = center.get(f"/api/reports/{report_id}").json()
    assert not reader.get(f"/api/reports/{report_id}").json()["may_correct"]
    again = reader.correct(report_id, "addendum", text="more")

    assert [section["code"] for section in shown["texts"]["vi"]["sections"]] == ["retraction"]
    assert room.rows(tables.worklist_item)[0]["state"] == "scheduled"
    assert (again.status_code, again.json()["error"]) == (409, "not_final")
    token = reader.claim(public_id)
    assert reader.sign(public_id, token, NORMAL).json()["status"] == "final"


def test_only_the_signer_or_a_chief_corrects_and_only_after_a_fresh_proof(room: Room) -> None:
    report_id = writer(room).signed(room.scored())
    colleague, chief = writer(room), writer(room, Role.CHIEF_RADIOLOGIST)

    unproven = chief.correct(report_id, "addendum", text="more")
    may = [who.get(f"/api/reports/{report_id}").json()["may_correct"] for who in (colleague, chief)]
    colleague.confirm()
    chief.confirm()

    assert (unproven.status_code, unproven.json()["error"]) == (403, "confirm_first")
    assert may == [False, True]
    refused = colleague.correct(report_id, "retract", reason="mine is better")
    assert (refused.status_code, refused.json()["error"]) == (403, "not_your_report")
    assert chief.correct(report_id, "addendum", text="more").json()["number"] == 2


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("addendum", {"text": "   "}, "text"),
        ("addendum", {"text": "左"}, "text"),
        ("retract", {"reason": " "}, "text"),
        ("amend", {"content": {"language": "ko"}, "reason": "why"}, "technique"),
    ],
)
def test_a_correction_that_lacks_something_is_refused(
    room: Room, what: str, body: dict[str, object], field: str
) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())

    answer = reader.correct(report_id, what, **body)

    assert (answer.status_code, answer.json()["error"]) == (409, "incomplete")
    assert field in {part["field"] for part in answer.json()["missing"]}
    assert len(room.rows(tables.report_version)) == 1


def test_further_images_bring_the_case_back_and_the_new_report_says_why(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    report_id = reader.signed(public_id, NORMAL)
    room.send(study=film, seed=1)
    room.score("findings")
    reader.confirm()

    answer = reader.sign(public_id, reader.read(public_id), NODULE)

    assert (answer.json()["number"], answer.json()["status"]) == (2, "amended")
    told = reader.get(f"/api/reports/{report_id}").json()["texts"]["en"]["notices"][0]
    assert told == "This version replaces an earlier one. Reason: further images arrived."


def reported_with_new_images(room: Room) -> tuple[Writer, str, str, int]:
    """Sign a report, let an image come, sign a preliminary one over it; returns the study, report and claim."""
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    report_id = reader.signed(public_id, NORMAL)
    room.send(study=film, seed=1)
    room.score("findings")
    reader.confirm()
    token = reader.read(public_id)
    assert reader.sign(public_id, token, NORMAL, status="preliminary").json()["status"] == "preliminary"
    return reader, public_id, report_id, token


def test_a_final_report_over_a_preliminary_one_replaces_the_final_one_before(room: Room) -> None:
    reader, public_id, _, token = reported_with_new_images(room)

    assert reader.sign(public_id, token, NODULE).json()["status"] == "amended"


def test_a_preliminary_report_keeps_nobody_from_correcting_the_final_one(room: Room) -> None:
    reader, _, report_id, _ = reported_with_new_images(room)

    added = reader.correct(report_id, "addendum", text="Compared.")
    amended = reader.correct(report_id, "amend", content=NODULE, reason="missed")
    retracted = reader.correct(report_id, "retract", reason="wrong patient")

    told = [(answer.json().get("number"), answer.json().get("status")) for answer in (added, amended, retracted)]
    assert told == [(3, "appended"), (4, "amended"), (5, "cancelled")]
    assert [row["study_revision"] for row in room.rows(tables.report_version)] == [1, 2, 1, 1, 1]
    with room.house.database.reading() as rx:
        assert verify_reports(rx) == []


def test_an_addendum_stays_when_later_images_ask_for_a_new_report(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    report_id = reader.signed(public_id, NORMAL)
    assert reader.correct(report_id, "addendum", text="이전 영상과 비교함.").status_code == 200
    room.send(study=film, seed=1)
    room.score("findings")
    reader.confirm()

    assert reader.sign(public_id, reader.read(public_id), NODULE).json()["status"] == "amended"

    texts = reader.get(f"/api/reports/{report_id}").json()["texts"]["en"]
    [added] = [section for section in texts["sections"] if section["code"] == "addendum"]
    assert added["paragraphs"][0] == "이전 영상과 비교함."


def test_an_addendum_to_an_amended_report_still_says_why_it_was_amended(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    report_id = reader.signed(public_id, NORMAL)
    reader.correct(report_id, "amend", content=NODULE, reason="결절 누락")

    added = reader.correct(report_id, "addendum", text="비교함.").json()

    assert (added["status"], added["reason"]) == ("amended", "결절 누락")
    told = reader.get(f"/api/reports/{report_id}").json()["texts"]["ko"]
    assert told["notices"][0].endswith("사유: 결절 누락")
    assert told["sections"][-1]["code"] == "addendum"
    [study] = room.house.signed_in(Role.SITE_PHYSICIAN).get("/api/center/studies").json()["items"]
    assert study["stage"] == "amended"


def test_of_corrections_at_the_same_time_each_follows_the_one_before_or_is_refused(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())

    with ThreadPoolExecutor(6) as people:
        answers = list(people.map(lambda n: reader.correct(report_id, "addendum", text=f"{n}"), range(6)))

    kept = sorted(answer.json()["number"] for answer in answers if answer.status_code == 200)
    refused = {answer.json()["error"] for answer in answers if answer.status_code != 200}
    assert kept == list(range(2, len(kept) + 2))
    assert kept
    assert refused <= {"changed"}
    assert len(room.rows(tables.report_version)) == len(kept) + 1
    with room.house.database.reading() as rx:
        assert verify_reports(rx) == []


def test_a_page_that_is_not_what_was_signed_is_never_given_out(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())
    url = f"/api/reports/{report_id}/pdf"
    whole = reader.get(url, language="ko")
    for path in room.house.settings.documents_folder.rglob("*.pdf"):
        path.write_bytes(path.read_bytes()[:-1])

    damaged = reader.get(url, language="ko")

    assert whole.status_code == 200
    assert (damaged.status_code, damaged.json()["error"]) == (500, "damaged")
