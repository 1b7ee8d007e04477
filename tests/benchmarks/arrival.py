"""How long a center and a reader wait (python -m tests.benchmarks.arrival): first image → listed, settled → scored.

The real service on this machine, one radiograph a study by C-STORE, looked at from outside by its API. The bare figure
is the same film's decoding, recipe and both networks in one process, called one after the other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from pydicom import Dataset

from models.package import SHIPPED, find_packages, load_package
from preprocessing.recipes import RECIPES
from tests.benchmarks.recipe import stored_header
from tests.benchmarks.rows import Row, limit, p95, report
from tests.driver import Service, c_store, running, wait_until
from tests.factories import make_radiograph, part10, phantom

LISTED_MUST_S = 2.0
SCORED_MUST_S = 0.5
"""Above 1.2 times the bare figure."""


def film(seed: int) -> Dataset:
    """Return a film of 2,400 by 2,500 pixels, a study of its own."""
    pixels = np.kron(phantom(240, 250), np.ones((10, 10), np.uint16)).astype(np.uint16)
    noise = np.random.default_rng(seed).integers(0, 64, pixels.shape).astype(np.uint16)
    return make_radiograph(pixels + noise)


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
    wait_until("the study is scored", lambda: (new() or {}).get("state") in ("scored", "unscored"))
    scored_s = time.perf_counter() - settled
    known.add(public_id)
    return listed_s, scored_s


def measure(studies: int = 20) -> list[Row]:
    """Send studies one after the other."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), site=False) as service:
        service.add_site(quiet_s=600)
        path = Path(folder) / "film.dcm"
        path.write_bytes(part10(film(0)))
        known: set[str] = set()
        once(service, film(1), known)
        times = [once(service, film(2 + number), known) for number in range(studies)]
        alone = bare(path, studies)
    listed, scored = zip(*times, strict=True)
    middle = sorted(alone)[len(alone) // 2]
    return [
        limit("first image sent → listed as arriving, p95", [p95(listed)], unit="s", must=LISTED_MUST_S),
        limit("bare decode + recipe + gate + findings, median", [middle], unit="s", must=None),
        limit("settled → scored, p95", [p95(scored)], unit="s", must=None),
        limit("settled → scored, p95, less 1.2 × bare", [p95(scored) - 1.2 * middle], unit="s", must=SCORED_MUST_S),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=20)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("arrival", lambda: measure(options.studies), kept=options.keep)


if __name__ == "__main__":
    main()
