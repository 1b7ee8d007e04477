"""Claims: one owner at a time, whatever races, runs out, jumps or is taken (RELIABILITY T-36)."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import insert, select, update

from service import audit, tables
from service.access import Caller
from service.audit.verify import Whole, verify
from service.database import Database
from service.errors import Conflict
from service.roles import Role
from service.settings import Settings
from service.worklist import claim_records, claims
from service.worklist.records import update_item
from tests.factories import Clock, add_site
from tests.service.house import House

LIST = "/api/worklist"
LEASE_S = claims.LEASE_S


@dataclass
class Desk:
    """Readers and studies in real tables, without a web server before them."""

    database: Database
    clock: Clock
    readers: list[Caller]

    def claim(self, reader: Caller, public_id: str = "study-0") -> claims.Claim | None:
        """Claim as the route does: a look first, then the transaction."""
        try:
            with self.database.reading() as rx:
                claims.refuse_early(claim_records.peek(rx, reader, public_id), reader, self.clock())
            with self.database.transaction() as tx:
                return claims.claim(tx, reader, public_id, now=self.clock())
        except Conflict as refused:
            if refused.code != "claimed":
                raise
            return None

    def may_write(self, reader: Caller, token: int, public_id: str = "study-0") -> bool:
        try:
            with self.database.transaction() as tx:
                claims.require(tx, reader, public_id, token, self.clock())
        except Conflict as refused:
            if refused.code != "claim_lost":
                raise
            return False
        return True

    def must_claim(self, reader: Caller) -> claims.Claim:
        claim = self.claim(reader)
        assert claim is not None
        return claim

    def free(self, *, after: str) -> list[str]:
        """Return a few free studies, from one of them on and round to the first."""
        t = tables.worklist_item.c
        query = select(t.public_id).where(t.claimed_by_id.is_(None)).order_by(t.public_id <= after, t.public_id)
        with self.database.reading() as rx:
            return list(rx.execute(query.limit(5)).scalars())

    def history(self) -> list[tuple[str, int, int]]:
        t = tables.claim_event.c
        with self.database.reading() as rx:
            return [tuple(row) for row in rx.execute(select(t.kind, t.fence, t.account_id).order_by(t.id))]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    settings = Settings(data_folder=tmp_path)
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    clock = Clock()
    site_id = add_site(database)
    with database.transaction() as tx:
        readers = [_reader(tx, number, clock()) for number in range(64)]
        for number in range(8):
            _study(tx, site_id, f"study-{number}", clock(), settings)
    yield Desk(database, clock, readers)
    database.close()


def _reader(tx: Any, number: int, now: float) -> Caller:
    row = {
        "public_id": f"account-{number}", "login": f"reader-{number}", "name": f"Reader {number}",
        "role": "radiologist", "language": "ko", "time_zone": "Asia/Seoul", "preferences": {}, "created_at": now,
    }  # fmt: skip
    account_id = int(tx.execute(insert(tables.account).values(**row)).inserted_primary_key[0])
    return Caller(f"account-{number}", None, Role.RADIOLOGIST, account_id)


def _study(tx: Any, site_id: int, public_id: str, now: float, settings: Settings) -> None:
    row = {
        "site_id": site_id, "public_id": public_id, "study_instance_uid": f"1.2.{public_id[6:]}", "modalities": "DX",
        "series_count": 1, "instance_count": 1, "flags": [], "state": "scored", "revision": 1, "first_image_at": now,
        "last_instance_at": now, "arriving_since": now, "settle_by": "quiet", "center_priority": 3,
    }  # fmt: skip
    study_id = int(tx.execute(insert(tables.study).values(**row)).inserted_primary_key[0])
    update_item(tx, study_id=study_id, now=now, settings=settings)


@pytest.mark.parametrize(
    "rounds", [25, pytest.param(200, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids="{} rounds".format
)
def test_64_readers_race_and_one_at_a_time_owns_the_case(desk: Desk, rounds: int) -> None:
    """Between rounds the claim is given back, runs out, survives a clock that goes back, or is taken over."""
    chance = random.Random(36)
    start = threading.Barrier(len(desk.readers))
    old: list[tuple[Caller, int]] = []

    def race(reader: Caller) -> claims.Claim | None:
        start.wait()
        return desk.claim(reader)

    with ThreadPoolExecutor(len(desk.readers)) as pool:
        for _ in range(rounds):
            gained = list(pool.map(race, desk.readers))
            [(winner, claim)] = [(r, c) for r, c in zip(desk.readers, gained, strict=True) if c is not None]
            assert desk.may_write(winner, claim.token)
            assert not any(desk.may_write(reader, token) for reader, token in chance.sample(old, min(len(old), 5)))
            _end(desk, winner, claim.token, chance)
            assert not desk.may_write(winner, claim.token)
            old.append((winner, claim.token))

    assert [token for _, token in old] == sorted({token for _, token in old})
    _check_history(desk.history())
    with desk.database.reading() as rx:
        assert isinstance(verify(rx), Whole)


@pytest.mark.parametrize(
    "cases", [100, pytest.param(10_000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])], ids="{} cases".format
)
def test_64_readers_share_out_many_cases_and_none_is_read_twice(desk: Desk, tmp_path: Path, cases: int) -> None:
    public_ids = [f"study-{number}" for number in range(cases)]
    with desk.database.transaction() as tx:
        for public_id in public_ids[8:]:
            _study(tx, 1, public_id, desk.clock(), Settings(data_folder=tmp_path))

    def work_off(reader: Caller) -> list[str]:
        """Take the next of the free ones again and again, as the route does, from a place of one's own on."""
        mine: list[str] = []
        while free := desk.free(after=random.Random(f"{reader.name}/{len(mine)}").choice(public_ids)):
            with desk.database.transaction() as tx:
                claimed = claims.claim_next(tx, reader, free, now=desk.clock())
            mine += [claimed.public_id] if claimed else []
        return mine

    with ThreadPoolExecutor(len(desk.readers)) as pool:
        taken = [public_id for mine in pool.map(work_off, desk.readers) for public_id in mine]

    assert sorted(taken) == sorted(public_ids)


