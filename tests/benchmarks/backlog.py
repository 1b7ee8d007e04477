"""Studies a second, end to end (python -m tests.benchmarks.backlog): a morning's radiographs are read in one go.

The real service receives the studies and holds them; then all are said to be done at once, and the clock runs until the
last one is scored. The bare figure is both networks on the same films' tensors in one process, which neither
reads, decodes, records nor publishes anything.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from models.package import SHIPPED, find_packages, load_package
from models.session import Precision, Provider, Session
from tests.benchmarks.films import chest_film
from tests.benchmarks.rows import Row, against, report
from tests.driver import Service, c_store, running, wait_until

SENDERS = 4
LONGEST_S = 300.0
_SCORED = re.compile(r'^pandok_runs_total\{outcome="done",package="(?!none)[^"]+"\} (\S+)$', re.MULTILINE)


def settings(provider: Provider, precision: Precision, max_batch: int, *, cores: int, workers: int) -> dict[str, str]:
    """Return what an operator of such a machine would set; the defaults are those of two cores without a GPU."""
    if provider == "cpu" and cores <= 2:
        return {}
    return {
        "PANDOK_WORKER_PROCESSES": str(workers),
        "PANDOK_EXECUTION_PROVIDER": provider,
        "PANDOK_SCORING_PRECISION": precision,
        "PANDOK_MAX_BATCH": str(max_batch),
        "PANDOK_WORKER_CONCURRENCY": str(max(4, 2 * cores // workers)),
        "PANDOK_DECODE_PROCESSES": str(max(2, cores // workers)),
    }


def once(service: Service, studies: int, first: int) -> float:
    """Send studies, let them all settle together, and return how many a second were scored."""
    films = [chest_film(first + number) for number in range(studies)]
    with ThreadPoolExecutor(SENDERS) as senders:
        statuses = senders.map(
            lambda own: c_store(service.dicom_port, own), (films[n::SENDERS] for n in range(SENDERS))
        )
        assert all(status == 0 for own in statuses for status in own)
        client, before = service.client, scored(service)
        assert client is not None
        started = time.perf_counter()
        paths = [f"/api/studies/{film.StudyInstanceUID}/done" for film in films]
        answers = senders.map(lambda path: client.post(path, params={"site": "test"}), paths)
        assert all(answer.status_code < 300 for answer in answers)
        wait_until("the backlog is scored", lambda: scored(service) >= before + studies, LONGEST_S, every_s=0.2)
        return studies / (time.perf_counter() - started)


def scored(service: Service) -> float:
    """Return how many runs have given scores since the service started."""
    assert service.client is not None
    return sum(float(count) for count in _SCORED.findall(service.client.get("/metrics").text))


def bare(provider: Provider, precision: Precision, batch: int, seconds: float = 2.0) -> float:
    """Return films a second of both networks, one after the other, in batches."""
    packages = [load_package(folder) for folder in find_packages(SHIPPED)]
    sessions = [Session(package, provider=provider, precision=precision) for package in packages]
    images = np.random.default_rng(0).random((batch, *packages[0].input_shape), dtype=np.float32)
    films, started = 0, 0.0
    for _ in range(10_000):
        for session in sessions:
            session.run(images)
        films += batch
        if not started:  # the first run of a shape is slow
            films, started = 0, time.perf_counter()
        elif time.perf_counter() > started + seconds:
            break
    return films / (time.perf_counter() - started)


def measure(
    studies: int = 60,
    rounds: int = 3,
    provider: Provider = "cpu",
    precision: Precision = "fp32",
    max_batch: int = 1,
    workers: int = 1,
) -> list[Row]:
    """Score a backlog several times, the bare networks after each."""
    cores = os.cpu_count() or 1
    chosen = settings(provider, precision, max_batch, cores=cores, workers=workers)
    ours, theirs = [], []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), site=False, **chosen) as service:
        service.add_site(quiet_s=900)
        once(service, 2 * SENDERS, 0)
        for number in range(rounds):
            ours.append(once(service, studies, 1_000 * (number + 1)))
            theirs.append(bare(provider, precision, max_batch))
    on = "" if provider == "cpu" else f", {provider.upper()} {precision}"
    by = f"{workers} worker{'s' if workers > 1 else ''}"
    work = f"a backlog of {studies} radiographs settles → all scored{on}, {cores} cores, {by}"
    return [against(work, ours, f"both networks alone, batch {max_batch}", theirs, unit="studies/s", must=None)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--provider", choices=["cpu", "cuda", "tensorrt"], default="cpu")
    parser.add_argument("--precision", choices=["fp32", "fp16"], default="fp32")
    parser.add_argument("--max-batch", type=int, default=1)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    chosen = options.provider, options.precision, options.max_batch, options.workers
    report("backlog", lambda: measure(options.studies, options.rounds, *chosen), kept=options.keep)


if __name__ == "__main__":
    main()
