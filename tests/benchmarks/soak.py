"""The whole service under a steady mixed load for a while (python -m tests.benchmarks.soak --minutes 60).

Several senders by C-STORE, STOW-RS and the upload page's requests, good and broken files, searchers, a reader who
signs; a decoder killed now and then; early on one restart of each part. Writes docs/soak.json and docs/soak.svg,
and says whether memory stays bounded and whether anything that was acknowledged is lost; exits with 1 when it is not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, func, select

from service import tables
from service.access import new_key
from service.access.account_records import add_account, change_account
from service.access.accounts import NewAccount
from service.database import Database
from service.roles import Role
from service.settings import Settings
from tests.benchmarks.rows import ROOT, p95
from tests.benchmarks.soak_load import Load, Request
from tests.benchmarks.soak_page import draw_soak
from tests.benchmarks.soak_samples import WARM_UP, Sample, drift_percent, memory_slope, sample, verdict
from tests.driver import Service, role, running
from tests.service.house import password_hash
from tests.trials.invariants import NEVER, audit
from tests.trials.place import Place

RESULTS = ROOT / "docs" / "soak.json"
PICTURE = ROOT / "docs" / "soak.svg"
EVERY_S = 3.0
DEATH_EVERY_S = 40.0
RESTARTS = {"worker": 0.03, "listener": 0.04, "web": 0.05}
"""When each part is restarted, as a share of the soak: early, so that what follows tells whether memory grows."""
BINS = 60
END_S = 180.0


def place_in(service: Service) -> Place:
    """Make a key and a reader for the running service; the reader is signed in."""
    settings = Settings(
        data_folder=service.folder, web_port=service.web_port, dicom_port=service.dicom_port, min_free_bytes=0
    )
    database, now = Database(settings.sqlalchemy_url), time.time()
    with database.transaction() as tx:
        site_id = tx.execute(select(tables.site.c.id)).scalar_one()
        key = new_key(tx, site_id=site_id, name="soak", now=now).text
        reader_id = add_account(tx, NewAccount("reader", "Reader", Role.RADIOLOGIST, None, "en", "UTC"), now=now).id
        change_account(tx, reader_id, password_hash=password_hash(), password_set_at=now)
    database.close()
    place = Place(settings, site_id, key, reader_id, service.folder.parent / "serve.log", nursery=None)
    place.open_link(place.link())
    return place


def soak(minutes: float, pace: float) -> dict[str, Any]:
    """Run the load and return what came out."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), site=False) as service:
        service.add_site(quiet_s=2.0)
        place = place_in(service)
        load = Load(place, service, pace)
        load.start()
        samples, events = watch(service, load, minutes * 60)
        load.stop()
        with place.tables() as database:
            unfinished = wait_for_ends(database)
            samples.append(sample(service, time.monotonic() - load.started_at))
            with database.reading() as rx:
                load.requests += scoring_times(rx, time.time() - time.monotonic() + load.started_at)
        faults = audit(place.settings, load.acknowledged)
    end = judged(samples, [at for at, what in events if "restarted" in what])
    counts = {"acknowledged": len(load.acknowledged), "unfinished": unfinished, "signed": load.signed}
    return {
        "minutes": minutes, "pace": pace, "cores": os.cpu_count(), "requests": by_kind(load.requests),
        "verdict": {**end, **counts, **{name: faults[name] for name in NEVER}},
        "events": [{"at_s": round(at, 1), "what": what} for at, what in events],
        "samples": [_rounded(one) for one in thinned(samples)], "latency": list(by_time(load.requests)),
    }  # fmt: skip


def watch(service: Service, load: Load, seconds: float) -> tuple[list[Sample], list[tuple[float, str]]]:
    """Look every few seconds; kill a decoder now and then, and restart each part once."""
    samples: list[Sample] = []
    events: list[tuple[float, str]] = []
    due = {part: share * seconds for part, share in RESTARTS.items()}
    death = DEATH_EVERY_S / 2
    while (at := time.monotonic() - load.started_at) < seconds:
        samples.append(sample(service, at))
        for part in [part for part, when in due.items() if at >= when]:
            del due[part]
            if end_one(service, part, signal.SIGTERM):
                events.append((at, f"{part} restarted"))
        if at >= death:
            death += DEATH_EVERY_S
            if end_one(service, "decode_child", signal.SIGKILL):
                events.append((at, "decoder killed"))
        time.sleep(max(0.0, EVERY_S - (time.monotonic() - load.started_at - at)))
    return samples, events


def end_one(service: Service, part: str, how: int) -> bool:
    """Send a signal to one process of a part; False when there is none."""
    for pid in service.descendants():
        if role(pid) == part:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)
                return True
    return False


