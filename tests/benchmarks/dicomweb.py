"""STOW, QIDO and WADO beside Orthanc in one run (python -m tests.benchmarks.dicomweb).

Both take the same files over HTTP/1.1 with keep-alive, into empty stores, in turn; what is printed is how many times as
fast Pandok is: the smallest, the median and the largest ratio over the rounds.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import statistics
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
from tests.driver import free_port, wait_until
from tests.factories import add_site

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
TYPE = 'multipart/related; type="application/dicom"; boundary=bench'


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
    environment = {
        **os.environ,
        "PANDOK_DATA_FOLDER": str(settings.data_folder),
        "PANDOK_WEB_PORT": str(settings.web_port),
    }
    command = [sys.executable, "-m", "service.cli", "serve", "--only", "web"]
    server = Server(f"http://127.0.0.1:{settings.web_port}/dicomweb", {"Authorization": f"Bearer {key}"})
    with _running(command, folder, environment, server, "/studies?limit=1"):
        yield server


@contextmanager
def orthanc() -> Iterator[Server]:
    """Run Orthanc with its DICOMweb plugin, syncing files as durable storage must."""
    folder, port = Path(tempfile.mkdtemp(prefix="orthanc-bench-")), free_port()
    configuration = {
        "StorageDirectory": str(folder / "store"), "IndexDirectory": str(folder / "store"), "HttpPort": port,
        "DicomServerEnabled": False, "AuthenticationEnabled": False, "RemoteAccessAllowed": False,
        "SyncStorageArea": True, "Plugins": [PLUGIN], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "KeepAlive": True, "HttpThreadsCount": 50,
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    server = Server(f"http://127.0.0.1:{port}/dicom-web", {})
    with _running(["/usr/sbin/Orthanc", str(folder / "orthanc.json")], folder, dict(os.environ), server, "/studies"):
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
            return client.get(ask).status_code in (200, 204)
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
    head, tail = b"--bench\r\nContent-Type: application/dicom\r\n\r\n", b"\r\n--bench--\r\n"
    return [head + path.read_bytes() + tail for path in paths]


def questions(paths: list[Path]) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what is asked after the files were stored: paths and headers."""
    headers = [dcmread(io.BytesIO(path.read_bytes()), stop_before_pixels=True) for path in paths]
    uids = [(h.StudyInstanceUID, h.SeriesInstanceUID, h.SOPInstanceUID) for h in headers]
    instances = [f"/studies/{s}/series/{e}/instances/{i}" for s, e, i in uids]
    stored = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    octets = {"Accept": 'multipart/related; type="application/octet-stream"'}
    jsons = {"Accept": "application/dicom+json"}
    return {
        "QIDO study by uid": ([f"/studies?StudyInstanceUID={s}" for s, _, _ in uids], jsons),
        "QIDO instances of a study": ([f"/studies/{s}/instances?limit=100" for s, _, _ in uids], jsons),
        "WADO instance": (instances, stored),
        "WADO frame": ([f"{path}/frames/1" for path in instances], octets),
        "WADO metadata": ([f"{path}/metadata" for path in instances], jsons),
        "WADO rendered": ([f"{path}/rendered" for path in instances[:20]], {"Accept": "image/jpeg"}),
    }


def rounds_of(paths: list[Path], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Return seconds of Pandok and of Orthanc for each work, round by round, the order turned each time."""
    found: dict[str, list[tuple[float, float]]] = {}
    bodies, asked = bodies_of(paths), questions(paths)
    for number in range(rounds):
        both: dict[str, dict[str, float]] = {}
        for name in ("pandok", "orthanc") if number % 2 else ("orthanc", "pandok"):
            for clients in (1, 4):
                with {"pandok": pandok, "orthanc": orthanc}[name]() as server:
                    both.setdefault(f"STOW {clients} client(s)", {})[name] = store(server, bodies, clients)
                    for work, (addresses, headers) in asked.items():
                        took = ask(server, addresses, headers, clients)
                        both.setdefault(f"{work}, {clients} client(s)", {})[name] = took
        for work, seconds in both.items():
            found.setdefault(work, []).append((seconds["pandok"], seconds["orthanc"]))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=200)
    parser.add_argument("--radiographs", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("ct", asked.slices), ("dx", asked.radiographs)):
            paths = make_files(Path(folder), kind=kind, count=count)
            for work, pairs in rounds_of(paths, asked.rounds).items():
                ratios = sorted(theirs / ours for ours, theirs in pairs)
                ours = statistics.median(pair[0] for pair in pairs)
                middle = statistics.median(ratios)
                print(
                    f"{kind} {work:38} {ratios[0]:5.2f} / {middle:5.2f} / {ratios[-1]:5.2f} x Orthanc"
                    f"   {count / ours:7.0f}/s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
