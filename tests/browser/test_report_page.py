"""A signed report on the page: whose it is, and readable for all who may open it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from service.roles import Role
from tests.browser.desk import browser
from tests.browser.rooms import visit
from tests.browser.test_amending import signed
from tests.service.house import House

pytestmark = [pytest.mark.peers, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


@pytest.mark.parametrize("role", [Role.RADIOLOGIST, Role.SITE_PHYSICIAN, Role.CHIEF_RADIOLOGIST])
def test_a_signed_report_has_no_serious_fault(house: House, opened: Browser, role: Role) -> None:
    report_id = signed(house)
    with visit(house, opened, role, language="ko") as here:
        here.page.goto(f"{house.address}/reports/{report_id}")
        expect(here.page.locator(".report-about")).to_contain_text("PHANTOM-1")

        assert here.axe() == []
        if role is Role.SITE_PHYSICIAN:
            here.go("/center")
            here.page.locator(".studies a").first.click()
            here.page.locator(".report-foot").wait_for()
            assert here.axe() == []
