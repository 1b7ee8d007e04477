"""The real web application on a temporary folder: two sites, their keys, people, and studies in every state."""

from __future__ import annotations

import functools
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from sqlalchemy import event, insert
from sqlalchemy.engine.interfaces import DBAPIConnection

from service import tables
from service.access import new_key, new_sign_in_link
from service.access.account_records import add_account, change_account
from service.access.accounts import NewAccount
from service.access.passwords import hash_password
from service.app import create_app
from service.database import Database
from service.roles import KOREAN_SIDE, Role
from service.settings import Settings
from service.worklist.records import update_item
from tests.driver import free_port
from tests.factories import Clock, add_site

PASSWORD = "eleven quiet radiographs"
"""Of every person in a house."""


@dataclass
class House:
    """A running application and who may call it."""

    app: FastAPI
    database: Database
    settings: Settings
    clock: Any  # Clock, which only tests move, unless a test brings its own
    site_id: int
    other_site_id: int
    stranger: httpx.Client
    closing: ExitStack

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.web_port}"

    def key(self, site_id: int | None = None) -> str:
        with self.database.transaction() as tx:
            return new_key(tx, site_id=site_id or self.site_id, name="test", now=self.clock()).text

    def new_account(
        self,
        role: Role = Role.ADMINISTRATOR,
        *,
        site_id: int | None = None,
        policy: str | None = None,
        login: str | None = None,
    ) -> int:
        """Make a person with the password PASSWORD; one who cannot stand above the sites is of the first site."""
        if site_id is None and role not in KOREAN_SIDE:
            site_id = self.site_id
        now = self.clock()
        with self.database.transaction() as tx:
            number = tx.exec_driver_sql("SELECT count(*) FROM account").scalar_one() + 1
            new = NewAccount(
                login or f"person-{number}", f"Person {number}", role, site_id, "en", "UTC", reading_policy=policy
            )
            account_id = add_account(tx, new, now=now).id
            change_account(tx, account_id, password_hash=password_hash(), password_set_at=now)
        return account_id

    def token(self, account_id: int | None = None) -> str:
        """Return a one-time link's token of an account; of a new administrator when none is named."""
        account_id = account_id or self.new_account()
        with self.database.transaction() as tx:
            link = new_sign_in_link(tx, self.settings, account_id=account_id, now=self.clock())
        return link.partition("#token=")[2]

    def client(self, **headers: str) -> httpx.Client:
        """Return a caller without anything remembered."""
        return self.closing.enter_context(httpx.Client(base_url=self.address, headers=headers, timeout=20))

    def with_key(self, site_id: int | None = None) -> httpx.Client:
        return self.client(Authorization=f"Bearer {self.key(site_id)}")

    def signed_in(self, role: Role = Role.ADMINISTRATOR, site_id: int | None = None) -> httpx.Client:
        """Return a new person's browser, after the one-time link."""
        return self.account(role, site_id=site_id)[0]

    def account(self, role: Role, site_id: int | None = None, policy: str | None = None) -> tuple[httpx.Client, int]:
        """Return a new person's browser, signed in, and the account's row number."""
        account_id = self.new_account(role, site_id=site_id, policy=policy)
        return self.browser(account_id), account_id

    def browser(self, account_id: int) -> httpx.Client:
        """Return a browser signed in to an account by a one-time link."""
        person = self.client(**{"X-Pandok": "1"})
        assert person.post("/api/sign-in", json={"token": self.token(account_id)}).status_code == 204
        return person

    def add_study(self, *, site_id: int | None = None, ai_priority: int | None = None, **values: Any) -> int:
        """Add a study's row and its item, as intake and pipeline would leave them; returns its id."""
        now = self.clock()
        with self.database.transaction() as tx:
            number = tx.exec_driver_sql("SELECT count(*) FROM study").scalar_one() + 1
            row = {
                "site_id": site_id or self.site_id,
                "public_id": f"{number:032x}",
                "study_instance_uid": f"1.2.3.{number}",
                "patient_name": "TEST^PATIENT",
                "patient_id": "T1",
                "modalities": "DX",
                "series_count": 1,
                "instance_count": 1,
                "flags": [],
                "state": "arriving",
                "revision": 1,
                "first_image_at": now,
                "last_instance_at": now,
                "arriving_since": now,
                "settle_by": "quiet",
                "center_priority": 3,
            }
            result = tx.execute(insert(tables.study).values(**{**row, **values}))
            study_id = int(result.inserted_primary_key[0])
            update_item(tx, study_id=study_id, now=now, settings=self.settings, ai_priority=ai_priority)
        return study_id

    def add_scored(self, *findings: dict[str, Any], number: int = 1, study_id: int | None = None, **study: Any) -> int:
        """Add a study whose revision was scored with these findings."""
        now = self.clock()
        study_id = study_id or self.add_study(state="scored", settled_at=now, scored_at=now, **study)
        site_id = study.get("site_id") or self.site_id
        with self.database.transaction() as tx:
            ids = {"site_id": site_id, "study_id": study_id}
            revision_id = _add(
                tx, tables.revision, **ids, number=number, state="scored", settled_by="quiet", settled_at=now, attempt=1
            )
            series_id = _add(
                tx, tables.series, **ids, series_instance_uid=f"1.2.4.{study_id}.{number}", modality="DX",
                instance_count=1, is_result=False,
            )  # fmt: skip
            instance_id = _add(
                tx, tables.instance, **ids, series_id=series_id, sop_instance_uid=f"1.2.5.{study_id}.{number}",
                sop_class_uid="1.2", transfer_syntax_uid="1.2", instance_number=1, content_sha256="0" * 64,
                size_bytes=1, header={}, revision=number, door="dimse", received_at=now, is_result=False,
            )  # fmt: skip
            run_id = _add(
                tx, tables.run, **ids, revision_id=revision_id, instance_id=instance_id, package="chest_radiograph",
                package_version="1.0.0", package_sha256="ab" * 32, recipe="chest_radiograph/1", outcome="done",
                notes=[], provider="CPUExecutionProvider", started_at=now, finished_at=now,
            )  # fmt: skip
            for channel, finding in enumerate(findings):
                _add(
                    tx, tables.finding, **ids, revision_id=revision_id, run_id=run_id, channel=channel,
                    **{"finding": "opacity", "operating_point": "balanced", "threshold": 0.5, "raises_priority": True,
                       "experimental": False, **finding},
                )  # fmt: skip
        return study_id


