"""From the worklist to signed reports by keyboard alone, in two languages; and what happens when a case is lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import READY_MS, Desk, browser, sit_down, stand_up
from tests.browser.rooms import Visit, visit
from tests.service.house import PASSWORD, House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]

WORDS = {
    "en": {"missed": "Pleural effusion", "normal": "Both lungs are clear.", "sign": "Sign"},
    "ko": {"missed": "흉막삼출", "normal": "양측 폐야는 깨끗함.", "sign": "최종 서명"},
}


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def rows(house: House, table: Any) -> list[dict[str, Any]]:
    with house.database.reading() as rx:
        return [dict(row) for row in rx.execute(select(table).order_by(table.c.id)).mappings()]


def confirm(desk: Desk) -> None:
    """Give the password when the signature asks for it."""
    desk.page.locator("input[type=password]").fill(PASSWORD)
    desk.press("Enter")


def axe(desk: Desk) -> list[str]:
    return Visit(desk.house, desk.page, desk.account_id).axe()


@pytest.mark.parametrize("language", ["en", "ko"])
def test_the_keyboard_leads_from_the_list_to_signed_reports(house: House, opened: Browser, language: str) -> None:
    desk = sit_down(house, opened, language=language)
    page, words = desk.page, WORDS[language]
    first = desk.send(films.film(PatientID="P-1"), scored=True)
    second = desk.send(films.inverse_film(PatientID="P-2"), scored=True)
    page.get_by_text("P-2").first.wait_for()

    # An abnormal film: impression, verdict, a missed finding, quality, signature with the password.
    desk.press("j", "Enter")
    page.wait_for_url("**/read/*")
    opened_first = first if first in page.url else second
    desk.wait_film()
    assert page.locator("[data-finding]").count() == 0
    assert axe(desk) == []
    desk.impression("2")
    page.locator("[data-finding=nodule]").wait_for()
    desk.press("h", "c", "q", "a")
    page.locator("[data-panel=missed] input:focus").wait_for()
    page.keyboard.type(words["missed"])
    page.get_by_role("option", name=words["missed"]).first.wait_for()
    desk.press("Enter")
    page.locator("[data-panel=missed] button[type=submit]:enabled").wait_for()
    desk.press("Enter")
    page.locator("[data-missed=effusion]").wait_for()
    page.locator("[data-coded=effusion]").wait_for()
    page.locator("[data-testid=desk][data-stored=yes]").wait_for()
    assert axe(desk) == []
    desk.press("s")
    expect(page.locator("[data-command=sign_now]")).to_be_enabled(timeout=READY_MS)
    assert axe(desk) == []
    desk.press("Enter")
    desk.tolerated.append("403")
    confirm(desk)
    page.wait_for_url(lambda url: "/read/" in url and opened_first not in url, timeout=READY_MS)

    # A normal one, now that the session is confirmed: four keys from film to film.
    desk.wait_film()
    desk.impression("1")
    page.locator("[data-finding=nodule]").wait_for()
    desk.press("Enter")
    page.locator("[data-judgement=rejected]").wait_for()
    page.locator("[data-coded]").first.wait_for(state="detached")
    desk.press("s")
    page.get_by_text(words["normal"]).first.wait_for()
    expect(page.locator("[data-command=sign_now]")).to_be_enabled(timeout=READY_MS)
    desk.press("Enter")
    desk.tolerated.append("404")
    page.wait_for_url("**/worklist", timeout=READY_MS)

    assert [row["impression"] for row in rows(house, tables.first_impression)] == ["abnormal", "normal"]
    standing = [row for row in rows(house, tables.verdict) if row["replaced_at"] is None]
    assert [(row["finding_code"], row["judgement"]) for row in standing] == [
        ("nodule", "confirmed"), ("effusion", "missed"), ("nodule", "rejected"),
    ]  # fmt: skip
    assert all(row["ai_visible"] for row in standing)
    versions = rows(house, tables.report_version)
    assert [(row["status"], row["language"]) for row in versions] == [("final", language), ("final", language)]
    assert [row["state"] for row in rows(house, tables.worklist_item)] == ["completed", "completed"]
    assert_center_reads(house, opened, opened_first)
    shown = [row["kind"] for row in rows(house, tables.reading_event)]
    assert shown.count("opened") == 2
    assert "overlay_on" in shown
    stand_up(desk)


def assert_center_reads(house: House, opened: Browser, public_id: str) -> None:
    """The center's physicians open the signed report, each in their own language."""
    for language, effusion in (("vi", "tràn dịch màng phổi"), ("ru", "плевральн")):
        with visit(house, opened, Role.SITE_PHYSICIAN, language=language) as center:
            center.page.goto(f"{house.address}/center/{public_id}")
            report = center.page.locator("article.report")
            report.get_by_text(re.compile(effusion, re.IGNORECASE)).first.wait_for(timeout=READY_MS)
            link = report.locator("a[download]").get_attribute("href") or ""
            pdf = center.page.context.request.get(f"{house.address}{link}")
            assert pdf.status == 200
            assert pdf.body().startswith(b"%PDF")


