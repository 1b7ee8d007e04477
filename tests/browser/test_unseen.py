"""Nothing is called normal, and nothing signed unawares, that was not on the screen."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from service import tables
from tests.browser import films
from tests.browser.desk import READY_MS, browser, sit_down, stand_up
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def impressions(house: House) -> list[str]:
    with house.database.reading() as rx:
        return list(rx.execute(select(tables.first_impression.c.impression)).scalars())


def test_a_film_that_cannot_be_loaded_is_not_called_normal_and_is_asked_for_again(
    house: House, opened: Browser
) -> None:
    desk = sit_down(house, opened)
    page = desk.page
    desk.tolerated += ["net::ERR_FAILED", "request failed", "rror"]
    public_id = desk.send(films.film(), scored=True)
    page.route("**/frames/**", lambda asked: asked.abort())
    page.goto(f"{house.address}/read/{public_id}")
    page.get_by_test_id("pane-0").get_by_role("alert").wait_for(timeout=READY_MS)

    desk.press("1", "2")
    expect(page.locator("[data-command=impression_normal]")).to_be_disabled()
    expect(page.locator("[data-command=impression_cannot_tell]")).to_be_enabled()
    assert impressions(house) == []

    page.unroute("**/frames/**")
    desk.press(" ")
    desk.wait_film()
    desk.impression("1")
    assert impressions(house) == ["normal"]
    stand_up(desk)


def test_a_film_that_did_not_hang_is_told_before_the_signature(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    page = desk.page
    first = films.film()
    public_id = desk.send(first, films.film(StudyInstanceUID=first.StudyInstanceUID), scored=True)
    desk.open(public_id)
    desk.impression("1")
    expect(page.locator("[data-command=sign]")).to_be_enabled(timeout=READY_MS)
    desk.press("s")
    page.get_by_test_id("unseen").wait_for(timeout=READY_MS)

    desk.press("Escape")
    page.get_by_test_id("unseen").wait_for(state="detached")
    desk.press("ArrowRight")
    page.locator("[data-panel=films] button[aria-pressed=true]").nth(0).wait_for()
    desk.press("s")
    page.locator("[data-command=sign_now]").wait_for(timeout=READY_MS)

    expect(page.get_by_test_id("unseen")).to_have_count(0)
    stand_up(desk)
