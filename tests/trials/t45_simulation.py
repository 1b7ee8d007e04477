"""Trial 45: thousands of simulated lives of a few studies, each 200 steps, in which anything may come in any order."""

from __future__ import annotations

import logging
import traceback
from pathlib import Path

from tests.trials.simulation import simulate
from tests.trials.trial import Counts, Trial

RUNS = 20
STEPS = 200


def run(seed: int, folder: Path) -> Counts:
    """Simulate; of a broken invariant the fewest steps that lead to it are printed."""
    broken = 0
    logging.disable(logging.CRITICAL)  # work is given up here all the time
    try:
        simulate(seed, runs=RUNS, steps=STEPS)
    except Exception:  # noqa: BLE001 - whatever breaks is the finding
        traceback.print_exc()
        broken = 1
    finally:
        logging.disable(logging.NOTSET)
    return {"simulations": RUNS, "steps": RUNS * STEPS, "broken": broken}


TRIAL = Trial(
    number="45",
    title="simulated completion, intake and pipeline with crashes at every step",
    run=run,
    counted="simulations",
    full=20_000,
    never=("broken",),
    quick=tuple(range(100)),
)
