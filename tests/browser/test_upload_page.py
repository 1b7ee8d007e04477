"""The upload page in a real browser, under the service's own content policy."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Route, expect
from pydicom.uid import generate_uid
from sqlalchemy import func, select

from service import tables
from service.intake.part_files import folder_in
from service.roles import Role
from tests.browser.bad_link import bad_link
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
        # A link that a test cuts and that has a port of its own; a refused file; a request that was not over yet.
        here.tolerated += [
            "net::ERR_",
            "409 (Conflict)",
            "423 (Locked)",
            "502 (Bad Gateway)",
            "503 (",
            "foreign: http://127.0.0.1:",
        ]
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


@pytest.fixture
def large(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(0).integers(0, 4096, (2_400, 2_000), dtype=np.uint16)
    path = tmp_path / "film.dcm"
    path.write_bytes(part10(make_radiograph(pixels)))
    return path


def offsets_of(page: Page) -> list[int]:
    """Return a list that fills with the places at which a file is gone on with."""
    offsets: list[int] = []
    page.on(
        "request",
        lambda request: offsets.append(int(request.headers["upload-offset"])) if request.method == "PATCH" else None,
    )
    return offsets


def wait_for_more(house: House, page: Page) -> None:
    """Wait until a megabyte more of a file stands at the service."""
    folder = folder_in(house.settings.spool_folder)

    def here() -> int:
        return sum(path.stat().st_size for path in folder.glob("*.upload"))

    before = here()
    for _ in range(300):
        if here() > before + (1 << 20):
            return
        page.wait_for_timeout(50)
    raise AssertionError("nothing came")


def test_a_large_file_goes_on_where_the_link_broke(page: Page, house: House, large: Path) -> None:
    with bad_link(house.settings.web_port) as link:
        page.goto(f"{link.address}/upload")  # another port of this machine: the same cookie
        offsets = offsets_of(page)
        link.up_bytes_per_s = 2e6

        page.set_input_files("#files", large)
        for _ in range(2):
            wait_for_more(house, page)
            link.break_off()
        link.up_bytes_per_s = float("inf")

        expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1", timeout=30_000)
        assert stored(house) == 1
        assert offsets == sorted(set(offsets))
        assert len(offsets) >= 3
        assert list(folder_in(house.settings.spool_folder).iterdir()) == []


def test_a_proxy_that_knows_nothing_for_a_while_costs_no_byte(page: Page, house: House, large: Path) -> None:
    """While a service starts again, its proxy answers for it."""
    unknown = [502, 503]

    def answers_for_it(route: Route) -> None:
        if route.request.method == "HEAD" and unknown:
            route.fulfill(status=unknown.pop())
        else:
            route.continue_()

    page.evaluate("() => { Math.random = () => 0 }")
    with bad_link(house.settings.web_port) as link:
        page.goto(f"{link.address}/upload")
        page.route("**/api/uploads/resumable/*", answers_for_it)
        offsets = offsets_of(page)
        link.up_bytes_per_s = 2e6
        page.set_input_files("#files", large)
        wait_for_more(house, page)
        link.break_off()
        link.up_bytes_per_s = float("inf")

        expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1", timeout=30_000)
        assert unknown == []
        assert min(offsets[1:]) > 1 << 20


def test_a_large_file_goes_on_after_the_page_was_closed(page: Page, house: House, large: Path) -> None:
    with bad_link(house.settings.web_port) as link:
        page.goto(f"{link.address}/upload")
        offsets = offsets_of(page)
        link.up_bytes_per_s = 2e6
        page.set_input_files("#files", large)
        wait_for_more(house, page)

        page.on("dialog", lambda dialog: dialog.accept())  # do you want to leave?
        page.reload()
        link.up_bytes_per_s = float("inf")
        page.locator("#files").wait_for(state="attached")
        assert "film.dcm" not in page.evaluate("() => JSON.stringify(localStorage)")
        page.set_input_files("#files", large)

        expect(page.locator("p.after")).to_contain_text("Studies arrived whole: 1", timeout=30_000)
        assert stored(house) == 1
        assert offsets[-1] > 1 << 20


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
