"""The HTTP doors by themselves: our router behind the real gate, with a site's key and a signed-in person."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import select
from starlette.responses import Response

from service import tables
from service.access import Access, new_key, new_sign_in_link
from service.access.account_records import administrator, change_account
from service.access.sign_in import SignIn
from service.errors import add_handlers
from service.gate import Doorway, Gate
from service.intake.resumable_routes import router as resumable_router
from service.intake.routes import router
from tests.factories import Parts

BOUNDARY = "----5f0b7c"
STOW_TYPE = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'


def related(*parts: bytes, end: bool = True) -> bytes:
    """Return a STOW body."""
    opened = b"".join(
        b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n" % (BOUNDARY.encode(), part) for part in parts
    )
    return opened + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


@dataclass
class Door:
    """An application with the intake's routes only, and who may come in."""

    parts: Parts
    port: int
    key: str
    client: httpx.Client
    """Shows the site's key."""
    person: httpx.Client
    """A signed-in person of the installation, who sees every site."""
    stranger: httpx.Client
    """Shows nothing."""

    @property
    def address(self) -> str:
        """Where the service answers."""
        return f"http://127.0.0.1:{self.port}"

    def store(self, *files: bytes, study: str | None = None, **headers: str) -> httpx.Response:
        """Send files by STOW-RS."""
        path = f"/dicomweb/studies/{study}" if study else "/dicomweb/studies"
        return self.client.post(path, content=related(*files), headers={"Content-Type": STOW_TYPE, **headers})

    def upload(self, content: bytes, name: str = "film.dcm", **headers: str) -> httpx.Response:
        """Send one file or zip as the upload page does."""
        return self.client.post("/api/uploads", content=content, headers={"X-File-Name": name, **headers})

    def rows(self, table: str) -> list[dict[str, Any]]:
        """Return every row of a table."""
        with self.parts.database.reading() as connection:
            return [dict(row) for row in connection.execute(select(tables.metadata.tables[table])).mappings()]

    def spool_files(self) -> list[str]:
        """Return what lies in the spool and is not stored."""
        return [path.name for path in self.parts.settings.spool_folder.glob("*.part")]


@contextmanager
def open_door(parts: Parts) -> Iterator[Door]:
    """Serve the intake's routes behind the gate."""
    access = Access(parts.database, parts.settings, parts.clock)
    app = FastAPI()
    app.include_router(router)
    app.include_router(resumable_router)
    add_handlers(app)
    app.add_middleware(Gate, doorway=Doorway(access, frozenset(), (), lambda: Response("sign in", status_code=401)))
    app.state.settings, app.state.database, app.state.archive = parts.settings, parts.database, parts.archive
    app.state.intake, app.state.clock = parts.intake, parts.clock
    with parts.database.transaction() as tx:
        key = new_key(tx, site_id=parts.site_id, name="tests", now=parts.clock()).text
        admin = administrator(tx, now=parts.clock())
        change_account(tx, admin.id, password_hash="chosen before")
        link = new_sign_in_link(tx, parts.settings, account_id=admin.id, now=parts.clock())
    session = SignIn(parts.database, parts.settings, parts.clock).by_link(link.partition("#token=")[2])
    shown = [
        {"Authorization": f"Bearer {key}"},
        {"Cookie": f"{access.cookie_name}={session}", "X-Pandok": "1"},
        {},
    ]
    with served(app) as port, ExitStack() as clients:
        made = [
            clients.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30))
            for headers in shown
        ]
        yield Door(parts, port, key, *made)


@contextmanager
def served(app: FastAPI, lifespan: Literal["on", "off"] = "off") -> Iterator[int]:
    """Serve the application by uvicorn on a free port of the loopback; gives the port."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan=lifespan))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve([listening])), daemon=True)
    thread.start()
    try:
        poll(lambda: server.started)
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()


def poll(condition: Any, deadline_s: float = 15.0) -> None:
    """Wait until something holds; fail when it does not in time."""
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, "not in time"
        threading.Event().wait(0.01)


def values(module: dict[str, Any], tag: str) -> list[Any]:
    """Return the values of an element of DICOM JSON."""
    return list(module.get(tag, {}).get("Value", []))


def first_values(items: Iterable[dict[str, Any]], tag: str) -> list[Any]:
    """Return the first value of an element in every item of a sequence."""
    return [values(item, tag)[0] for item in items]