def wait_for_ends(database: Database) -> int:
    """Wait until no study is on its way; return how many still are after a while."""
    study, deadline = tables.study.c, time.monotonic() + END_S
    while True:
        with database.reading() as rx:
            left = rx.execute(select(func.count()).where(study.state.in_(("arriving", "settled")))).scalar_one()
        if not left or time.monotonic() > deadline:
            return int(left)
        time.sleep(1)


def scoring_times(rx: Connection, began_at: float) -> list[Request]:
    """Return how long revisions waited from settled to their end, scored or not, as the tables say."""
    ended = tables.revision.c
    rows = rx.execute(select(ended.state, ended.settled_at, ended.finished_at).where(ended.finished_at.is_not(None)))
    return [Request(f"settled → {state}", done - began_at, done - settled, True) for state, settled, done in rows]


def judged(samples: Sequence[Sample], restarts: Sequence[float]) -> dict[str, Any]:
    """Return what the samples say at the end."""
    found, drift = memory_slope(samples, restarts), drift_percent(samples)
    first, last = samples[int(len(samples) * WARM_UP)], samples[-1]
    figures = {
        "slope_mb_per_hour": found and round(found.middle, 2),
        "slope_mb_per_hour_low": found and round(found.low, 2),
        "slope_mb_per_hour_high": found and round(found.high, 2),
    }
    return {
        "memory": verdict(found), "drift_percent": drift and round(drift, 2), **figures,
        "memory_mb": round(last.memory_mb, 1),
        "memory_most_mb": round(max(one.memory_mb for one in samples), 1), "files_first": first.files,
        "files_last": last.files, "threads_first": first.threads, "threads_last": last.threads,
        "scratch_mb": round(last.scratch_mb, 2), "scratch_most_mb": round(max(one.scratch_mb for one in samples), 2),
    }  # fmt: skip


def by_kind(requests: Sequence[Request]) -> dict[str, dict[str, float]]:
    """Return counts and times of each kind of request; times of those that were answered."""
    found: dict[str, dict[str, float]] = {}
    for kind in sorted({one.kind for one in requests}):
        mine = [one for one in requests if one.kind == kind]
        times = [one.took_s for one in mine if one.is_answered] or [0.0]
        p50_s, p95_s = round(statistics.median(times), 4), round(p95(times), 4)
        failed = sum(not one.is_answered for one in mine)
        found[kind] = {"asked": len(mine), "failed": failed, "p50_s": p50_s, "p95_s": p95_s}
    return found


def by_time(requests: Sequence[Request]) -> Iterator[dict[str, Any]]:
    """Yield p50 and p95 of each kind of request in stretches of the soak."""
    width = max(one.at_s for one in requests) / BINS + 1e-9
    bins: dict[tuple[str, int], list[float]] = {}
    for one in requests:
        if one.is_answered:
            bins.setdefault((one.kind, int(one.at_s / width)), []).append(one.took_s)
    for (kind, number), times in sorted(bins.items()):
        middle, slow = round(statistics.median(times), 4), round(p95(times), 4)
        yield {"kind": kind, "at_s": round((number + 0.5) * width, 1), "p50_s": middle, "p95_s": slow}


def thinned(samples: Sequence[Sample], most: int = 600) -> Sequence[Sample]:
    """Return samples evenly, not more than `most` of them, the last one with them."""
    step = -(-len(samples) // most)
    return [*samples[:-1:step], samples[-1]]


def _rounded(one: Sample) -> dict[str, Any]:
    parts = {name: round(value, 1) for name, value in sorted(one.parts_mb.items())}
    return {**asdict(one), "at_s": round(one.at_s, 1), "parts_mb": parts, "scratch_mb": round(one.scratch_mb, 2)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--pace", type=float, default=1.0, help="how many times as fast as usual")
    options = parser.parse_args()
    found = soak(options.minutes, options.pace)
    RESULTS.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    draw_soak(found, PICTURE)
    for kind, of in found["requests"].items():
        counts = f"{of['asked']:6,.0f} asked {of['failed']:4,.0f} not answered"
        print(f"{kind:24} {counts}   p50 {of['p50_s']:7.3f} s   p95 {of['p95_s']:7.3f} s")
    end = found["verdict"]
    low, high = end["slope_mb_per_hour_low"], end["slope_mb_per_hour_high"]
    print(
        f"memory {end['memory_mb']} MB, drift {end['drift_percent']} %,"
        f" slope {end['slope_mb_per_hour']} MB an hour ({low} to {high}): {end['memory']}"
    )
    print(f"acknowledged {end['acknowledged']:,}, signed {end['signed']:,}, unfinished {end['unfinished']:,}")
    faults = {name: end[name] for name in NEVER if end[name]}
    print(f"FAULTS: {faults}" if faults else "nothing acknowledged was lost, and everything is consistent")
    return int(bool(faults) or bool(end["unfinished"]) or end["memory"].startswith("growing"))


if __name__ == "__main__":
    raise SystemExit(main())
