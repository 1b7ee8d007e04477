"""Every page: readable for all by axe's rules, nothing asked of a foreign host, no fault in the console."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from service.roles import Role
from tests.browser.desk import browser
from tests.browser.rooms import READY_MS, visit
from tests.service.house import House

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


@pytest.fixture
def full_house(house: House) -> House:
    """A list with a study in every state."""
    house.add_study(patient_name="PHANTOM^ARRIVING", center_priority=1)
    house.add_study(patient_name="PHANTOM^UNSCORED", state="unscored", reason="lateral_view")
    house.add_scored(
        {"presence": "present", "probability": 0.9},
        {"presence": "present", "probability": 0.6, "finding": "mass", "experimental": True},
        ai_priority=2,
    )
    return house


@pytest.mark.parametrize("language", ["ko", "ru"])
@pytest.mark.parametrize(
    ("role", "paths"),
    [
        (Role.RADIOLOGIST, ["/worklist", "/settings"]),
        (Role.ADMINISTRATOR, ["/worklist", "/admin", "/upload"]),
        (Role.SITE_PHYSICIAN, ["/center", f"/center/{1:032x}", "/upload"]),
    ],
)
def test_no_page_has_a_serious_fault(
    full_house: House, opened: Browser, role: Role, paths: list[str], language: str
) -> None:
    with visit(full_house, opened, role, language=language) as here:
        for path in paths:
            here.go(path)

            assert here.axe() == [], path


def test_an_address_that_is_none_of_ours_says_so_readably(house: House, opened: Browser) -> None:
    with visit(house, opened) as here:
        here.tolerated.append("404 (Not Found)")
        here.page.goto(f"{house.address}/no/such/page")
        here.page.locator(".notice-page").wait_for()

        assert here.axe() == []


def test_the_details_of_a_study_have_no_serious_fault(full_house: House, opened: Browser) -> None:
    with visit(full_house, opened) as here:
        here.go("/worklist")
        here.page.locator(".list-rows .row").nth(1).click()
        here.page.locator(".preview .facts").wait_for()

        assert here.axe() == []


def test_the_way_in_has_no_serious_fault(house: House, opened: Browser) -> None:
    with visit(house, opened) as here:
        here.page.locator(".shell-person").click()
        here.page.get_by_role("menuitem", name="Sign out").click()
        here.page.locator("form").wait_for(timeout=READY_MS)

        assert here.axe() == []


@pytest.mark.parametrize(
    ("role", "home", "places"),
    [
        (Role.RADIOLOGIST, "/worklist", ["Worklist"]),
        (Role.SITE_UPLOADER, "/center", ["Our studies", "Upload", "Arrival problems"]),
        (Role.AUDITOR, "/admin", ["Administration"]),
        (Role.ML_ENGINEER, "/settings", []),
    ],
)
def test_each_role_begins_where_its_work_is(
    house: House, opened: Browser, role: Role, home: str, places: list[str]
) -> None:
    with visit(house, opened, role) as here:
        here.page.wait_for_url(f"{house.address}{home}")
        here.page.locator(".shell-person").wait_for()

        expect(here.page.locator(".shell-places a")).to_have_text(places)


def test_a_new_account_gets_a_link_that_lets_its_person_in(house: House, opened: Browser) -> None:
    with visit(house, opened) as here:
        page = here.page
        here.go("/admin")
        page.get_by_role("button", name="Add account").click()
        dialog = page.get_by_role("dialog")
        dialog.get_by_label("Login").fill("dr.kim")
        dialog.get_by_label("Name").fill("김서연")
        dialog.get_by_role("button", name="Add account").click()
        link = page.locator("[role=dialog] pre, [role=dialog] code").first.inner_text()

        other = opened.new_page(locale="en")
        other.goto(f"{house.address}/sign-in#{link.partition('#')[2]}")
        other.wait_for_url("**/welcome")
        expect(other.get_by_role("heading")).to_contain_text("김서연")
        other.close()


def test_settings_follow_the_person_and_change_the_keys(house: House, opened: Browser) -> None:
    house.add_study(patient_name="ONE")
    with visit(house, opened, Role.RADIOLOGIST) as here:
        page = here.page
        here.go("/settings")
        down, reject = (page.locator(f"[data-key-of='{one}'] button") for one in ("worklist.down", "reading.reject"))
        down.click()
        page.keyboard.press("x")
        expect(down).to_have_text("X")
        reject.click()
        page.keyboard.press("c")
        refused = page.locator("[data-key-of='reading.reject'] [role=alert]")
        expect(refused).to_contain_text("C is already used for “Confirm”")
        expect(reject).to_have_text("X")
        reject.click()
        page.keyboard.press("g")
        expect(reject).to_have_text("G")
        page.get_by_label("Language").select_option("ru")
        expect(page.get_by_role("heading", name="Настройки")).to_be_visible()

        here.go("/worklist")
        expect(page.locator(".list-rows .row")).to_have_count(1)
        page.keyboard.press("j")
        assert page.locator(".row[aria-selected=true]").count() == 0
        page.keyboard.press("x")

        expect(page.locator(".row[aria-selected=true]")).to_have_count(1)
