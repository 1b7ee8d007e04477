"""Trial 01: processes of every kind die by kill -9 while eight associations send; what was acknowledged must stand."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import httpx
from pydicom import Dataset, dcmread
from pynetdicom import AE
from sqlalchemy import func, select

from service import tables
from service.settings import Settings
from tests.driver import CALLING_AE, Service, associate, role, wait_until
from tests.factories import with_fresh_uids
from tests.trials import invariants
from tests.trials.nursery import is_running
from tests.trials.place import sha256_of, slices
from tests.trials.trial import Counts, Missing, Trial

SENDERS = 8
KILLS = 8
KINDS = ("web", "listener", "worker", "supervisor", "fork_server", "decode_child", "scoring_child")
SLICES_PER_STUDY = 12
FILM_EVERY = 12
"""Each so-manieth study is a real film, which the worker decodes and scores."""
PAUSE_S = 0.2
"""After each instance: the worker must come to an end with all of it in the time of a trial."""
PER_ASSOCIATION = 8
LATE_S = 5.0
LATE_OF_A_START = 1.5
"""Late is what takes longer than 5 s, and longer than this share of a cold start on the same machine."""
DRAIN_S = 120.0


class Sender(threading.Thread):
    """Sends until told to stop, each instance until it was answered with success, as a center's PACS would."""

    def __init__(self, port: int, work: Iterator[Dataset]) -> None:
        super().__init__(daemon=True)
        self._port = port
        self._work = work
        self.acknowledged: dict[str, str] = {}
        self.refusals: Counter[int] = Counter()
        """By the result of A-ASSOCIATE-RJ: 1 is for ever, 2 is for now."""
        self.is_stopping = threading.Event()

    def run(self) -> None:
        dataset = next(self._work)
        while not self.is_stopping.is_set():
            ae = AE(CALLING_AE)
            ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = ae.connection_timeout = 10
            ae.add_requested_context(dataset.SOPClassUID, dataset.file_meta.TransferSyntaxUID)
            association, rejection = associate(ae, self._port)
            if rejection is not None:
                self.refusals[rejection[0]] += 1
            kind = dataset.SOPClassUID
            for _ in range(PER_ASSOCIATION):
                if not association.is_established or self.is_stopping.is_set() or dataset.SOPClassUID != kind:
                    break
                try:
                    status = association.send_c_store(dataset).get("Status")
                except (RuntimeError, ValueError):
                    break
                if status == 0x0000:
                    self.acknowledged[str(dataset.SOPInstanceUID)] = sha256_of(dataset)
                    dataset = next(self._work)
                    time.sleep(PAUSE_S)
            association.release() if association.is_established else time.sleep(0.2)


def run(seed: int, folder: Path) -> Counts:
    """Send over eight associations while processes die, let the rest be scored, and compare."""
    chance = random.Random(seed)
    service = Service(folder / "data", {"PANDOK_LOG_LEVEL": "WARNING"})
    service.folder.mkdir(parents=True)
    service.add_site()
    service.start()
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    senders = [Sender(service.dicom_port, _work(seed * SENDERS + number)) for number in range(SENDERS)]
    started = time.monotonic()
    try:
        service.wait_ready()
        late_s = max(LATE_S, LATE_OF_A_START * (time.monotonic() - started))
        for sender in senders:
            sender.start()
        slowest: dict[str, float] = {}
        for kind in _kinds(chance, KILLS, counts):
            ready_s = _kill(service, kind, chance)
            counts["late"] += ready_s > late_s
            counts[f"ready_in_{math.ceil(ready_s)}_s"] += 1
            slowest[kind] = max(slowest.get(kind, 0.0), ready_s)
        for sender in senders:
            sender.is_stopping.set()
        for sender in senders:
            sender.join(30)
        acknowledged = {uid: sha256 for sender in senders for uid, sha256 in sender.acknowledged.items()}
        settings = Settings(data_folder=service.folder)
        counts["unfinished"] = drained(settings)
    finally:
        service.stop()
    counts.update(invariants.audit(settings, acknowledged))
    counts["half_done_files"], counts["temporaries_left"] = invariants.temporaries(settings)
    times = {f"ready_after_{kind}_s_max": ready_s for kind, ready_s in slowest.items()}
    times |= {"ready_s_max": max(slowest.values()), "limit_s_max": late_s}
    return {**counts, "acknowledged": len(acknowledged), **times}


