"""Rules over HTTP and from the command line: set, refused, kept, tried on a file of which nothing stays."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select, update

from service import cli, tables
from service.roles import Role
from service.settings import Settings
from service.worklist.records import update_item
from tests.factories import make_radiograph, part10
from tests.service.house import House, open_house
from tests.service.routing.makers import rule

CANARY = "ZZCANARYZZ"
TRAUMA = rule("priority = 'urgent', packages = []", 'study_description = "*trauma*", sex = "F"', "trauma room")


def film(**attributes: Any) -> bytes:
    return part10(make_radiograph(PatientName=CANARY, **attributes))


def put(client: httpx.Client, text: str, base: int = 0) -> httpx.Response:
    return client.put("/api/rules", json={"text": text, "base": base, "note": "as agreed with the center"})


def test_rules_are_set_listed_and_noted_in_the_audit(house: House) -> None:
    admin = house.signed_in()
    assert admin.get("/api/rules").json() == {"number": 0, "text": "", "history": []}

    first = put(admin, TRAUMA).json()
    second = put(admin, "# none", base=first["number"]).json()

    assert [one["rules"] for one in second["history"]] == [0, 1]
    assert {one["note"] for one in second["history"]} == {"as agreed with the center"}
    assert admin.get(f"/api/rules/{first['number']}").json()["text"] == TRAUMA
    with house.database.reading() as rx:
        events = rx.execute(
            select(tables.audit_event.c.object_id, tables.audit_event.c.detail).where(
                tables.audit_event.c.action == "rules_changed"
            )
        ).all()
    assert [(event.object_id, event.detail["rules"]) for event in events] == [("1", 1), ("2", 0)]


def test_a_bad_file_is_refused_whole_and_the_line_is_told(house: House) -> None:
    admin = house.signed_in()
    bad = TRAUMA + rule("quiet_s = 0", name="second")

    refused, told = put(admin, bad), admin.post("/api/rules/check", json={"text": bad}).json()

    assert (refused.status_code, refused.json()["error"]) == (400, "rules_refused")
    assert "line 8: `then.quiet_s` must be a number" in refused.json()["message"]
    assert [(one["line"], one["code"], one["key"]) for one in told["faults"]] == [(8, "wrong_number", "then.quiet_s")]
    assert admin.get("/api/rules").json()["number"] == 0


def test_a_change_of_an_older_revision_is_refused(house: House) -> None:
    admin = house.signed_in()
    put(admin, TRAUMA)

    assert put(admin, "").json()["error"] == "rules_changed"


def test_an_administrator_of_one_site_sees_no_rules(house: House) -> None:
    admin = house.signed_in(Role.ADMINISTRATOR, house.site_id)

    assert admin.get("/api/rules").status_code == 404
    assert put(admin, TRAUMA).status_code == 404


def try_on(client: httpx.Client, content: bytes, **query: str) -> httpx.Response:
    return client.post("/api/rules/test", params={"site": "one", **query}, content=content)


def test_a_file_is_tried_and_nothing_of_it_stays(house: House, caplog: pytest.LogCaptureFixture) -> None:
    admin = house.signed_in()
    put(admin, TRAUMA + rule("quiet_s = 4", 'sender = "ER"', "waits"))
    caplog.set_level(logging.DEBUG)

    tried = try_on(admin, film(StudyDescription="Chest, TRAUMA", PatientSex="F"), sender="ER").json()

    trace = tried["rules"][0]
    assert (trace["matches"], trace["decides"]) == (True, ["packages", "priority"])
    assert trace["conditions"][0] == {
        "fact": "study_description", "expected": "*trauma*", "found": ["Chest, TRAUMA"], "holds": True,
    }  # fmt: skip
    assert {one["effect"]: (one["value"], one["rule"]) for one in tried["effects"]} == {
        "packages": ([], "trauma room"), "priority": ("urgent", "trauma room"), "quiet_s": (4, "waits"),
        "partial_after_s": (1800, None), "due_minutes.urgent": (240, None),
        "reading_policy": ("triage", None),
    }  # fmt: skip
    with house.database.reading() as rx:
        for table in (tables.study, tables.instance, tables.problem):
            assert rx.execute(select(func.count()).select_from(table)).scalar_one() == 0
    assert list(house.settings.spool_folder.iterdir()) == []
    assert CANARY not in caplog.text
    assert "TRAUMA" not in caplog.text


def test_what_the_file_does_not_tell_is_unknown(house: House) -> None:
    admin = house.signed_in()
    put(admin, TRAUMA)

    [trace] = try_on(admin, film(StudyDescription=None, PatientSex="F")).json()["rules"]

    assert [(one["holds"], one["found"]) for one in trace["conditions"]] == [(None, []), (True, ["F"])]
    assert not trace["matches"]


def test_a_center_s_own_class_is_no_lower_for_a_rule(house: House) -> None:
    admin = house.signed_in()
    put(admin, rule("priority = 'urgent'"))

    effects = try_on(admin, film(), requested_priority="stat").json()["effects"]

    assert [(one["value"], one["rule"]) for one in effects if one["effect"] == "priority"] == [("stat", None)]


@pytest.mark.parametrize("content", [b"", b"no image", b"%PDF-1.7", film()[:900]])
def test_what_is_no_image_is_refused_in_words(house: House, content: bytes) -> None:
    answer = try_on(house.signed_in(), content)

    assert (answer.status_code, answer.json()["error"]) == (400, "file_refused")
    assert list(house.settings.spool_folder.iterdir()) == []


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    with open_house(tmp_path, max_dataset_bytes=10_000) as house:
        assert try_on(house.signed_in(), film()).status_code in (400, 413)
        assert list(house.settings.spool_folder.iterdir()) == []


def test_a_study_says_which_rule_made_it_urgent_even_under_the_blind_policy(house: House) -> None:
    admin = house.signed_in()
    number = put(admin, TRAUMA).json()["number"]
    sent = house.with_key().post("/api/uploads", content=film(StudyDescription="trauma", PatientSex="F"))
    assert sent.status_code == 200, sent.text
    reader, _ = house.account(Role.RADIOLOGIST, policy="blind")

    [row] = reader.get("/api/worklist").json()["items"]
    detail = reader.get(f"/api/worklist/{row['public_id']}").json()

    assert (row["priority"], row["center_priority"], row["rule_priority"]) == ("urgent", 3, 2)
    assert detail["routing"] == [{"effect": "priority", "value": "urgent", "rule": "trauma room", "revision": number}]
    assert reader.get("/api/worklist", params={"priority": "urgent"}).json()["items"]


def draft_on(client: httpx.Client, text: str, images: list[Any], **sent: str) -> Any:
    answer = client.post("/api/rules/try", json={"text": text, "site": "one", "images": images, **sent})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_draft_is_tried_on_what_a_file_told_and_nothing_is_set(house: House) -> None:
    admin = house.signed_in()
    facts = try_on(admin, film(StudyDescription="Chest, trauma", PatientSex="F")).json()["facts"]
    draft = TRAUMA + rule("reading_policy = 'blind'", 'sender = "ER*", requested_priority = "stat"', "emergencies")

    [plain] = draft_on(admin, draft, [facts])["tried"]
    [sent] = draft_on(admin, draft, [facts], sender="ER2", requested_priority="stat")["tried"]

    assert [trace["matches"] for trace in plain["rules"]] == [True, False]
    assert [trace["matches"] for trace in sent["rules"]] == [True, True]
    told = {one["effect"]: (one["value"], one["rule"]) for one in sent["effects"]}
    assert (told["priority"], told["reading_policy"]) == (("stat", None), ("blind", "emergencies"))
    assert (sent["revision"], admin.get("/api/rules").json()["number"]) == (0, 0)


def test_a_draft_with_faults_tries_nothing_and_tells_them(house: House) -> None:
    admin = house.signed_in()
    facts = try_on(admin, film()).json()["facts"]

    told = draft_on(admin, rule("reading_policy = 'sighted'"), [facts])

    assert told["tried"] == []
    assert [(one["line"], one["code"], one["expected"]) for one in told["faults"]] == [
        (4, "wrong_choice", "triage, blind")
    ]


@pytest.mark.parametrize("images", [[{"words": {"patient_name": ["A"]}, "age_years": None}], [{}], [None], "x"])
def test_a_draft_is_tried_on_nothing_but_facts(house: House, images: Any) -> None:
    answer = house.signed_in().post("/api/rules/try", json={"text": "", "site": "one", "images": images})

    assert answer.status_code == 400


def test_a_draft_is_tried_for_a_site_that_there_is(house: House) -> None:
    facts = {"words": {}, "age_years": None}
    asked = {"text": "", "site": "nowhere", "images": [facts]}

    assert house.signed_in().post("/api/rules/try", json=asked).status_code == 404


@pytest.mark.parametrize(
    ("said", "own", "shown"),
    [
        ("blind", None, "routine"),
        ("blind", "triage", "routine"),
        ("triage", None, "urgent"),
        ("triage", "blind", "routine"),
    ],
)
def test_a_rule_decides_how_a_study_is_read_and_who_reads_blind_always_does(
    house: House, said: str, own: str | None, shown: str
) -> None:
    put(house.signed_in(), rule(f"reading_policy = '{said}'", 'study_description = "*trial*"', "trial"))
    client = house.with_key()
    for description in ("a trial", "plain"):
        assert client.post("/api/uploads", content=film(StudyDescription=description)).status_code == 200
    with house.database.transaction() as tx:
        site_policy = {"reading_policy": "blind" if said == "triage" else "triage"}
        tx.execute(update(tables.site).where(tables.site.c.id == house.site_id).values(policy=site_policy))
        for study_id in tx.execute(select(tables.study.c.id)).scalars().all():
            update_item(tx, study_id=study_id, now=house.clock(), settings=house.settings, ai_priority=2)
    reader, _ = house.account(Role.RADIOLOGIST, policy=own)

    rows = {row["study_description"]: row for row in reader.get("/api/worklist").json()["items"]}

    assert rows["a trial"]["priority"] == shown
    by_site_or_self = own or site_policy["reading_policy"]
    assert rows["plain"]["priority"] == ("urgent" if by_site_or_self == "triage" else "routine")
    assert rows["a trial"]["due_at"] - rows["a trial"]["first_image_at"] == (240 if shown == "urgent" else 1440) * 60
    in_class = reader.get("/api/worklist", params={"priority": "urgent"}).json()["items"]
    assert ("a trial" in {row["study_description"] for row in in_class}) == (shown == "urgent")
    case = reader.get(f"/api/cases/{rows['a trial']['public_id']}").json()
    assert case["reading"]["policy"] == ("blind" if shown == "routine" else "triage")


def test_who_runs_the_service_sees_the_list_as_it_is_worked_off_whatever_a_rule_says(house: House) -> None:
    admin = house.signed_in()
    put(admin, rule("reading_policy = 'blind'"))
    assert house.with_key().post("/api/uploads", content=film()).status_code == 200
    with house.database.transaction() as tx:
        study_id = tx.execute(select(tables.study.c.id)).scalar_one()
        update_item(tx, study_id=study_id, now=house.clock(), settings=house.settings, ai_priority=1)

    assert [row["priority"] for row in admin.get("/api/worklist").json()["items"]] == ["stat"]


@pytest.fixture
def at_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(tmp_path / "data"))
    site = ["sites", "add", "hanoi-1", "--name", "Hanoi", "--country", "VN", "--language", "vi"]
    assert cli.main([*site, "--time-zone", "Asia/Ho_Chi_Minh"]) == 0
    return Settings()


def test_the_command_line_sets_shows_and_tries_rules(
    at_the_machine: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, bad, image = tmp_path / "rules.toml", tmp_path / "bad.toml", tmp_path / "film.dcm"
    file.write_text(TRAUMA)
    bad.write_text(TRAUMA.replace("priority", "prio"))
    image.write_bytes(film(StudyDescription="trauma", PatientSex="F"))
    capsys.readouterr()

    assert cli.main(["rules", "set", str(bad)]) == 1
    assert "line 4: `then.prio` is not known here" in capsys.readouterr().err
    assert cli.main(["rules", "set", str(file), "--note", "first"]) == 0
    assert cli.main(["rules", "show"]) == 0
    assert capsys.readouterr().out.endswith(TRAUMA)
    assert cli.main(["rules", "history"]) == 0
    assert "1 rules  first" in capsys.readouterr().out
    assert cli.main(["rules", "test", str(image), "--site", "hanoi-1"]) == 0
    said = capsys.readouterr().out
    assert "matches  trauma room" in said
    assert "priority = urgent  (trauma room)" in said
    assert CANARY not in said
    assert cli.main(["rules", "test", str(bad), "--site", "hanoi-1"]) == 1
    assert list(at_the_machine.spool_folder.iterdir()) == []
