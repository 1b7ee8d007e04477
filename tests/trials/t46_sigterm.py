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
from sqlalchemy import Select, func, select

from service import tables
from service.settings import Settings
from service.worker import Slot
from tests.benchmarks.films import chest_film
from tests.benchmarks.soak import place_in
from tests.driver import Service, role
from tests.factories import part10
from tests.trials import invariants
from tests.trials.callers import Caller, Reading, Searching, Uploading
from tests.trials.nursery import is_running
from tests.trials.place import BOUNDARY, Place, sha256_of, slices, stored_uids
from tests.trials.t01_kills import Sender, drained
from tests.trials.trial import Counts, Trial

ROUNDS = 3
ASSOCIATIONS = 4
REQUESTS = 2
FILM_EVERY = 3
"""Each so-manieth study is a film that is decoded, scored and published."""
SHRUNK = 2
LONGEST_JOIN_S = 60.0
LONGEST_S = 35.0
FIRST_WORK_S = 4.0
"""Before the first stop there must be something to read."""
DECODERS = Settings.model_fields["decode_processes"].default
"""Processes that wait for a task; each task has one of its own besides."""
PERMANENT = 1
"""A-ASSOCIATE-RJ result: a sender that hears it does not try again (PS3.8 section 9.3.4)."""


def run(seed: int, folder: Path) -> Counts:
    """Stop a busy service a few times; senders, a reader, an upload and a searcher go on all the while."""
    chance = random.Random(seed)
    service = Service(folder / "data", {"PANDOK_LOG_LEVEL": "WARNING"})
    service.folder.mkdir(parents=True)
    service.add_site()
    key = service.add_key()
    work = [_work(seed * 100 + number) for number in range(ASSOCIATIONS + REQUESTS)]
    senders: list[Sender | StowSender] = [Sender(service.dicom_port, share) for share in work[:ASSOCIATIONS]]
    senders += [StowSender(service.address, key, share) for share in work[ASSOCIATIONS:]]
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    settings = Settings(data_folder=service.folder)
    slowest = 0.0
    callers: list[Caller] = []
    try:
        for number in range(ROUNDS):
            service.start()
            service.wait_ready()
            if number == 0:
                place = place_in(service)
                reading, uploading = Reading(place), Uploading(place, _films(seed))
                callers = [reading, uploading, Searching(place)]
                for one in (*senders, *callers):
                    one.start()
            time.sleep(chance.uniform(0.2, 2.5) + (FIRST_WORK_S if number == 0 else 0.0))
            slowest = max(slowest, _stop(service, counts))
            counts["in_work_at_a_stop"] += _in_work(place)
            counts["rounds"] += 1
        service.start()
        service.wait_ready()
        counts["unfinished"] += _ended(*senders, uploading)
        counts["unfinished"] += drained(settings) + _ended(*callers)
    finally:
        for one in (*senders, *callers):
            one.is_stopping.set()
        service.stop()
    acknowledged = {uid: sha256 for sender in (*senders, uploading) for uid, sha256 in sender.acknowledged.items()}
    counts.update(invariants.audit(settings, acknowledged))
    for caller in callers:
        counts.update(caller.counts)
        counts["answers_missed"] += caller.broken_off
    counts.update({"signed": len(reading.signed), "uploaded": uploading.done, "searched": callers[-1].done})
    counts.setdefault("claims_kept", 0)
    counts["signatures_lost"] = len(reading.signed - _signed(place))
    counts["scored"] = _scored(place)
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
    for number in itertools.count(1):
        if number % FILM_EVERY == 0:
            yield chest_film(seed * 10_000 + number, shrunk=SHRUNK)
        else:
            yield from slices(6, seed * 1_000_000 + number * 6)


def _films(seed: int) -> Iterator[Dataset]:
    return (chest_film(seed * 10_000 + 5_000 + number, shrunk=SHRUNK) for number in itertools.count())


def _in_work(place: Place) -> int:
    """Return how many studies were on their way to a result when the service stopped."""
    study = tables.study.c
    return _one(place, select(func.count()).where(study.state == "settled"))


def _scored(place: Place) -> int:
    return _one(place, select(func.count()).where(tables.study.c.state == "scored"))


def _one(place: Place, question: Select[int]) -> int:
    with place.tables() as database, database.reading() as rx:
        return int(rx.scalar(question) or 0)


def _signed(place: Place) -> set[str]:
    """Return the cases that have exactly one final report."""
    study, report, version = tables.study, tables.report, tables.report_version
    finals = (
        select(study.c.public_id)
        .select_from(version.join(report).join(study, study.c.id == report.c.study_id))
        .where(version.c.status == "final")
    )
    with place.tables() as database, database.reading() as rx:
        found = Counter(rx.execute(finals).scalars())
    return {public_id for public_id, times in found.items() if times == 1}


def _stop(service: Service, counts: Counter[str]) -> float:
    """Send SIGTERM; return the seconds until the end, and count what was left behind or refused for ever."""
    assert service.process is not None
    family = service.descendants()
    counts["decoding_at_a_stop"] += [role(pid) for pid in family].count("decode_child") > DECODERS
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


def _ended(*threads: Sender | StowSender | Caller) -> int:
    """Tell them to stop when they have done what they are at; return how many do not come to that."""
    for one in threads:
        one.is_stopping.set()
    for one in threads:
        one.join(LONGEST_JOIN_S)
    return sum(one.is_alive() or (isinstance(one, Caller) and not one.is_through) for one in threads)


def told(counts: Counts) -> str:
    """Tell what was under way when the service was told to stop."""
    if "answers_missed" not in counts:
        return ""
    return (
        f"at the stops {counts['in_work_at_a_stop']:,.0f} studies were on their way to a result, and "
        f"{counts['decoding_at_a_stop']:,.0f} times a decoder was at work; {counts['transient_refusals']:,.0f} senders "
        f"were told to come back, callers were without an answer {counts['answers_missed']:,.0f} times and went on, "
        f"{counts['claims_kept']:,.0f} times with a claim that held; in all {counts['signed']:,.0f} "
        f"reports were signed, {counts['uploaded']:,.0f} uploads taken, {counts['searched']:,.0f} questions "
        f"answered and {counts['scored']:,.0f} films scored."
    )


NEVER = (
    *invariants.NEVER, "unreferenced", "bad_exits", "left_behind", "leases_held", "permanent_refusals", "unfinished",
    "claims_lost", "signatures_lost", "uploads_lost", "wrong_answers",
)  # fmt: skip

TRIAL = Trial(
    number="46",
    title="SIGTERM in the middle of everything",
    run=run,
    counted="rounds",
    full=100,
    never=NEVER,
    at_most={"exit_s_max": LONGEST_S},
    at_least={"signed": 1, "uploaded": 1, "searched": 1, "scored": 1},
    timeout_s=600,
    told=told,
)
