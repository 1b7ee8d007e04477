"""The upload page in a real browser, under the service's own content policy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from service import tables
from service.access import new_sign_in_link
from service.access.account_records import administrator
from service.app import create_app
from service.database import Database
from service.settings import Settings
from tests.factories import Clock, add_site, make_radiograph, part10
from tests.service.intake.doors import poll, served

pytestmark = pytest.mark.peers


@pytest.fixture
def page(tmp_path: Path, chromium: str, clock: Clock) -> Iterator[Page]:
    """A signed-in person on the upload page; the page's own console must stay silent."""
    settings = Settings(data_folder=tmp_path / "data", min_free_bytes=0)
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    add_site(database)
    with database.transaction() as tx:
        link = new_sign_in_link(tx, settings, account_id=administrator(tx, now=clock()).id, now=clock())
    app = create_app(settings, database=database, clock=clock)
    with served(app, lifespan="on") as port, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(locale="en-GB").new_page()
        complaints: list[str] = []
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"http://127.0.0.1:{port}/sign-in#{link.partition('#')[2]}")
        page.wait_for_url(f"http://127.0.0.1:{port}/")
        page.goto(f"http://127.0.0.1:{port}/upload")
        page.select_option("#language", "en")
        yield page
        browser.close()
        expected = ("net::ERR_FAILED", "409 (Conflict)")  # a link that a test cuts; a refused file
        assert [words for words in complaints if not any(part in words for part in expected)] == []


def stored(folder: Path) -> int:
    database = Database(Settings(data_folder=folder / "data").sqlalchemy_url)
    with database.reading() as connection:
        count = connection.execute(select(func.count()).select_from(tables.instance)).scalar_one()
    database.close()
    return int(count)


def a_cd(folder: Path, images: int = 6) -> Path:
    study = generate_uid()
    (folder / "DICOM").mkdir(parents=True)
    for i in range(images):
        film = part10(make_radiograph(seed=i, StudyInstanceUID=study))
        (folder / "DICOM" / f"IM{i:04}").write_bytes(film)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (folder / "viewer.exe").write_bytes(b"MZ" + bytes(5_000))
    return folder


def test_a_folder_arrives_whole_and_the_rest_of_the_cd_stays(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#folder", a_cd(tmp_path / "cd"))

    expect(page.locator("#after")).to_contain_text("Studies arrived whole: 1")
    expect(page.locator("#totals")).to_have_text("6 stored · 2 left out")
    assert page.locator("td.outcome-kept").count() == 6
    assert stored(tmp_path) == 6


def test_a_study_with_a_refused_image_is_never_called_whole(page: Page, tmp_path: Path) -> None:
    folder = a_cd(tmp_path / "cd", images=2)
    film = (folder / "DICOM" / "IM0000").read_bytes()
    (folder / "DICOM" / "IM0000").write_bytes(film[: len(film) // 2])

    page.set_input_files("#folder", folder)

    expect(page.locator("#totals")).to_have_text("1 stored · 1 refused · 2 left out")
    expect(page.locator("#after")).to_contain_text("after a short wait")


def test_what_holds_no_image_is_said_so(page: Page, tmp_path: Path) -> None:
    page.set_input_files("#folder", a_cd(tmp_path / "cd", images=0))

    expect(page.locator("#after")).to_contain_text("No image was stored")


def test_a_zip_shows_an_outcome_for_each_of_its_files(page: Page, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.dcm", part10(make_radiograph()))
        archive.writestr("note.txt", "hello")

    (tmp_path / "cd.zip").write_bytes(packed.getvalue())

    page.set_input_files("#files", tmp_path / "cd.zip")

    expect(page.locator("#totals")).to_have_text("1 stored · 1 refused")
    expect(page.locator("td.outcome-refused")).to_have_text("not a DICOM file; send the original .dcm file")


def test_a_bad_link_delays_but_loses_nothing(page: Page, tmp_path: Path) -> None:
    tries: list[str] = []

    def every_third_fails(route: object) -> None:
        tries.append("")
        if len(tries) % 3 == 0:
            route.abort()  # type: ignore[attr-defined]
        else:
            route.continue_()  # type: ignore[attr-defined]

    page.route("**/api/uploads*", every_third_fails)
    page.evaluate("() => { Math.random = () => 0 }")

    page.set_input_files("#folder", a_cd(tmp_path / "cd"))

    expect(page.locator("#after")).to_contain_text("arrived whole", timeout=30_000)
    assert len(tries) > 6
    poll(lambda: stored(tmp_path) == 6)


def test_the_page_speaks_four_languages(page: Page) -> None:
    titles = []
    for language in ("ko", "en", "vi", "ru"):
        page.select_option("#language", language)
        titles.append(page.locator("h1").inner_text())

    assert titles == ["영상 올리기", "Send images", "Gửi hình ảnh", "Отправка изображений"]
