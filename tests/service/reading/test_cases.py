"""A case as its reader sees it, his first impression and his verdicts, over HTTP and a real pipeline."""

from __future__ import annotations

from typing import Any

import pytest

from service import tables
from service.roles import Role
from tests.service.reading.room import CASES, LIST, Room, shown
from tests.service.reports.desk import NORMAL, writer


def names_of(ai: dict[str, Any]) -> list[tuple[str, str]]:
    return [(finding["code"], finding["presence"]) for run in ai["runs"] for finding in run["shown_findings"]]


def test_a_reader_sees_the_ai_from_his_first_impression_on(room: Room) -> None:
    public_id = room.scored(PatientSex="F")
    reader = room.reader()
    before = reader.case(public_id)
    token = reader.claim(public_id)

    answer = reader.impression(public_id, token)

    assert (before["ai"], before["item"]["findings"], before["reading"]["needs_impression"]) == (None, None, True)
    assert answer.status_code == 200, answer.text
    ai = answer.json()["ai"]
    assert names_of(ai) == [("finding_0", "present"), ("finding_1", "absent")]
    assert ai["runs"][0]["shown_findings"][0]["names"]["ru"] == "Находка"
    heat_map = reader.get(ai["runs"][0]["shown_findings"][0]["heat_map_url"])
    assert (heat_map.status_code, heat_map.headers["content-type"]) == (200, "image/png")
    after = reader.case(public_id)
    assert after["ai"] == ai
    assert after["reading"]["impression"]["impression"] == "abnormal"
    assert after["reading"]["needs_impression"] is False
    assert after["item"]["reading"] == "impression"
    assert [f["finding"] for f in after["item"]["findings"]] == ["finding_0"]


def test_the_view_of_a_case_has_its_images_and_nothing_of_ours(room: Room) -> None:
    spacing = {"ImagerPixelSpacing": [0.2, 0.2], "LossyImageCompression": "01", "BurnedInAnnotation": "NO"}
    public_id = room.scored(SeriesDescription="Chest", ImageLaterality="U", **spacing)
    reader = room.reader()
    reader.has_read(public_id)

    case = reader.case(public_id)

    [series] = case["series"]
    assert (series["modality"], series["number"], series["description"]) == ("CR", 1, "Chest")
    [image] = series["instances"]
    assert (image["rows"], image["columns"], image["frames"]) == (240, 200, 1)
    assert (image["view"], image["laterality"], image["lossy"], image["burned_in"]) == ("pa", "unpaired", True, False)
    assert image["spacing"] == {"kind": "detector", "row_mm": 0.2, "column_mm": 0.2}
    assert case["patient"] == {
        "name": "Phantom^Film", "id": "PHANTOM-1", "sex": "F", "age_years": 56.0, "birth_date": "19700101",
    }  # fmt: skip
    assert reader.get(f"{image['url']}/metadata").status_code == 200