def _end(desk: Desk, winner: Caller, token: int, chance: random.Random) -> None:
    match chance.choice(["release", "expire", "jump", "take"]):
        case "release":
            with desk.database.transaction() as tx:
                claims.release(tx, winner, "study-0", token, now=desk.clock())
        case "expire":
            desk.clock.advance(LEASE_S)
        case "jump":  # a clock that ran ahead for a moment: the claim made meanwhile ends the earlier one for good
            desk.clock.advance(10 * LEASE_S)
            other = next(reader for reader in desk.readers if reader != winner)
            later = desk.must_claim(other)
            desk.clock.advance(-9.5 * LEASE_S)
            assert not desk.may_write(winner, token)
            with desk.database.transaction() as tx:
                claims.release(tx, other, "study-0", later.token, now=desk.clock())
        case "take":
            chief = next(reader for reader in desk.readers if reader != winner)
            with desk.database.transaction() as tx:
                taken = claims.take_over(tx, chief, "study-0", reason="on call", now=desk.clock())
                claims.release(tx, chief, "study-0", taken.token, now=desk.clock())


def _check_history(events: list[tuple[str, int, int]]) -> None:
    """Read the history as one owner at a time: who begins finds no owner, or takes from one; who ends was the owner."""
    owner: tuple[int, int] | None = None
    for kind, fence, account_id in events:
        match kind:
            case "claimed":
                assert owner is None or owner[0] == account_id
                owner = (account_id, fence)
            case "taken":
                owner = (account_id, fence)
            case _:
                assert owner == (account_id, fence)
                owner = None


def test_a_heartbeat_keeps_a_claim_and_a_lost_one_frees_it(desk: Desk) -> None:
    reader, other = desk.readers[:2]
    claim = desk.must_claim(reader)
    for _ in range(100):
        desk.clock.advance(claims.HEARTBEAT_S)
        with desk.database.transaction() as tx:
            claims.renew(tx, reader, "study-0", claim.token, now=desk.clock())
    desk.clock.advance(LEASE_S - 1)
    assert (desk.claim(other), desk.may_write(reader, claim.token)) == (None, True)

    desk.clock.advance(1)

    assert not desk.may_write(reader, claim.token)
    assert desk.must_claim(other).token > claim.token
    assert [kind for kind, _, _ in desk.history()] == ["claimed", "expired", "claimed"]


