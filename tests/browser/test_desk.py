"""What happens around the reader while a case is on the desk: colleagues, late results, a service that is busy."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import browser, sit_down, stand_up
from tests.browser.test_leaving import reading
from tests.browser.test_reading_journey import confirm, rows
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def test_who_reads_a_case_is_said_in_the_readers_language(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened, language="ko")
    public_id = desk.send(films.film(), scored=True)
    other, _ = house.account(Role.RADIOLOGIST)
    assert other.post(f"/api/worklist/{public_id}/claim").status_code == 200

    desk.tolerated.append("409")
    desk.page.goto(f"{house.address}/read/{public_id}")

    expect(desk.page.get_by_test_id("claim-taken")).to_contain_text("님이 판독 중입니다.")
    stand_up(desk)


def test_a_case_fetched_ahead_is_opened_by_nobody_until_it_is(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    first, second = (desk.send(films.film(PatientID=f"P-{number}"), scored=True) for number in (1, 2))
    page = desk.page
    page.get_by_text("P-2").first.wait_for()
    with page.expect_request(lambda asked: asked.headers.get("x-pandok-prefetch") == "1"):
        desk.press("n")
    desk.wait_film()
    page.wait_for_timeout(1_000)
    shown, ahead = (first, second) if first in page.url else (second, first)

    assert looks(house) == {("case_opened", shown), ("case_prefetched", ahead)}
    desk.press("Shift+N")
    page.wait_for_url(f"**/read/{ahead}")
    desk.wait_film()
    page.wait_for_timeout(1_000)
    assert ("case_opened", ahead) in looks(house)
    claims = [row["kind"] for row in rows(house, tables.claim_event)]
    assert claims == ["claimed", "released", "claimed"]
    stand_up(desk)


def looks(house: House) -> set[tuple[str, str]]:
    asked = select(tables.audit_event.c.action, tables.audit_event.c.object_id)
    with house.database.reading() as rx:
        found = rx.execute(asked.where(tables.audit_event.c.action.in_(["case_opened", "case_prefetched"])))
        return {(row.action, row.object_id) for row in found}


def test_ai_that_finishes_after_the_impression_comes_up_by_itself(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    public_id = desk.send(films.film())
    desk.open(public_id)
    desk.impression("2")
    assert desk.page.locator("[data-finding]").count() == 0

    films.score(house, public_id)

    desk.page.locator("[data-finding=nodule]").wait_for(timeout=30_000)
    desk.press("c")
    desk.page.locator("[data-coded=nodule]").wait_for()
    stand_up(desk)


def test_after_a_preliminary_signature_somebody_else_may_go_on(house: House, opened: Browser) -> None:
    desk, public_id = reading(house, opened)
    desk.press("c", "q", "Shift+S")
    button = desk.page.locator("[data-command=sign_now]")
    expect(button).to_be_enabled()
    desk.press("Enter")
    desk.tolerated += ["403", "404"]
    confirm(desk)
    desk.page.wait_for_url("**/worklist")

    assert [row["status"] for row in rows(house, tables.report_version)] == ["preliminary"]
    colleague, _ = house.account(Role.RADIOLOGIST)
    assert colleague.post(f"/api/worklist/{public_id}/claim").status_code == 200
    stand_up(desk)


def test_delete_takes_the_last_place_back(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    desk.open(desk.send(films.film(), scored=True))
    desk.press("o")
    for place in (films.NODULE, films.LUNG):
        desk.page.mouse.click(*desk.on_screen(place))
    expect(desk.page.locator("[data-panel=impression]")).to_contain_text("2 places marked")

    desk.press("Delete")
    expect(desk.page.locator("[data-panel=impression]")).to_contain_text("1 place marked")
    desk.impression("2")

    [stored] = rows(house, tables.first_impression)
    assert len(stored["places"]) == 1
    stand_up(desk)


def test_verdicts_that_cannot_be_stored_say_so_and_are_stored_later(house: House, opened: Browser) -> None:
    desk, _ = reading(house, opened)
    desk.tolerated.append("503")
    refuse = threading.Event()
    refuse.set()
    busy = '{"error": "busy", "message": "later"}'
    desk.page.route(
        "**/verdicts",
        lambda route: (
            route.fulfill(status=503, body=busy, content_type="application/json")
            if refuse.is_set()
            else route.continue_()
        ),
    )
    desk.press("c")

    expect(desk.page.get_by_test_id("verdicts-error")).to_contain_text("busy")
    refuse.clear()
    desk.press("v")
    desk.page.get_by_test_id("verdicts-error").wait_for(state="detached")

    assert [row["judgement"] for row in rows(house, tables.verdict) if row["replaced_at"] is None] == ["uncertain"]
    stand_up(desk)


OVER_THE_EDGE = """() => [...document.querySelectorAll("[data-testid=desk] aside *, [data-testid=patient] *")]
    .filter(one => one.getBoundingClientRect().right > innerWidth + 1).map(one => one.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("language", ["ko", "vi", "ru"])
def test_nothing_of_the_desk_lies_beyond_the_screen(house: House, opened: Browser, language: str) -> None:
    desk = sit_down(house, opened, language=language)
    long = {"PatientName": "Оченьдлиннаяфамилия" * 3 + "^Имя", "PatientID": "P" * 64}
    desk.open(desk.send(films.film(**long), scored=True))
    desk.impression("2")
    desk.page.locator("[data-panel=report] select").first.wait_for()

    assert desk.page.evaluate(OVER_THE_EDGE) == []
    stand_up(desk)
