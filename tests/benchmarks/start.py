"""Seconds from the command to a ready service, and its memory (python -m tests.benchmarks.start).

Memory is the proportional set size (PSS) of all the service's processes together, so that what they share counts once:
after the start, and while four senders keep it busy with radiographs that are scored. The service runs in the
environment that `python3 -m service` makes: the tests' own brings libraries that pydicom loads where it finds them.
"""

from __future__ import annotations

import argparse
import contextlib
import tempfile
import threading
import time
from pathlib import Path

import httpx

from service.environment import ROOT, prepare
from tests.benchmarks.films import chest_film
from tests.benchmarks.rows import Row, limit, report
from tests.benchmarks.soak_samples import pss_mb
from tests.driver import Service, c_store, running, wait_until

READY_MUST_S = 2.0
MEMORY_MUST_MB = 500.0
SENDERS = 4
TOKEN = "a-monitoring-program-of-the-benchmark"


def memory_mb(service: Service) -> float:
    """Return the memory of all the service's processes in megabytes."""
    return sum(map(pss_mb, service.descendants()))


def _is_ready(service: Service) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return httpx.get(f"{service.address}/ready", headers=headers).status_code == 200
    return False


def start_seconds(folder: Path, python: str) -> tuple[float, float]:
    """Start the service on tables that are up to date; return seconds until it is ready, and its memory then."""
    with running(folder, python=python, PANDOK_METRICS_TOKEN=TOKEN) as service:
        service.stop()
        started = time.perf_counter()
        service.start()
        wait_until("the service is ready", lambda: _is_ready(service))
        ready_s = time.perf_counter() - started
        time.sleep(3)
        return ready_s, memory_mb(service)


def loaded_mb(folder: Path, python: str, studies: int) -> float:
    """Return the most memory that was seen while studies came in and were scored."""
    with running(folder, python=python) as service:
        films = [chest_film(seed) for seed in range(studies)]
        senders = [
            threading.Thread(target=c_store, args=(service.dicom_port, films[share::SENDERS]))
            for share in range(SENDERS)
        ]
        for sender in senders:
            sender.start()
        most = 0.0
        deadline = time.monotonic() + 600
        while time.monotonic() < deadline:
            most = max(most, memory_mb(service))
            ended = [row for row in service.worklist() if row["state"] in ("scored", "unscored")]
            if len(ended) == studies:
                assert {row["state"] for row in ended} == {"scored"}
                return most
            time.sleep(0.2)
        raise TimeoutError("the studies were not scored")


def measure(rounds: int = 5, studies: int = 24) -> list[Row]:
    """Start several times, then load once."""
    starts, python = [], str(prepare(ROOT / ".venv-serve", ("cpu", "demo")))
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            starts.append(start_seconds(Path(folder), python))
    ready, idle = zip(*starts, strict=True)
    with tempfile.TemporaryDirectory() as folder:
        loaded = loaded_mb(Path(folder), python, studies)
    return [
        limit("command → ready", ready, unit="s", must=READY_MUST_S),
        limit("memory, idle (PSS of all processes)", idle, unit="MB", must=MEMORY_MUST_MB),
        limit("memory, four senders and scoring (PSS)", [loaded], unit="MB", must=MEMORY_MUST_MB),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("start", lambda: measure(options.rounds), kept=options.keep)


if __name__ == "__main__":
    main()
