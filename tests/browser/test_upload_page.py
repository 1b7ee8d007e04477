"""The upload page in a real browser, under the service's own content policy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from service import tables
from service.roles import Role
from tests.browser.desk import browser
from tests.browser.rooms import visit
from tests.factories import make_radiograph, part10
from tests.service.house import House

pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def opened(chromium: str) -> Iterator[Browser]:
    with browser(chromium) as one:
        yield one


@pytest.fixture
def page(house: House, opened: Browser) -> Iterator[Page]:
    """Somebody of a center on the upload page; the page's own console must stay silent."""
    with visit(house, opened, Role.SITE_PHYSICIAN) as here:
        here.tolerated += ["net::ERR_FAILED", "409 (Conflict)"]  # a link that a test cuts; a refused file
        here.go("/upload")
        yield here.page


def stored(house: House) -> int:
    with house.database.reading() as rx:
        return int(rx.execute(select(func.count()).select_from(tables.instance)).scalar_one())


def a_cd(folder: Path, images: int = 6) -> Path:
    study = generate_uid()
    (folder / "DICOM").mkdir(parents=True)
    for i in range(images):
        film = part10(make_radiograph(seed=i, StudyInstanceUID=study))
        (folder / "DICOM" / f"IM{i:04}").write_bytes(film)
    (folder / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(50))
    (folder / "viewer.exe").write_bytes(b"MZ" + bytes(5_000))
    return folder


def test_a_folder_arrives_whole_and_the_rest_of_the_cd_stays(page: Page, house: House, tmp_path: Path) -> None:
    page.set_input_files("#folder", a_cd(tmp_path / "cd"))

    expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1")
    expect(page.locator("#totals")).to_have_text("6 stored · 2 left out")
    assert page.locator("td.outcome-kept").count() == 6
    assert stored(house) == 6


def test_a_study_with_a_refused_image_is_never_called_whole(page: Page, house: House, tmp_path: Path) -> None:
    folder = a_cd(tmp_path / "cd", images=2)
    film = (folder / "DICOM" / "IM0000").read_bytes()
    (folder / "DICOM" / "IM0000").write_bytes(film[: len(film) // 2])

    page.set_input_files("#folder", folder)

    expect(page.locator("#totals")).to_have_text("1 stored · 1 refused · 2 left out")
    expect(page.locator("p.after")).to_contain_text("after a short wait")


def test_what_holds_no_image_is_said_so(page: Page, house: House, tmp_path: Path) -> None:
    page.set_input_files("#folder", a_cd(tmp_path / "cd", images=0))

    expect(page.locator("p.after")).to_contain_text("No image was stored")


def test_a_zip_shows_an_outcome_for_each_of_its_files(page: Page, house: House, tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.dcm", part10(make_radiograph()))
        archive.writestr("note.txt", "hello")

    (tmp_path / "cd.zip").write_bytes(packed.getvalue())

    page.set_input_files("#files", tmp_path / "cd.zip")

    expect(page.locator("#totals")).to_have_text("1 stored · 1 refused")
    expect(page.locator("td.outcome-refused")).to_have_text("not a DICOM file; send the original .dcm file")


def test_a_bad_link_delays_but_loses_nothing(page: Page, house: House, tmp_path: Path) -> None:
    tries: list[str] = []

    def every_third_fails(route: Route) -> None:
        tries.append("")
        if len(tries) % 3 == 0:
            route.abort()
        else:
            route.continue_()

    page.route("**/api/uploads*", every_third_fails)
    page.evaluate("() => { Math.random = () => 0 }")

    page.set_input_files("#folder", a_cd(tmp_path / "cd"))

    expect(page.locator("p.after")).to_contain_text("arrived whole", timeout=30_000)
    assert len(tries) > 6
    assert stored(house) == 6


def test_the_question_and_the_priority_go_with_every_study(page: Page, house: House, tmp_path: Path) -> None:
    page.get_by_label("Clinical question").fill("Pneumonia?")
    page.get_by_label("History and symptoms").fill("Fever for three days")
    page.get_by_text("Urgent", exact=True).click()

    page.set_input_files("#folder", a_cd(tmp_path / "cd", images=1))

    expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1")
    with house.database.reading() as rx:
        assert rx.execute(select(tables.study.c.center_priority)).scalar_one() == 2
    page.get_by_role("link", name="Follow their progress").click()
    expect(page.locator(".studies tbody tr")).to_contain_text("Pneumonia?")


@pytest.mark.parametrize(
    ("language", "title"),
    [("ko", "영상 올리기"), ("en", "Send images"), ("vi", "Gửi hình ảnh"), ("ru", "Отправка изображений")],
)
def test_the_page_speaks_four_languages(house: House, opened: Browser, language: str, title: str) -> None:
    with visit(house, opened, Role.SITE_UPLOADER, language=language) as here:
        here.go("/upload")

        expect(here.page.locator("h1")).to_have_text(title)


def test_a_folder_that_is_dropped_anywhere_on_the_page_is_walked_to_its_ends(
    page: Page, house: House, tmp_path: Path
) -> None:
    folder = a_cd(tmp_path / "cd", images=3)
    session = page.context.new_cdp_session(page)  # a person's drop: scripts cannot make one with a folder
    for kind in ("dragEnter", "dragOver", "drop"):
        data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 900, "y": 700, "data": data})

    expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1")
    expect(page.locator("#totals")).to_have_text("3 stored · 2 left out")
    assert stored(house) == 3
