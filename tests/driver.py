"""Starts the real service and speaks to it from outside, in the words of the domain."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from pydicom import Dataset
from pynetdicom import AE, Association, evt
from pynetdicom.pdu import A_ASSOCIATE_RJ

CALLING_AE = "TESTER"
PASSWORD = "eleven quiet radiographs"
"""Of everybody who signs in to a service of a test."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def is_open(port: int) -> bool:
    """Tell whether something listens at a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(what: str, ask: Callable[[], Any], timeout_s: float = 60.0, *, every_s: float = 0.05) -> Any:
    """Ask until the answer is not None or False; fail with `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while not (answer := ask()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s:.0f} s: {what}")
        time.sleep(every_s)
    return answer


@dataclass
class Service:
    """`pandok serve` on a folder of its own."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    web_port: int = field(default_factory=free_port)
    dicom_port: int = field(default_factory=free_port)
    authority: Path | None = None
    """Who signed the web server's certificate; None is plain HTTP on loopback."""
    python: str = sys.executable
    """The environment that the service runs in: the tests' own has more packages than a service's."""
    process: subprocess.Popen[bytes] | None = None
    client: httpx.Client | None = None

    @property
    def address(self) -> str:
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.web_port}"

    @property
    def verify(self) -> ssl.SSLContext | bool:
        return ssl.create_default_context(cafile=self.authority) if self.authority else True

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "PANDOK_DATA_FOLDER": str(self.folder),
            "PANDOK_WEB_PORT": str(self.web_port),
            "PANDOK_DICOM_PORT": str(self.dicom_port),
            "PANDOK_MIN_FREE_BYTES": "0",
            "PANDOK_LOW_FREE_BYTES": "0",
            **self.settings,
        }

    @property
    def log(self) -> str:
        path = self.folder.parent / "serve.log"
        return path.read_text(errors="replace") if path.is_file() else ""

    def pandok(self, *arguments: str) -> str:
        """Run one command of the operator; a failing one fails the test with its words."""
        done = subprocess.run(
            [self.python, "-m", "service.cli", *arguments],
            env=self.environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise AssertionError(f"pandok {' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def add_site(self, code: str = "test", *, quiet_s: float = 1.0, unknown_age: str = "adult") -> None:
        """Make a site with one DICOM peer on this machine."""
        self.pandok(
            "sites", "add", code, "--name", code, "--country", "VN", "--language", "en", "--time-zone", "UTC",
            "--quiet-seconds", f"default={quiet_s}", "--unknown-age", unknown_age,
        )  # fmt: skip
        self.pandok("peers", "add", code, CALLING_AE, "--network", "127.0.0.1/32")

    def add_key(self, code: str = "test") -> str:
        """Make a key of a site and return its text."""
        found = re.search(r"pdk_\S+", self.pandok("keys", "add", code, "--name", "tests"))
        assert found
        return found.group()

    def start(self) -> None:
        """Start `pandok serve` without waiting for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder.parent / "serve.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self.python, "-m", "service.cli", "serve"],
                env=self.environment, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def sign_in(self) -> httpx.Client:
        """Sign in with a fresh one-time link, as a person does, and keep the session."""
        found = re.search(r"#token=(\S+)", self.pandok("sign-in"))
        assert found
        self.client = httpx.Client(base_url=self.address, headers={"X-Pandok": "1"}, timeout=30, verify=self.verify)
        answer = self.client.post("/api/sign-in", json={"token": found.group(1)})
        assert answer.status_code < 400, answer.text
        if "set_password" in self.client.get("/api/me").json()["must"]:
            chosen = self.client.put("/api/me/password", json={"new": PASSWORD})
            assert chosen.status_code == 204, chosen.text
        return self.client

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Wait until every part of the service says that it is ready."""

        def is_ready() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                client = self.client or self.sign_in()
                return client.get("/ready").status_code == 200
            return False

        def is_alive() -> bool:
            with contextlib.suppress(httpx.HTTPError):
                return httpx.get(f"{self.address}/live", verify=self.verify).status_code == 200
            return False

        wait_until("the web server answers", is_alive, timeout_s)
        wait_until("the service is ready", is_ready, timeout_s)

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the JSON answer of the API."""
        assert self.client is not None
        answer = self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def worklist(self) -> list[dict[str, Any]]:
        """Return every row of the worklist."""
        rows: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = self.get("/api/worklist", limit=200, **({"cursor": cursor} if cursor else {}))
            rows += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return rows

    def wait_scored(self, studies: int, timeout_s: float = 120.0) -> list[dict[str, Any]]:
        """Wait until so many studies have their end, scored or unscored, and none is on its way."""

        def all_ended() -> list[dict[str, Any]] | None:
            rows = self.worklist()
            ended = [row for row in rows if row["state"] in ("scored", "unscored")]
            return rows if len(ended) == len(rows) == studies else None

        return wait_until(f"{studies} studies scored or unscored", all_ended, timeout_s)

    def descendants(self) -> list[int]:
        """Return the service's processes, the supervisor first."""
        children: dict[int, list[int]] = {}
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError, ValueError):
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                    if fields[0] != "Z":
                        children.setdefault(int(fields[1]), []).append(int(entry.name))
        assert self.process is not None
        found, queue = [], [self.process.pid]
        while queue:
            found.append(queue.pop(0))
            queue += children.get(found[-1], [])
        return found

    def _family(self) -> list[int] | None:
        found = self.descendants()
        return found if len(found) > 3 else None

    def kill_one(self, chance: random.Random) -> str:
        """Kill one process with -9; the supervisor only now and then, since it takes all the others with it."""
        supervisor, *children = wait_until("the service has processes", self._family)
        victim = supervisor if chance.random() < 0.1 else chance.choice(children)
        name = "supervisor" if victim == supervisor else role(victim)
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, signal.SIGKILL)
        if victim == supervisor:
            assert self.process is not None
            self.process.wait()
            self.start()
        return name

    def stop(self) -> int | None:
        """Ask the service to end, and make sure that it did; returns its exit code."""
        if self.client is not None:
            self.client.close()
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(40)
        code = self.process.poll()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        return code


@contextmanager
def running(
    folder: Path, *, site: bool = True, authority: Path | None = None, python: str = sys.executable, **settings: str
) -> Iterator[Service]:
    """Run the real service on a folder until the block ends."""
    service = Service(folder / "data", settings, authority=authority, python=python)
    service.folder.mkdir(parents=True)
    if site:
        service.add_site()
    service.start()
    try:
        service.wait_ready()
        yield service
    except BaseException:
        print(service.log[-6_000:])
        raise
    finally:
        service.stop()


ROLES = ("fork_server", "decode_child", "scoring_child", "web", "listener", "worker")
"""In this order: until it has its name, the command line of a fork server names the modules that it loads."""


def role(pid: int) -> str:
    """Name a process of the service by its command line: a child that was forked has one of its own."""
    with contextlib.suppress(OSError):
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace").split("\0")
        for known in ROLES:
            if any(known in word for word in words):
                return known
    return "gone"


def associate(ae: AE, port: int, *, called: str = "PANDOK") -> tuple[Association, tuple[int, int, int] | None]:
    """Open an association; returns it, and how it was rejected: result, source and reason (PS3.8 table 9-21).

    The rejection is read from its PDU: where it comes before pynetdicom looks whether the connection was made,
    pynetdicom calls an association aborted that was rejected.
    """
    heard: list[tuple[int, int, int]] = []

    def hear(event: evt.Event) -> None:
        if isinstance(event.pdu, A_ASSOCIATE_RJ):
            heard.append((event.pdu.result, event.pdu.source, event.pdu.reason_diagnostic))

    association = ae.associate("127.0.0.1", port, ae_title=called, evt_handlers=[(evt.EVT_PDU_RECV, hear)])
    return association, heard[0] if heard else None


def c_store(port: int, datasets: Iterable[Dataset], *, calling: str = CALLING_AE) -> list[int]:
    """Send data sets with pynetdicom, an association each; returns the statuses, -1 for a class not accepted."""
    statuses = []
    for dataset in datasets:
        ae = AE(calling)
        ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
        association = ae.associate("127.0.0.1", port, ae_title="PANDOK")
        if association.is_established and association.accepted_contexts:
            statuses.append(association.send_c_store(dataset).get("Status", -1))
            association.release()
        else:
            statuses.append(-1)
            association.abort()
    return statuses
