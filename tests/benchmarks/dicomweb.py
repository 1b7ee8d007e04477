"""STOW, QIDO and WADO beside Orthanc in one run (python -m tests.benchmarks.dicomweb).

Both take the same files over HTTP/1.1 with keep-alive, one instance a request, into empty stores, in turn. Searches and
retrievals are asked of what was stored, by four clients.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import httpx
from pydicom import dcmread

from service.access import new_key
from service.database import Database
from service.settings import Settings
from tests.benchmarks.dimse_receive import make_files
from tests.benchmarks.peers import DICOMWEB_PLUGIN, ORTHANC, need
from tests.benchmarks.rows import Row, against, report
from tests.driver import free_port, wait_until
from tests.factories import add_site

BOUNDARY = "0f3cf5c0-70e0-41ef-baef-c6f9f65ec3e1"
"""As dicomweb-client's: a longer one is found sooner, and clients send 30 to 40 characters."""
TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
MUST = {("ct", 1): 2.0, ("ct", 4): 2.0, ("dx", 1): 2.0, ("dx", 4): 1.2}
"""How many times Orthanc's rate STOW must reach: kind, clients."""
WORDS = {"ct": "{size:.1f} MB CT slices", "dx": "{size:.1f} MB radiographs"}


@dataclass(frozen=True)
class Server:
    """A running DICOMweb server."""

    address: str
    headers: dict[str, str]

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.address, headers=self.headers, timeout=120)


@contextmanager
def pandok() -> Iterator[Server]:
    """Run the web process alone, as `pandok serve` runs it."""
    folder = Path(tempfile.mkdtemp(prefix="pandok-bench-"))
    settings = Settings(data_folder=folder / "data", web_port=free_port())
    database = Database(settings.sqlalchemy_url)
    database.migrate()
    site_id = add_site(database, "bench")
    with database.transaction() as tx:
        key = new_key(tx, site_id=site_id, name="bench", now=time.time()).text
    database.close()
    with serving(settings, folder, {"Authorization": f"Bearer {key}"}) as server:
        yield server


@contextmanager
def serving(settings: Settings, folder: Path, headers: dict[str, str]) -> Iterator[Server]:
    """Run the web process alone on prepared tables; what lies in the folder goes when it ends."""
    environment = {
        **os.environ, "PANDOK_DATA_FOLDER": str(settings.data_folder), "PANDOK_WEB_PORT": str(settings.web_port)
    }  # fmt: skip
    command = [sys.executable, "-m", "service.cli", "serve", "--only", "web"]
    server = Server(f"http://127.0.0.1:{settings.web_port}/dicomweb", headers)
    with _running(command, folder, environment, server, "/studies?limit=1"):
        yield server


@contextmanager
def orthanc() -> Iterator[Server]:
    """Run Orthanc with its DICOMweb plugin, syncing files as durable storage must."""
    folder, port = Path(tempfile.mkdtemp(prefix="orthanc-bench-")), free_port()
    configuration = {
        "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"), "HttpPort": port,
        "DicomServerEnabled": False, "AuthenticationEnabled": False, "RemoteAccessAllowed": False,
        "SyncStorageArea": True, "Plugins": [DICOMWEB_PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "KeepAlive": True, "HttpThreadsCount": 50,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    server = Server(f"http://127.0.0.1:{port}/dicom-web", {})
    with _running([ORTHANC, str(folder / "orthanc.json")], folder, dict(os.environ), server, "/studies"):
        yield server


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str], server: Server, ask: str) -> Iterator[None]:
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        wait_until("the server answers", lambda: _answers(server, ask))
        yield
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(server: Server, ask: str) -> bool:
    try:
        with server.client() as client:
            return client.get(ask).status_code in (200, 204, 401)
    except httpx.TransportError:
        return False


def store(server: Server, bodies: list[bytes], clients: int) -> float:
    """Send one instance a request, over so many connections at once; return seconds."""
    shares = [bodies[index::clients] for index in range(clients)]

    def send(share: list[bytes]) -> None:
        with server.client() as client:
            for body in share:
                answer = client.post("/studies", content=body, headers={"Content-Type": TYPE})
                assert answer.status_code == 200, answer.text[:200]

    return _together([lambda share=share: send(share) for share in shares])


