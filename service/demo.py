"""The demonstration: a site of its own, the real service, and real studies sent over real DICOM networking."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.errors import InvalidDicomError
from pynetdicom import AE
from sqlalchemy import Connection

from service import audit, site_changes, site_records
from service.access import public_address
from service.access.account_records import Account, administrator, find_login
from service.access.accounts import NewAccount
from service.access.manage import add as add_person
from service.access.manage import make_link
from service.database import Database
from service.intake import records
from service.roles import Role
from service.settings import Settings
from service.sites import NewPeer, NewSite, Site, SitePolicy, open_shelf, served_by_default

SITE = "demo"
AE_TITLE = "DEMO_PACS"
QUIET_S = 3.0
DATA_FOLDER = Path("demo-data")
"""Where the demonstration lives when nobody says otherwise: never in a real installation's folder."""

PACKAGE_FILMS = ("RG1_UNCR.dcm", "RG3_UNCR.dcm", "MR2_J2KI.dcm", "693_J2KR.dcm")
"""Of PyPI's pydicom-data: a chest radiograph, a leg, an MR and a CT: one is scored, three say why they are not."""

_START_TIMEOUT_S = 60.0
_SCORE_TIMEOUT_S = 120.0


def run_demo(settings: Settings, films: Path | None) -> int:
    """Start the service with the demo's site, send the studies and serve until interrupted; returns the exit code."""
    settings = settings.model_copy(
        update={
            **({} if "data_folder" in settings.model_fields_set else {"data_folder": DATA_FOLDER}),
            "web_port": _free_port(settings.web_host, settings.web_port),
            "dicom_port": _free_port(settings.dicom_host, settings.dicom_port),
        }
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # told to stop, it must not leave the service running
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    people = _prepare_site(database, settings)
    environment = {
        **os.environ,
        "PANDOK_DATA_FOLDER": str(settings.data_folder),
        "PANDOK_WEB_PORT": str(settings.web_port),
        "PANDOK_DICOM_PORT": str(settings.dicom_port),
    }
    log_path = settings.data_folder / "serve.log"
    with log_path.open("ab") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "service.cli", "serve"], env=environment, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        if not _wait_until_listening(settings, service):
            print(f"The service did not start; its log is {log_path}", file=sys.stderr)
            return 1
        print(f"Sending studies to {settings.dicom_ae_title} at {settings.dicom_host}:{settings.dicom_port} ...")
        sent = _send(settings, _files(films))
        _show_progress(database, sent)
        print(f"\nPandok is at {public_address(settings)}/ . Each of these links works once, within 15 minutes:")
        for person in people:
            print(f"\n  {person.who} starts at {person.page}\n    {person.link}")
        print(
            f"\n  Send more:  storescu -aet {AE_TITLE} -aec {settings.dicom_ae_title} "
            f"{settings.dicom_host} {settings.dicom_port} FILE.dcm"
            "\n\nThe service runs until you press Ctrl-C.",
            flush=True,
        )
        return service.wait()
    except KeyboardInterrupt:
        return 0
    finally:
        database.close()
        if service.poll() is None:
            service.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
                service.wait(settings.shutdown_s + 5)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody of the demonstration."""

    who: str
    page: str
    link: str


def _prepare_site(database: Database, settings: Settings) -> list[Person]:
    """Make the demo's site, peer and people once, let the shipped packages serve it, and return fresh links."""
    now = time.time()
    with database.transaction() as tx:
        site = site_records.find_site(tx, SITE)
        if site is None:
            policy = SitePolicy(quiet_s={"default": QUIET_S}, unknown_age="adult")
            site = site_changes.add_site(
                tx, audit.SYSTEM, NewSite(SITE, "Demo center", "VN", "vi", "Asia/Ho_Chi_Minh", policy), now=now
            )
            site_changes.add_peer(tx, audit.SYSTEM, site, NewPeer(AE_TITLE, "127.0.0.0/8", None), now=now)
        packages = served_by_default(open_shelf(settings).packages)
        site_changes.release_packages(tx, audit.SYSTEM, site, packages, now=now, command="demo")
        return _people(tx, settings, site, now=now)


