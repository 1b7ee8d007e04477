"""Trial 46: the service is told to stop in the middle of everything; does it end in time, and is nothing lost?"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import httpx
from pydicom import Dataset

from service.settings import Settings
from service.worker import Slot
from tests.driver import Service
from tests.factories import part10
from tests.trials import invariants
from tests.trials.nursery import is_running
from tests.trials.place import BOUNDARY, sha256_of, slices, stored_uids
from tests.trials.t01_kills import Sender
from tests.trials.trial import Counts, Trial

ROUNDS = 3
ASSOCIATIONS = 4
REQUESTS = 2
LONGEST_S = 35.0
PERMANENT = 1
"""A-ASSOCIATE-RJ result: a sender that hears it does not try again (PS3.8 section 9.3.4)."""


def run(seed: int, folder: Path) -> Counts:
    """Stop a busy service a few times; the senders go on all the while."""
    chance = random.Random(seed)
    service = Service(folder / "data", {"PANDOK_LOG_LEVEL": "WARNING"})
    service.folder.mkdir(parents=True)
    service.add_site()
    key = service.add_key()
    work = [_work(seed * 100 + number) for number in range(ASSOCIATIONS + REQUESTS)]
    senders: list[Sender | StowSender] = [Sender(service.dicom_port, share) for share in work[:ASSOCIATIONS]]
    senders += [StowSender(service.address, key, share) for share in work[ASSOCIATIONS:]]
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    slowest = 0.0
    try:
        for number in range(ROUNDS):
            service.start()
            service.wait_ready()
            if number == 0:
                for sender in senders:
                    sender.start()
            time.sleep(chance.uniform(0.2, 2.5))
            slowest = max(slowest, _stop(service, counts))
            counts["rounds"] += 1
    finally:
        for sender in senders:
            sender.is_stopping.set()
        for sender in senders:
            sender.join(30)
        service.stop()
    settings = Settings(data_folder=service.folder)
    acknowledged = {uid: sha256 for sender in senders for uid, sha256 in sender.acknowledged.items()}
    counts.update(invariants.audit(settings, acknowledged))
    counts["permanent_refusals"] = sum(sender.refusals[PERMANENT] for sender in senders)
    counts["transient_refusals"] = sum(sender.refusals.total() for sender in senders) - counts["permanent_refusals"]
    return {**counts, "exit_s_max": slowest, "acknowledged": len(acknowledged)}


class StowSender(threading.Thread):
    """Sends by STOW until told to stop, each instance until it is said to be stored."""

    def __init__(self, address: str, key: str, work: Iterator[Dataset]) -> None:
        super().__init__(daemon=True)
        self._client = httpx.Client(base_url=address, headers={"Authorization": f"Bearer {key}"}, timeout=40)
        self._work = work
        self.acknowledged: dict[str, str] = {}
        self.refusals: Counter[int] = Counter()
        self.is_stopping = threading.Event()

    def run(self) -> None:
        dataset = next(self._work)
        while not self.is_stopping.is_set():
            with contextlib.suppress(httpx.HTTPError):
                answer = self._client.post("/dicomweb/studies", content=_body(dataset), headers=_TYPE)
                if str(dataset.SOPInstanceUID) in stored_uids(answer):
                    self.acknowledged[str(dataset.SOPInstanceUID)] = sha256_of(dataset)
                    dataset = next(self._work)
                else:
                    self.refusals[2 if answer.status_code in (503, 507) else PERMANENT] += 1
            time.sleep(0.1)
        self._client.close()


_TYPE = {"Content-Type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'}


def _body(dataset: Dataset) -> bytes:
    mark = BOUNDARY.encode()
    return b"--%b\r\nContent-Type: application/dicom\r\n\r\n%b\r\n--%b--\r\n" % (mark, part10(dataset), mark)


def _work(seed: int) -> Iterator[Dataset]:
    for number in itertools.count():
        yield from slices(6, seed * 1_000_000 + number * 6)


def _stop(service: Service, counts: Counter[str]) -> float:
    """Send SIGTERM; return the seconds until the end, and count what was left behind or refused for ever."""
    assert service.process is not None
    family = service.descendants()
    started = time.monotonic()
    service.process.send_signal(signal.SIGTERM)
    code = service.process.wait(2 * LONGEST_S)
    seconds = time.monotonic() - started
    counts["bad_exits"] += code != 0
    counts["left_behind"] += sum(is_running(pid) for pid in family)
    counts["left_behind"] += sum(not _is_free(port) for port in (service.web_port, service.dicom_port))
    counts["leases_held"] += not _leases_are_free(service.folder)
    return seconds


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return True
    return False


def _leases_are_free(folder: Path) -> bool:
    """Tell whether the worker's place and the tables can be had at once."""
    with Slot(folder) as slot:
        is_first = slot.executor_id.endswith("-0")
    with contextlib.closing(sqlite3.connect(folder / "pandok.db", timeout=0)) as tables:
        try:
            tables.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError:
            return False
    return is_first


NEVER = (*invariants.NEVER, "unreferenced", "bad_exits", "left_behind", "leases_held", "permanent_refusals")

TRIAL = Trial(
    number="46",
    title="SIGTERM in the middle of everything",
    run=run,
    counted="rounds",
    full=100,
    never=NEVER,
    at_most={"exit_s_max": LONGEST_S},
)
