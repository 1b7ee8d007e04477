"""A person's browser in any room of the service; whatever goes wrong in it is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from playwright.sync_api import Browser, Page
from sqlalchemy import update

from service import tables
from service.roles import Role
from service.web.build import WEB_FOLDER
from tests.service.house import House

READY_MS = 30_000
STRANGER = "401 (Unauthorized)"
"""What the browser's console says of a stranger's first question, who is signed in: nobody."""
NOT_READY = "503 (Service Unavailable)"
"""These tests run no worker and no listener, and the pages of those who run the service say so."""

AT_REST = """() => document.getAnimations().every(
    one => one.playState !== "running" || one.effect.getComputedTiming().iterations === Infinity)"""
"""No sheet is half faded out: its words would be faulted for a contrast that nobody is meant to read."""


@dataclass
class Visit:
    """One person's page."""

    house: House
    page: Page
    account_id: int
    faults: list[str] = field(default_factory=list)
    tolerated: list[str] = field(default_factory=lambda: [STRANGER, NOT_READY])

    def go(self, path: str) -> None:
        """Open an address and wait until its page stands."""
        self.page.goto(f"{self.house.address}{path}")
        self.page.locator("#main h1, #main [role=tab], #main [data-testid=pane-0]").first.wait_for(
            state="attached", timeout=READY_MS
        )

    def axe(self) -> list[str]:
        """Return what axe calls serious or critical on the page, with the places."""
        self.page.wait_for_load_state("networkidle")
        self.page.wait_for_function(AT_REST)
        # Under Trusted Types a page takes no script from text; the debugger's door is not the page's.
        session = self.page.context.new_cdp_session(self.page)
        session.send("Runtime.evaluate", {"expression": axe_source()})
        asked = {"expression": "axe.run()", "awaitPromise": True, "returnByValue": True}
        found: dict[str, Any] = session.send("Runtime.evaluate", asked)["result"]["value"]
        return [
            f"{one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


@cache
def axe_source() -> str:
    return (WEB_FOLDER / "node_modules" / "axe-core" / "axe.min.js").read_text(encoding="utf-8")


@contextmanager
def visit(
    house: House, opened: Browser, role: Role = Role.ADMINISTRATOR, *, language: str = "en", **viewport: int
) -> Iterator[Visit]:
    """Sign a new person in by link; at the end the page must have worked without a fault."""
    account_id = house.new_account(role)
    with house.database.transaction() as tx:
        tx.execute(update(tables.account).where(tables.account.c.id == account_id).values(language=language))
    page = opened.new_page(
        viewport={"width": viewport.get("width", 1440), "height": viewport.get("height", 900)},
        locale=language,
        reduced_motion="reduce",
    )
    here = Visit(house, page, account_id)
    page.on("pageerror", lambda error: here.faults.append(f"error: {error}"))
    page.on("console", lambda said: here.faults.append(f"console: {said.text}") if said.type == "error" else None)
    page.on("request", lambda asked: _note_foreign(here, asked.url))
    page.goto(f"{house.address}/sign-in#token={house.token(account_id)}")
    page.locator(".shell").wait_for(timeout=READY_MS)
    yield here
    page.close()
    assert [fault for fault in here.faults if not any(part in fault for part in here.tolerated)] == []


def _note_foreign(here: Visit, url: str) -> None:
    if not url.startswith((here.house.address, "blob:", "data:")):
        here.faults.append(f"foreign: {url}")
