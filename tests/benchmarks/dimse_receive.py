"""C-STORE received per second beside Orthanc and storescp, in one run (python -m tests.benchmarks.dimse_receive).

The sender is DCMTK's storescu with TCP_NODELAY=1, without which DCMTK waits 45 ms for each answer.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import uvloop
from sqlalchemy import insert

from service import tables
from service.intake.dimse.listener import run_listener
from tests.factories import make_ct_slice, make_radiograph, open_parts, part10

ENVIRONMENT = {**os.environ, "TCP_NODELAY": "1"}
PORTS = {"pandok": 21_150, "orthanc": 21_151, "storescp": 21_152}
RECEIVERS = tuple(PORTS)


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
            await run_listener(parts.settings, parts.database, parts.intake, ready=lambda _: None, stop=stop)

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(listen())


def command(receiver: str, folder: Path) -> list[str]:
    port = str(PORTS[receiver])
    if receiver == "pandok":
        return [sys.executable, "-m", "tests.benchmarks.dimse_receive", "--serve", str(folder)]
    if receiver == "storescp":
        return ["/usr/bin/storescp", "--fork", "-aet", "STORESCP", "-od", str(folder), "--max-pdu", "131072", port]
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
    return ["/usr/sbin/Orthanc", str(folder / "orthanc.json")]


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
            ["/usr/bin/storescu", "-aet", "BENCH", "-aec", "PANDOK", "-R", "--max-send-pdu", "131072", "127.0.0.1",
             str(port), *map(str, share)],
            env=ENVIRONMENT,
        )
        for share in shares
    ]  # fmt: skip
    statuses = [client.wait(300) for client in clients]
    assert statuses == [0] * senders, statuses
    return time.perf_counter() - started


def compare(files: list[Path], *, senders: int, rounds: int) -> None:
    size_bytes = sum(path.stat().st_size for path in files)
    medians = {}
    for receiver in RECEIVERS:
        seconds = []
        for _ in range(rounds):  # each round into an empty store: a re-send is another kind of work
            with receiving(receiver) as port:
                seconds.append(send(port, files, senders=senders))
        medians[receiver] = statistics.median(seconds)
    for receiver, taken_s in medians.items():
        print(
            f"{files[0].name[:2]} {senders} sender(s) {receiver:9} {len(files) / taken_s:7.0f}/s"
            f" {size_bytes / taken_s / 1e6:7.0f} MB/s   pandok is {taken_s / medians['pandok']:.2f} x"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--serve", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--slices", type=int, default=300)
    parser.add_argument("--radiographs", type=int, default=20)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve)
        return
    with tempfile.TemporaryDirectory() as folder:
        for kind, count in (("ct", asked.slices), ("dx", asked.radiographs)):
            files = make_files(Path(folder), kind=kind, count=count)
            for senders in (1, 4):
                compare(files, senders=senders, rounds=asked.rounds)


if __name__ == "__main__":
    main()
