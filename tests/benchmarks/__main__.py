"""Every benchmark of the design's table, one after the other, and the page (python -m tests.benchmarks).

    python -m tests.benchmarks                 # all, about half an hour on two cores; writes docs/benchmarks.md
    python -m tests.benchmarks recipe start    # some
    python -m tests.benchmarks --page          # the page alone, from what was kept
    python -m tests.benchmarks --install       # as root on Debian: brings the peers first

Nothing else may run on the machine: ratios survive a neighbour, limits do not.
"""

from __future__ import annotations

import argparse
import importlib
import json
import time

from tests.benchmarks.page import draw, page
from tests.benchmarks.peers import DICOMWEB_PLUGIN, ORTHANC, STORESCP, STORESCU, need
from tests.benchmarks.rows import RESULTS, ROOT, report

GROUPS = {
    "dimse": "dimse_receive",
    "dicomweb": "dicomweb",
    "arrival": "arrival",
    "backlog": "backlog",
    "inference": "inference",
    "recipe": "recipe",
    "worklist": "worklist",
    "qido": "qido",
    "start": "start",
    "sign-in": "sign_in",
    "pages": "web_budget",
    "next-case": "next_case",
}
NEEDS = {
    "dimse": (ORTHANC, STORESCP, STORESCU),
    "dicomweb": (ORTHANC, DICOMWEB_PLUGIN),
    "next-case": ("/usr/bin/chromium",),
}
PAGE = ROOT / "docs" / "benchmarks.md"
CHART = ROOT / "docs" / "benchmarks.svg"
SOAK = ROOT / "docs" / "soak.json"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("groups", nargs="*", choices=[[], *GROUPS], help="which; none is all")
    parser.add_argument("--page", action="store_true", help="write the page only")
    parser.add_argument("--install", action="store_true", help="install peers that are not here")
    options = parser.parse_args()
    groups = [] if options.page else options.groups or list(GROUPS)
    need(*(path for group in groups for path in NEEDS.get(group, ())), install=options.install)
    for group in groups:
        started = time.perf_counter()
        print(f"== {group}", flush=True)
        report(group, importlib.import_module(f"tests.benchmarks.{GROUPS[group]}").measure, kept=True)
        print(f"   {time.perf_counter() - started:.0f} s", flush=True)
    kept = json.loads(RESULTS.read_text())
    results = {group: kept[group] for group in GROUPS if group in kept}
    PAGE.write_text(page(results, json.loads(SOAK.read_text()) if SOAK.is_file() else None))
    draw(results, CHART)
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
