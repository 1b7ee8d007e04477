"""Trial 21: the service as it starts without any configuration; a stranger finds and asks every port that it opens."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
from sqlalchemy import func, select

from service import tables
from service.app import OPEN_PATHS, create_app
from service.database import Database
from service.pages import OPEN_PREFIXES
from service.settings import Settings
from tests.driver import Service, wait_until
from tests.service.intake.dimse.sender import RawSender, associate_rq
from tests.trials.trial import Counts, Trial

LISTENING = "0A"
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
GUESSES = (
    ("admin", "admin"), ("admin", "password"), ("administrator", "administrator"), ("administrator", ""),
    ("orthanc", "orthanc"), ("pandok", "pandok"), ("root", "root"), ("demo", "demo"),
)  # fmt: skip
ELSEWHERE = ("/", "/app", "/docs", "/redoc", "/openapi.json", "/metrics", "/ready", "/admin", "/.git/config", "/env",
             "/instances", "/dicom-web/studies", "/wado", "/patients", "/system", "/studies")  # fmt: skip
TITLES = ("PANDOK", "ANY-SCP", "ORTHANC", "STORESCP", "A")


def listeners(pids: list[int]) -> Iterator[tuple[str, int]]:
    """Yield address and port of every TCP socket that these processes listen at."""
    inodes = set()
    for pid in pids:
        with contextlib.suppress(OSError):
            for link in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(OSError):
                    inodes.add(str(link.readlink()).removeprefix("socket:[").rstrip("]"))
    for table, family in (("tcp", socket.AF_INET), ("tcp6", socket.AF_INET6)):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                address, _, port = fields[1].partition(":")
                words = bytes.fromhex(address)
                packed = b"".join(words[at : at + 4][::-1] for at in range(0, len(words), 4))  # as the host writes it
                yield socket.inet_ntop(family, packed), int(port, 16)


def addresses(folder: Path) -> list[str]:
    """Return every path of the application, with something in place of its parameters."""
    app = create_app(Settings(data_folder=folder))
    found = {path.split("{")[0] + "1.2.3" if "{" in path else path for path in app.openapi()["paths"]}
    app.state.database.close()
    return sorted(found | set(ELSEWHERE))


def is_for_strangers(path: str) -> bool:
    """Tell whether a stranger needs it in order to sign in, or to see that the service lives."""
    return path in OPEN_PATHS or path.startswith(OPEN_PREFIXES)


def ask_http(base: str, paths: list[str]) -> tuple[int, int]:
    """Ask everything without credentials; return how much was asked and how much said something."""
    asked = answered = 0
    with httpx.Client(base_url=base, timeout=20) as stranger:
        for path in paths:
            for method in METHODS:
                answer = stranger.request(method, path)
                asked += 1
                if not is_for_strangers(path) and answer.status_code not in (401, 405):
                    print("answered:", method, path, answer.status_code)
                    answered += 1
        live = stranger.get("/live").json()
        answered += live != {"status": "alive"}
    return asked, answered


def guess(base: str) -> int:
    """Try the names and passwords that others ship with; return how many open a door."""
    opened = 0
    for login, password in GUESSES:
        headers = {"X-Pandok": "1", "X-Forwarded-For": "127.0.0.1"}
        with httpx.Client(base_url=base, headers=headers, timeout=20) as stranger:
            answer = stranger.post("/api/sign-in", json={"login": login, "password": password})
            opened += answer.status_code < 400 or bool(stranger.cookies)
            basic = stranger.get("/api/worklist", auth=(login, password))
            opened += basic.status_code != 401
    return opened


def call(port: int) -> int:
    """Call by DICOM under every likely name; return how often an association was accepted."""
    accepted = 0
    for calling in TITLES:
        for called in TITLES:
            with contextlib.suppress(OSError, EOFError), RawSender(port) as sender:
                sender.send(associate_rq(calling=calling, called=called))
                accepted += sender.pdu()[0] == 2
    return accepted


def secrets_of(service: Service) -> int:
    """Return how many passwords, keys, sessions and peers a first start makes by itself."""
    t = tables
    database = Database(f"sqlite:///{service.folder / 'pandok.db'}")
    with database.reading() as rx:
        counts = [
            rx.execute(select(func.count()).select_from(t.account).where(t.account.c.password_hash.is_not(None))),
            *(rx.execute(select(func.count()).select_from(table)) for table in (t.api_key, t.dicom_peer, t.site)),
        ]
        found = sum(count.scalar_one() for count in counts)
    database.close()
    return found


def run(_seed: int, folder: Path) -> Counts:
    """Start the service with an empty folder and ports of its own, and ask as a stranger."""
    service = Service(folder / "data", {})
    service.start()
    try:
        _wait_alive(service)
        secrets = secrets_of(service)
        found = sorted(set(listeners(service.descendants())))
        asked, answered = ask_http(service.address, addresses(folder / "other"))
        return {
            "probes": asked + len(GUESSES) * 2 + len(TITLES) ** 2,
            "listeners": len(found),
            "answered_a_stranger": answered,
            "opened_by_guessing": guess(service.address),
            "dicom_accepted": call(service.dicom_port),
            "default_secrets": secrets,
            "beyond_loopback": sum(address not in ("127.0.0.1", "::1") for address, _ in found),
            "unknown_listeners": len({port for _, port in found} - {service.web_port, service.dicom_port}),
        }
    finally:
        service.stop()


def _wait_alive(service: Service) -> None:
    def both() -> bool:
        with (
            contextlib.suppress(OSError, httpx.HTTPError),
            socket.create_connection(("127.0.0.1", service.dicom_port), 1),
        ):
            return httpx.get(f"{service.address}/live").status_code == 200
        return False

    wait_until("the service lives", both, 90)


TRIAL = Trial(
    "21",
    "the first start without configuration, asked by a stranger at every port",
    run,
    "probes",
    500,
    ("answered_a_stranger", "opened_by_guessing", "dicom_accepted", "default_secrets", "beyond_loopback",
     "unknown_listeners"),
    at_least={"listeners": 2},
)  # fmt: skip
