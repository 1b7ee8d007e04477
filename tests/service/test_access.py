"""Who gets in, how, for how long, and what another site's page cannot do."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import SecretStr
from sqlalchemy import select

from service import tables
from service.access import SIGN_IN_LINK_S, caller
from service.app import OPEN_PATHS
from service.pages import OPEN_PREFIXES
from tests.service.house import House, open_house

LIST = "/api/worklist"


def every_route(routes: Iterable[Any]) -> Iterator[Any]:
    """Walk into included routers; anything that has neither a path nor routes fails the test that asked."""
    for route in routes:
        if hasattr(route, "original_router"):
            yield from every_route(route.original_router.routes)
        else:
            assert route.path is not None
            yield route


def api_routes(house: House) -> list[tuple[str, str]]:
    """Every method and path of the real application, with values that exist nowhere in the parameters."""
    found = []
    for route in every_route(house.app.routes):
        for method in sorted(getattr(route, "methods", None) or {"GET"}):
            parts = ["0" if part.startswith("{") else part for part in route.path.split("/")]
            found.append((method, "/".join(parts)))
    return found


def http_status(house: House, path: str) -> int:
    """Ask for a path exactly as written, which a well-behaved client would tidy first."""
    connection = HTTPConnection("127.0.0.1", house.settings.web_port, timeout=20)
    try:
        connection.putrequest("GET", path)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def test_every_route_but_the_open_ones_turns_a_stranger_away(house: House) -> None:
    answers = {(method, path): house.stranger.request(method, path).status_code for method, path in api_routes(house)}

    assert len(answers) > 15
    let_in = {asked for asked, status in answers.items() if status != 401 and asked[1] not in OPEN_PATHS}
    assert {asked for asked in let_in if not asked[1].startswith(OPEN_PREFIXES)} == set()


def test_every_api_route_also_depends_on_the_caller_itself(house: House) -> None:
    def needs_caller(dependant: Dependant) -> bool:
        return any(one.call is caller or needs_caller(one) for one in dependant.dependencies)

    bare = [
        route.path
        for route in every_route(house.app.routes)
        if isinstance(route, APIRoute) and route.include_in_schema and not needs_caller(route.dependant)
    ]

    assert set(bare) <= OPEN_PATHS | {"/api/sign-out"}


def test_an_address_that_does_not_exist_looks_like_one_that_does(house: House) -> None:
    unknown, known = house.stranger.get("/api/no-such-thing"), house.stranger.get(LIST)

    assert (unknown.status_code, unknown.content) == (known.status_code, known.content)


@pytest.mark.parametrize("path", ["//live", "/live/", "/LIVE", "/live/../api/worklist", "/sign-in/../api/worklist"])
def test_a_path_that_resembles_an_open_one_is_closed(house: House, path: str) -> None:
    assert http_status(house, path) == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": "Bearer pdk_00000000_wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YWRtaW46YWRtaW4="},
        {"X-API-Key": "pdk_00000000_wrong"},
        {"X-API-Key": ""},
        {"Cookie": "pandok=wrong"},
        {"Cookie": "pandok="},
        {"Cookie": "__Host-pandok=wrong"},
    ],
)
def test_a_wrong_key_or_cookie_is_a_stranger(house: House, headers: dict[str, str]) -> None:
    assert house.client(**headers).get(LIST).status_code == 401


def test_a_key_works_in_either_header(house: House) -> None:
    key = house.key()

    assert house.client(Authorization=f"Bearer {key}").get(LIST).status_code == 200
    assert house.client(**{"X-API-Key": key}).get(LIST).status_code == 200


def test_a_monitoring_program_sees_numbers_and_nothing_of_a_patient(tmp_path: Path) -> None:
    with open_house(tmp_path, metrics_token=SecretStr("watching")) as house:
        monitor = house.client(Authorization="Bearer watching")

        assert monitor.get("/metrics").status_code == 200
        assert monitor.get("/ready").status_code in (200, 503)
        for path in (LIST, "/dicomweb/studies", "/api/problems", "/api/accounts", "/api/audit", "/api/me"):
            assert monitor.get(path).status_code == 403
        assert house.client(Authorization="Bearer watchin").get("/metrics").status_code == 401
        assert house.with_key().get("/metrics").status_code == 403  # a site's key: numbers are of all sites


def test_a_revoked_key_is_a_stranger_at_once(house: House) -> None:
    client = house.with_key()
    assert client.get(LIST).status_code == 200

    with house.database.transaction() as tx:
        tx.execute(tables.api_key.update().values(revoked_at=house.clock()))

    assert client.get(LIST).status_code == 401


def test_a_wrong_key_is_not_saved_by_a_good_session(house: House) -> None:
    person = house.signed_in()

    assert person.get(LIST, headers={"X-API-Key": "pdk_00000000_wrong"}).status_code == 401


def test_no_secret_is_kept_as_such(house: House) -> None:
    key, token = house.key(), house.token()
    person = house.signed_in()

    stored = Path(house.settings.sqlalchemy_url.removeprefix("sqlite:///")).parent
    kept = b"".join(path.read_bytes() for path in stored.glob("pandok.db*"))

    assert key.encode() not in kept
    assert token.encode() not in kept
    assert person.cookies["pandok"].encode() not in kept


def test_a_link_works_once(house: House) -> None:
    token = house.token()

    first = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": token})
    second = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": token})

    assert (first.status_code, second.status_code) == (204, 401)


def test_of_many_who_use_a_link_at_once_one_gets_in(house: House) -> None:
    token = house.token()
    gate = threading.Barrier(8)
    sessions = []

    def use() -> None:
        gate.wait()
        sessions.append(house.app.state.sign_in.by_link(token))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sum(session is not None for session in sessions) == 1


def test_a_link_that_waited_too_long_is_refused(house: House) -> None:
    token = house.token()
    house.clock.advance(SIGN_IN_LINK_S)

    answer = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": token})

    assert answer.status_code == 401
    assert "pandok sign-in" in answer.json()["message"]


def test_opening_the_link_does_not_use_it_up(house: House) -> None:
    token = house.token()

    page = house.stranger.get(f"/sign-in?token={token}")  # what a chat program's preview would do

    assert page.status_code == 200
    assert house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": token}).status_code == 204


@pytest.mark.parametrize("body", [b"", b"[]", b'{"token": 5}', b'{"token": ""}', b"{", b"\xff", b'{"token": null}'])
def test_a_sign_in_that_is_no_sign_in_is_refused(house: House, body: bytes) -> None:
    assert house.client(**{"X-Pandok": "1"}).post("/api/sign-in", content=body).status_code == 400


def test_a_stranger_cannot_fill_the_memory(house: House) -> None:
    answer = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", content=b"x" * 100_000)

    assert answer.status_code == 413


def test_the_cookie_is_out_of_reach_of_scripts_and_of_other_sites(house: House) -> None:
    answer = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": house.token()})

    cookie = answer.headers["set-cookie"].lower()
    assert cookie.startswith("pandok=")
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip() for part in cookie.split(";")}
    assert "secure" not in cookie  # plain loopback: a browser would not send it back


def test_over_https_the_cookie_is_bound_to_our_host(tmp_path: Path) -> None:
    with open_house(tmp_path, public_url="https://pandok.example") as house:
        answer = house.client(**{"X-Pandok": "1"}).post("/api/sign-in", json={"token": house.token()})

        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-pandok=")
        assert "Secure" in cookie
        assert "Domain" not in cookie
        assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_a_session_ends_when_it_is_not_used(house: House) -> None:
    person = house.signed_in()
    house.clock.advance(14 * 60)
    assert person.get(LIST).status_code == 200
    house.clock.advance(14 * 60)
    assert person.get(LIST).status_code == 200

    house.clock.advance(15 * 60)

    assert person.get(LIST).status_code == 401


def test_a_page_left_open_does_not_keep_its_session(house: House) -> None:
    person = house.signed_in()

    for _ in range(3):
        house.clock.advance(5 * 60)
        last = person.get(LIST, headers={"X-Pandok-Background": "1"}).status_code

    assert last == 401


def test_a_session_ends_after_its_longest_time_however_it_is_used(house: House) -> None:
    person = house.signed_in()
    for _ in range(59):
        house.clock.advance(10 * 60)
        assert person.get(LIST).status_code == 200

    house.clock.advance(10 * 60)

    assert person.get(LIST).status_code == 401


def test_a_session_that_signed_out_is_dead_on_the_server(house: House) -> None:
    person = house.signed_in()
    cookie = person.cookies["pandok"]

    assert person.post("/api/sign-out").status_code == 204

    assert house.client(Cookie=f"pandok={cookie}").get(LIST).status_code == 401


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "none"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "X-Pandok": "1"}, 403),
        ({"Origin": "OURS"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": "https://elsewhere.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"X-Pandok": "1"}, 200),
        ({}, 403),
    ],
)
def test_a_session_only_acts_for_our_own_pages(house: House, headers: dict[str, str], status: int) -> None:
    house.add_study()
    cookie = house.signed_in().cookies["pandok"]
    told = {name: house.address if value == "OURS" else value for name, value in headers.items()}
    browser = house.client(Cookie=f"pandok={cookie}", **told)

    answer = browser.post(f"{LIST}/{1:032x}/priority", json={"priority": "stat"})

    assert answer.status_code == status


def test_a_key_needs_no_page(house: House) -> None:
    house.add_study()

    answer = house.with_key().post(f"{LIST}/{1:032x}/priority", json={"priority": "stat"})

    assert answer.status_code == 200


def test_a_sites_key_may_not_do_what_only_a_person_may(house: House) -> None:
    house.add_scored()

    answer = house.with_key().post(f"{LIST}/{1:032x}/restart")

    assert answer.status_code == 403


@pytest.mark.parametrize("who", ["key", "session"])
def test_another_sites_study_looks_like_one_that_does_not_exist(house: House, who: str) -> None:
    house.add_scored()
    foreign = house.with_key(house.other_site_id) if who == "key" else house.signed_in(site_id=house.other_site_id)
    real, invented = f"{1:032x}", f"{999:032x}"

    for method, path, body in [
        ("GET", "", None),
        ("POST", "/priority", {"priority": "stat"}),
        ("POST", "/restart", None),
        ("POST", "/cancel", None),
    ]:
        answers = [foreign.request(method, f"{LIST}/{which}{path}", json=body) for which in (real, invented)]
        assert answers[0].content == answers[1].content
        assert {answer.status_code for answer in answers} <= {404, 403}

    assert foreign.get(LIST).json()["items"] == []
    with house.database.reading() as rx:
        assert rx.execute(select(tables.study.c.center_priority)).scalars().all() == [3]


def test_a_person_of_the_installation_sees_every_site(house: House) -> None:
    house.add_study()
    house.add_study(site_id=house.other_site_id)

    assert {item["site"]["code"] for item in house.signed_in().get(LIST).json()["items"]} == {"one", "two"}
