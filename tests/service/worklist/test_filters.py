"""Filters, sorts and policies of the list, over HTTP and real tables."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, update

from service import tables
from service.intake.studies import fold
from service.roles import Role
from service.worklist import claims
from tests.service.house import House

LIST = "/api/worklist"
HOUR_S = 3600.0


def add(house: House, name: str, *, ai: int | None = None, **values: Any) -> int:
    """Add a scored study and its series under a patient's name."""
    values = {"state": "scored", "patient_name": name, "patient_name_folded": fold(name), **values}
    study_id = house.add_study(ai_priority=ai, **values)
    with house.database.transaction() as tx:
        tx.execute(
            insert(tables.series).values(
                site_id=values.get("site_id", house.site_id), study_id=study_id, series_instance_uid=f"1.9.{study_id}",
                modality=values.get("modalities", "DX"), instance_count=1, is_result=False,
            )
        )  # fmt: skip
    return study_id


def names(client: httpx.Client, **query: str | int) -> list[str]:
    return [item["patient_name"] for item in items(client, **query)]


def items(client: httpx.Client, **query: str | int) -> list[dict[str, Any]]:
    answer = client.get(LIST, params=query)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["items"])


def pages(client: httpx.Client, **query: str | int) -> Iterator[tuple[list[str], str | None]]:
    cursor = None
    while True:
        answer = client.get(LIST, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        cursor = answer["next_cursor"]
        yield [item["public_id"] for item in answer["items"]], cursor
        if cursor is None:
            return


def test_every_filter_keeps_what_it_names(house: House) -> None:
    add(house, "KIM^MINJUN=金^民俊=김^민준", modalities="CR", patient_id="A-100", accession_number="ACC-1")
    add(house, "NGUYỄN^An", modalities="CT", center_priority=1, patient_id="B-200", site_id=house.other_site_id)
    add(house, "IVANOV^Ivan", modalities="DX", ai=2, accession_number="ZZ-9")
    house.clock.advance(23 * HOUR_S)
    add(house, "LATE^Comer", state="unscored", reason="lateral_view")
    reader = house.account(Role.RADIOLOGIST)[0]
    kim, nguyen, ivanov, late = "KIM^MINJUN=金^民俊=김^민준", "NGUYỄN^An", "IVANOV^Ivan", "LATE^Comer"
    assert reader.post(f"{LIST}/{1:032x}/claim").status_code == 200

    kept = {
        **{words: names(reader, q=words) for words in ("kim min", "민준", "nguyen", "A-1", "ACC", "200", "%", "IVAN")},
        **{f"modality {word}": names(reader, modality=word) for word in ("cr", "CT", "MR")},
        **{f"site {word}": names(reader, site=word) for word in ("two", "nowhere")},
        **{f"priority {word}": names(reader, priority=word) for word in ("stat", "urgent")},
        **{f"due {word}": names(reader, due=word) for word in ("overdue", "4h")},
        **{f"claim {word}": names(reader, claim=word) for word in ("mine", "free")},
        "unscored": names(reader, state="unscored"),
    }

    assert kept == {
        "kim min": [kim], "민준": [kim], "nguyen": [nguyen], "A-1": [kim], "ACC": [kim], "200": [], "%": [],
        "IVAN": [ivanov], "modality cr": [kim], "modality CT": [nguyen], "modality MR": [], "site two": [nguyen],
        "site nowhere": [], "priority stat": [nguyen], "priority urgent": [ivanov],
        "due overdue": [nguyen, ivanov], "due 4h": [nguyen, ivanov, kim], "claim mine": [kim],
        "claim free": [nguyen, ivanov, late], "unscored": [late],
    }  # fmt: skip


def test_today_ends_at_the_readers_own_midnight(house: House) -> None:
    """The clock of tests stands at 08:00 UTC: a study due at 18:00 UTC is due tomorrow in Seoul."""
    assert house.clock() % 86_400 == 8 * HOUR_S
    house.clock.advance(-14 * HOUR_S)
    add(house, "due at 18:00 UTC")
    house.clock.advance(14 * HOUR_S)
    clients = {}
    for zone in ("UTC", "Asia/Seoul", "Europe/Moscow"):
        clients[zone], account_id = house.account(Role.RADIOLOGIST)
        with house.database.transaction() as tx:
            tx.execute(update(tables.account).where(tables.account.c.id == account_id).values(time_zone=zone))

    kept = {zone: len(names(client, due="today")) for zone, client in clients.items()}

    assert kept == {"UTC": 1, "Asia/Seoul": 0, "Europe/Moscow": 1}


def test_every_order_is_that_of_its_key_page_by_page(house: House) -> None:
    chance = random.Random(4)
    for number in range(23):
        add(
            house, f"{chance.choice('ABC')}^{number}", ai=chance.choice([None, 1, 2]),
            center_priority=chance.choice([1, 2, 3]), site_id=chance.choice([house.site_id, house.other_site_id]),
        )  # fmt: skip
        house.clock.advance(chance.choice([0, 0, 5, 10 * HOUR_S]))
    clients = [house.account(Role.RADIOLOGIST, policy=policy)[0] for policy in ("triage", "blind")]
    keys = {
        "order": lambda i: (not i["waited_too_long"], i["priority_class"], i["due_at"]),
        "due": lambda i: i["due_at"],
        "received": lambda i: i["first_image_at"],
        "patient": lambda i: fold(i["patient_name"]),
        "site": lambda i: (i["site"]["code"], not i["waited_too_long"], i["priority_class"], i["due_at"]),
    }

    for client in clients:
        for sort, key in keys.items():
            whole = items(client, sort=sort, limit=500)
            assert [key(item) for item in whole] == sorted(key(item) for item in whole)
            for limit in (1, 4, 23):
                read = list(pages(client, sort=sort, limit=limit))
                assert [one for page, _ in read for one in page] == [item["public_id"] for item in whole]
                told = "".join(_plain(cursor) for _, cursor in read if cursor)
                assert not any(item["patient_name"].casefold() in told for item in whole)


def _plain(cursor: str) -> str:
    return json.dumps(json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))).replace("^", " ")


