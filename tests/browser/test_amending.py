"""A chief amends a signed report in the editor that it was written in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import READY_MS, browser, stow
from tests.browser.rooms import visit
from tests.service.house import PASSWORD, House
from tests.service.reports.desk import NORMAL

pytestmark = [pytest.mark.peers, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def signed(house: House) -> str:
    """Let a radiologist read a film and sign that it is normal; returns the report's public id."""
    film = films.film()
    stow(house, [film])
    with house.database.reading() as rx:
        where = tables.study.c.study_instance_uid == str(film.StudyInstanceUID)
        public_id = str(rx.execute(select(tables.study.c.public_id).where(where)).scalar_one())
    films.settle(house, public_id)
    reader, _ = house.account(Role.RADIOLOGIST)
    assert reader.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204
    claim = {"X-Pandok-Claim": str(reader.post(f"/api/worklist/{public_id}/claim").json()["token"])}
    said = {"impression": "normal", "seconds": 3.0, "revision": 1}
    assert reader.post(f"/api/cases/{public_id}/impression", json=said, headers=claim).status_code == 200
    body = {"content": {**NORMAL, "language": "en"}, "status": "final", "revision": 1}
    done = reader.post(f"/api/cases/{public_id}/report/sign", json=body, headers=claim)
    assert done.status_code == 200, done.text
    return str(reader.get(f"/api/cases/{public_id}/report").json()["public_id"])


def versions(house: House) -> list[dict[str, Any]]:
    with house.database.reading() as rx:
        asked = select(tables.report_version).order_by(tables.report_version.c.id)
        return [dict(row) for row in rx.execute(asked).mappings()]


def test_a_chief_amends_what_was_signed_and_says_why(house: House, opened: Browser) -> None:
    report_id = signed(house)
    with visit(house, opened, Role.CHIEF_RADIOLOGIST) as chief:
        page = chief.page
        chief.tolerated.append("403")
        page.goto(f"{house.address}/reports/{report_id}")
        page.get_by_text("Amend the report").click()
        sign = page.get_by_role("button", name="Check and sign")
        page.get_by_label("Why it is amended").fill("a nodule was missed")
        expect(sign).to_be_disabled()

        page.get_by_placeholder("Add a finding or macro").fill("Lung nodule")
        page.get_by_role("option", name="Lung nodule", exact=True).click()
        page.locator("[data-coded=nodule] button").first.click()
        page.get_by_label("Side").select_option("right")
        page.get_by_role("heading", name="Report", exact=True).click()
        page.keyboard.press("y")
        expect(page.locator("[data-preview=en]")).to_contain_text("nodule")
        page.get_by_role("button", name="Back").click()
        assert chief.axe() == []
        sign.click()
        now = page.locator("[data-command=sign_now]")
        expect(now).to_be_enabled(timeout=READY_MS)
        now.click()
        page.locator("input[type=password]").fill(PASSWORD)
        page.keyboard.press("Enter")

        expect(page.locator(".report-sheet")).to_contain_text("nodule", timeout=READY_MS)
        expect(page.locator(".report-foot")).to_contain_text("a nodule was missed")
    kept = versions(house)
    assert [(row["status"], row["reason"]) for row in kept] == [("final", None), ("amended", "a nodule was missed")]
    assert kept[1]["content"]["content"]["findings"][0]["side"] == "right"


def test_who_may_not_correct_a_report_is_offered_nothing(house: House, opened: Browser) -> None:
    report_id = signed(house)
    with visit(house, opened, Role.RADIOLOGIST) as colleague:
        colleague.page.goto(f"{house.address}/reports/{report_id}")
        colleague.page.locator(".report-foot").wait_for()

        assert colleague.page.locator(".corrections").count() == 0
