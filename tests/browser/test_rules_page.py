"""The page of routing rules: changed with its faults told, tried on dropped files, and shown where they decided."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect
from sqlalchemy import update

from service import tables
from service.roles import Role
from tests.browser.desk import browser
from tests.browser.rooms import READY_MS, visit
from tests.factories import make_radiograph, part10
from tests.service.house import House
from tests.service.routing.makers import put, rule

pytestmark = pytest.mark.peers

TRAUMA = rule(
    "priority = 'urgent', packages = []", 'study_description = "*trauma*", station_name = "ER*"', "Trauma room"
)
SILENT = rule("quiet_s = 5", 'modality = "CT"', "CT in parts")


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


def film(folder: Path, name: str = "film.dcm") -> Path:
    path = folder / name
    path.write_bytes(part10(make_radiograph(StudyDescription="Chest, trauma", PatientSex="F")))
    return path


def test_rules_are_changed_and_their_faults_told_before(house: House, opened: Browser) -> None:
    with visit(house, opened) as here:
        page = here.page
        here.go("/admin")
        page.get_by_role("tab", name="Rules").click()
        text = page.get_by_label("Rules (TOML), revision 0")
        text.fill(TRAUMA.replace("priority", "prio"))
        page.get_by_label("Why it is changed").first.fill("Agreed with the center")
        expect(page.locator(".rules-faults")).to_contain_text("“then.prio” is not known here")
        page.get_by_role("button", name="Line 4").click()
        assert page.evaluate("document.getSelection().toString()").startswith("then = { prio")
        expect(page.get_by_role("button", name="Set rules")).to_be_disabled()

        text.fill(TRAUMA)
        expect(page.locator(".rules-good")).to_contain_text("Valid · rules: 1")
        page.get_by_role("button", name="Set rules").click()

        expect(page.get_by_label("Rules (TOML), revision 1")).to_have_value(TRAUMA)
        expect(page.locator(".rules .studies tbody tr")).to_have_count(1)
        assert here.axe() == []


@pytest.mark.parametrize("language", ["en", "ko", "vi", "ru"])
def test_files_are_tried_and_the_page_says_why(house: House, opened: Browser, tmp_path: Path, language: str) -> None:
    put(house.database, TRAUMA + SILENT)
    broken = tmp_path / "broken.dcm"
    broken.write_bytes(b"no image")
    with visit(house, opened, language=language) as here:
        page = here.page
        here.tolerated.append("400 (Bad Request)")
        here.go("/admin")
        page.get_by_role("tab").nth(2).click()
        expect(page.locator("#rules-files")).to_be_enabled(timeout=READY_MS)
        page.locator("#rules-files").set_input_files([film(tmp_path), broken])
        results = page.locator(".rules-result")
        expect(results).to_have_count(2, timeout=READY_MS)

        first = results.first.locator(".rules-trace").first
        first.locator("summary").click()
        expect(first.locator(".rules-yes")).to_have_count(1)
        expect(first.locator(".rules-unknown")).to_have_count(1)
        expect(results.nth(1).locator(".rules-refused")).to_be_visible()
        assert here.axe() == []
        assert list(house.settings.spool_folder.iterdir()) == []


def test_a_draft_is_tried_while_it_is_written_and_an_earlier_revision_brought_back(
    house: House, opened: Browser, tmp_path: Path
) -> None:
    put(house.database, TRAUMA)
    put(house.database, SILENT)
    with visit(house, opened) as here:
        page = here.page
        here.go("/admin")
        page.get_by_role("tab", name="Rules").click()
        expect(page.locator("#rules-files")).to_be_enabled(timeout=READY_MS)
        page.locator("#rules-files").set_input_files([film(tmp_path)])
        effects = page.locator(".rules-effects")
        expect(effects).to_contain_text("priorityRoutine", timeout=READY_MS)

        text = page.get_by_label("Rules (TOML), revision 2")
        text.fill(rule("priority = 'stat', reading_policy = 'blind'", 'sender = "ER*"', "Emergencies"))
        page.get_by_label("AE title of the sender").fill("ER2")

        expect(effects).to_contain_text("priorityStatEmergencies")
        expect(effects).to_contain_text("blind: the list does not follow the AI")
        expect(page.locator(".rules-tester")).to_contain_text("they hold only once they are set")
        text.fill("nonsense")
        expect(page.locator(".rules-tester")).to_contain_text("The rules have faults")

        page.get_by_role("button", name="Open in the editor").last.click()
        expect(text).to_have_value(TRAUMA)
        expect(page.get_by_label("Why it is changed").first).to_have_value("Back to revision 1")
        page.get_by_role("button", name="Set rules").click()
        expect(page.get_by_label("Rules (TOML), revision 3")).to_have_value(TRAUMA)
        expect(page.locator(".rules .studies tbody tr").first).to_contain_text("in force")


@pytest.mark.parametrize("language", ["en", "ko", "vi", "ru"])
def test_the_example_is_valid_in_every_language(house: House, opened: Browser, language: str) -> None:
    with visit(house, opened, language=language) as here:
        page = here.page
        here.go("/admin")
        page.get_by_role("tab").nth(2).click()
        page.locator(".rules-keys summary").click()
        page.locator(".rules-keys button").click()

        expect(page.locator(".rules-good").first).to_contain_text("3", timeout=READY_MS)
        assert here.axe() == []


def test_a_reader_sees_which_rule_made_a_study_urgent(house: House, opened: Browser, tmp_path: Path) -> None:
    put(house.database, rule("priority = 'urgent'", 'study_description = "*trauma*"', "Trauma room"))
    sent = house.with_key().post("/api/uploads", content=film(tmp_path).read_bytes())
    assert sent.status_code == 200
    with visit(house, opened, Role.RADIOLOGIST) as here:
        here.go("/worklist")
        here.page.locator(".list-rows .row").first.click()

        expect(here.page.locator(".preview")).to_contain_text("Trauma room", timeout=READY_MS)
        expect(here.page.locator(".preview")).to_contain_text("Priority at least")
        assert here.axe() == []


def test_an_administrator_of_one_site_has_no_rules_to_see(house: House, opened: Browser) -> None:
    with visit(house, opened) as here:
        with house.database.transaction() as tx:
            own = tables.account.c.id == here.account_id
            tx.execute(update(tables.account).where(own).values(site_id=house.site_id))
        here.go("/admin")

        expect(here.page.get_by_role("tab", name="Accounts")).to_be_visible(timeout=READY_MS)
        expect(here.page.get_by_role("tab", name="Rules")).to_have_count(0)