def test_a_late_image_asks_for_a_new_impression_and_hides_only_its_own_findings(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = room.reader()
    reader.has_read(public_id)
    room.send(study=film, seed=3)
    room.score("findings")
    token = reader.claim(public_id)

    case = reader.case(public_id)
    refused = reader.verdicts(public_id, token)

    assert (case["item"]["revision"], case["reading"]["needs_impression"], case["ai"]["revision"]) == (2, True, 1)
    assert (refused.status_code, refused.json()["error"]) == (409, "impression_first")
    assert reader.impression(public_id, token).json()["ai"]["revision"] == 2


def test_no_impression_while_images_still_arrive(room: Room) -> None:
    public_id, _ = room.send()
    reader = room.reader()
    token = reader.claim(public_id)

    answer = reader.impression(public_id, token)

    assert (answer.status_code, answer.json()["error"]) == (409, "still_arriving")


def test_a_first_impression_stands(room: Room) -> None:
    public_id = room.scored()
    reader = room.reader()
    token = reader.claim(public_id)
    [[uid]] = [[i["sop_instance_uid"] for i in s["instances"]] for s in reader.case(public_id)["series"]]
    place = {"places": [{"instance": uid, "x": 100.5, "y": 20}]}
    outside = {"places": [{"instance": uid, "x": 201, "y": 20}]}
    elsewhere = {"places": [{"instance": "1.2.3", "x": 1, "y": 1}]}
    refused = [reader.impression(public_id, token, **bad) for bad in (outside, elsewhere)]
    first = reader.impression(public_id, token, **place)

    again = reader.impression(public_id, token, **place)
    other = reader.impression(public_id, token, "normal", **place)
    elsewhere_now = reader.impression(public_id, token)

    assert [(one.status_code, one.json()["error"]) for one in refused] == [(400, "no_such_place")] * 2
    assert [first.status_code, again.status_code] == [200, 200]
    assert again.json() == first.json()
    assert [(one.status_code, one.json()["error"]) for one in (other, elsewhere_now)] == [
        (409, "impression_stored")
    ] * 2
    [row] = room.rows(tables.first_impression)
    assert (row["impression"], row["policy"], row["revision"], row["seconds"]) == ("abnormal", "triage", 1, 4.5)
    assert [event["action"] for event in room.rows(tables.audit_event)].count("impression_stored") == 1


def test_verdicts_need_a_first_impression_and_replace_each_other(room: Room) -> None:
    public_id = room.scored()
    reader = room.reader()
    token = reader.claim(public_id)
    early = reader.verdicts(public_id, token)
    ai = reader.impression(public_id, token).json()["ai"]
    first, second = ai["runs"][0]["shown_findings"]
    said = {"finding_id": first["finding_id"], "code": "finding_0", "judgement": "confirmed"}
    missed = {
        "code": "nodule", "judgement": "missed", "instance": ai["runs"][0]["instance"], "place": [10, 10, 30, 40],
        "side": "right", "severity": "mild",
    }  # fmt: skip

    stored = reader.verdicts(public_id, token, said, missed, quality={"grade": "limited", "reasons": ["rotated"]})
    same = reader.verdicts(public_id, token, said, missed, quality={"grade": "limited", "reasons": ["rotated"]})
    changed = reader.verdicts(public_id, token, {**said, "judgement": "rejected"}, ai_visible=False)

    assert (early.status_code, early.json()["error"]) == (409, "impression_first")
    assert stored.status_code == same.status_code == 200, stored.text
    assert [(v["code"], v["judgement"]) for v in stored.json()["verdicts"]] == [
        ("finding_0", "confirmed"), ("nodule", "missed"),
    ]  # fmt: skip
    assert stored.json()["quality"] == {"grade": "limited", "reasons": ["rotated"]}
    assert [(v["code"], v["judgement"]) for v in changed.json()["verdicts"]] == [("finding_0", "rejected")]
    rows = room.rows(tables.verdict)
    assert [(row["judgement"], row["replaced_at"] is None) for row in rows] == [
        ("confirmed", False), ("missed", False), ("rejected", True),
    ]  # fmt: skip
    assert rows[0]["package_sha256"] == ai["runs"][0]["sha256"]
    assert rows[2]["ai_visible"]  # a verdict on a finding is given by someone who saw it
    assert reader.case(public_id)["reading"]["quality"] is None
    assert second["presence"] == "absent"


def test_a_verdict_is_on_a_finding_that_its_reader_was_shown(room: Room) -> None:
    other = room.scored()
    public_id = room.scored(seed=5)
    reader = room.reader()
    elsewhere = reader.has_read(other)
    token = reader.has_read(public_id)
    foreign = reader.case(other)["ai"]["runs"][0]["shown_findings"][0]["finding_id"]
    own = reader.case(public_id)["ai"]["runs"][0]["shown_findings"][0]["finding_id"]
    bad: list[dict[str, Any]] = [
        {"finding_id": foreign, "code": "finding_0", "judgement": "confirmed"},
        {"finding_id": own, "code": "finding_1", "judgement": "confirmed"},
        {"finding_id": None, "code": "finding_0", "judgement": "confirmed"},
        {"finding_id": own, "code": "finding_0", "judgement": "missed"},
        {"code": "no_code_of_ours", "judgement": "missed"},
        {"code": "nodule", "judgement": "missed", "instance": "1.2.3"},
        {"code": "nodule", "judgement": "missed", "place": [1, 1, 2, 2]},
    ]

    answers = [reader.verdicts(public_id, token, one) for one in bad]
    twice = reader.verdicts(public_id, token, *[{"finding_id": own, "code": "finding_0", "judgement": "confirmed"}] * 2)

    assert [answer.status_code for answer in (*answers, twice)] == [400] * 8
    assert room.rows(tables.verdict) == []
    assert elsewhere != 0


def test_nothing_is_written_without_the_claim(room: Room) -> None:
    public_id = room.scored()
    reader, colleague, chief = room.reader(), room.reader(), room.reader(role=Role.CHIEF_RADIOLOGIST)
    token = reader.claim(public_id)
    refused = [
        reader.impression(public_id, None),
        reader.impression(public_id, token + 1),
        colleague.impression(public_id, token),
        colleague.client.post(f"{LIST}/{public_id}/claim"),
    ]
    reader.impression(public_id, token)
    taken = chief.client.post(f"{LIST}/{public_id}/claim/take", json={"reason": "on call now"})

    late = reader.verdicts(public_id, token)
    heartbeat = reader.client.put(f"{LIST}/{public_id}/claim", headers=shown(token))
    not_allowed = colleague.client.post(f"{LIST}/{public_id}/claim/take", json={"reason": "I want it"})

    errors = [(answer.status_code, answer.json()["error"]) for answer in refused]
    assert errors == [(409, "claim_lost")] * 3 + [(409, "claimed")]
    assert "Person 1" in refused[3].json()["message"]
    assert refused[3].json()["claimed_by"] == "Person 1"
    assert taken.json()["token"] > token
    assert [(answer.status_code, answer.json()["error"]) for answer in (late, heartbeat)] == [(409, "claim_lost")] * 2
    assert not_allowed.status_code == 403
    kinds = [(row["kind"], row["reason"]) for row in room.rows(tables.claim_event)]
    assert kinds == [("claimed", None), ("taken", "on call now")]


def test_another_sites_reader_finds_no_case(room: Room) -> None:
    public_id = room.scored()
    stranger = room.reader(site_id=room.house.other_site_id)
    unknown = "f" * 32

    asked = [
        (stranger.get(f"{CASES}/{one}"), stranger.client.post(f"{LIST}/{one}/claim"), stranger.impression(one, 1),
         stranger.verdicts(one, 1), stranger.get(f"{LIST}/{one}"))
        for one in (public_id, unknown)
    ]  # fmt: skip

    assert [answer.status_code for answer in asked[0]] == [404] * 5
    assert [answer.json() for answer in asked[0]] == [answer.json() for answer in asked[1]]


def test_earlier_studies_of_the_same_person_are_priors(room: Room) -> None:
    first = room.scored(StudyDate="20240101", StudyDescription="round 1")
    doubtful = room.scored(StudyDate="20250101", PatientBirthDate="19990101", seed=1)
    room.scored(StudyDate="20250601", PatientID="SOMEBODY-ELSE", seed=2)
    lateral = room.scored(StudyDate="20250301", ViewPosition="LL", PatientOrientation=["A", "F"], seed=3)
    later = room.scored(StudyDate="20270101", seed=4)
    public_id = room.scored(StudyDate="20260101", seed=6)
    reader = room.reader()
    room.sign(first, reader.account_id)

    priors = reader.case(public_id)["priors"]

    told = [(p["public_id"], p["days_before"], p["same_view"], p["identity_doubt"]) for p in priors]
    assert told == [(lateral, 306, False, False), (doubtful, 365, True, True), (first, 731, True, False)]
    assert priors[2]["report"] == {"public_id": f"r{first[1:]}", "status": "final"}
    assert priors[0]["report"] is None
    assert later not in [p["public_id"] for p in priors]


def test_a_priors_report_is_told_of_to_whom_it_opens_for(room: Room) -> None:
    """Whatever a case says of a prior's report, its address gives to the same caller; nothing else is told of it."""
    first = room.scored(StudyDate="20250101")
    public_id = room.scored(StudyDate="20260101", seed=1)
    author, other, center = writer(room), writer(room), room.house.with_key()
    callers = {"author": author.client, "other": other.client, "center": center, "administrator": None}
    callers["administrator"] = room.reader(role=Role.ADMINISTRATOR).client
    author.confirm()
    token = author.read(first)

    def told() -> dict[str, str | None]:
        found = {}
        for name, client in callers.items():
            report = client.get(f"{CASES}/{public_id}").json()["priors"][0]["report"]
            found[name] = report and report["status"]
            if report:
                opened = client.get(f"/api/reports/{report['public_id']}")
                assert (name, opened.status_code, opened.json()["status"]) == (name, 200, report["status"])
        return found

    none = told()
    assert author.sign(first, token, NORMAL, status="preliminary").status_code == 200
    preliminary = told()
    assert author.sign(first, token, NORMAL).status_code == 200
    final = told()
    report_id = str(author.report(first)["public_id"])
    assert author.correct(report_id, "retract", reason="another person's images").status_code == 200
    retracted = told()

    assert none == dict.fromkeys(callers)
    assert preliminary == {**none, "author": "preliminary"}
    assert final == {**dict.fromkeys(callers, "final"), "administrator": None}
    assert retracted == {**none, "author": "cancelled", "center": "cancelled"}


def test_the_newest_question_of_the_center_stands_in_the_case(room: Room) -> None:
    public_id = room.scored()
    uid = room.rows(tables.study)[0]["study_instance_uid"]
    physician = room.house.new_account(Role.SITE_PHYSICIAN)
    with room.house.database.transaction() as tx:
        for question in ("first", "second"):
            tx.execute(
                tables.clinical_question.insert().values(
                    site_id=room.house.site_id, study_instance_uid=uid, account_id=physician, question=question,
                    history="cough", language="vi", made_at=room.house.clock(),
                )
            )  # fmt: skip
    reader = room.reader()

    case = reader.case(public_id)

    assert (case["question"]["question"], case["question"]["by"]) == ("second", "Person 1")
    assert case["item"]["has_question"] is True


def test_an_unscored_image_says_why_before_any_impression(room: Room) -> None:
    public_id = room.scored(Modality="DX", BodyPartExamined="HAND", ViewPosition="PA")
    reader = room.reader()

    case = reader.case(public_id)

    [unscored] = case["unscored"]
    assert unscored["reason"] == "not_a_chest"
    assert unscored["instance"] == case["series"][0]["instances"][0]["sop_instance_uid"]
    assert reader.impression(public_id, reader.claim(public_id), "normal").json() == {"ai": {"revision": 1, "runs": []}}


def test_what_a_page_did_is_noted(room: Room) -> None:
    public_id = room.scored()
    reader = room.reader()
    now = room.house.clock()
    events = [
        {"kind": "opened", "at": now - 5, "detail": {}},
        {"kind": "overlay_on", "at": now + 9e6, "detail": {"opacity": 0.5, "code": "finding_0"}},
    ]

    answer = reader.client.post(f"{CASES}/{public_id}/events", json={"events": events})
    refused = reader.client.post(
        f"{CASES}/{public_id}/events", json={"events": [{"kind": "opened", "at": now, "detail": {"x": "Kim Minjun"}}]}
    )

    assert (answer.status_code, refused.status_code) == (204, 400)
    rows = [(row["kind"], row["at"] - now, row["detail"]) for row in room.rows(tables.reading_event)]
    assert rows == [
        ("opened", -5.0, {"revision": 1}),
        ("overlay_on", 0.0, {"opacity": 0.5, "code": "finding_0", "revision": 1}),
    ]


@pytest.mark.parametrize("role", [Role.ADMINISTRATOR, Role.SITE_PHYSICIAN, Role.SITE_UPLOADER, Role.AUDITOR])
def test_who_does_not_read_writes_no_reading(room: Room, role: Role) -> None:
    public_id = room.scored()
    other = room.reader(role=role)

    answers = [other.client.post(f"{LIST}/{public_id}/claim"), other.impression(public_id, 0)]

    assert [answer.status_code for answer in answers] == [403, 403]
