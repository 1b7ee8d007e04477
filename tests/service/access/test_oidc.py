"""Signing in at a real identity provider on this machine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from pydantic import SecretStr, ValidationError

from service.access.oidc import OidcRefused, Provider
from service.roles import Role
from service.settings import Settings
from tests.service.house import PASSWORD, House, open_house

with pytest.warns():  # the provider's own use of a library
    from oidc_provider_mock import User, run_server_in_thread

pytestmark = pytest.mark.filterwarnings("ignore:get_jwt_config:DeprecationWarning")  # the provider's, not ours
KIM = {"email": "kim@example.kr", "email_verified": True, "roles": ["radiologist", "staff"]}


@contextmanager
def hospital(folder: Path, *people: User, **settings: Any) -> Iterator[tuple[House, str]]:
    """Run a provider and a house that trusts it; the house's clock is the real one, as the provider's is."""
    with run_server_in_thread(user_claims=people, require_nonce=True) as provider:
        issuer = f"http://localhost:{provider.server_port}"
        client = {"oidc_client_id": "pandok", "oidc_client_secret": SecretStr("secret of the client")}
        with open_house(folder, oidc_issuer=issuer, **client, **settings) as house:
            house.clock.now = time.time()
            yield house, issuer


def user(sub: str = "kim-1", **claims: Any) -> User:
    return User(sub=sub, claims={**KIM, **claims})


def go(house: House, browser: httpx.Client, *, sub: str = "kim-1", start: str = "/api/oidc/start") -> httpx.Response:
    """Go to the provider, sign in there, and come back as a browser does."""
    left = browser.get(start)
    assert left.status_code == 302, left.text
    back = httpx.post(left.headers["location"], data={"sub": sub})
    assert back.status_code == 302, back.text
    return come_back(house, browser, back.headers["location"])


def come_back(house: House, browser: httpx.Client, location: str) -> httpx.Response:
    assert location.startswith(f"{house.address}/api/oidc/callback?")
    answer = browser.get(location, headers={"Sec-Fetch-Site": "cross-site", "Accept": "text/html"})
    assert answer.status_code == 200
    return answer


def test_a_verified_address_is_tied_to_the_account_of_that_login(tmp_path: Path) -> None:
    with hospital(tmp_path, user()) as (house, _):
        account_id = house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        browser = house.client(**{"X-Pandok": "1"})
        assert browser.get("/api/sign-in/options").json() == {"oidc": True}

        answer = go(house, browser)

        assert 'content="0;url=/"' in answer.text
        me = browser.get("/api/me").json()
        assert (me["login"], me["must"], me["sign_in"]["oidc"]) == ("kim@example.kr", [], True)
        with house.database.reading() as rx:
            tied = rx.exec_driver_sql(f"SELECT oidc_subject FROM account WHERE id = {account_id}").scalar_one()
            actions = [row[0] for row in rx.exec_driver_sql("SELECT action FROM audit_event ORDER BY id")]
        assert tied == "kim-1"
        assert actions == ["oidc_linked", "sign_in"]


def test_the_way_there_carries_what_protects_it(tmp_path: Path) -> None:
    with hospital(tmp_path, user()) as (house, issuer):
        left = house.client().get("/api/oidc/start")

        asked = parse_qs(urlsplit(left.headers["location"]).query)
        assert left.headers["location"].startswith(issuer)
        assert asked["code_challenge_method"] == ["S256"]
        assert {"state", "nonce", "code_challenge"} <= asked.keys()
        assert "secret" not in left.headers["location"]
        cookie = left.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert asked["nonce"][0].lower() not in cookie


@pytest.mark.parametrize(
    ("claims", "login", "role"),
    [
        ({"email_verified": False}, "kim@example.kr", Role.RADIOLOGIST),
        ({"email_verified": "true"}, "kim@example.kr", Role.RADIOLOGIST),
        ({}, "someone@example.kr", Role.RADIOLOGIST),
        ({}, "kim@example.kr", Role.ADMINISTRATOR),  # who runs the service is never tied by an address
    ],
)
def test_nobody_is_let_in_by_an_address_that_proves_nothing(
    tmp_path: Path, claims: dict[str, Any], login: str, role: Role
) -> None:
    with hospital(tmp_path, user(**claims)) as (house, _):
        house.new_account(role, login=login)
        browser = house.client()

        answer = go(house, browser)

        assert "refused=unknown" in answer.text
        assert browser.get("/api/me").status_code == 401
        assert "kim" not in answer.text


def test_another_subject_with_the_same_address_is_somebody_else(tmp_path: Path) -> None:
    with hospital(tmp_path, user(), user("mallory")) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        go(house, house.client())

        assert "refused=unknown" in go(house, house.client(), sub="mallory").text


def test_a_disabled_account_stays_outside(tmp_path: Path) -> None:
    with hospital(tmp_path, user()) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        with house.database.transaction() as tx:
            tx.exec_driver_sql("UPDATE account SET disabled_at = 1")

        assert "refused=unknown" in go(house, house.client()).text


@pytest.mark.parametrize(("role", "is_let_in"), [(Role.RADIOLOGIST, True), (Role.CHIEF_RADIOLOGIST, False)])
def test_a_role_claim_must_name_the_accounts_role_and_gives_none(tmp_path: Path, role: Role, is_let_in: bool) -> None:
    with hospital(tmp_path, user(), oidc_role_claim="roles") as (house, _):
        house.new_account(role, login="kim@example.kr")
        browser = house.client()

        go(house, browser)

        assert (browser.get("/api/me").status_code == 200) is is_let_in


def test_an_answer_to_somebody_elses_question_is_refused(tmp_path: Path) -> None:
    with hospital(tmp_path, user()) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        attacker, victim = house.client(), house.client()
        left = attacker.get("/api/oidc/start")
        back = httpx.post(left.headers["location"], data={"sub": "kim-1"}).headers["location"]

        assert "refused=state" in come_back(house, victim, back).text  # without a trip of one's own
        victim.get("/api/oidc/start")
        assert "refused=state" in come_back(house, victim, back).text  # with another one's state
        assert victim.get("/api/me").status_code == 401
        assert "refused=" not in come_back(house, attacker, back).text
        assert "refused=" in come_back(house, attacker, back).text  # a code and a trip count once


@pytest.mark.parametrize("change", ["code", "state", "iss", "error"])
def test_a_changed_answer_is_refused(tmp_path: Path, change: str) -> None:
    with hospital(tmp_path, user()) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        browser = house.client()
        left = browser.get("/api/oidc/start")
        back = httpx.post(left.headers["location"], data={"sub": "kim-1"}).headers["location"]
        values = {name: value[0] for name, value in parse_qs(urlsplit(back).query).items()}
        if change == "error":
            values = {"state": values["state"], "error": "access_denied"}
        else:
            values[change] = "https://elsewhere.example"

        answer = browser.get("/api/oidc/callback", params=values)

        assert "refused=" in answer.text
        assert "elsewhere" not in answer.text
        assert browser.get("/api/me").status_code == 401


def test_a_fresh_sign_in_there_confirms_a_session_here(tmp_path: Path) -> None:
    people = user(auth_time=int(time.time())), user("old", auth_time=1_000)
    with hospital(tmp_path, *people, session_idle_minutes=60) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        browser = house.client(**{"X-Pandok": "1"})
        go(house, browser)
        house.clock.advance(31 * 60)
        assert browser.get("/api/me").json()["confirmed_until"] < house.clock()
        house.clock.now = time.time() + 1

        left = browser.get("/api/oidc/start?confirm=true")
        assert parse_qs(urlsplit(left.headers["location"]).query)["prompt"] == ["login"]
        answer = go(house, browser, start="/api/oidc/start?confirm=true")

        assert "refused" not in answer.text
        assert browser.get("/api/me").json()["confirmed_until"] == house.clock() + 30 * 60
        assert "refused=not_confirmed" in go(house, browser, sub="old", start="/api/oidc/start?confirm=true").text
        assert "refused=state" in house.client().get("/api/oidc/start?confirm=true").text


def test_a_session_of_an_old_sign_in_there_signs_no_report(tmp_path: Path) -> None:
    with hospital(tmp_path, user(auth_time=int(time.time()) - 3_600)) as (house, _):
        house.new_account(Role.RADIOLOGIST, login="kim@example.kr")
        browser = house.client()
        go(house, browser)

        assert browser.get("/api/me").json()["confirmed_until"] is None


def test_a_provider_that_is_away_lets_nobody_in_and_local_accounts_work(tmp_path: Path) -> None:
    with open_house(tmp_path, oidc_issuer="http://127.0.0.1:9", oidc_client_id="pandok") as house:
        house.new_account(Role.RADIOLOGIST, login="kim")

        assert "refused=provider" in house.client().get("/api/oidc/start").text
        person = house.client(**{"X-Pandok": "1"})
        assert person.post("/api/sign-in", json={"login": "kim", "password": PASSWORD}).status_code == 204


def test_without_a_provider_there_is_no_way_to_one(house: House) -> None:
    assert house.stranger.get("/api/sign-in/options").json() == {"oidc": False}
    assert house.stranger.get("/api/oidc/start").status_code == 404
    assert house.stranger.get("/api/oidc/callback").status_code == 404


def test_a_provider_without_https_is_no_setting() -> None:
    with pytest.raises(ValidationError):
        Settings(oidc_issuer="http://login.example")


def test_a_provider_that_calls_itself_otherwise_is_not_trusted(tmp_path: Path) -> None:
    with run_server_in_thread(user_claims=()) as provider:
        settings = Settings(
            data_folder=tmp_path, oidc_issuer=f"http://127.0.0.1:{provider.server_port}", oidc_client_id="pandok"
        )
        assert Provider(settings, time.time).leave(confirms=None)[0].startswith("http://127.0.0.1")

        other = settings.model_copy(update={"oidc_issuer": f"http://127.0.0.1:{provider.server_port}/realms/x"})
        with pytest.raises(OidcRefused):
            Provider(other, time.time).leave(confirms=None)
