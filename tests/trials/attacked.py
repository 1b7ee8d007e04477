"""A listener in a process of its own, that a trial attacks, and what is left of it afterwards.

python -m tests.trials.attacked FOLDER     # the process itself
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import select as waiting
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop
from sqlalchemy import Column, ColumnElement, insert, select

from service import tables
from service.intake.dimse.listener import run_listener
from service.logs import start_logs
from tests.factories import open_parts
from tests.service.intake.dimse.sender import RawSender

ROOT = Path(__file__).resolve().parents[2]
MIB = 1 << 20
ANSWER_S = 30.0


class Attacked:
    """The running listener.

    Args:
        folder: Empty; the process's data and log.
        settings: What differs from the defaults.
        peers: AE titles, each with the columns of its row; all may call from the whole loopback network.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        (folder / "wanted.json").write_text(json.dumps({"settings": settings, "peers": peers}, default=str))
        self._log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.trials.attacked", str(folder)],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, text=True,
        )  # fmt: skip
        self.port, self.tls_port = self._told()["ports"]

    def _told(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        is_told, _, _ = waiting.select([self.process.stdout], [], [], ANSWER_S)
        line = self.process.stdout.readline() if is_told else ""
        if not line:
            raise RuntimeError((self.folder / "log").read_text()[-4_000:])
        told: dict[str, Any] = json.loads(line)
        return told

    def ask(self) -> dict[str, int]:
        """Return tasks, sockets, resident memory and spool files, as they are now."""
        assert self.process.stdin is not None
        self.process.stdin.write("?\n")
        self.process.stdin.flush()
        return self._told()

    @property
    def is_alive(self) -> bool:
        return self.process.poll() is None

    def log_count(self, message: str) -> int:
        """Return how many log lines have this message."""
        return (self.folder / "log").read_text().count(f'"message":"{message}"')

    def stored(self) -> set[str]:
        """Return the SOP Instance UIDs that the tables have."""
        return self._texts(tables.instance.c.sop_instance_uid)

    def asked_to_commit(self) -> set[str]:
        """Return the transactions of storage commitment that were taken."""
        return self._texts(tables.commitment.c.transaction_uid)

    def broken_off(self) -> set[str]:
        """Return the AE titles whose associations ended inside an image."""
        return self._texts(tables.problem.c.sender, tables.problem.c.kind == "aborted")

    def _texts(self, column: Column[str], *where: ColumnElement[bool]) -> set[str]:
        from service.database import Database

        database = Database(f"sqlite:///{self.folder / 'data' / 'pandok.db'}")
        with database.reading() as rx:
            found = set(rx.execute(select(column).where(*where)).scalars())
        database.close()
        return found

    def settle(self, base: Mapping[str, int], *, timeout_s: float) -> float:
        """Wait until tasks, sockets and the spool are as they were; return the seconds that took."""
        started = time.monotonic()
        while time.monotonic() - started < timeout_s:
            now = self.ask()
            if all(now[name] <= base[name] for name in ("tasks", "sockets", "spool")):
                break
            time.sleep(0.25)
        return time.monotonic() - started

    def close(self) -> int:
        """End the process; returns its exit status."""
        if self.is_alive:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
        if self.is_alive:
            self.process.kill()
        status = self.process.wait()
        for stream in (self.process.stdin, self.process.stdout):
            if stream is not None:
                stream.close()
        self._log.close()
        return status


@contextmanager
def attacked(
    folder: Path, settings: Mapping[str, Any], peers: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Attacked]:
    """Run a listener until the block ends."""
    listener = Attacked(folder, settings, peers or {"TESTER": {}})
    try:
        yield listener
    finally:
        listener.close()


def from_address(address: str) -> socket.socket:
    """Return a socket that calls from one address of the loopback network."""
    made = socket.socket()
    made.bind((address, 0))
    return made


def can_echo(port: int, *, calling: str = "TESTER") -> bool:
    """Tell whether an honest peer is served."""
    from tests.service.intake.dimse.sender import COMMAND, ECHO_ID, LAST, data_pdu, echo_command, pdv

    try:
        with RawSender(port, calling=calling) as sender:
            sender.associate()
            sender.send(data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())))
            is_well = bool(sender.answer().Status == 0x0000)
            sender.release()
    except (OSError, AssertionError, EOFError):
        return False
    return is_well


def _now(folder: Path) -> dict[str, int]:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return {
        "tasks": len(asyncio.all_tasks()),
        "sockets": sum(_is_socket(file) for file in Path("/proc/self/fd").iterdir()),
        "resident_bytes": pages * resource.getpagesize(),
        "spool": len(list((folder / "data" / "spool").glob("*"))),
    }


def _is_socket(file: Path) -> bool:
    with contextlib.suppress(OSError):  # the folder's own descriptor is gone by now
        return str(file.readlink()).startswith("socket:")
    return False


async def _serve(folder: Path) -> None:
    wanted = json.loads((folder / "wanted.json").read_text())
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_reader(0, lambda: _answer(folder, stop))
    with open_parts(folder, clock=time.time, dicom_port=0, **wanted["settings"]) as parts:
        with parts.database.transaction() as tx:
            for ae_title, columns in wanted["peers"].items():
                entry = {"network": "127.0.0.0/8", "created_at": 0.0, **columns}
                tx.execute(insert(tables.dicom_peer).values(site_id=parts.site_id, ae_title=ae_title, **entry))
        await run_listener(
            parts.settings,
            parts.database,
            parts.intake,
            ready=lambda ports: print(json.dumps({"ports": [ports.plain, ports.tls]}), flush=True),
            stop=stop,
        )


def _answer(folder: Path, stop: asyncio.Event) -> None:
    if os.read(0, 64):
        print(json.dumps(_now(folder)), flush=True)
    else:
        stop.set()
        asyncio.get_running_loop().remove_reader(0)


if __name__ == "__main__":
    start_logs("WARNING")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(Path(sys.argv[1])))
