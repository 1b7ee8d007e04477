"""C-STORE received per second beside Orthanc and storescp, in one run (python -m tests.benchmarks.dimse_receive).

The sender is DCMTK's storescu with TCP_NODELAY=1, without which DCMTK waits 45 ms for each answer.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvloop
from sqlalchemy import insert

from service import tables
from service.archive import sync_folders
from service.intake.dimse.listener import run_listener
from tests.benchmarks.peers import ORTHANC, STORESCP, STORESCU, need
from tests.benchmarks.rows import Row, against, report
from tests.factories import make_ct_slice, make_radiograph, open_parts, part10

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
PORTS = {"pandok": 21_150, "orthanc": 21_151, "storescp": 21_152}
RECEIVERS = tuple(PORTS)
NAMES = {"orthanc": "Orthanc", "storescp": "DCMTK storescp (no sync, no index)"}
BARE = "bare write, sync, commit"
MUST = {(True, 1): 2.2, (True, 4): 1.8, (False, 1): 2.0, (False, 4): 1.5}
"""How many times Orthanc's rate: CT or not, senders."""


def serve(folder: Path) -> None:
    """Run the listener alone, with the real intake, until SIGTERM."""

    async def listen() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        with open_parts(folder, dicom_port=PORTS["pandok"], clock=time.time) as parts:
            with parts.database.transaction() as tx:
                tx.execute(
                    insert(tables.dicom_peer).values(
                        site_id=parts.site_id, ae_title="BENCH", network="127.0.0.1/32", created_at=0.0
                    )
                )
            gc.freeze()  # as the service does before it forks its parts
            await run_listener(parts.settings, parts.database, parts.intake, ready=lambda _: None, stop=stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen())


def command(receiver: str, folder: Path) -> list[str]:
    port = str(PORTS[receiver])
    if receiver == "pandok":
        return [sys.executable, "-m", "tests.benchmarks.dimse_receive", "--serve", str(folder)]
    if receiver == "storescp":
        return [STORESCP, "--fork", "-aet", "STORESCP", "-od", str(folder), "--max-pdu", "131072", port]
    configuration = {
        "StorageDirectory": str(folder / "store"),
        "IndexDirectory": str(folder / "store"),
        "DicomPort": PORTS["orthanc"],
        "HttpServerEnabled": False,
        "DicomAlwaysAllowStore": True,
        "SyncStorageArea": True,
        "DicomScpTimeout": 30,
    }
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    return [ORTHANC, str(folder / "orthanc.json")]


@contextmanager
def receiving(receiver: str) -> Iterator[int]:
    folder = Path(tempfile.mkdtemp(prefix=f"{receiver}-"))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(receiver, folder), env=ENVIRONMENT, stdout=log, stderr=log)
    try:
        _until_open(PORTS[receiver])
        yield PORTS[receiver]
    finally:
        process.terminate()
        process.wait(30)
        shutil.rmtree(folder, ignore_errors=True)


def _until_open(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise TimeoutError(f"nothing listens at {port}")


def make_files(folder: Path, *, kind: str, count: int) -> list[Path]:
    """Write a series of CT slices of 0.5 MB, or radiographs of 12 MB, with noise for pixels."""
    noise = np.random.default_rng(0).integers(0, 4096, (2400, 2500)).astype(np.uint16)
    first = make_ct_slice(rows=512)
    paths = []
    for number in range(count):
        if kind == "ct":
            dataset = make_ct_slice(rows=8, seed=number)
            dataset.StudyInstanceUID, dataset.SeriesInstanceUID = first.StudyInstanceUID, first.SeriesInstanceUID
            dataset.Rows = dataset.Columns = 512
            dataset.InstanceNumber = number + 1
            dataset.PixelData = np.roll(noise.ravel()[: 512 * 512], number).tobytes()
        else:
            dataset = make_radiograph(np.roll(noise, number))
        path = folder / f"{kind}{number:04}.dcm"
        path.write_bytes(part10(dataset))
        paths.append(path)
    return paths


def send(port: int, files: list[Path], *, senders: int) -> float:
    """Send all files over so many associations at once; return seconds, the clients' start included."""
    shares = [files[index::senders] for index in range(senders)]
    started = time.perf_counter()
    clients = [
        subprocess.Popen(
            [STORESCU, "-aet", "BENCH", "-aec", "PANDOK", "-R", "--max-send-pdu", "131072", "127.0.0.1",
             str(port), *map(str, share)],
            env=ENVIRONMENT,
        )
        for share in shares
    ]  # fmt: skip
    statuses = [client.wait(300) for client in clients]
    assert statuses == [0] * senders, statuses
    return time.perf_counter() - started


def bare(files: list[Path], *, threads: int) -> float:
    """Do without a network what durable means: write, sync file and folder, commit a row; return seconds."""
    contents = [path.read_bytes() for path in files]
    folder = Path(tempfile.mkdtemp(prefix="bare-"))
    rows = sqlite3.connect(folder / "rows.db", isolation_level=None, check_same_thread=False)
    rows.execute("PRAGMA journal_mode=WAL")
    rows.execute("PRAGMA synchronous=FULL")
    rows.execute("CREATE TABLE kept (number INTEGER, name TEXT)")
    lock = threading.Lock()

    def keep(number: int) -> None:
        path = folder / str(number)
        with path.open("xb") as file:
            file.write(contents[number])
            file.flush()
            os.fsync(file.fileno())
        sync_folders([folder])
        with lock:
            rows.execute("INSERT INTO kept VALUES (?, ?)", (number, str(path)))

    started = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(keep, range(len(contents))))
    taken_s = time.perf_counter() - started
    rows.close()
    shutil.rmtree(folder)
    return taken_s


def compare(files: list[Path], *, senders: int, rounds: int) -> list[Row]:
    """Let all receivers take turns, each time into an empty store: a re-send is another kind of work."""
    size_mb = sum(path.stat().st_size for path in files) / 1e6
    is_ct = files[0].name.startswith("ct")
    amount, unit = (len(files), "slices/s") if is_ct else (size_mb, "MB/s")
    rates: dict[str, list[float]] = {name: [] for name in (*RECEIVERS, BARE)}
    for _ in range(rounds):
        for receiver in RECEIVERS:
            with receiving(receiver) as port:
                rates[receiver].append(amount / send(port, files, senders=senders))
        rates[BARE].append(amount / bare(files, threads=senders))
    kind = f"{files[0].stat().st_size / 1e6:.1f} MB {'CT slices' if is_ct else 'radiographs'}"
    work = f"C-STORE, {kind}, {senders} sender{'s' if senders > 1 else ''}"
    musts = {"orthanc": MUST[is_ct, senders], "storescp": None, BARE: None}
    return [
        against(work, rates["pandok"], NAMES.get(peer, peer), rates[peer], unit=unit, must=must)
        for peer, must in musts.items()
    ]


def measure(rounds: int = 5, slices: int = 300, radiographs: int = 20) -> list[Row]:
    """Compare for both kinds, from one sender and from four."""
    need(ORTHANC, STORESCP, STORESCU)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("ct", slices), ("dx", radiographs)):
            files = make_files(Path(folder), kind=kind, count=count)
            for senders in (1, 4):
                rows += compare(files, senders=senders, rounds=rounds)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--radiographs", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    report("dimse", lambda: measure(asked.rounds, asked.slices, asked.radiographs), kept=asked.keep)


if __name__ == "__main__":
    main()
