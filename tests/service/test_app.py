"""What every answer carries, how errors are told, and the pages."""

from __future__ import annotations

import contextlib
import json
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.requests import Request

from preprocessing.errors import Reason
from service.gate import SECURITY_HEADERS
from service.intake.outcomes import IntakeReason
from service.pages import DIST_FOLDER, PAGES
from service.roles import Role
from service.web.build import WEB_FOLDER
from service.worklist.items import STUDY_STATES
from tests.service.house import House

CANARY = "KANARIE^VOGEL"


@pytest.mark.parametrize("path", ["/live", "/api/worklist", "/no/such/thing", "/sign-in", "/assets/pandok.svg"])
def test_every_answer_carries_the_security_headers(house: House, path: str) -> None:
    for client in (house.stranger, house.signed_in()):
        answer = client.get(path)

        assert {name: answer.headers.get(name) for name in SECURITY_HEADERS} == SECURITY_HEADERS
        assert re.fullmatch(r"[0-9a-f]{16}", answer.headers["x-request-id"])
        assert answer.headers["cache-control"] == ("no-cache" if answer.headers.get("etag") else "no-store")


def test_an_unexpected_error_says_nothing_of_what_was_sent(house: House) -> None:
    @house.app.post("/api/breaks")
    async def breaks(request: Request) -> None:
        raise RuntimeError((await request.body()).decode())

    answer = house.with_key().post(f"/api/breaks?name={CANARY}", content=CANARY)

    assert answer.status_code == 500
    assert answer.json()["error"] == "internal"
    assert CANARY not in answer.text
    assert answer.headers["content-security-policy"]


def no_room_in_the_tables() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as tables:
        tables.execute("PRAGMA max_page_count = 2")
        tables.execute("CREATE TABLE one (content)")
        tables.execute("INSERT INTO one VALUES (zeroblob(100000))")


def no_room_for_a_file() -> None:
    with Path("/dev/full").open("wb", buffering=0) as full:
        full.write(b"one byte")


@pytest.mark.parametrize("fill", [no_room_in_the_tables, no_room_for_a_file])
def test_what_fails_for_want_of_room_is_told_as_that(house: House, fill: Callable[[], None]) -> None:
    house.app.post("/api/fills")(fill)

    answer = house.with_key().post("/api/fills")

    assert answer.status_code == 507
    assert answer.json()["error"] == "out_of_resources"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", f"/api/worklist?state={CANARY}", None),
        ("GET", f"/api/worklist?limit={CANARY}", None),
        ("GET", f"/api/worklist?cursor={CANARY}", None),
        ("POST", f"/api/worklist/{0:032x}/priority", {"priority": CANARY}),
        ("POST", f"/api/worklist/{0:032x}/priority", {"priority": "stat", CANARY: CANARY}),
        ("GET", f"/api/worklist/{CANARY}", None),
        ("GET", f"/{CANARY}", None),
        ("DELETE", "/api/worklist", None),
    ],
)
def test_a_refusal_has_one_shape_and_repeats_no_input(house: House, method: str, path: str, body: object) -> None:
    answer = house.with_key().request(method, path, json=body)

    assert answer.status_code in (400, 404, 405)
    assert set(answer.json()) == {"error", "message"}
    assert CANARY not in answer.text


WORDS = WEB_FOLDER / "src" / "languages"


def names(suffix: str) -> list[str]:
    return sorted(path.name for path in (DIST_FOLDER / "assets").iterdir() if path.suffix == suffix)


