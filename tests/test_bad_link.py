"""The running service, killed again and again while a large study comes over a slow link."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.driver import Service, is_open, running, wait_until
from tests.factories import make_radiograph, part10

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

ROOM = "/api/uploads/resumable"
TUS = {"Tus-Resumable": "1.0.0"}
STEP_BYTES = 64 << 10
KILLS = 3


@pytest.fixture
def study() -> bytes:
    """A zip of about 12 MB that unpacks to three films."""
    packed, chance = io.BytesIO(), np.random.default_rng(0)
    with zipfile.ZipFile(packed, "w") as archive:
        for number in range(3):
            pixels = chance.integers(0, 4096, (1_600, 1_300), dtype=np.uint16)
            archive.writestr(f"IM{number}", part10(make_radiograph(pixels)))
    return packed.getvalue()


class Sender:
    """A center's program: it asks where it stands and goes on there, whatever happens to its connection."""

    def __init__(self, service: Service, content: bytes) -> None:
        self.content = content
        self.sent_bytes = 0
        self.offsets: list[int] = []
        self._service = service
        self._headers = {**TUS, "Authorization": f"Bearer {service.add_key()}"}
        self.place = ""

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self._service.address, headers=self._headers, timeout=30)

    def begin(self) -> None:
        with self.client() as client:
            answer = client.post(ROOM, headers={"Upload-Length": str(len(self.content))})
        self.place = answer.headers["Location"]

    def send_all(self) -> None:
        while (offset := wait_until("the service tells the offset", self._asked)) != str(len(self.content)):
            self.offsets.append(int(offset))
            headers = {"Upload-Offset": offset, "Content-Type": "application/offset+octet-stream"}
            with contextlib.suppress(httpx.HTTPError), self.client() as client:
                client.patch(self.place, content=self._dripping(int(offset)), headers=headers)

    def taken(self) -> httpx.Response:
        with self.client() as client:
            return client.post(f"{self.place}/take", headers={"Content-Type": "application/zip"})

    def _asked(self) -> str | None:
        with contextlib.suppress(httpx.HTTPError), self.client() as client:
            return client.head(self.place).headers.get("Upload-Offset")
        return None

    def _dripping(self, offset: int) -> Iterator[bytes]:
        for first in range(offset, len(self.content), STEP_BYTES):
            piece = self.content[first : first + STEP_BYTES]
            self.sent_bytes += len(piece)
            yield piece
            time.sleep(0.1)  # 640 kB/s


def kill(service: Service) -> None:
    """End every process at once, as a loss of power would, and start the service again."""
    assert service.process is not None
    os.killpg(service.process.pid, signal.SIGKILL)
    service.process.wait()
    wait_until("the port is free", lambda: not is_open(service.web_port))
    service.start()


def test_what_came_before_a_kill_is_not_sent_again(tmp_path: Path, study: bytes) -> None:
    with running(tmp_path) as service:
        sender = Sender(service, study)
        sender.begin()
        sending = threading.Thread(target=sender.send_all, daemon=True)
        sending.start()
        for number in range(KILLS):
            wait_until("more has come", lambda: len(sender.offsets) == number + 1)  # noqa: B023 - asked at once
            time.sleep(7)  # more than the five seconds after which what came is noted
            kill(service)
        sending.join(120)
        service.wait_ready()

        answer = sender.taken()
        rows = service.wait_scored(3)

    lost = sender.sent_bytes - len(study)
    print(f"{KILLS} kills, {len(study):,} bytes in {len(sender.offsets)} requests, {lost:,} sent again")
    assert not sending.is_alive()
    assert answer.json()["totals"]["stored"] == 3
    assert len(rows) == 3
    assert sender.offsets == sorted(set(sender.offsets))
    assert len(sender.offsets) == KILLS + 1
    assert lost < KILLS * 4_000_000  # each costs the link's last five seconds, and what was under way
