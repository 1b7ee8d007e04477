"""A report from draft to signature: what stands in the way, what is stored, who may."""

from __future__ import annotations

import io
from pathlib import Path

import httpx
from pydicom import dcmread
from sqlalchemy import select, text, update

from service import tables
from service.reports.versions import verify_reports
from service.roles import Role
from tests.service.reading.room import Room, shown
from tests.service.reports.desk import NODULE, NORMAL, writer
from tests.service.results.makers import dciodvfy_errors


def test_a_signed_report_ends_the_case_and_stands_in_four_languages(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)

    report_id = reader.signed(public_id, NODULE)

    report = reader.get(f"/api/reports/{report_id}").json()
    assert (report["number"], report["status"], report["is_latest"]) == (1, "final", True)
    said = {
        language: next(s for s in told["sections"] if s["code"] == "impression")["paragraphs"]
        for language, told in report["texts"].items()
    }
    assert said == {
        "en": ["Lung nodule in the right upper zone, measuring 12 mm."],
        "ko": ["우측 상폐야에 12 mm 크기의 폐결절이 관찰됨."],
        "vi": ["Có nốt mờ phổi ở vùng trên phổi phải, kích thước 12 mm."],
        "ru": ["В верхнем отделе правого лёгкого определяется очаговая тень размером 12 мм."],
    }
    item = room.rows(tables.worklist_item)[0]
    assert (item["state"], item["claimed_by_id"]) == ("completed", None)
    assert room.rows(tables.report_draft) == []
    noted = [row for row in room.rows(tables.audit_event) if row["action"] == "report_signed"]
    assert [(row["object_id"], row["detail"]["sha256"]) for row in noted] == [(report_id, report["sha256"])]


def test_the_pages_come_as_signed_in_each_language(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored(), NODULE)

    url = f"/api/reports/{report_id}/pdf"
    pages = {language: reader.get(url, language=language) for language in ("ko", "en", "vi", "ru")}

    for answer in pages.values():
        assert answer.headers["content-type"] == "application/pdf"
        assert answer.content.startswith(b"%PDF-1.7")
        assert b"pdfaid" in answer.content
    assert len({answer.content for answer in pages.values()}) == 4
    assert reader.get(url, language="en").content == pages["en"].content


def test_the_signed_pages_stand_in_the_study_as_encapsulated_pdf(room: Room, tmp_path: Path) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    report_id = reader.signed(public_id)

    study_url = f"/dicomweb/studies/{film.StudyInstanceUID}"
    found = reader.get(f"{study_url}/instances", Modality="DOC", includefield="all").json()
    series_uid, uid = found[0]["0020000E"]["Value"][0], found[0]["00080018"]["Value"][0]
    answer = reader.client.get(
        f"{study_url}/series/{series_uid}/instances/{uid}",
        headers={"Accept": 'multipart/related; type="application/dicom"'},
    )
    stored = dcmread(io.BytesIO(answer.content[answer.content.index(b"\r\n\r\n") + 4 :]), force=False)

    language = room.rows(tables.site)[0]["language"]
    pdf = reader.get(f"/api/reports/{report_id}/pdf", language=language).content
    assert len(found) == 1
    assert stored.SOPClassUID == "1.2.840.10008.5.1.4.1.1.104.1"
    assert bytes(stored.EncapsulatedDocument)[: stored.EncapsulatedDocumentLength] == pdf
    assert (stored.PatientID, stored.StudyInstanceUID) == (film.PatientID, film.StudyInstanceUID)
    assert stored.SourceInstanceSequence[0].ReferencedSOPInstanceUID == film.SOPInstanceUID
    assert (stored.InstanceNumber, stored.DocumentTitle[-2:]) == (1, " 1")
    assert len(stored.EncapsulatedDocument) % 2 == 0
    archived = [row for row in room.rows(tables.instance) if row["sop_instance_uid"] == uid]
    path = room.house.app.state.archive.path(room.house.site_id, archived[0]["content_sha256"])
    assert dciodvfy_errors(path.read_bytes(), tmp_path) == []


