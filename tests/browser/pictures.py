"""`python -m tests.browser.pictures`: draws the README's pictures from phantoms and a film that a package ships openly.

Needs Chromium and the extra `test`. Every patient in them is made up.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from playwright.sync_api import expect
from pydicom.data import get_testdata_file
from pydicom.filereader import dcmread
from sqlalchemy import update

from service import tables
from service.roles import Role
from tests.browser import films
from tests.browser.desk import READY_MS, Desk, browser, sit_down
from tests.conftest import ROOT
from tests.service.house import PASSWORD, House, open_house

FOLDER = ROOT / "docs"
CHROMIUM = "/usr/bin/chromium"
PEOPLE = ("가상^환자=가상^환자", "Nguyễn^Văn Mẫu", "Образцов^Иван", "Phantom^Seven", "Trần^Thị Mẫu", "Примерова^Анна")


def furnish(house: House) -> None:
    """Give the two centers names and zones, and a list of studies in every state."""
    with house.database.transaction() as tx:
        for site_id, name, zone, language in (
            (house.site_id, "Trung tâm A", "Asia/Ho_Chi_Minh", "vi"),
            (house.other_site_id, "Центр Б", "Asia/Vladivostok", "ru"),
        ):
            values = {"name": name, "time_zone": zone, "language": language}
            tx.execute(update(tables.site).where(tables.site.c.id == site_id).values(**values))
    for number in range(18):
        known = {
            "patient_name": PEOPLE[number % len(PEOPLE)], "patient_id": f"PH-{number:04}",
            "patient_sex": "MF"[number % 2], "age_years": 31.0 + 2 * number, "study_date": "20261120",
            "modalities": ("DX", "CR", "CT")[number % 3], "instance_count": (1, 2, 180)[number % 3],
            "study_description": ("CHEST PA", "CHEST AP", "CT CHEST")[number % 3],
            "center_priority": (3, 3, 2, 3, 3, 1)[number % 6],
            "site_id": house.other_site_id if number % 3 == 1 else house.site_id,
        }  # fmt: skip
        if number % 7 == 3:
            house.add_study(state="unscored", reason="lateral_view", **known)
        elif number % 7 == 5:
            house.add_study(**known)
        else:
            house.add_scored(
                {"presence": "absent", "probability": 0.1}, ai_priority=2 if number % 5 == 0 else None, **known
            )
        house.clock.advance(420)
    colleague, _ = house.account(Role.RADIOLOGIST)
    colleague.post(f"/api/worklist/{7:032x}/claim")


def draw(desk: Desk, folder: Path) -> None:
    """Take the worklist, a case after the first impression, and its report."""
    page = desk.page
    with desk.house.database.transaction() as tx:
        tx.execute(update(tables.account).values(name="김하늘", time_zone="Asia/Seoul"))
        own = tables.account.c.id == desk.account_id
        tx.execute(update(tables.account).where(own).values(name="박서준"))
    case = desk.send(films.film(PatientID="PH-1000", PatientName="가상^환자", PatientSex="F"), scored=True)
    film = dcmread(get_testdata_file("RG1_UNCR.dcm"))
    film.PatientName, film.PatientID = "Phantom^Openly", "PH-1001"
    desk.send(film)
    page.goto(f"{desk.house.address}/worklist")
    expect(page.locator(".list-rows .row").nth(8)).to_be_visible(timeout=READY_MS)
    page.keyboard.press("j")
    page.wait_for_timeout(1_000)
    page.screenshot(path=folder / "worklist.png")
    desk.open(case)
    desk.impression("2")
    page.locator("[data-finding=nodule]").wait_for(timeout=READY_MS)
    desk.press("h", "c", "q")
    page.wait_for_timeout(1_500)
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


def main() -> None:
    """Draw into docs."""
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder)) as house, browser(CHROMIUM) as opened:
        furnish(house)
        draw(sit_down(house, opened, language="ko"), FOLDER)


if __name__ == "__main__":
    main()
