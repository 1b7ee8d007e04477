"""A chief takes a study from whoever reads it: from the list, and from the page that says so."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import READY_MS, browser, stow
from tests.browser.rooms import visit
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def being_read(house: House) -> tuple[str, httpx.Client, dict[str, str]]:
    """Let a film arrive and a radiologist claim it; returns its study, the radiologist and the claim's header."""
    film = films.film()
    stow(house, [film])
    with house.database.reading() as rx:
        where = tables.study.c.study_instance_uid == str(film.StudyInstanceUID)
        public_id = str(rx.execute(select(tables.study.c.public_id).where(where)).scalar_one())
    films.settle(house, public_id)
    reader, _ = house.account(Role.RADIOLOGIST)
    token = reader.post(f"/api/worklist/{public_id}/claim").json()["token"]
    return public_id, reader, {"X-Pandok-Claim": str(token)}


def take(page: Page) -> None:
    page.locator("details.take summary").click()
    go = page.locator("details.take button")
    expect(go).to_be_disabled()
    page.get_by_label("Why").fill("the patient is in theatre")
    go.click()
    page.locator("[data-testid=desk][data-held=true]").wait_for(timeout=READY_MS)
    page.locator("[data-testid=pane-0][data-ready=yes]").wait_for(timeout=READY_MS)


@pytest.mark.parametrize("place", ["worklist", "reader"])
def test_a_chief_takes_over_with_a_reason(house: House, opened: Browser, place: str) -> None:
    public_id, reader, claim = being_read(house)
    with visit(house, opened, Role.CHIEF_RADIOLOGIST) as chief:
        page = chief.page
        if place == "worklist":
            chief.go("/worklist")
            expect(page.locator(".list-rows .row")).to_have_count(1)
            page.keyboard.press("j")
            page.keyboard.press("Enter")
        else:
            chief.tolerated.append("409")
            page.goto(f"{house.address}/read/{public_id}")
            page.get_by_test_id("claim-taken").wait_for()

        take(page)

        assert page.url == f"{house.address}/read/{public_id}"
        late = reader.put(f"/api/worklist/{public_id}/claim", headers=claim)
        assert (late.status_code, late.json()["error"]) == (409, "claim_lost")
        with house.database.reading() as rx:
            kept = rx.execute(select(tables.claim_event.c.reason).where(tables.claim_event.c.kind == "taken"))
            assert kept.scalar_one() == "the patient is in theatre"


def test_who_may_not_take_over_is_not_asked(house: House, opened: Browser) -> None:
    public_id, _, _ = being_read(house)
    with visit(house, opened, Role.RADIOLOGIST) as colleague:
        colleague.tolerated.append("409")
        colleague.page.goto(f"{house.address}/read/{public_id}")
        colleague.page.get_by_test_id("claim-taken").wait_for()

        assert colleague.page.locator("details.take").count() == 0
