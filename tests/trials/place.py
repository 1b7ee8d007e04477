"""An installation that trials break: a data folder with a site, its peer and key, a reader, and films to send."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset
from pynetdicom import AE
from sqlalchemy import select, update

from service import tables
from service.access import new_key, new_sign_in_link
from service.access.account_records import add_account, change_account
from service.access.accounts import NewAccount
from service.archive import Archive
from service.database import Database
from service.intake.settling import settle_due
from service.receiving import make_intake
from service.roles import Role
from service.settings import Settings
from service.site_records import add_peer
from service.sites import NewPeer
from service.worklist.records import update_item
from tests.driver import CALLING_AE, associate, free_port
from tests.factories import Parts, add_site, dataset_bytes, make_ct_slice, make_radiograph, part10
from tests.service.house import PASSWORD, password_hash
from tests.service.reports.desk import NORMAL
from tests.trials.nursery import Nursery, end, is_running

BOUNDARY = "pandok-trial"
READY_S = 20.0


@dataclass
class Place:
    """One installation, its running parts, and who calls on it."""

    settings: Settings
    site_id: int
    key: str
    reader_id: int
    log: Path
    nursery: Nursery | None
    """Starts its parts; None where somebody else does."""
    processes: dict[str, int] = field(default_factory=dict)
    rejected: tuple[int, int, int] | None = None
    """How the last association was: result, source and reason (PS3.8 table 9-21); None when it was not."""
    http: httpx.Client = field(init=False)
    reader: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        address = f"http://127.0.0.1:{self.settings.web_port}"
        self.http = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {self.key}"}, timeout=20)
        self.reader = httpx.Client(base_url=address, headers={"X-Pandok": "1"}, timeout=20)

    # ------------------------------------------------------------ processes

    def environment(self) -> dict[str, str]:
        told = ("data_folder", "web_port", "dicom_port", "min_free_bytes", "min_free_share", "shutdown_s")
        return {f"PANDOK_{name.upper()}": str(getattr(self.settings, name)) for name in told}

    def start(self, part: str, *, traced: bool = False) -> int:
        """Start a part without waiting until it is ready."""
        assert self.nursery is not None
        pid = self.nursery.start(part, self.environment(), self.log, traced=traced)
        self.processes[part] = pid
        return pid

    def wait_ready(self, part: str) -> None:
        """Wait until a part answers."""
        deadline = time.monotonic() + READY_S
        while not self.answers(part):
            assert is_running(self.processes[part]), self.log.read_text(errors="replace")[-3000:]
            assert time.monotonic() < deadline, f"the {part} is not ready"
            time.sleep(0.01)

    def answers(self, part: str) -> bool:
        """Tell whether a part answers its door."""
        if part == "web":
            with contextlib.suppress(httpx.HTTPError):
                return self.http.get("/live").status_code == 200
            return False
        return bool(self.associate(lambda association: True))

    def kill(self, part: str) -> None:
        """End a part with -9."""
        if part in self.processes:
            end(self.processes.pop(part))

    def close(self) -> None:
        """End everything."""
        for part in list(self.processes):
            self.kill(part)
        self.http.close()
        self.reader.close()

    @contextlib.contextmanager
    def tables(self) -> Iterator[Database]:
        """Open the tables from outside."""
        database = Database(self.settings.sqlalchemy_url)
        try:
            yield database
        finally:
            database.close()

    # ------------------------------------------------------------ senders

    def associate(self, do: Any, films: tuple[Dataset, ...] = ()) -> Any:
        """Open an association and do something with it; None when there is none."""
        ae = AE(CALLING_AE)
        ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 20
        for film in films or (Dataset(),):
            syntax = film.file_meta.TransferSyntaxUID if films else "1.2.840.10008.1.2"
            ae.add_requested_context(film.SOPClassUID if films else "1.2.840.10008.1.1", syntax)
        called = self.settings.dicom_ae_title
        association, self.rejected = associate(ae, self.settings.dicom_port, called=called)
        if not association.is_established:
            return None
        try:
            return do(association)
        finally:
            association.release() if association.is_established else association.abort()

    def c_store(self, film: Dataset) -> int | None:
        """Send by C-STORE; returns the status, None without an answer."""

        def send(association: Any) -> int | None:
            with contextlib.suppress(RuntimeError, ValueError):
                status = association.send_c_store(film).get("Status")
                return None if status is None else int(status)
            return None

        answer: int | None = self.associate(send, (film,))
        return answer

    def stow(self, *films: Dataset) -> tuple[int | None, set[str]]:
        """Send by STOW; returns the HTTP status, None without an answer, and the UIDs that were said to be stored."""
        opening = b"--%b\r\nContent-Type: application/dicom\r\n\r\n" % BOUNDARY.encode()
        content_type = f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'
        body = b"".join(opening + part10(film) + b"\r\n" for film in films) + b"--%b--\r\n" % BOUNDARY.encode()
        with contextlib.suppress(httpx.HTTPError):
            answer = self.http.post("/dicomweb/studies", content=body, headers={"Content-Type": content_type})
            return answer.status_code, stored_uids(answer)
        return None, set()

    # ------------------------------------------------------------ readers

    def link(self) -> str:
        """Make the reader's one-time link; returns its token."""
        with self.tables() as database, database.transaction() as tx:
            link = new_sign_in_link(tx, self.settings, account_id=self.reader_id, now=time.time())
        return link.partition("#token=")[2]

    def open_link(self, token: str) -> None:
        """Let the reader sign in and prove who it is."""
        assert self.reader.post("/api/sign-in", json={"token": token}).status_code == 204
        assert self.confirm()

    def confirm(self) -> bool:
        """Let the reader prove who it is, as signing asks for now and then."""
        return self.reader.post("/api/me/confirm", json={"password": PASSWORD}).status_code == 204

    def read(self, public_id: str) -> int:
        """Claim a case and give the first impression; returns the claim's token."""
        claim = self.reader.post(f"/api/worklist/{public_id}/claim")
        assert claim.status_code == 200, claim.text
        token = int(claim.json()["token"])
        body = {"revision": 1, "impression": "normal", "seconds": 4.5}
        given = self.reader.post(f"/api/cases/{public_id}/impression", json=body, headers=_shown(token))
        assert given.status_code == 200, given.text
        return token

    def sign(self, public_id: str, token: int, language: str = "en", *, revision: int = 1) -> int | None:
        """Sign a normal report; returns the HTTP status, None without an answer."""
        body = {"content": {**NORMAL, "language": language}, "status": "final", "revision": revision}
        with contextlib.suppress(httpx.HTTPError):
            answer = self.reader.post(f"/api/cases/{public_id}/report/sign", json=body, headers=_shown(token))
            return answer.status_code
        return None

    def arrived(self, films: list[Dataset]) -> list[str]:
        """Let films of one study each arrive and end as unscored, in this process; returns the public ids."""
        with self.tables() as database:
            archive = Archive(self.settings.archive_folder)
            intake = make_intake(self.settings, database, archive, time.time)
            intake.start()
            parts = Parts(self.settings, database, archive, intake, self.site_id, time.time)
            for film in films:
                assert parts.send(film).is_kept
            intake.stop()
            uids = [str(film.StudyInstanceUID) for film in films]
            return self._end_unscored(database, uids)

    def _end_unscored(self, database: Database, uids: list[str]) -> list[str]:
        now, study = time.time(), tables.study
        with database.transaction() as tx:
            settle_due(tx, now + 3600, limit=len(uids))
            ids = tx.execute(select(study.c.id, study.c.public_id, study.c.study_instance_uid)).all()
            mine = {row.study_instance_uid: row for row in ids}
            for uid in uids:
                ended = {"state": "unscored", "reason": "pipeline_failed"}
                tx.execute(update(study).where(study.c.id == mine[uid].id).values(**ended, settle_at=None))
                revision = tables.revision
                tx.execute(update(revision).where(revision.c.study_id == mine[uid].id).values(**ended, finished_at=now))
                update_item(tx, study_id=mine[uid].id, now=now, settings=self.settings)
        return [mine[uid].public_id for uid in uids]