def test_a_claim_that_ran_out_is_tidied_away_once(desk: Desk) -> None:
    desk.must_claim(desk.readers[0])
    desk.clock.advance(LEASE_S)

    with desk.database.transaction() as tx:
        ended = [claims.expire(tx, now=desk.clock()) for _ in range(2)]

    assert ended == [1, 0]
    with desk.database.reading() as rx:
        row = rx.execute(select(tables.worklist_item).where(tables.worklist_item.c.public_id == "study-0")).one()
        noted = rx.execute(select(tables.audit_event.c.action, tables.audit_event.c.actor)).all()
    assert (row.state, row.claimed_by_id, row.fence) == ("scheduled", None, 1)
    assert [tuple(one) for one in noted] == [("case_claimed", "account-0"), ("claim_expired", audit.SYSTEM)]


def test_a_completed_study_is_free_for_nobody(desk: Desk) -> None:
    reader = desk.readers[0]
    claim = desk.must_claim(reader)
    with desk.database.transaction() as tx:
        claimed = claims.require(tx, reader, "study-0", claim.token, desk.clock())
        claims.complete(tx, reader, claimed, now=desk.clock())

    with desk.database.transaction() as tx, pytest.raises(Conflict) as refused:
        claims.claim(tx, desk.readers[1], "study-0", now=desk.clock())

    assert refused.value.code == "not_open"
    assert not desk.may_write(reader, claim.token)


@pytest.mark.parametrize(
    ("modalities", "minutes"), [(("DX",), 30), (("CR", "MG"), 30), (("CT",), 60), (("CR", "MR"), 60)]
)
def test_slices_are_held_longer_than_films(modalities: tuple[str, ...], minutes: int) -> None:
    assert claims.lease_s(modalities) == minutes * 60


# ------------------------------------------------------------------------------------------------ over HTTP


def everybody(house: House, number: int) -> list[httpx.Client]:
    return [house.account(Role.RADIOLOGIST)[0] for _ in range(number)]


def test_of_a_hundred_simultaneous_claims_one_wins(house: House) -> None:
    house.add_study(state="scored")
    readers = everybody(house, 100)
    start = threading.Barrier(len(readers))

    def claim(reader: httpx.Client) -> httpx.Response:
        start.wait()
        return reader.post(f"{LIST}/{1:032x}/claim")

    with ThreadPoolExecutor(len(readers)) as pool:
        answers = list(pool.map(claim, readers))

    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 99
    assert {answer.json()["error"] for answer in answers if answer.status_code == 409} == {"claimed"}


def test_the_next_case_is_another_for_everybody(house: House) -> None:
    for _ in range(12):
        house.add_study(state="scored")
    readers = everybody(house, 4)

    def three(reader: httpx.Client) -> list[str]:
        return [reader.post(f"{LIST}/next", json={}).json()["public_id"] for _ in range(3)]

    with ThreadPoolExecutor(len(readers)) as pool:
        taken = [public_id for some in pool.map(three, readers) for public_id in some]
    left = readers[0].post(f"{LIST}/next", json={})

    assert sorted(taken) == [f"{number:032x}" for number in range(1, 13)]
    assert (left.status_code, left.json()["error"]) == (404, "nothing_left")


def test_the_next_case_follows_the_list_and_gives_the_last_one_back(house: House) -> None:
    house.add_study(state="arriving", center_priority=1)
    house.add_study(state="scored", center_priority=2)
    house.add_study(state="scored", modalities="CT")
    [reader] = everybody(house, 1)

    first = reader.post(f"{LIST}/next", json={}).json()
    second = reader.post(f"{LIST}/next", json={"after_release": first["public_id"]}).json()
    only_urgent = reader.post(f"{LIST}/next", json={"priority": "urgent", "after_release": second["public_id"]}).json()
    arriving = reader.post(f"{LIST}/next", json={"state": "arriving"}).json()

    assert [int(one["public_id"], 16) for one in (first, second, only_urgent, arriving)] == [2, 3, 2, 1]
    assert second["expires_at"] - first["expires_at"] == 30 * 60  # slices are held longer
    rows = {int(i["public_id"], 16): i["claim"] for i in reader.get(LIST).json()["items"]}
    assert [number for number, claim in rows.items() if claim and claim["mine"]] == [1, 2]
    assert reader.post(f"{LIST}/next", json={"state": "signed"}).status_code == 400


