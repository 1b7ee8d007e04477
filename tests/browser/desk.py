"""A radiologist's browser at the real service: opens cases, presses keys, reads pixels by their place on the film."""

from __future__ import annotations

import io
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from PIL import Image
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from pydicom import Dataset
from sqlalchemy import select, update

from service import tables
from service.roles import Role
from tests.browser import films
from tests.factories import part10
from tests.service.house import House

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
NO_WEBGL = "--disable-software-rasterizer"
READY_MS = 30_000


@dataclass
class Desk:
    """One reader's page, and what went wrong on it."""

    house: House
    page: Page
    account_id: int
    faults: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=list)
    """Parts of faults that a test means to cause."""

    def send(self, *datasets: Dataset, scored: bool = False, said: films.Said | None = None) -> str:
        """Let one study arrive over STOW-RS and be ready to be read; returns its public id."""
        stow(self.house, datasets)
        with self.house.database.reading() as rx:
            where = tables.study.c.study_instance_uid == str(datasets[0].StudyInstanceUID)
            public_id = str(rx.execute(select(tables.study.c.public_id).where(where)).scalar_one())
        if scored:
            films.score(self.house, public_id, said)
        else:
            films.settle(self.house, public_id)
        return public_id

    def open(self, public_id: str) -> None:
        """Go to a case and wait until its film hangs."""
        self.page.goto(f"{self.house.address}/read/{public_id}")
        self.wait_film()

    def wait_film(self, pane: int = 0) -> None:
        self.page.locator(f"[data-testid=pane-{pane}][data-ready=yes]").wait_for(timeout=READY_MS)

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def impression(self, key: str = "2") -> None:
        """Give the first impression and wait until it is stored."""
        self.press(key)
        self.page.locator("[data-impression]").wait_for()

    def pane(self, number: int = 0) -> Locator:
        return self.page.get_by_test_id(f"pane-{number}")

    def matrix(self, pane: int = 0) -> list[float]:
        return [float(word) for word in (self.pane(pane).get_attribute("data-matrix") or "").split()]

    def at(self, place: tuple[float, float], pane: int = 0) -> tuple[float, float]:
        """Return where a place of the film, in columns and rows, is in the pane."""
        a, b, c, d, e, f = self.matrix(pane)
        x, y = place[0] + 0.5, place[1] + 0.5
        return a * x + c * y + e, b * x + d * y + f

    def on_screen(self, place: tuple[float, float], pane: int = 0) -> tuple[float, float]:
        box = self.pane(pane).bounding_box()
        assert box is not None
        x, y = self.at(place, pane)
        return box["x"] + x, box["y"] + y

    def colours(self, *places: tuple[float, float], pane: int = 0) -> list[tuple[float, float, float]]:
        """Return the colour around each place, as a person sees the film now."""
        self.page.wait_for_timeout(400)  # a frame that is still being drawn says nothing
        picture = np.asarray(Image.open(io.BytesIO(self.pane(pane).screenshot())).convert("RGB")).astype(float)
        found = []
        for place in places:
            x, y = (round(value) for value in self.at(place, pane))
            red, green, blue = picture[y - 2 : y + 3, x - 2 : x + 3].mean(axis=(0, 1))
            found.append((float(red), float(green), float(blue)))
        return found

    def greys(self, *places: tuple[float, float], pane: int = 0) -> list[float]:
        return [sum(colour) / 3 for colour in self.colours(*places, pane=pane)]

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draw with the first button between two places of the film."""
        mouse = self.page.mouse
        mouse.move(*self.on_screen(start))
        mouse.down()
        mouse.move(*self.on_screen(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2)), steps=4)
        mouse.move(*self.on_screen(end), steps=4)
        mouse.up()


def stow(house: House, datasets: Sequence[Dataset]) -> None:
    """Send instances as a center does."""
    boundary = uuid.uuid4().hex
    parts = [
        f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode() + part10(one) + b"\r\n" for one in datasets
    ]
    kind = f'multipart/related; type="application/dicom"; boundary={boundary}'
    body = b"".join(parts) + f"--{boundary}--\r\n".encode()
    answer = house.with_key().post("/dicomweb/studies", content=body, headers={"Content-Type": kind})
    assert answer.status_code == 200, answer.text


@contextmanager
def browser(chromium: str, *flags: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=[*QUIET, *flags])
        yield opened
        opened.close()


def sit_down(house: House, opened: Browser, *, language: str = "en", policy: str | None = None) -> Desk:
    """Sign a new radiologist in by link, in a browser that keeps a note of everything that goes wrong."""
    account_id = house.new_account(Role.RADIOLOGIST, policy=policy)
    with house.database.transaction() as tx:
        tx.execute(update(tables.account).where(tables.account.c.id == account_id).values(language=language))
    page = opened.new_page(viewport={"width": 1440, "height": 900}, locale=language, reduced_motion="reduce")
    desk = Desk(house, page, account_id)
    page.on("pageerror", lambda error: desk.faults.append(f"error: {error}"))
    page.on("console", lambda said: desk.faults.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("request", lambda asked: _note_foreign(desk, asked.url))
    page.goto(f"{house.address}/sign-in#token={house.token(account_id)}")
    page.wait_for_url(f"{house.address}/worklist", timeout=READY_MS)
    return desk


def stand_up(desk: Desk) -> None:
    """Close the page; it must have worked without a fault."""
    desk.page.close()
    assert [fault for fault in desk.faults if not any(part in fault for part in desk.tolerated)] == []


def _note_foreign(desk: Desk, url: str) -> None:
    if not url.startswith((desk.house.address, "blob:", "data:")):
        desk.faults.append(f"foreign: {url}")