def ask(server: Server, paths: list[str], headers: dict[str, str], clients: int) -> float:
    """Ask for every path, over so many connections at once; return seconds."""

    def get(share: list[str]) -> None:
        with server.client() as client:
            for path in share:
                answer = client.get(path, headers=headers)
                assert answer.status_code == 200, (path, answer.status_code, answer.text[:200])

    shares = [paths[index::clients] for index in range(clients)]
    return _together([lambda share=share: get(share) for share in shares])


def _together(works: list[Callable[[], None]]) -> float:
    failures: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as failure:  # noqa: BLE001 - told by the main thread
            failures.append(failure)

    threads = [Thread(target=guarded, args=(work,)) for work in works]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def bodies_of(paths: list[Path]) -> list[bytes]:
    head, tail = f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode(), f"\r\n--{BOUNDARY}--\r\n".encode()
    return [head + path.read_bytes() + tail for path in paths]


Questions = tuple[list[str], dict[str, str]]
"""Paths that are asked for, and the headers with which."""


def questions(paths: list[Path]) -> dict[str, Questions]:
    """Return what is asked after the files were stored."""
    headers = [dcmread(io.BytesIO(path.read_bytes()), stop_before_pixels=True) for path in paths]
    uids = [(h.StudyInstanceUID, h.SeriesInstanceUID, h.SOPInstanceUID) for h in headers]
    instances = [f"/studies/{s}/series/{e}/instances/{i}" for s, e, i in uids]
    stored = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    octets = {"Accept": 'multipart/related; type="application/octet-stream"'}
    jsons = {"Accept": "application/dicom+json"}
    return {
        "QIDO study by uid": ([f"/studies?StudyInstanceUID={s}" for s, _, _ in uids], jsons),
        "QIDO instances of a study": ([f"/studies/{s}/instances?limit=100" for s, _, _ in uids[:40]], jsons),
        "WADO instance": (instances, stored),
        "WADO frame": ([f"{path}/frames/1" for path in instances], octets),
        "WADO metadata": ([f"{path}/metadata" for path in instances], jsons),
        "WADO rendered": ([f"{path}/rendered" for path in instances[:20]], {"Accept": "image/jpeg"}),
    }


def once(server: Server, bodies: list[bytes], asked: dict[str, Questions], clients: int) -> dict[str, float]:
    """Store everything, then ask about it; return seconds for each work."""
    seconds = {"STOW": store(server, bodies, clients)}
    return seconds | {work: ask(server, paths, headers, clients) for work, (paths, headers) in asked.items()}


def compare(kind: str, paths: list[Path], *, clients: int, rounds: int) -> list[Row]:
    """Let both take turns, the order turned each time; searches and retrievals are asked where four clients are."""
    bodies, asked = bodies_of(paths), questions(paths) if clients > 1 else {}
    servers = {"pandok": pandok, "orthanc": orthanc}
    found: dict[str, list[dict[str, float]]] = {name: [] for name in servers}
    for number in range(rounds):
        for name in servers if number % 2 else reversed(servers):
            with servers[name]() as server:
                found[name].append(once(server, bodies, asked, clients))
    size_mb = sum(map(len, bodies)) / 1e6
    who = f"{WORDS[kind].format(size=size_mb / len(paths))}, {clients} client{'s' if clients > 1 else ''}"
    rows = []
    for work in found["pandok"][0]:
        amount, unit = (size_mb, "MB/s") if work == "STOW" else (len(asked[work][0]), "answers/s")
        ours, theirs = ([amount / one[work] for one in found[name]] for name in servers)
        must = MUST[kind, clients] if work == "STOW" else None
        rows.append(against(f"{work}, {who}", ours, "Orthanc", theirs, unit=unit, must=must))
    return rows


def measure(rounds: int = 5, slices: int = 200, radiographs: int = 20) -> list[Row]:
    """Compare for both kinds, from one client and from four."""
    need(ORTHANC, DICOMWEB_PLUGIN)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("ct", slices), ("dx", radiographs)):
            paths = make_files(Path(folder), kind=kind, count=count)
            for clients in (1, 4):
                rows += compare(kind, paths, clients=clients, rounds=rounds)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--radiographs", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    asked = parser.parse_args()
    report("dicomweb", lambda: measure(asked.rounds, asked.slices, asked.radiographs), kept=asked.keep)


if __name__ == "__main__":
    main()