def test_a_list_shows_who_reads_and_forgets_a_claim_that_ran_out(house: House) -> None:
    house.add_study(state="scored")
    mine, other = everybody(house, 2)
    token = mine.post(f"{LIST}/{1:032x}/claim").json()["token"]

    def shown(reader: httpx.Client, **filters: str) -> list[tuple[str, Any]]:
        items = reader.get(LIST, params=filters).json()["items"]
        return [(item["item_state"], item["claim"] and (item["claim"]["by"], item["claim"]["mine"])) for item in items]

    assert shown(mine) == [("in progress", ("Person 1", True))]
    assert shown(other) == [("in progress", ("Person 1", False))]
    assert [shown(mine, claim=word) == shown(mine) for word in ("free", "mine", "all")] == [False, True, True]
    assert [shown(other, claim=word) == shown(other) for word in ("free", "mine", "all")] == [False, False, True]
    before = house.app.state.watch.changes()
    house.clock.advance(LEASE_S)
    with house.database.transaction() as tx:
        tx.execute(update(tables.session).values(seen_at=house.clock()))  # they went on with something else meanwhile

    assert shown(other, claim="free") == [("scheduled", None)]
    house.app.state.watch._looked_at = float("-inf")
    assert house.app.state.watch.changes() == before + 1
    late = mine.delete(f"{LIST}/{1:032x}/claim", headers={"X-Pandok-Claim": str(token)})
    assert (late.status_code, late.json()["error"]) == (409, "claim_lost")


@pytest.mark.parametrize("is_touched", [True, False])
def test_the_heartbeat_of_a_page_in_use_keeps_its_session_and_that_of_an_abandoned_one_does_not(
    house: House, is_touched: bool
) -> None:
    """A CT is read for longer than 15 minutes without another request (RELIABILITY 4.1: viewer activity counts)."""
    house.add_study(state="scored", modalities="CT")
    [reader] = everybody(house, 1)
    token = reader.post(f"{LIST}/{1:032x}/claim").json()["token"]
    headers = {"X-Pandok-Claim": str(token)} | ({} if is_touched else {"X-Pandok-Background": "1"})

    answers = []
    for _ in range(40):
        house.clock.advance(claims.HEARTBEAT_S)
        answers.append(reader.put(f"{LIST}/{1:032x}/claim", headers=headers).status_code)

    assert answers == ([200] * 40 if is_touched else [200] * 14 + [401] * 26)


def test_a_case_is_given_back(house: House) -> None:
    house.add_study(state="scored")
    mine, other = everybody(house, 2)
    given = mine.post(f"{LIST}/{1:032x}/claim").json()
    again = mine.post(f"{LIST}/{1:032x}/claim").json()

    old = mine.delete(f"{LIST}/{1:032x}/claim", headers={"X-Pandok-Claim": str(given["token"])})
    released = mine.delete(f"{LIST}/{1:032x}/claim", headers={"X-Pandok-Claim": str(again["token"])})

    assert given["heartbeat_s"] == 60
    assert again["token"] > given["token"]  # another window of the same reader: the first one holds it no more
    assert (old.status_code, released.status_code) == (409, 204)
    assert other.post(f"{LIST}/{1:032x}/claim").status_code == 200


def test_no_claim_runs_for_longer_than_the_longest_lease(desk: Desk) -> None:
    desk.must_claim(desk.readers[0])
    desk.clock.advance(-86_400)

    with desk.database.transaction() as tx:
        assert claims.expire(tx, now=desk.clock()) == 0
        ends = tx.execute(select(tables.worklist_item.c.claim_expires_at)).scalars().all()

    assert max(end for end in ends if end) == desk.clock() + claims.LONG_LEASE_S
