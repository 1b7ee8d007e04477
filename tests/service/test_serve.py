"""The parent and its parts: up, kept up, and down in order."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.part import PARTS
from service.settings import Settings
from service.startup import metrics_folder
from tests.conftest import ROOT
from tests.driver import PASSWORD, free_port

pytestmark = pytest.mark.slow


MONITOR = "the token of a program that watches"


class Serving:
    """`pandok serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.dicom_port = free_port()
        self.errors = folder / "serve.err"
        self.lines = folder / "serve.out"
        self.environment = {
            **os.environ,
            "PANDOK_DATA_FOLDER": str(folder / "data"),
            "PANDOK_WEB_PORT": str(self.port),
            "PANDOK_DICOM_PORT": str(self.dicom_port),
            "PANDOK_MIN_FREE_BYTES": "0",
            "PANDOK_LOW_FREE_BYTES": "0",
            "PANDOK_SHUTDOWN_S": "8",
            "PANDOK_METRICS_TOKEN": MONITOR,
        }
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.errors.open("ab") as errors, self.lines.open("wb") as lines:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "service.cli", "serve"],
                env=self.environment, cwd=ROOT, stdout=lines, stderr=errors,
            )  # fmt: skip
        until("serve says that it is ready", lambda: "Pandok serves" in self.lines.read_text())

    def run(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "service.cli", *arguments],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
        return done.stdout.strip()

    def children(self) -> dict[str, int]:
        assert self.process is not None
        found: dict[str, int] = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            name = words[0].removeprefix(b"pandok ").decode(errors="replace")
            if parent == self.process.pid and name in PARTS:
                found[name] = int(entry.name)
        return found


def until(what: str, ask: Callable[[], Any], timeout_s: float = 40.0) -> Any:
    deadline = time.monotonic() + timeout_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"not in time: {what}"
        time.sleep(0.05)
    return answer


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    made = Serving(tmp_path)
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.terminate()
        made.process.wait(30)


def test_the_first_start_prints_an_address_and_one_link_that_works(serving: Serving) -> None:
    link = until("a link", lambda: serving.lines.read_text().partition("Sign in once, within 15 minutes: ")[2].strip())
    token = link.partition("#token=")[2]
    with httpx.Client(base_url=f"http://127.0.0.1:{serving.port}", headers={"X-Pandok": "1"}) as client:
        assert client.get("/api/worklist").status_code == 401
        assert client.post("/api/sign-in", json={"token": token}).status_code == 204
        assert client.get("/api/worklist").json()["error"] == "set_password_first"
        assert client.put("/api/me/password", json={"new": PASSWORD}).status_code == 204
        assert client.get("/api/worklist").status_code == 200
        ready = until("ready", lambda: answer if (answer := client.get("/ready")).status_code == 200 else None)
        assert ready.json()["checks"]["listener"]["ok"]

    assert "token" not in serving.errors.read_text()


def test_a_part_that_dies_comes_back_and_the_others_stay(serving: Serving) -> None:
    before = serving.children()
    assert set(before) == {"web", "listener", "worker"}

    os.kill(before["listener"], signal.SIGKILL)

    after = until("a new listener", lambda: c if len(c := serving.children()) == 3 and c != before else None)
    assert after["listener"] != before["listener"]
    assert (after["web"], after["worker"]) == (before["web"], before["worker"])


def test_a_part_that_was_up_starts_again_at_once_and_waits_from_its_second_death_on(serving: Serving) -> None:
    seen: set[int | None] = set()
    for _ in range(2):
        seen.add(pid := until("a new listener", lambda: {serving.children().get("listener")} - seen - {None}).pop())
        os.kill(pid, signal.SIGKILL)
    until("a third listener", lambda: {serving.children().get("listener")} - seen - {None})

    lines = [json.loads(line) for line in serving.errors.read_text().splitlines() if line.startswith("{")]
    assert [line["back_off_s"] for line in lines if line["message"] == "part died"] == [0.0, 1.0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_graceful_even_with_an_open_page(serving: Serving, number: signal.Signals) -> None:
    assert serving.process is not None
    children = serving.children()
    address = f"http://127.0.0.1:{serving.port}/api/worklist/events"
    with httpx.stream("GET", address, headers={"X-API-Key": MONITOR}) as answer:
        next(answer.iter_lines())
        started = time.monotonic()
        serving.process.send_signal(number)

        assert serving.process.wait(20) == 0
        assert time.monotonic() - started < 8

    assert all(is_gone(pid) for pid in children.values())
    assert "part did not stop in time" not in serving.errors.read_text()
    assert not metrics_folder(Settings(data_folder=Path(serving.environment["PANDOK_DATA_FOLDER"]))).exists()


def test_no_part_outlives_a_parent_that_was_killed(serving: Serving) -> None:
    assert serving.process is not None
    children = serving.children()

    serving.process.kill()
    serving.process.wait()

    until("every part is gone", lambda: all(is_gone(pid) for pid in children.values()), timeout_s=20)


def test_metrics_of_every_process_stand_on_one_page(serving: Serving) -> None:
    stranger = subprocess.run(
        [
            "/usr/bin/env",
            "python3",
            "-c",
            f"import socket; socket.create_connection(('127.0.0.1', {serving.dicom_port}))",
        ],
        check=False,
    )
    assert stranger.returncode == 0

    with httpx.Client(base_url=f"http://127.0.0.1:{serving.port}", headers={"X-API-Key": MONITOR}) as client:

        def listeners_numbers() -> bool:
            text = client.get("/metrics").text
            return "pandok_associations " in text and "pandok_queue_depth " in text

        until("the listener's and the worker's numbers", listeners_numbers)
