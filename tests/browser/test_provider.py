"""Somebody without a password signs in at a real identity provider, and proves there once more who signs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import update

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import READY_MS, Desk, browser
from tests.browser.test_amending import signed, versions
from tests.service.access.test_oidc import hospital, user
from tests.service.house import House

pytestmark = [
    pytest.mark.peers, pytest.mark.timeout(120), pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")
]  # fmt: skip


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def come_through(page: Page) -> None:
    """Say at the provider who it is, and come back."""
    page.locator("input[name=sub]").fill("kim-1")
    page.locator("input[name=sub]").press("Enter")
    page.locator(".shell").wait_for(timeout=READY_MS)


def signed_in_long_ago(house: House, opened: Browser, account_id: int) -> Page:
    """Sign somebody without a password in at the provider, so long ago that signing asks for a new proof."""
    with house.database.transaction() as tx:
        own = tables.account.c.id == account_id
        tx.execute(update(tables.account).where(own).values(password_hash=None, language="en"))
    page = opened.new_page(locale="en")
    page.goto(f"{house.address}/sign-in")
    page.get_by_role("link", name="hospital account").click()
    come_through(page)
    with house.database.transaction() as tx:
        tx.execute(update(tables.session).values(confirmed_at=None))
    return page


def test_who_has_no_password_confirms_in_a_new_window_and_loses_nothing(tmp_path: Path, opened: Browser) -> None:
    with hospital(tmp_path, user(auth_time=int(time.time()))) as (house, _):
        account_id = house.new_account(Role.CHIEF_RADIOLOGIST, login="kim@example.kr")
        report_id = signed(house)
        page = signed_in_long_ago(house, opened, account_id)

        page.goto(f"{house.address}/reports/{report_id}")
        page.get_by_text("Addendum", exact=True).click()
        page.get_by_label("What to add").fill("seen with the earlier film")
        page.get_by_role("button", name="Sign the addendum").click()
        assert page.locator("[role=dialog] input").count() == 0
        with page.expect_popup() as window:
            page.get_by_role("link", name="Confirm with your hospital account").click()
        come_through(window.value)

        expect(page.locator(".report-sheet")).to_contain_text("seen with the earlier film", timeout=READY_MS)
        assert [row["status"] for row in versions(house)] == ["final", "appended"]
        window.value.close()
        page.close()


def test_a_reader_without_a_password_signs_after_a_proof_in_a_new_window(tmp_path: Path, opened: Browser) -> None:
    with hospital(tmp_path, user(auth_time=int(time.time()))) as (house, _):
        account_id = house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        page = signed_in_long_ago(house, opened, account_id)
        desk = Desk(house, page, account_id)
        desk.open(desk.send(films.film()))
        desk.impression("1")
        page.locator("[data-panel=report]").wait_for()
        desk.press("q", "s")
        expect(page.locator("[data-command=sign_now]")).to_be_enabled(timeout=READY_MS)
        desk.press("Enter")

        with page.expect_popup() as window:
            page.get_by_role("link", name="Confirm with your hospital account").click()
        come_through(window.value)

        page.wait_for_url("**/worklist", timeout=READY_MS)
        assert [row["status"] for row in versions(house)] == ["final"]
        window.value.close()
        page.close()
