"""How long a reader looks at nothing between two cases: `python -m tests.benchmarks.next_case`.

A film of 3072 by 2560 pixels, fetched ahead and not, drawn with WebGL in software and by the processor.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.rows import Row, limit, report
from tests.browser.desk import NO_WEBGL, READY_MS, Desk, browser, sit_down
from tests.factories import make_radiograph
from tests.service.house import open_house

BUDGET_S = 1.0
CHROMIUM = "/usr/bin/chromium"
CASES = 4
ROWS, COLUMNS = 3072, 2560


def measure() -> list[Row]:
    """Return seconds from the key to the film on the screen, fetched ahead and not."""
    rows = []
    for name, flags in (("software WebGL", ()), ("processor", (NO_WEBGL,))):
        with (
            tempfile.TemporaryDirectory() as folder,
            open_house(Path(folder)) as house,
            browser(CHROMIUM, *flags) as opened,
        ):
            desk = sit_down(house, opened)
            for seed in range(CASES):
                noise = np.random.default_rng(seed).integers(0, 4095, (ROWS, COLUMNS), dtype=np.uint16)
                desk.send(make_radiograph(noise, PatientID=f"P-{seed}"))
            desk.page.get_by_text(f"P-{CASES - 1}").first.wait_for()
            desk.press("j", "Enter")
            desk.wait_film()
            cold = _skip(desk, wait_ms=0)
            warm = [_skip(desk, wait_ms=8_000) for _ in range(CASES - 2)]
        rows += [
            limit(f"next case on the screen, {name}, fetched ahead", warm, unit="s", must=BUDGET_S),
            limit(f"next case on the screen, {name}, not fetched ahead", [cold], unit="s", must=None),
        ]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    report("next-case", measure, kept=parser.parse_args().keep)


def _skip(desk: Desk, *, wait_ms: int) -> float:
    """Go to the next case after a while, as a reader who looks at this one first; returns the seconds that took."""
    page = desk.page
    page.wait_for_timeout(wait_ms)
    before = page.url
    started = time.perf_counter()
    desk.press("Shift+N")
    page.wait_for_url(lambda url: url != before, timeout=READY_MS)
    desk.wait_film()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
