"""How long a center and a reader wait (python -m tests.benchmarks.arrival): first image → listed, settled → scored.

The real service on this machine, one radiograph a study by C-STORE, looked at from outside by its API. The bare figure
is the same film's decoding, recipe and both networks in one process, called one after the other.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import onnxruntime as ort
from pydicom import Dataset

from models.package import SHIPPED, find_packages, load_package
from preprocessing.recipes import RECIPES
from tests.benchmarks.films import chest_film
from tests.benchmarks.recipe import stored_header
from tests.benchmarks.rows import Row, against, limit, p95, p95_limit, report
from tests.driver import Service, c_store, running, wait_until
from tests.factories import part10

LISTED_MUST_S = 2.0
SCORED_MUST_TIMES, SCORED_MUST_S = 1.2, 0.5
"""The p95 keeps to so many times the bare median, and so much more."""


def bare(path: Path, rounds: int) -> list[float]:
    """Return seconds for one film, with sessions that stand ready."""
    sessions = []
    for folder in find_packages(SHIPPED):
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        package = load_package(folder)
        sessions.append(ort.InferenceSession(package.onnx_path.read_bytes(), options))
    times = []
    for _ in range(rounds + 1):
        started = time.perf_counter()
        tensor = RECIPES["chest_radiograph/1"].prepare(path, stored_header(path)).tensor
        for session in sessions:
            session.run(None, {"image": tensor[None]})
        times.append(time.perf_counter() - started)
    return times[1:]


def once(service: Service, dataset: Dataset, known: set[str]) -> tuple[float, float]:
    """Send one study; return seconds from the send to its line, and from the settling to its score."""

    def new() -> dict[str, Any] | None:
        return next((row for row in service.worklist() if row["public_id"] not in known), None)

    started = time.perf_counter()
    assert c_store(service.dicom_port, [dataset]) == [0]
    public_id = wait_until("the study is listed", new)["public_id"]
    listed_s = time.perf_counter() - started
    assert service.client is not None
    settled = time.perf_counter()
    answer = service.client.post(f"/api/studies/{dataset.StudyInstanceUID}/done", params={"site": "test"})
    assert answer.status_code < 300, answer.text
    ended = wait_until("the study is scored", lambda: _if_ended(new()))
    assert ended["state"] == "scored", ended["reason"]
    scored_s = time.perf_counter() - settled
    known.add(public_id)
    return listed_s, scored_s


def _if_ended(row: dict[str, Any] | None) -> dict[str, Any] | None:
    return row if row and row["state"] in ("scored", "unscored") else None


def measure(studies: int = 20) -> list[Row]:
    """Send studies one after the other."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), site=False) as service:
        service.add_site(quiet_s=600)
        path = Path(folder) / "film.dcm"
        path.write_bytes(part10(chest_film(0)))
        known: set[str] = set()
        once(service, chest_film(1), known)
        times = [once(service, chest_film(2 + number), known) for number in range(studies)]
        alone = bare(path, studies)
    listed, scored = zip(*times, strict=True)
    middle = statistics.median(alone)
    allowed_s = SCORED_MUST_TIMES * middle + SCORED_MUST_S
    beside = f"{SCORED_MUST_TIMES:g} × bare + {SCORED_MUST_S:g} s"
    return [
        p95_limit("first image sent → listed as arriving", listed, unit="s", must=LISTED_MUST_S),
        limit("one film, bare: decode + recipe + gate + findings", alone, unit="s", must=None),
        p95_limit("settled → scored", scored, unit="s", must=None),
        against("settled → scored, p95", [p95(scored)], beside, [allowed_s], unit="s", must=1.0, smaller=True),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("arrival", lambda: measure(options.studies), kept=options.keep)


if __name__ == "__main__":
    main()