def _people(tx: Connection, settings: Settings, site: Site, *, now: float) -> list[Person]:
    """Make the accounts that are not there yet, and a link for each; everybody chooses a password first."""
    reader = NewAccount("reader", "Demo Radiologist", Role.RADIOLOGIST, None, "ko", "Asia/Seoul", "DEMO-1")
    center = NewAccount("center", "Demo Physician", Role.SITE_PHYSICIAN, site.id, site.language, site.time_zone)
    accounts = [
        ("The administrator", "/worklist and runs the service at /admin", administrator(tx, now=now)),
        ("A radiologist who reads in Korean", "/worklist", _account(tx, reader, now=now)),
        ("A physician of the center in Vietnam", "/center", _account(tx, center, now=now)),
    ]
    return [
        Person(who, page, make_link(tx, audit.SYSTEM, account, settings, now=now))
        for who, page, account in accounts
        if account.disabled_at is None
    ]


def _account(tx: Connection, new: NewAccount, *, now: float) -> Account:
    return find_login(tx, new.login) or add_person(tx, audit.SYSTEM, new, now=now)


def _free_port(host: str, wanted: int) -> int:
    """Return the wanted port, or a free one when somebody has it."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port")


def _wait_until_listening(settings: Settings, service: subprocess.Popen[bytes]) -> bool:
    """Wait for the DICOM listener and the web server to take connections."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    waiting = [(settings.dicom_host, settings.dicom_port), (settings.web_host, settings.web_port)]
    while waiting and time.monotonic() < deadline and service.poll() is None:
        try:
            socket.create_connection(waiting[0], timeout=1).close()
            waiting.pop(0)
        except OSError:
            time.sleep(0.1)
    return not waiting


def _files(films: Path | None) -> Iterator[Dataset]:
    """Yield the package's real films, then every DICOM file of the user's folder."""
    shipped = resources.files("data_store") / "data"
    for name in PACKAGE_FILMS:
        with resources.as_file(shipped / name) as path:
            yield dcmread(path)
    if films is None:
        return
    for path in sorted(p for p in films.rglob("*") if p.is_file()):
        try:
            yield dcmread(path)
        except (InvalidDicomError, OSError, ValueError, KeyError, NotImplementedError):
            print("  one file of the folder is not DICOM and was left out")  # its name may be a patient's


def _send(settings: Settings, datasets: Iterable[Dataset]) -> int:
    """Send each data set on an association of its own, as a small PACS does; returns how many were stored."""
    stored = 0
    for dataset in datasets:
        ae = AE(AE_TITLE)
        ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        association = ae.associate(settings.dicom_host, settings.dicom_port, ae_title=settings.dicom_ae_title)
        if not association.is_established or not association.accepted_contexts:
            print(f"  {dataset.SOPClassUID.name}: not accepted")
            association.abort()
            continue
        answer = association.send_c_store(dataset)
        association.release()
        status = answer.get("Status")
        stored += status == 0x0000
        words = "stored" if status == 0x0000 else answer.get("ErrorComment", "no answer")
        print(f"  {dataset.get('Modality', '')} {dataset.SOPClassUID.name}: {words}")
    return stored


def _show_progress(database: Database, sent: int) -> None:
    """Wait until the pipeline has finished with what was sent, and say what came of it."""
    deadline = time.monotonic() + _SCORE_TIMEOUT_S
    print("Waiting for the studies to settle and to be scored ...", flush=True)
    counts: dict[str, int] = {}
    while time.monotonic() < deadline:
        with database.reading() as tx:
            counts = records.study_states(tx)
        if sent and counts and not counts.keys() & {"arriving", "settled"}:
            break
        time.sleep(0.25)
    print("  " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
