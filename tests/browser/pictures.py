"""`python -m tests.browser.pictures`: draws the README's pictures from phantoms and a film that a package ships openly.

Needs Chromium and the extra `test`. Every name in them is made up; the film is RG1 of the DICOM sample images of 2004
(pydicom-data), under a pseudonym.
"""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime
from pathlib import Path

from playwright.sync_api import Page, expect
from pydicom import Dataset
from pydicom.data import get_testdata_file
from pydicom.filereader import dcmread
from sqlalchemy import insert, update

from service import tables
from service.roles import Role
from tests.browser.desk import READY_MS, Desk, browser, sit_down
from tests.browser.films import Said
from tests.conftest import ROOT
from tests.service.house import PASSWORD, House, open_house

FOLDER = ROOT / "docs"
CHROMIUM = "/usr/bin/chromium"
VIETNAM = (("Nguyễn^Văn Mẫu", "M"), ("Trần^Thị Mẫu", "F"), ("Lê^Văn Thử", "M"), ("Phạm^Thị Thử", "F"))
RUSSIA = (("Образцов^Иван", "M"), ("Примерова^Анна", "F"), ("Пробин^Пётр", "M"))
KINDS = (
    ("DX", "CHEST PA", 1),
    ("CR", "CHEST PA", 1),
    ("DX", "CHEST PA+LAT", 2),
    ("CR", "CHEST AP", 1),
    ("CT", "CT CHEST", 164),
)
STUDIES = 20
MASSES = Said(
    findings=("mass", "effusion"), logits=(2.6, -2.2), shape=(1955, 1841),
    spots={(4, 1): 2.0, (4, 5): 1.3, (2, 1): 1.2, (2, 4): 0.9, (3, 5): 1.0},
)  # fmt: skip
"""Where the masses of RG1 are, in sevenths of its longer edge."""


def furnish(house: House) -> None:
    """Give the two centers names and zones, and a list of studies in every state."""
    with house.database.transaction() as tx:
        for site_id, name, zone, language in (
            (house.site_id, "Phòng khám Mẫu", "Asia/Ho_Chi_Minh", "vi"),
            (house.other_site_id, "Клиника «Пример»", "Asia/Vladivostok", "ru"),
        ):
            values = {"name": name, "time_zone": zone, "language": language}
            tx.execute(update(tables.site).where(tables.site.c.id == site_id).values(**values))
    for number in range(STUDIES):
        add_study(house, number)
        house.clock.advance(420)
    colleague, _ = house.account(Role.RADIOLOGIST)
    for number in (7, 9):
        colleague.post(f"/api/worklist/{number:032x}/claim")


def add_study(house: House, number: int) -> None:
    """Add one of the list's studies; every state and priority comes up."""
    is_russian = number % 3 == 1
    name, sex = (RUSSIA if is_russian else VIETNAM)[number // 3 % (3 if is_russian else 4)]
    modality, description, images = KINDS[number % 5]
    known = {
        "patient_name": name, "patient_id": f"{'VL' if is_russian else 'HN'}-{2041 + 7 * number}", "patient_sex": sex,
        "age_years": 24.0 + (number * 17) % 55, "study_date": today(house), "modalities": modality,
        "instance_count": images, "study_description": description,
        "center_priority": (3, 3, 2, 3, 3, 3, 1)[number % 7],
        "site_id": house.other_site_id if is_russian else house.site_id,
    }  # fmt: skip
    if modality == "CT":
        house.add_study(state="unscored", reason="wrong_modality", settled_at=house.clock(), **known)
    elif number in (3, 19):
        house.add_study(**known)
    else:
        raised = 2 if number % 4 == 1 else None
        house.add_scored({"presence": "absent", "probability": 0.1}, ai_priority=raised, **known)


def today(house: House) -> str:
    return datetime.fromtimestamp(house.clock(), UTC).strftime("%Y%m%d")


def open_film(house: House) -> Dataset:
    """Return RG1 as a center would send it today, under a pseudonym."""
    film = dcmread(get_testdata_file("RG1_UNCR.dcm"))
    film.SpecificCharacterSet = "ISO_IR 192"
    film.PatientName, film.PatientID, film.PatientAge = "Phạm^Thị Mẫu", "HN-2188", "064Y"
    film.StudyDate = today(house)
    film.StudyDescription, film.AccessionNumber = "CHEST PA", "A-2188"
    return film


def send(desk: Desk) -> str:
    """Let the film and the center's question arrive; returns the case."""
    film = open_film(desk.house)
    physician = desk.house.new_account(Role.SITE_PHYSICIAN)
    asked = {
        "site_id": desk.house.site_id, "study_instance_uid": str(film.StudyInstanceUID), "account_id": physician,
        "question": "Ho kéo dài 2 tháng, sụt 6 kg. U phổi?", "history": "", "language": "vi",
        "made_at": desk.house.clock(),
    }  # fmt: skip
    with desk.house.database.transaction() as tx:
        tx.execute(insert(tables.clinical_question).values(**asked))
    return desk.send(film, scored=True, said=MASSES)


def draw(desk: Desk, folder: Path) -> None:
    """Take the worklist, a case after the first impression, and its report."""
    page = desk.page
    case = send(desk)
    with desk.house.database.transaction() as tx:
        tx.execute(update(tables.account).values(name="김하늘", time_zone="Asia/Seoul"))
        center = tables.account.c.role == Role.SITE_PHYSICIAN
        tx.execute(update(tables.account).where(center).values(name="Lê Thu An"))
        own = tables.account.c.id == desk.account_id
        tx.execute(update(tables.account).where(own).values(name="박서준", licence_number="12345"))
    page.goto(f"{desk.house.address}/worklist")
    expect(page.locator(".list-rows .row").nth(8)).to_be_visible(timeout=READY_MS)
    page.keyboard.press("j")
    page.wait_for_timeout(1_000)
    page.screenshot(path=folder / "worklist.png")
    desk.open(case)
    desk.impression("2")
    page.locator("[data-finding=mass]").wait_for(timeout=READY_MS)
    desk.press("h", "c", "q", "5")
    on_both_sides(page)
    page.wait_for_timeout(2_000)
    page.screenshot(path=folder / "reader.png")
    desk.press("s")
    expect(page.locator("[data-command=sign_now]")).to_be_enabled(timeout=READY_MS)
    desk.press("Enter")
    page.locator("[role=dialog] input[type=password]").first.fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: case not in url, timeout=READY_MS)
    with desk.house.database.reading() as rx:
        report = rx.execute(tables.report.select()).mappings().one()["public_id"]
    page.goto(f"{desk.house.address}/reports/{report}")
    page.locator(".report-sheet h2").first.wait_for(timeout=READY_MS)
    page.wait_for_timeout(500)
    page.screenshot(path=folder / "report.png")


def on_both_sides(page: Page) -> None:
    """Say of the coded finding that it is on both sides, and take what is proposed for it."""
    finding = page.locator("[data-coded=mass]")
    finding.wait_for(timeout=READY_MS)
    page.locator("[data-testid=desk][data-stored=yes]").wait_for()
    finding.get_by_role("button").first.click()
    finding.locator("select").nth(1).select_option("both")
    finding.get_by_role("button").first.click()
    page.locator("[data-testid=pane-0]").click(position={"x": 20, "y": 400})
    page.evaluate("document.querySelector('[data-panel=question]').scrollIntoView()")


def main() -> None:
    """Draw into docs."""
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder)) as house, browser(CHROMIUM) as opened:
        furnish(house)
        draw(sit_down(house, opened, language="ko"), FOLDER)


if __name__ == "__main__":
    main()
