"""What a reader wrote is never lost: not with the claim, not by leaving the page, not while a report is corrected."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import Desk, browser, sit_down, stand_up
from tests.browser.rooms import visit
from tests.browser.test_amending import signed
from tests.browser.test_reading_journey import confirm, rows
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def reading(house: House, opened: Browser, *, language: str = "en") -> tuple[Desk, str]:
    """Let a reader write a report of a film; returns the desk and the case."""
    desk = sit_down(house, opened, language=language)
    public_id = desk.send(films.film(), scored=True)
    desk.open(public_id)
    desk.impression("2")
    desk.page.locator("[data-panel=report] textarea").first.wait_for()
    return desk, public_id


def write(desk: Desk, text: str) -> None:
    desk.press("e")
    desk.page.keyboard.type(text)


def test_what_was_written_outlives_the_claim_and_comes_back(house: House, opened: Browser) -> None:
    desk, public_id = reading(house, opened)
    page = desk.page
    chief, _ = house.account(Role.CHIEF_RADIOLOGIST)
    taken = chief.post(f"/api/worklist/{public_id}/claim/take", json={"reason": "needed at once"})
    desk.tolerated.append("409")
    write(desk, "ground glass in both bases")

    page.get_by_test_id("claim-lost").wait_for()
    expect(page.get_by_test_id("kept-words").locator("textarea:visible")).to_have_value("ground glass in both bases")

    held = {"X-Pandok-Claim": str(taken.json()["token"])}
    assert chief.delete(f"/api/worklist/{public_id}/claim", headers=held).status_code == 204
    page.get_by_role("button", name="Try again").click()
    page.locator("[data-command=kept_take]").click()

    field = page.locator("[data-panel=report]").get_by_label("Findings in your words")
    expect(field).to_have_value("ground glass in both bases")
    page.get_by_text("Draft stored").wait_for()
    assert page.locator("[data-panel=kept]").count() == 0
    assert rows(house, tables.report_draft)[-1]["content"]["findings_text"] == "ground glass in both bases"
    stand_up(desk)


def test_words_written_just_before_the_case_is_left_are_stored(house: House, opened: Browser) -> None:
    desk, public_id = reading(house, opened)
    write(desk, "linear scar")

    desk.press("Escape", "Shift+Backspace")
    desk.page.wait_for_url("**/worklist")
    desk.open(public_id)

    field = desk.page.locator("[data-panel=report]").get_by_label("Findings in your words")
    expect(field).to_have_value("linear scar")
    stand_up(desk)


def test_a_correction_is_not_left_without_a_question(house: House, opened: Browser) -> None:
    report_id = signed(house)
    with visit(house, opened, Role.CHIEF_RADIOLOGIST) as chief:
        page = chief.page
        page.goto(f"{house.address}/reports/{report_id}")
        page.get_by_text("Amend the report").click()
        page.get_by_label("Why it is amended").fill("a nodule was missed")
        page.get_by_text("Amend the report").click()  # closed for a look at what stands
        page.get_by_role("link", name="Worklist").click()

        page.get_by_role("button", name="Go on writing").click()
        assert page.url.endswith(report_id)
        page.get_by_text("Amend the report").click()
        expect(page.get_by_label("Why it is amended")).to_have_value("a nodule was missed")

        page.get_by_role("link", name="Worklist").click()
        assert chief.axe() == []
        page.get_by_role("button", name="Discard and leave").click()
        page.wait_for_url("**/worklist")


def test_the_quality_of_the_film_and_the_technique_in_words_are_amended(house: House, opened: Browser) -> None:
    report_id = signed(house)
    with visit(house, opened, Role.CHIEF_RADIOLOGIST) as chief:
        page = chief.page
        chief.tolerated.append("403")
        page.goto(f"{house.address}/reports/{report_id}")
        page.get_by_text("Amend the report").click()
        page.get_by_label("Why it is amended").fill("seen again")
        page.locator("[data-grade=limited]").click()
        page.get_by_role("group", name="What limits the film").get_by_role("button").first.click()
        page.get_by_label("Technique in your words").fill("lordotic view")
        page.get_by_placeholder("Add a finding or macro").fill("Lung nodule")
        page.get_by_role("option", name="Lung nodule", exact=True).click()
        page.locator("[data-coded=nodule] button").first.click()
        page.get_by_label("Zone").first.click()
        for zone in ("upper", "middle"):
            page.get_by_role("option", name=zone).first.click()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Check and sign").click()
        now = page.locator("[data-command=sign_now]")
        expect(now).to_be_enabled()
        now.click()
        confirm(Desk(house, page, chief.account_id))

        expect(page.locator(".report-sheet")).to_contain_text("lordotic view")
    with house.database.reading() as rx:
        kept = rx.execute(select(tables.report_version.c.content)).scalars().all()[-1]["content"]
    assert kept["quality"]["grade"] == "limited"
    assert kept["findings"][0]["zones"] == ["upper", "middle"]
