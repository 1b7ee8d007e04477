"""The page in a real browser: what a reader sees, and that nothing a sender wrote runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, sync_playwright
from sqlalchemy import update

from service import tables
from tests.service.house import House

pytestmark = pytest.mark.peers

EVIDENCE = {"auroc": 0.68, "low": 0.61, "high": 0.75, "films": 300, "positives": 60, "data": "test films"}
HOSTILE = "<img src=x onerror=document.title='owned'>^<script>document.title='owned'</script>"


@pytest.fixture
def page(house: House, chromium: str) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        opened = browser.new_page(viewport={"width": 1600, "height": 900})
        faults: list[str] = []
        opened.on("pageerror", lambda error: faults.append(str(error)))
        opened.on("console", lambda m: faults.append(m.text) if "Content Security" in m.text else None)
        yield opened
        browser.close()
        assert faults == []


def enter(house: House, page: Page) -> None:
    page.goto(f"{house.address}/sign-in#token={house.token()}")
    page.wait_for_url(f"{house.address}/")
    page.wait_for_selector("#rows tr, #empty:not([hidden])")


def test_the_link_opens_the_list_and_leaves_no_token_behind(house: House, page: Page) -> None:
    house.add_study(patient_name="Nguyễn^Thị Hoa")

    enter(house, page)

    assert page.locator("#rows .name").all_inner_texts() == ["Nguyễn Thị Hoa"]
    assert "token" not in page.evaluate("JSON.stringify([location.href, localStorage, document.cookie])")


def test_nothing_that_a_sender_wrote_is_read_as_markup(house: House, page: Page) -> None:
    house.add_study(patient_name=HOSTILE, patient_id=HOSTILE, study_description=HOSTILE, modalities=HOSTILE)

    enter(house, page)
    page.locator("#rows button").first.click()
    page.wait_for_selector("#details h2")

    assert page.title() == "Pandok"
    assert page.locator("#rows img, #rows script, #details script").count() == 0
    assert "<img src=x" in page.locator("#details .facts").inner_text()


def test_a_study_without_a_finding_is_never_called_normal(house: House, page: Page) -> None:
    house.add_scored({"presence": "absent", "probability": 0.1})
    house.add_scored({"presence": "not_evaluated", "probability": None})
    house.add_study(state="unscored", reason="lateral_view")
    half = house.add_scored({"presence": "absent", "probability": 0.1})
    with house.database.transaction() as tx:
        tx.execute(update(tables.revision).where(tables.revision.c.study_id == half).values(reason="decoder_died"))

    enter(house, page)
    page.select_option("#language", "en")

    cells = page.locator("#rows td.findings").all_inner_texts()
    assert cells[:3] == ["No listed finding flagged", "Nothing was evaluated", "Lateral view"]
    assert "Part of the study has no result: " in cells[3]
    assert "normal" not in page.locator("#rows").inner_text().lower()


@pytest.mark.parametrize("language", ["ko", "en", "vi", "ru"])
def test_everything_fits_a_small_screen(house: House, page: Page, language: str) -> None:
    house.add_scored(
        {"presence": "present", "probability": 0.98},
        {"presence": "absent", "probability": 0.37, "experimental": True, "calibrated": False},
        {
            "presence": "present",
            "probability": 0.57,
            "finding": "pneumonia_like_opacity",
            "experimental": True,
            "evidence": EVIDENCE,
        },
        ai_priority=2,
        patient_name="26eae465a3069d7d94e44c519d9c7aae430455e0ae7ac52d7d7651a5",
        accession_number="d14a028c2a3a2bc9476102bb288234c415a2b01f828ea62ac5b3e42f",
    )
    page.set_viewport_size({"width": 1280, "height": 720})

    enter(house, page)
    page.select_option("#language", language)
    beyond = "place => document.querySelector(place).scrollWidth - document.querySelector(place).clientWidth"
    assert page.evaluate(beyond, ".scroll") <= 0

    page.locator("#rows button").first.click()
    page.wait_for_selector("#details .finding-table")
    right = page.evaluate(
        "Math.max(...[...document.querySelectorAll('#details *')].map(one => one.getBoundingClientRect().right))"
    )
    assert right <= 1280
    assert page.evaluate("document.getElementById('details').scrollLeft") == 0
    assert page.evaluate(beyond, ".scroll") <= 0


def test_an_experiment_is_marked_and_tells_how_far_it_was_tested(house: House, page: Page) -> None:
    house.add_scored(
        {"presence": "present", "probability": 0.98, "evidence": EVIDENCE},
        {"presence": "present", "probability": 0.57, "finding": "mass", "experimental": True, "evidence": EVIDENCE},
        {"presence": "absent", "probability": 0.2, "finding": "edema", "experimental": True, "calibrated": False},
    )

    enter(house, page)
    page.select_option("#language", "en")
    row = page.locator("#rows td.findings").inner_text()
    page.locator("#rows button").first.click()
    page.wait_for_selector("#details .finding-table")

    assert row.count("Experimental") == 1
    validated, experiments = page.locator("#details .run > .finding-table, #details .run > .experiments").all()
    assert "Tested: 68 of 100 pairs (61 to 75), 300 films" in validated.inner_text()
    assert "Raises priority" in validated.inner_text()
    words = experiments.inner_text()
    assert "1 of 2 present" in words
    assert "They never change a priority" in words
    assert "Never tested on films whose truth is known" in words
    assert ("Not flagged" in words, "0.20" in words, "20%" in words) == (True, True, False)
    assert "normal" not in page.locator("#details").inner_text().lower()


def test_what_was_not_evaluated_says_why(house: House, page: Page) -> None:
    house.add_scored({"presence": "not_evaluated", "probability": None, "reason": "age_out_of_range"})

    enter(house, page)
    page.select_option("#language", "en")
    page.locator("#rows button").first.click()
    page.wait_for_selector("#details .finding-table")

    assert "Age not covered by the model" in page.locator("#details .finding-table").inner_text()


@pytest.mark.parametrize(
    ("language", "word"), [("ko", "수신 중"), ("en", "Arriving"), ("vi", "Đang nhận"), ("ru", "Поступает")]
)
def test_the_list_speaks_each_language(house: House, page: Page, language: str, word: str) -> None:
    house.add_study()

    enter(house, page)
    page.select_option("#language", language)

    assert page.locator("#rows .chip.state-arriving").inner_text() == word
    assert page.locator("html").get_attribute("lang") == language


def test_a_new_study_appears_by_itself(house: House, page: Page) -> None:
    enter(house, page)

    house.add_study(patient_name="NEW^STUDY")

    page.wait_for_selector("#rows tr", timeout=3000)


def test_the_keyboard_is_enough(house: House, page: Page) -> None:
    for name in ("FIRST", "SECOND", "THIRD"):
        house.add_study(patient_name=name)
        house.clock.advance(60)

    enter(house, page)
    for key in ("j", "j", "j", "k", "Enter"):
        page.keyboard.press(key)
    page.wait_for_selector("#details h2")
    opened = page.locator("#details h2").inner_text()
    page.keyboard.press("Escape")

    assert opened == "SECOND"
    assert page.locator("#details").is_hidden()
    assert page.evaluate("document.activeElement.textContent") == "SECOND"