def told(counts: Counts) -> str:
    """Tell how long the doors were closed, in whole seconds, which add up over seeds, and what was taken for late."""
    within = {int(name.split("_")[2]): number for name, number in counts.items() if name.startswith("ready_in_")}
    if not within:
        return ""
    kills = sum(within.values())
    p99_s = next(s for s in sorted(within) if sum(n for at, n in within.items() if at <= s) >= 0.99 * kills)
    slow = sum(number for at, number in within.items() if at > LATE_S)
    kinds = {kind: counts[name] for kind in KINDS if (name := f"ready_after_{kind}_s_max") in counts}
    slowest = ", ".join(
        f"{kind.replace('_', ' ')} {seconds:.1f} s"
        for kind, seconds in sorted(kinds.items(), key=lambda one: one[1], reverse=True)
    )
    return (
        f"both doors answered again after 99 % of {kills:,.0f} kills within {p99_s} s ({LATE_S:.0f} s are asked for; "
        f"{slow:,.0f} took longer than {LATE_S:.0f} s). Late is what takes longer than {LATE_S:.0f} s and "
        f"{LATE_OF_A_START:g} cold starts of the same run, here up to {counts['limit_s_max']:.1f} s: eight senders and "
        f"what starts share the processors. Slowest after the death of: {slowest}."
    )


def _work(seed: int) -> Iterator[Dataset]:
    path = _film_path()
    for number in itertools.count(1):
        if number % FILM_EVERY == 0:
            yield with_fresh_uids(dcmread(path))
        else:
            yield from slices(SLICES_PER_STUDY, seed * 1_000_000 + number * SLICES_PER_STUDY)


def _film_path() -> Path:
    found = find_spec("data_store")
    if found is None or found.origin is None:
        raise Missing("a real film (package pydicom-data)")
    return Path(found.origin).parent / "data" / "RG1_J2KI.dcm"


def _kinds(chance: random.Random, kills: int, counts: Counter[str]) -> Iterator[str]:
    """Yield what dies next, each kind as often as any other, after a while of work."""
    kinds = [kind for _ in range(kills // len(KINDS) + 1) for kind in chance.sample(KINDS, len(KINDS))]
    for kind in kinds[:kills]:
        time.sleep(chance.uniform(0.5, 2.5))
        counts["kills"] += 1
        counts[f"killed_{kind}"] += 1
        yield kind


def _kill(service: Service, kind: str, chance: random.Random) -> float:
    """Kill one process; return after how many seconds the service takes and shows studies again."""
    assert service.process is not None
    family = service.descendants()
    victims = [service.process.pid] if kind == "supervisor" else wait_until(f"a {kind}", lambda: _all(service, kind))
    victim = chance.choice(victims)
    with contextlib.suppress(ProcessLookupError):
        os.kill(victim, signal.SIGKILL)
    killed = time.monotonic()
    if kind == "supervisor":
        service.process.wait()
        service.start()
    wait_until("the doors are open", lambda: _is_open(service))
    ready_s = time.monotonic() - killed
    if kind == "supervisor":
        wait_until("what it left behind ends", lambda: not any(is_running(pid) for pid in family), 45)
    return ready_s


def _all(service: Service, kind: str) -> list[int]:
    return [pid for pid in service.descendants() if role(pid) == kind]


def _is_open(service: Service) -> bool:
    """Tell whether both doors answer; an association that is refused because others hold all seats is an answer."""
    with contextlib.suppress(httpx.HTTPError):
        if httpx.get(f"{service.address}/live", timeout=5).status_code != 200:
            return False
        ae = AE(CALLING_AE)
        ae.acse_timeout = ae.connection_timeout = ae.network_timeout = 5
        ae.add_requested_context("1.2.840.10008.1.1")
        association, rejection = associate(ae, service.dicom_port)
        is_open = bool(association.is_established or rejection is not None)
        if association.is_established:
            association.release()
        return is_open
    return False


def drained(settings: Settings) -> int:
    """Wait until every study has its end; returns how many have none."""
    from service.database import Database

    database = Database(settings.sqlalchemy_url)
    study = tables.study.c
    waiting = select(func.count()).where(study.state.not_in(("scored", "unscored")))
    deadline = time.monotonic() + DRAIN_S
    while True:
        with database.reading() as rx:
            left = int(rx.execute(waiting).scalar_one())
        if not left or time.monotonic() > deadline:
            database.close()
            return left
        time.sleep(1)


NEVER = (*invariants.NEVER, "unreferenced", "unfinished", "temporaries_left", "late")

TRIAL = Trial(
    number="01",
    title="kill -9 of every kind of process under load",
    run=run,
    counted="kills",
    full=200,
    quick=(0, 1, 2),
    never=tuple(name for name in NEVER if name != "late"),
    at_most={"late": 2},
    at_least={"acknowledged": 100},
    timeout_s=600,
    told=told,
)
