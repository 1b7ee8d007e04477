"""The real application over real HTTP, with the studies of two sites in it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from pydicom import Dataset

from service.access import Access, new_key, new_sign_in_link
from service.access.account_records import administrator, change_account
from service.app import create_app
from service.archive import Archive
from service.database import Database
from service.intake.outcomes import Door, Sender
from service.settings import Settings
from tests.driver import free_port
from tests.factories import add_site, dataset_bytes, keep


@dataclass
class Web:
    """A running web process, its tables, and clients of it."""

    address: str
    app: Any
    sites: dict[str, int] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)

    @property
    def database(self) -> Database:
        database: Database = self.app.state.database
        return database

    @property
    def archive(self) -> Archive:
        archive: Archive = self.app.state.archive
        return archive

    @property
    def settings(self) -> Settings:
        made: Settings = self.app.state.settings
        return made

    def add_site(self, code: str) -> None:
        self.sites[code] = add_site(self.database, code)
        with self.database.transaction() as tx:
            self.keys[code] = new_key(tx, site_id=self.sites[code], name="test", now=time.time()).text

    def client(self, code: str = "north") -> httpx.Client:
        """Return a client with a site's key."""
        headers = {"Authorization": f"Bearer {self.keys[code]}"}
        return httpx.Client(base_url=f"{self.address}/dicomweb", headers=headers, timeout=30, verify=False)

    def person(self) -> httpx.Client:
        """Return the client of a signed-in person, who sees every site."""
        access: Access = self.app.state.access
        with self.database.transaction() as tx:
            admin = administrator(tx, now=time.time())
            change_account(tx, admin.id, password_hash="chosen before")
            link = new_sign_in_link(tx, self.settings, account_id=admin.id, now=time.time())
        token = self.app.state.sign_in.by_link(link.rpartition("=")[2])
        assert token is not None
        cookies = {access.cookie_name: token}
        return httpx.Client(base_url=f"{self.address}/dicomweb", cookies=cookies, timeout=30, verify=False)

    def send(self, dataset: Dataset, code: str = "north") -> Dataset:
        """Store a data set for a site, as a door does, and give it back."""
        intake = self.app.state.intake
        sender = Sender(self.sites[code], Door.STOW, "test")
        spooled = intake.open(sender, transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID))
        spooled.write(dataset_bytes(dataset))
        outcome = keep(intake, spooled, sop_class_uid=dataset.SOPClassUID, sop_instance_uid=dataset.SOPInstanceUID)
        assert outcome.is_kept, outcome
        return dataset


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder: Path = tmp_path_factory.mktemp("web")
    port = free_port()
    app = create_app(Settings(data_folder=folder, min_free_bytes=0, web_port=port))
    app.state.database.migrate()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, lifespan="on"))
    thread = threading.Thread(target=server.run)
    thread.start()
    _wait(lambda: server.started, thread)
    opened = Web(f"http://127.0.0.1:{port}", app)
    opened.add_site("north")
    opened.add_site("south")
    try:
        yield opened
    finally:
        server.should_exit = True
        thread.join(timeout=30)


def _wait(is_ready: Callable[[], bool], thread: threading.Thread) -> None:
    deadline = time.monotonic() + 30
    while not is_ready():
        assert thread.is_alive(), "the server stopped"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.01)