@functools.cache
def password_hash() -> str:
    """Return how PASSWORD is kept: made once, since making it is slow on purpose."""
    return hash_password(PASSWORD)


def _add(tx: Any, table: Any, **values: Any) -> int:
    return int(tx.execute(insert(table).values(**values)).inserted_primary_key[0])


@contextmanager
def open_house(folder: Path, *, clock: Callable[[], float] | None = None, **settings: Any) -> Iterator[House]:
    """Start the application behind a real HTTP server; it stops when the block ends."""
    made = Settings(
        data_folder=folder / "data", **{"min_free_bytes": 0, "low_free_bytes": 0, "web_port": free_port(), **settings}
    )
    database = migrated(made)
    site_id, other_site_id = add_site(database, "one"), add_site(database, "two")
    clock = clock or Clock()
    app = create_app(made, database=database, clock=clock)
    with _served(app, made.web_port), ExitStack() as closing:
        stranger = closing.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{made.web_port}", timeout=20))
        yield House(app, database, made, clock, site_id, other_site_id, stranger, closing)


def migrated(settings: Settings) -> Database:
    """Return the tables of a new installation, quickly: a copy of made ones, and no waiting for the disk."""
    if settings.database_url is None:
        settings.data_folder.mkdir(parents=True, exist_ok=True)
        (settings.data_folder / "pandok.db").write_bytes(_made_tables())
    database = Database(settings.sqlalchemy_url)

    if database.engine.dialect.name == "sqlite":

        @event.listens_for(database.engine, "connect")
        def hurry(connection: DBAPIConnection, _record: object) -> None:
            connection.cursor().execute("PRAGMA synchronous=OFF")

    database.migrate()
    return database


@functools.cache
def _made_tables() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/pandok.db")
        database.migrate()
        database.close()
        return (Path(folder) / "pandok.db").read_bytes()


@contextmanager
def _served(app: FastAPI, port: int) -> Iterator[None]:
    config = uvicorn.Config(app, port=port, ws="none", access_log=False, log_config=None, server_header=False)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the application did not start"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    try:
        yield
    finally:
        app.state.stopping.set()
        server.should_exit = True
        thread.join(20)