def test_nothing_is_signed_before_the_first_impression_and_a_verdict_on_what_the_ai_showed(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.claim(public_id)

    before = reader.sign(public_id, token, NORMAL).json()
    reader.impression(public_id, token, "normal")
    after = reader.sign(public_id, token, NORMAL)
    shown_now = [
        found["finding_id"]
        for run in reader.case(public_id)["ai"]["runs"]
        for found in run["shown_findings"]
        if found["presence"] == "present"
    ]

    assert before["error"] == "incomplete"
    assert before["missing"] == [{"field": "impression", "message_code": "impression_needed"}]
    assert shown_now
    assert after.status_code == 409
    assert after.json()["missing"] == [
        {"field": f"verdicts.{finding_id}", "message_code": "verdict_needed"} for finding_id in sorted(shown_now)
    ]
    assert room.rows(tables.report_version) == []


def test_what_the_signer_holds_true_stands_in_the_report(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)
    shown_now = [found for run in reader.case(public_id)["ai"]["runs"] for found in run["shown_findings"]]
    rejected = {"finding_id": shown_now[0]["finding_id"], "code": shown_now[0]["code"], "judgement": "rejected"}
    assert reader.verdicts(public_id, token, rejected, {"code": "nodule", "judgement": "missed"}).status_code == 200
    denied = {**NODULE, "findings": [{"code": "nodule", "presence": "absent"}]}

    refused = [reader.sign(public_id, token, content) for content in (NORMAL, denied)]

    assert [answer.status_code for answer in refused] == [409, 409]
    unsaid = [{"field": "verdicts.nodule", "message_code": "verdict_not_reported"}]
    assert [answer.json()["missing"] for answer in refused] == [unsaid, unsaid]
    assert reader.sign(public_id, token, NODULE).status_code == 200


def test_a_report_compares_with_earlier_studies_of_the_same_person_only(room: Room) -> None:
    earlier = room.scored(StudyDate="20250101")
    elsewhere = room.scored(StudyDate="20250101", PatientID="SOMEBODY-ELSE", seed=1)
    public_id = room.scored(StudyDate="20260101", seed=2)
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)

    def sign(study: str) -> httpx.Response:
        return reader.sign(public_id, token, {**NORMAL, "comparison": {"kind": "prior", "study": study}})

    for other in (elsewhere, public_id, "0" * 32):
        assert sign(other).json()["missing"] == [{"field": "comparison", "message_code": "not_a_prior"}]
    assert sign(earlier).status_code == 200
    report_id = str(reader.report(public_id)["public_id"])
    amended = {**NORMAL, "comparison": {"kind": "prior", "study": elsewhere}}
    assert reader.correct(report_id, "amend", content=amended, reason="why").json()["error"] == "incomplete"