def test_a_focused_control_keeps_enter_and_space_and_nothing_is_signed_by_it(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    page = desk.page
    desk.open(desk.send(films.film(), scored=True))
    desk.press("n", "a", "u")
    assert rows(house, tables.first_impression) == []
    desk.impression("2")
    page.locator("[data-finding=nodule]").wait_for()
    page.locator("[data-grade=limited]").focus()
    desk.press("Space")
    expect(page.locator("[data-grade=limited]")).to_have_attribute("aria-pressed", "true")
    page.locator("[data-grade=good]").focus()
    desk.press("Enter")
    expect(page.locator("[data-grade=good]")).to_have_attribute("aria-pressed", "true")
    desk.press("c", "s")
    button = page.locator("[data-command=sign_now]")
    expect(button).to_be_focused(timeout=READY_MS)
    desk.press("Tab", "Enter")
    button.wait_for(state="detached")
    assert rows(house, tables.report_version) == []
    stand_up(desk)


def test_images_that_come_while_a_case_is_read_are_shown_and_judged_anew(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    page = desk.page
    first = films.film()
    public_id = desk.send(first, scored=True)
    desk.open(public_id)
    late = films.film(StudyInstanceUID=first.StudyInstanceUID, SeriesInstanceUID=first.SeriesInstanceUID)
    desk.send(late)

    desk.tolerated.append("409")
    desk.press("2")

    page.get_by_test_id("new-images").wait_for()
    assert rows(house, tables.first_impression) == []
    desk.wait_film()
    desk.impression("2")
    assert [row["revision"] for row in rows(house, tables.first_impression)] == [2]
    stand_up(desk)


def test_nothing_of_the_ai_reaches_the_page_before_the_impression(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    said: list[str] = []
    desk.page.on("response", lambda answer: said.append(answer.text()) if "/api/cases/" in answer.url else None)
    public_id = desk.send(films.film(), scored=True)

    desk.open(public_id)
    desk.press("h")

    assert desk.page.get_by_test_id("overlay").get_attribute("data-shown") == "no"
    assert desk.page.locator("[data-finding], [data-panel=report]").count() == 0
    assert not any("nodule" in text or "heat-maps" in text for text in said)
    stand_up(desk)


def test_a_case_that_a_colleague_took_says_so_and_stores_nothing(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    public_id = desk.send(films.film(), scored=True)
    desk.open(public_id)

    chief, _ = house.account(Role.CHIEF_RADIOLOGIST)
    taken = chief.post(f"/api/worklist/{public_id}/claim/take", json={"reason": "needed at once"})
    assert taken.status_code == 200
    desk.tolerated.append("409")
    desk.press("1")

    desk.page.get_by_test_id("claim-lost").wait_for()
    assert rows(house, tables.first_impression) == []
    stand_up(desk)


def test_a_case_that_somebody_reads_is_not_opened(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    public_id = desk.send(films.film(), scored=True)
    other, _ = house.account(Role.RADIOLOGIST)
    assert other.post(f"/api/worklist/{public_id}/claim").status_code == 200

    desk.tolerated.append("409")
    desk.page.goto(f"{house.address}/read/{public_id}")

    desk.page.get_by_test_id("claim-taken").wait_for()
    assert desk.page.get_by_test_id("pane-0").count() == 0
    stand_up(desk)


def test_what_was_said_stands_when_the_case_is_opened_again(house: House, opened: Browser) -> None:
    desk = sit_down(house, opened)
    public_id = desk.send(films.film(), scored=True)
    desk.open(public_id)
    desk.impression("2")
    desk.page.locator("[data-finding=nodule]").wait_for()
    desk.press("v")
    desk.page.locator("[data-judgement=uncertain]").wait_for()
    desk.press("e")
    desk.page.keyboard.type("ground glass?")
    desk.page.get_by_text("Draft stored").wait_for()

    desk.press("Escape", "Shift+Backspace")
    desk.page.wait_for_url("**/worklist")
    desk.open(public_id)

    assert desk.page.locator("[data-impression=abnormal]").is_visible()
    desk.page.locator("[data-finding=nodule][data-judgement=uncertain]").wait_for()
    field = desk.page.locator("[data-panel=report]").get_by_label("Findings in your words")
    expect(field).to_have_value("ground glass?")
    stand_up(desk)
