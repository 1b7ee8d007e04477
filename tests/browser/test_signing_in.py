"""The ways in: a link that leaves nothing behind, a first password, a code from a phone, and the way out."""

from __future__ import annotations

from collections.abc import Iterator

import pyotp
import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import select, update

from service import tables
from service.roles import Role
from tests.browser.desk import browser
from tests.browser.rooms import visit
from tests.service.house import PASSWORD, House

pytestmark = pytest.mark.peers

FRESH = "six brown foxes read films"


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def login_of(house: House, account_id: int) -> str:
    with house.database.reading() as rx:
        return str(rx.execute(select(tables.account.c.login).where(tables.account.c.id == account_id)).scalar_one())


def type_in(page: Page, login: str, password: str) -> None:
    page.get_by_label("Login").fill(login)
    page.locator("input[autocomplete=current-password]").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_a_link_leaves_no_token_behind_and_works_once(house: House, opened: Browser) -> None:
    token = house.token()
    page = opened.new_page(locale="en")

    page.goto(f"{house.address}/sign-in#token={token}")
    page.locator(".shell").wait_for()
    kept = page.evaluate(
        "JSON.stringify([location.href, {...localStorage}, {...sessionStorage}, document.cookie, history.state])"
    )
    other = opened.new_page(locale="en")
    other.goto(f"{house.address}/sign-in#token={token}")

    assert token not in kept
    expect(other.get_by_role("alert")).to_contain_text("used already")
    page.close()
    other.close()


@pytest.mark.parametrize(("code", "words"), [("unknown", "belongs to your hospital account"), ("<b>", "failed")])
def test_the_hospitals_refusal_is_said_in_plain_words(house: House, opened: Browser, code: str, words: str) -> None:
    page = opened.new_page(locale="en")

    page.goto(f"{house.address}/sign-in?refused={code}")

    expect(page.get_by_role("alert").filter(has_text=words)).to_be_visible()
    page.close()


def test_a_strangers_address_is_opened_after_signing_in(house: House, opened: Browser) -> None:
    account_id = house.new_account(Role.RADIOLOGIST)
    page = opened.new_page(locale="en")

    page.goto(f"{house.address}/settings")
    page.wait_for_url("**/sign-in?next=*")
    type_in(page, login_of(house, account_id), "not the password at all")
    expect(page.get_by_role("alert")).to_contain_text("not right")
    type_in(page, login_of(house, account_id), PASSWORD)

    page.wait_for_url(f"{house.address}/settings")
    page.close()


def test_who_has_no_password_chooses_one_before_anything_else(house: House, opened: Browser) -> None:
    account_id = house.new_account(Role.RADIOLOGIST)
    with house.database.transaction() as tx:
        where = tables.account.c.id == account_id
        tx.execute(update(tables.account).where(where).values(password_hash=None, password_set_at=None))
    page = opened.new_page(locale="en")

    page.goto(f"{house.address}/sign-in#token={house.token(account_id)}")
    page.wait_for_url("**/welcome")
    page.goto(f"{house.address}/worklist")
    page.wait_for_url("**/welcome")
    fields = page.locator("input[autocomplete=new-password]")
    expect(fields).to_have_count(2)
    first, again = fields.all()
    first.fill("short")
    expect(page.get_by_text("It needs at least 12 characters.")).to_be_visible()
    first.fill(FRESH)
    again.fill(FRESH)
    page.get_by_role("button", name="Save password").click()

    page.wait_for_url(f"{house.address}/worklist")
    page.close()


def test_an_authenticator_is_enrolled_and_then_asked_for(house: House, opened: Browser) -> None:
    with visit(house, opened, Role.RADIOLOGIST) as here:
        page = here.page
        here.go("/settings")
        here.tolerated.append("403")  # a second factor is set up by who shows the password once more
        page.get_by_role("button", name="Set up an authenticator").click()
        page.get_by_role("dialog").locator("input[type=password]").fill(PASSWORD)
        page.keyboard.press("Enter")
        picture = page.get_by_alt_text("QR code for the authenticator")
        expect(picture).to_be_visible()
        assert picture.evaluate("image => image.naturalWidth") > 50
        secret = page.locator(".totp code").inner_text().replace(" ", "")
        page.get_by_label("Six-digit code").fill(pyotp.TOTP(secret).at(int(house.clock())))
        page.get_by_role("button", name="Confirm", exact=True).click()
        expect(page.get_by_text("An authenticator is set up.")).to_be_visible()

        page.locator(".shell-person").click()
        page.get_by_role("menuitem", name="Sign out").click()
        page.wait_for_url("**/sign-in*")
        house.clock.advance(60)
        type_in(page, login_of(house, here.account_id), PASSWORD)
        page.get_by_label("Six-digit code from your authenticator 1").wait_for()
        page.keyboard.type(pyotp.TOTP(secret).at(int(house.clock())))

        page.wait_for_url(f"{house.address}/worklist")