def test_a_signature_needs_a_fresh_proof_and_the_claim(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    token = reader.read(public_id)

    unproven = reader.sign(public_id, token, NORMAL)
    reader.confirm()
    unclaimed = reader.sign(public_id, token + 1, NORMAL)

    assert (unproven.status_code, unproven.json()["error"]) == (403, "confirm_first")
    assert (unclaimed.status_code, unclaimed.json()["error"]) == (409, "claim_lost")
    assert room.rows(tables.report_version) == []


def test_what_the_report_lacks_is_listed_and_nothing_is_stored(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)

    answer = reader.sign(public_id, token, {"language": "ko", "findings_text": "左上葉"})

    missing = {(part["field"], part["message_code"]) for part in answer.json()["missing"]}
    assert answer.status_code == 409
    assert missing == {
        ("technique", "required"),
        ("comparison", "required"),
        ("impression_text", "required"),
        ("recommendations", "required"),
        ("quality", "required"),
        ("findings_text", "unprintable"),
    }
    assert room.rows(tables.report) == []
    assert not list(room.house.settings.documents_folder.rglob("*.pdf"))


def test_a_preliminary_report_keeps_the_case_and_is_not_shown_to_the_center(room: Room) -> None:
    public_id = room.scored()
    reader = writer(room)
    reader.confirm()
    token = reader.read(public_id)

    preliminary = reader.sign(public_id, token, NORMAL, status="preliminary")
    report_id = reader.report(public_id)["public_id"]
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    before = center.get(f"/api/reports/{report_id}")
    final = reader.sign(public_id, token, NODULE)

    assert (preliminary.json()["number"], final.json()["number"]) == (1, 2)
    assert before.status_code == 404
    assert center.get(f"/api/reports/{report_id}").json()["number"] == 2
    assert center.get(f"/api/reports/{report_id}", params={"version": 1}).status_code == 404
    assert [row["door"] for row in room.rows(tables.instance) if row["sop_class_uid"].endswith("104.1")] == ["result"]


def test_images_that_came_after_the_impression_stop_the_signature(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    reader.confirm()
    reader.read(public_id)
    room.send(study=film, seed=1)
    room.score("findings")
    reader.confirm()  # settling took its time, and the claim ran out

    answer = reader.sign(public_id, reader.claim(public_id), NORMAL)

    assert answer.status_code == 409
    assert answer.json().get("missing", answer.json()) == [{"field": "impression", "message_code": "impression_needed"}]


def test_a_signature_is_under_the_images_that_its_page_showed(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = writer(room)
    seen = reader.revision(public_id)
    room.send(study=film, seed=1)
    room.score("findings")
    reader.confirm()
    token = reader.read(public_id)

    refused = reader.sign(public_id, token, NORMAL, revision=seen)

    assert (refused.status_code, refused.json()["error"]) == (409, "new_images")
    assert reader.sign(public_id, token, NORMAL).json()["number"] == 1


def test_a_draft_is_kept_for_who_holds_the_case(room: Room) -> None:
    public_id = room.scored()
    reader, other = writer(room), writer(room)
    token = reader.claim(public_id)
    url = f"/api/cases/{public_id}/report/draft"

    kept = reader.client.put(url, json={"content": NODULE}, headers=shown(token))
    refused = other.client.put(url, json={"content": NORMAL}, headers=shown(token))

    assert kept.status_code == 200
    assert (refused.status_code, refused.json()["error"]) == (409, "claim_lost")
    assert reader.report(public_id)["draft"]["findings"][0]["code"] == "nodule"
    assert other.report(public_id)["draft"] is None


def test_another_sites_report_does_not_exist(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())
    stranger = room.house.signed_in(Role.SITE_PHYSICIAN, site_id=room.house.other_site_id)

    for path in (f"/api/reports/{report_id}", f"/api/reports/{report_id}/pdf?language=en"):
        there, nowhere = stranger.get(path), stranger.get(path.replace(report_id, "0" * 32))
        assert there.status_code == 404
        assert there.content == nowhere.content


def test_the_centers_reading_is_noted_once_for_each_language(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())
    center, account_id = room.house.account(Role.SITE_PHYSICIAN)

    for language in ("vi", "vi", "ru"):
        assert center.get(f"/api/reports/{report_id}/pdf", params={"language": language}).status_code == 200
    page = center.get(f"/api/reports/{report_id}").json()

    reads = [row["language"] for row in room.rows(tables.report_read) if row["account_id"] == account_id]
    assert reads == ["vi", "ru", "all"]
    assert page["content"] is None
    noted = [row for row in room.rows(tables.audit_event) if row["action"] == "report_read"]
    assert len(noted) == 3


def test_an_edited_version_breaks_the_chain(room: Room) -> None:
    reader = writer(room)
    report_id = reader.signed(room.scored())
    database = room.house.database
    with database.reading() as rx:
        assert verify_reports(rx) == []

    with database.transaction() as tx:
        t = tables.report_version
        content = tx.execute(select(t.c.content)).scalar_one()
        tx.execute(text("DROP TRIGGER report_version_no_update"))  # somebody with the whole database in hand
        tx.execute(update(t).values(content={**content, "phrases": "other"}))

    with database.reading() as rx:
        assert verify_reports(rx) == [report_id]
