"""The list, one study, and live changes, over HTTP and real tables."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import select, update

from service import tables
from service.intake.outcomes import Door, Sender
from service.worklist.records import set_center_priority, update_item
from tests.factories import dataset_bytes, keep, make_radiograph, with_fresh_uids
from tests.service.house import House

LIST = "/api/worklist"
HOUR_S = 3600.0


def names(client: httpx.Client, **query: object) -> list[str]:
    answer = client.get(LIST, params={k: str(v) for k, v in query.items()})
    assert answer.status_code == 200, answer.text
    return [item["patient_name"] for item in answer.json()["items"]]


def test_an_image_that_arrives_stands_in_the_list_at_once(house: House) -> None:
    intake = house.app.state.intake
    film = with_fresh_uids(make_radiograph(PatientName="FIRST^IMAGE"))
    sender = Sender(house.site_id, Door.DIMSE, "TESTER")
    spooled = intake.open(sender, transfer_syntax_uid=str(film.file_meta.TransferSyntaxUID))
    spooled.write(dataset_bytes(film))
    keep(intake, spooled, sop_class_uid=None, sop_instance_uid=None)

    (item,) = house.with_key().get(LIST).json()["items"]

    assert (item["patient_name"], item["state"], item["instance_count"]) == ("FIRST^IMAGE", "arriving", 1)
    assert (item["item_state"], item["priority"], item["findings"]) == ("scheduled", "routine", [])


def test_the_order_is_class_then_due_time(house: House) -> None:
    house.add_study(patient_name="routine, early")
    house.add_study(patient_name="stat", center_priority=1)
    house.clock.advance(60)
    house.add_study(patient_name="routine, late")
    house.add_study(patient_name="urgent by AI", ai_priority=2)
    house.clock.advance(60)
    house.add_study(patient_name="urgent by the center", center_priority=2)

    assert names(house.with_key()) == [
        "stat", "urgent by AI", "urgent by the center", "routine, early", "routine, late",
    ]  # fmt: skip


def test_a_study_that_waited_too_long_comes_before_the_most_urgent(house: House) -> None:
    house.add_study(patient_name="forgotten")
    house.clock.advance(house.settings.max_wait_hours * HOUR_S - 1)
    house.add_study(patient_name="stat", center_priority=1)
    client = house.with_key()
    assert names(client) == ["stat", "forgotten"]

    house.clock.advance(1)

    assert names(client) == ["forgotten", "stat"]
    assert client.get(LIST).json()["items"][0]["waited_too_long"] is True


def test_a_study_that_the_ai_found_nothing_in_keeps_its_place(house: House) -> None:
    for name in ("first", "second", "third"):
        house.add_study(patient_name=name)
        house.clock.advance(60)
    before = names(house.with_key())

    with house.database.transaction() as tx:
        tx.execute(update(tables.study).where(tables.study.c.id == 1).values(state="scored"))
        update_item(tx, study_id=1, now=house.clock(), settings=house.settings, ai_priority=None)

    assert names(house.with_key()) == before


@pytest.mark.parametrize("seed", range(10))
def test_no_sequence_of_scores_ever_lowers_a_class(house: House, seed: int) -> None:
    chance = random.Random(seed)
    study_id = house.add_study(center_priority=chance.choice([1, 2, 3]))

    def priority() -> tuple[int, float]:
        with house.database.reading() as rx:
            return tuple(rx.execute(select(tables.worklist_item.c.priority_class, tables.worklist_item.c.due_at)).one())

    before = priority()
    for _ in range(8):
        house.clock.advance(10)
        with house.database.transaction() as tx:
            ai = chance.choice([None, 1, 2, 3])
            update_item(tx, study_id=study_id, now=house.clock(), settings=house.settings, ai_priority=ai)
        after = priority()
        assert after <= before
        before = after


def test_the_center_may_lower_its_own_priority_and_not_the_ais(house: House) -> None:
    house.add_study(center_priority=1, ai_priority=2)
    client = house.with_key()

    answer = client.post(f"{LIST}/{1:032x}/priority", json={"priority": "routine"}).json()

    assert (answer["center_priority"], answer["ai_priority"], answer["priority"]) == (3, 2, "urgent")


def test_a_late_image_does_not_put_the_due_time_off(house: House) -> None:
    study_id = house.add_scored()
    with house.database.transaction() as tx:
        update_item(tx, study_id=study_id, now=house.clock(), settings=house.settings)
    before = house.with_key().get(LIST).json()["items"][0]["due_at"]
    house.clock.advance(HOUR_S)
    house.add_scored(study_id=study_id, number=2)

    with house.database.transaction() as tx:
        update_item(tx, study_id=study_id, now=house.clock(), settings=house.settings)

    assert house.with_key().get(LIST).json()["items"][0]["due_at"] == before


@pytest.mark.parametrize("state", ["arriving", "settled", "scored", "unscored"])
def test_the_list_can_be_kept_to_one_state(house: House, state: str) -> None:
    for one in ("arriving", "settled", "scored", "unscored"):
        house.add_study(state=one, patient_name=one, reason="lateral_view" if one == "unscored" else None)

    answer = house.with_key().get(LIST, params={"state": state}).json()

    assert [item["patient_name"] for item in answer["items"]] == [state]
    assert answer["counts"] == {"arriving": 1, "settled": 1, "scored": 1, "unscored": 1}


def pages(client: httpx.Client, limit: int) -> Iterator[list[str]]:
    cursor = None
    while True:
        query = {"limit": limit} | ({"cursor": cursor} if cursor else {})
        page = client.get(LIST, params=query).json()
        yield [item["public_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return


@pytest.mark.parametrize("limit", [1, 3, 7, 25, 26])
def test_pages_together_are_the_list(house: House, limit: int) -> None:
    chance = random.Random(limit)
    for _ in range(25):
        house.add_study(center_priority=chance.choice([1, 2, 3]), ai_priority=chance.choice([None, 1, 2]))
        house.clock.advance(chance.choice([0, 0, 5, 20 * HOUR_S]))
    client = house.with_key()
    whole = [item["public_id"] for item in client.get(LIST, params={"limit": 500}).json()["items"]]

    paged = [public_id for page in pages(client, limit) for public_id in page]

    assert len(whole) == 25
    assert paged == whole


def test_pages_keep_the_order_of_the_first_while_time_goes_on(house: House) -> None:
    house.add_study(patient_name="old")
    house.clock.advance(house.settings.max_wait_hours * HOUR_S - 1)
    for name in ("a", "b"):
        house.add_study(patient_name=name, center_priority=1)
    client = house.with_key()
    first = client.get(LIST, params={"limit": 2}).json()
    house.clock.advance(10)  # now `old` waited too long: it would move to the page that was read already

    rest = client.get(LIST, params={"limit": 2, "cursor": first["next_cursor"]}).json()

    assert [item["patient_name"] for item in (*first["items"], *rest["items"])] == ["a", "b", "old"]


def test_a_row_tells_what_is_present_and_how_much_was_looked_at(house: House) -> None:
    house.add_scored(
        {"presence": "present", "probability": 0.7},
        {"finding": "mass", "presence": "present", "probability": 0.9, "experimental": True},
        {"finding": "effusion", "presence": "absent", "probability": 0.1},
        {"finding": "child_only", "presence": "not_evaluated", "probability": None},
    )

    (item,) = house.with_key().get(LIST).json()["items"]

    shown = [(f["finding"], f["probability"], f["experimental"]) for f in item["findings"]]
    assert shown == [("opacity", 0.7, False), ("mass", 0.9, True)]
    assert item["evaluated"] == 3
    assert item["findings_revision"] == 1


def test_what_a_release_keeps_from_readers_is_nowhere_in_their_answers(house: House) -> None:
    house.add_scored(
        {"presence": "present", "probability": 0.7},
        {"finding": "mass", "presence": "present", "probability": 0.9, "experimental": True, "shown": False},
    )
    for_the_record = house.add_scored({"finding": "mass", "presence": "present", "probability": 0.9, "shown": False})
    with house.database.transaction() as tx:
        tx.execute(update(tables.run).where(tables.run.c.study_id == for_the_record).values(shown=[]))
    client = house.with_key()

    answers = [client.get(f"{LIST}/{item['public_id']}").json() for item in client.get(LIST).json()["items"]]

    assert [[f["finding"] for f in item["findings"]] for item in answers] == [["opacity"], []]
    assert [[[f["finding"] for f in run["findings"]] for run in item["runs"]] for item in answers] == [
        [["opacity"]],
        [],
    ]
    assert "mass" not in json.dumps(answers)
    assert [item["evaluated"] for item in answers] == [1, 0]


def test_a_finding_tells_how_far_it_was_tested_and_whether_it_raises(house: House) -> None:
    evidence = {"auroc": 0.75, "low": 0.7, "high": 0.8, "films": 200, "positives": 40, "data": "test films"}
    house.add_scored(
        {"presence": "present", "probability": 0.9, "evidence": evidence},
        {"finding": "edema", "presence": "present", "probability": 0.6, "raises_priority": False},
        {"finding": "mass", "presence": "present", "probability": 0.5, "experimental": True, "calibrated": False},
        {"finding": "nodule", "presence": "absent", "probability": 0.1},
    )
    client = house.with_key()
    (item,) = client.get(LIST).json()["items"]

    [run] = client.get(f"{LIST}/{item['public_id']}").json()["runs"]

    told = {f["finding"]: (f["raises_priority"], f["calibrated"], f["evidence"]) for f in run["findings"]}
    assert told == {
        "opacity": (True, True, evidence),
        "edema": (False, True, None),
        "mass": (False, False, None),
        "nodule": (False, True, None),
    }


def test_nothing_evaluated_is_not_nothing_found(house: House) -> None:
    house.add_scored({"presence": "not_evaluated", "probability": None})

    (item,) = house.with_key().get(LIST).json()["items"]

    assert (item["findings"], item["evaluated"]) == ([], 0)


def test_a_scored_study_of_which_a_part_failed_says_so(house: House) -> None:
    study_id = house.add_scored({"presence": "absent", "probability": 0.1})
    with house.database.transaction() as tx:
        where = tables.revision.c.study_id == study_id
        tx.execute(update(tables.revision).where(where).values(reason="decoder_died"))

    (item,) = house.with_key().get(LIST).json()["items"]

    assert (item["findings"], item["evaluated"], item["failure"]) == ([], 1, "decoder_died")


def test_an_unscored_study_stays_in_the_list_with_its_reason(house: House) -> None:
    house.add_study(state="unscored", reason="lateral_view")

    (item,) = house.with_key().get(LIST).json()["items"]

    assert (item["state"], item["reason"], item["evaluated"]) == ("unscored", "lateral_view", 0)


def test_an_earlier_revisions_findings_are_named_as_such(house: House) -> None:
    study_id = house.add_scored({"presence": "present", "probability": 0.7})
    with house.database.transaction() as tx:
        tx.execute(update(tables.study).where(tables.study.c.id == study_id).values(revision=2, state="arriving"))

    (item,) = house.with_key().get(LIST).json()["items"]

    assert (item["revision"], item["findings_revision"], len(item["findings"])) == (2, 1, 1)


def test_the_detail_has_every_finding_and_where_it_comes_from(house: House) -> None:
    house.add_scored(
        {"presence": "present", "probability": 0.7},
        {"finding": "effusion", "presence": "absent", "probability": 0.1},
        {"finding": "child_only", "presence": "not_evaluated", "probability": None},
    )

    detail = house.with_key().get(f"{LIST}/{1:032x}").json()

    (run,) = detail["runs"]
    assert [f["presence"] for f in run["findings"]] == ["present", "absent", "not_evaluated"]
    assert (run["package"], run["package_version"], run["provider"]) == (
        "chest_radiograph", "1.0.0", "CPUExecutionProvider",
    )  # fmt: skip
    assert run["package_sha256"] == "ab" * 32
    assert [revision["number"] for revision in detail["revisions"]] == [1]
    assert detail["study_url"] == "/dicomweb/studies/1.2.3.1"


def test_a_person_can_score_again_and_cancel(house: House) -> None:
    house.add_scored()
    person = house.signed_in()

    again = person.post(f"{LIST}/{1:032x}/restart")
    stopped = person.post(f"{LIST}/{1:032x}/cancel")
    twice = person.post(f"{LIST}/{1:032x}/cancel")

    assert (again.status_code, again.json()["state"]) == (202, "settled")
    assert (stopped.status_code, stopped.json()["state"], stopped.json()["reason"]) == (202, "unscored", "canceled")
    assert (twice.status_code, twice.json()["error"]) == (409, "conflict")


def events(answer: httpx.Response) -> Iterator[int]:
    for line in answer.iter_lines():
        if line.startswith("data:"):
            yield json.loads(line[5:])["changed"]


def test_an_open_page_hears_of_a_change(house: House) -> None:
    house.add_study()
    with house.signed_in().stream("GET", f"{LIST}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer)
        first = next(told)
        started = time.monotonic()
        with house.database.transaction() as tx:
            set_center_priority(tx, 1, 1)
            update_item(tx, study_id=1, now=house.clock() + 1, settings=house.settings)

        assert next(told) > first
        assert time.monotonic() - started < 2.0


def test_a_stream_ends_with_its_session(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.worklist.routes.STILL_EVERY_S", 0.0)
    person = house.signed_in()
    with person.stream("GET", f"{LIST}/events") as answer:
        told = events(answer)
        next(told)
        with house.database.transaction() as tx:
            tx.execute(update(tables.session).values(ended_at=house.clock()))

        assert list(told) == []


def test_a_long_list_is_quick(house: House) -> None:
    chance = random.Random(1)
    for _ in range(300):
        house.add_study(center_priority=chance.choice([1, 2, 3]))
    client = house.with_key()
    client.get(LIST)
    statements: list[str] = []

    from sqlalchemy import event

    @event.listens_for(house.database.engine, "before_cursor_execute")
    def count(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    assert len(client.get(LIST, params={"limit": 200}).json()["items"]) == 200
    assert len([s for s in statements if s.startswith("SELECT")]) == 6  # key, policies, order, page, findings, counts
