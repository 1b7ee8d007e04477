"""What every answer carries, how errors are told, and the pages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from starlette.requests import Request

from preprocessing.errors import Reason
from service.gate import SECURITY_HEADERS
from service.pages import PAGES, WEB_FOLDER
from service.worklist.items import STUDY_STATES
from tests.service.house import House

CANARY = "KANARIE^VOGEL"


@pytest.mark.parametrize("path", ["/live", "/api/worklist", "/no/such/thing", "/sign-in", "/assets/pandok.css"])
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


def test_a_strangers_browser_is_told_how_to_get_in(house: House) -> None:
    answer = house.stranger.get("/", headers={"Accept": "text/html,application/xhtml+xml"})

    assert answer.status_code == 401
    assert "pandok sign-in" in answer.text


def test_the_pages_need_nothing_from_elsewhere_and_no_inline_script(house: House) -> None:
    person = house.signed_in()
    for path, name in PAGES.items():
        if not (WEB_FOLDER / name).is_file():
            continue
        page = person.get(path)
        assert page.status_code == 200
        assert re.findall(r"(?:src|href)=\"(?!/)", page.text) == []
        assert re.findall(r"<script(?![^>]*src=)|<style| style=| on\w+=", page.text) == []
        for asset in re.findall(r"\"(/assets/[^\"]+)\"", page.text):
            assert person.get(asset).status_code == 200


def test_no_page_writes_markup() -> None:
    for path in WEB_FOLDER.glob("*.js"):
        code = path.read_text()
        assert re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function", code) == []


def test_only_what_signing_in_needs_is_open(house: House) -> None:
    names = {path.name for path in WEB_FOLDER.iterdir() if path.suffix != ".html"}
    open_names = {name for name in names if house.stranger.get(f"/assets/{name}").status_code == 200}

    assert open_names == {"pandok.css", "pandok.svg", "sign-in.js", "words.js", "words.json"}


@pytest.mark.parametrize("name", ["../app.py", "..%2fapp.py", "%2e%2e/app.py", "worklist.html", ".env", ""])
def test_nothing_but_the_pages_files_can_be_asked_for(house: House, name: str) -> None:
    assert house.signed_in().get(f"/assets/{name}").status_code == 404


def test_a_browser_that_has_a_file_is_not_sent_it_again(house: House) -> None:
    first = house.stranger.get("/assets/pandok.css")

    again = house.stranger.get("/assets/pandok.css", headers={"If-None-Match": first.headers["etag"]})

    assert (again.status_code, again.content) == (304, b"")


def test_every_language_has_every_word() -> None:
    words = json.loads((WEB_FOLDER / "words.json").read_text())

    assert list(words) == ["ko", "en", "vi", "ru"]
    holes = {language: re.findall(r"\{\w+\}", text) for language in words for text in words[language].values()}
    assert holes
    for key, korean in words["ko"].items():
        for language in words:
            text = words[language].get(key)
            assert text, f"{language} lacks {key}"
            assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", korean)), key
    assert {len(language) for language in words.values()} == {len(words["ko"])}


def test_every_reason_and_state_has_words() -> None:
    words = json.loads((WEB_FOLDER / "words.json").read_text())["ko"]

    assert [reason for reason in Reason if f"reason.{reason.value}" not in words] == []
    assert [state for state in STUDY_STATES if f"state.{state}" not in words] == []


def test_every_word_that_a_page_uses_exists() -> None:
    words = json.loads((WEB_FOLDER / "words.json").read_text())["ko"]
    ours = ["worklist", "rows", "details", "elements", "sign-in"]
    code = "".join((WEB_FOLDER / f"{name}.js").read_text() for name in ours)
    pages = "".join((WEB_FOLDER / name).read_text() for name in ("worklist.html", "sign-in.html"))
    used = {*re.findall(r"say\(\"([^\"]+)\"", code), *re.findall(r"data-word=\"([^\"]+)\"", pages)}

    assert {word for word in used if word not in words} == set()


def test_the_openapi_document_describes_the_list(house: House) -> None:
    document = house.with_key().get("/openapi.json").json()

    assert "/api/worklist" in document["paths"]
    assert Path("/api/worklist/{public_id}").as_posix() in document["paths"]