@pytest.mark.parametrize("path", ["/", "/worklist", "/reports/1", "/no/such/thing"])
def test_a_strangers_browser_gets_the_app_and_is_not_let_in(house: House, path: str) -> None:
    answer = house.stranger.get(path, headers={"Accept": "text/html,application/xhtml+xml"})

    assert answer.status_code == 401
    assert answer.headers["cache-control"] == "no-store"
    assert '<div id="root">' in answer.text


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_the_one_document_which_is_never_kept(house: House, path: str) -> None:
    answer = house.signed_in().get(path.replace("{id}", "1"))

    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    assert re.findall(r"(?:src|href)=\"(?!/assets/)", answer.text) == []
    assert re.findall(r"<script(?![^>]*src=)|<style| style=| on\w+=", answer.text) == []
    for asset in re.findall(r"\"(/assets/[^\"]+)\"", answer.text):
        assert house.stranger.get(asset).status_code == 200


@pytest.mark.parametrize("path", ["/api/nothing", "/dicomweb/nothing", "/assets/nothing.js"])
def test_no_address_of_programs_opens_the_app(house: House, path: str) -> None:
    answer = house.signed_in().get(path, headers={"Accept": "text/html"})

    assert answer.status_code == 404
    assert answer.json()["error"] == "not_found"


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "index.html", "", "manifest.json"])
def test_nothing_but_the_built_files_can_be_asked_for(house: House, name: str) -> None:
    assert house.signed_in().get(f"/assets/{name}").status_code == 404


def test_a_browser_keeps_files_that_are_named_by_their_content(house: House) -> None:
    script, picture = names(".js")[0], "pandok.svg"

    assert house.stranger.get(f"/assets/{script}").headers["cache-control"] == "public, max-age=31536000, immutable"
    first = house.stranger.get(f"/assets/{picture}")
    again = house.stranger.get(f"/assets/{picture}", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(("takes", "sent"), [("br, gzip", "br"), ("gzip", "gzip"), ("identity", None)])
def test_scripts_travel_in_the_smallest_coding_that_the_browser_takes(
    house: House, takes: str, sent: str | None
) -> None:
    name = names(".js")[0]

    with house.stranger.stream("GET", f"/assets/{name}", headers={"Accept-Encoding": takes}) as answer:
        assert answer.headers.get("content-encoding") == sent
        assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
        assert answer.headers["vary"] == "Accept-Encoding"
        raw = b"".join(answer.iter_raw())
    ending = {"br": ".br", "gzip": ".gz", None: ""}[sent]
    assert raw == (DIST_FOLDER / "assets" / (name + ending)).read_bytes()


def test_no_page_writes_markup() -> None:
    for path in (WEB_FOLDER / "src").rglob("*.ts*"):
        code = path.read_text()
        unsafe = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|dangerouslySet"
        assert re.findall(unsafe, code) == [], path.name


def test_every_reason_and_state_has_words() -> None:
    words = json.loads((WORDS / "ko" / "common.json").read_text())

    assert [reason for reason in Reason if f"reason.{reason.value}" not in words] == []
    assert [state for state in STUDY_STATES if f"state.{state}" not in words] == []


def test_every_role_and_refusal_of_the_intake_has_words() -> None:
    common = json.loads((WORDS / "ko" / "common.json").read_text())
    upload = json.loads((WORDS / "ko" / "upload.json").read_text())

    assert [role for role in Role if f"role.{role.value}" not in common] == []
    assert [reason for reason in IntakeReason if f"arrived.{reason.word}" not in upload] == []


def test_the_openapi_document_describes_the_list(house: House) -> None:
    document = house.with_key().get("/openapi.json").json()

    assert "/api/worklist" in document["paths"]
    assert Path("/api/worklist/{public_id}").as_posix() in document["paths"]


@pytest.mark.parametrize("path", ["/no/such/thing", "/index.html", "/admin/x"])
def test_an_address_that_is_none_of_ours_is_told_readably(house: House, path: str) -> None:
    client = house.signed_in()
    shown = client.get(path, headers={"Accept": "text/html,*/*"})
    told = client.get(path)

    assert (shown.status_code, told.status_code) == (404, 404)
    assert shown.headers["content-type"].startswith("text/html")
    assert told.json()["error"] == "not_found"