@pytest.mark.parametrize(
    "bad",
    [{"sort": "priority"}, {"claim": "his"}, {"due": "8h"}, {"state": "gone"}, {"modality": "C R"}, {"cursor": "x"}],
)
def test_what_the_list_does_not_know_is_refused(house: House, bad: dict[str, str]) -> None:
    assert house.with_key().get(LIST, params=bad).status_code == 400


def test_a_site_and_a_reader_choose_what_the_order_follows(house: House) -> None:
    with house.database.transaction() as tx:
        t = tables.site
        tx.execute(update(t).where(t.c.id == house.other_site_id).values(policy={"reading_policy": "blind"}))
    add(house, "routine at one")
    house.clock.advance(1)
    add(house, "raised at two", ai=1, site_id=house.other_site_id)
    house.clock.advance(1)
    add(house, "raised at one", ai=2)
    house.clock.advance(1)
    add(house, "urgent at two", center_priority=2, site_id=house.other_site_id)

    def told(policy: str | None, role: Role = Role.RADIOLOGIST) -> list[tuple[str, str]]:
        client = house.account(role, policy=policy)[0]
        return [(item["patient_name"], item["priority"]) for item in items(client)]

    triage = [
        ("raised at two", "stat"), ("raised at one", "urgent"), ("urgent at two", "urgent"),
        ("routine at one", "routine"),
    ]  # fmt: skip
    blind = [
        ("urgent at two", "urgent"), ("routine at one", "routine"), ("raised at two", "routine"),
        ("raised at one", "routine"),
    ]  # fmt: skip
    by_site = [
        ("raised at one", "urgent"), ("urgent at two", "urgent"), ("routine at one", "routine"),
        ("raised at two", "routine"),
    ]  # fmt: skip
    assert (told("triage"), told("blind"), told(None)) == (triage, blind, by_site)
    assert told(None, Role.ADMINISTRATOR) == triage  # who runs the service sees the list as it is worked off


def test_a_signed_study_leaves_the_list_for_its_readers_own(house: House) -> None:
    add(house, "signed")
    add(house, "open")
    (mine, account_id), (other, _) = house.account(Role.RADIOLOGIST), house.account(Role.RADIOLOGIST)
    token = mine.post(f"{LIST}/{1:032x}/claim").json()["token"]
    who = house.app.state.access.identify(mine.build_request("GET", LIST).headers, "GET")
    with house.database.transaction() as tx:
        claims.complete(tx, who, claims.require(tx, who, f"{1:032x}", token, house.clock()), now=house.clock())

    lists = {(reader, state): names(client, **({"state": state} if state else {}))
             for reader, client in (("mine", mine), ("other", other)) for state in ("", "signed")}  # fmt: skip

    assert account_id == who.account_id
    assert lists == {
        ("mine", ""): ["open"],
        ("mine", "signed"): ["signed"],
        ("other", ""): ["open"],
        ("other", "signed"): [],
    }
    assert items(mine, state="signed")[0]["item_state"] == "completed"
    house.clock.advance(8 * 24 * HOUR_S)
    mine = house.browser(account_id)
    assert names(mine, state="signed") == []


def test_images_after_the_report_put_the_study_back_into_the_list(house: House) -> None:
    study_id = add(house, "read once")
    house.add_scored(study_id=study_id)
    with house.database.transaction() as tx:
        item = tables.worklist_item
        tx.execute(update(item).where(item.c.study_id == study_id).values(state="completed", completed_at=1.0))
    admin = house.signed_in()
    put = {"priority": "urgent"}

    still_read = _with_report(
        house, study_id, revision=1, then=lambda: admin.post(f"{LIST}/{1:032x}/priority", json=put)
    )
    with house.database.transaction() as tx:
        tx.execute(update(tables.study).where(tables.study.c.id == study_id).values(revision=2))
    admin.post(f"{LIST}/{1:032x}/priority", json=put)

    assert still_read == []
    assert [(item["item_state"], item["reading"]) for item in items(admin)] == [("scheduled", "new")]


def _with_report(house: House, study_id: int, *, revision: int, then: Any) -> list[str]:
    account_id = house.new_account(Role.RADIOLOGIST)
    with house.database.transaction() as tx:
        ids = {"site_id": house.site_id, "study_id": study_id}
        made = tx.execute(insert(tables.report).values(**ids, public_id="r", created_at=0.0))
        tx.execute(
            insert(tables.report_version).values(
                site_id=house.site_id, report_id=made.inserted_primary_key[0], number=1, status="final",
                study_revision=revision, content={}, content_sha256="0" * 64, language="ko", account_id=account_id,
                signer_name="Signer", signed_at=0.0, previous_sha256="0" * 64, sha256="1" * 64,
            )
        )  # fmt: skip
    then()
    return names(house.signed_in())