def _shown(token: int) -> dict[str, str]:
    return {"X-Pandok-Claim": str(token)}


def stored_uids(answer: httpx.Response) -> set[str]:
    """Return the instances that a Store Instances Response says are stored."""
    if answer.status_code not in (200, 202):
        return set()
    items = answer.json().get("00081199", {}).get("Value", [])
    return {item["00081155"]["Value"][0] for item in items}


def make_place(folder: Path, nursery: Nursery, **settings: Any) -> Place:
    """Make an installation with one site, one peer, one key and one reader."""
    made = Settings(
        data_folder=folder / "data",
        **{"min_free_bytes": 0, "web_port": free_port(), "dicom_port": free_port(), **settings},
    )
    made.data_folder.mkdir(parents=True, exist_ok=True)
    database = Database(made.sqlalchemy_url)
    database.migrate()
    site_id, now = add_site(database), time.time()
    with database.transaction() as tx:
        add_peer(tx, site_id, NewPeer(CALLING_AE, "127.0.0.1/32", None), now=now)
        key = new_key(tx, site_id=site_id, name="trial", now=now).text
        reader = NewAccount("reader", "Reader", Role.RADIOLOGIST, None, "en", "UTC")
        reader_id = add_account(tx, reader, now=now).id
        change_account(tx, reader_id, password_hash=password_hash(), password_set_at=now)
    database.close()
    return Place(made, site_id, key, reader_id, folder / "service.log", nursery)


def film(seed: int, *, rows: int = 24) -> Dataset:
    """Return a small film of a study of its own; every seed gives other pixels."""
    return make_radiograph(_pixels(rows, seed), InstanceNumber=seed % 1000)


def slices(count: int, seed: int) -> list[Dataset]:
    """Return CT slices of one study and series."""
    first = make_ct_slice(rows=16, seed=seed)
    more = [make_ct_slice(rows=16, seed=seed + n, InstanceNumber=n + 1) for n in range(1, count)]
    for one in more:
        one.StudyInstanceUID, one.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
    return [first, *more]


def sha256_of(dataset: Dataset) -> str:
    """Return the name that the archive gives a data set."""
    return hashlib.sha256(dataset_bytes(dataset)).hexdigest()


def _pixels(rows: int, seed: int) -> Any:
    from tests.factories import phantom

    return phantom(rows, rows, seed=seed)


def has_program(path: str) -> bool:
    """Tell whether a program is on this machine."""
    return os.access(path, os.X_OK)
