"""`python -m tests.benchmarks.web_budget`: what a browser fetches first and for the viewer, gzip, from the manifest."""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path

from service.web.build import DIST_FOLDER
from tests.benchmarks.rows import Row, limit, report

FIRST_LOAD_KIB = 250.0
VIEWER_KIB = 1_300.0
LANGUAGES = ("ko", "en", "vi", "ru")


def files_of(manifest: dict[str, dict[str, object]], entry: str, *, seen: set[str] | None = None) -> set[str]:
    """Return the names of an entry's files and of all that it imports at once; what it loads later is not in it."""
    seen = set() if seen is None else seen
    chunk = manifest[entry]
    if str(chunk["file"]) in seen:
        return seen
    seen.add(str(chunk["file"]))
    seen.update(str(name) for name in chunk.get("css", []))  # type: ignore[attr-defined]
    for name in chunk.get("imports", []):  # type: ignore[attr-defined]
        files_of(manifest, str(name), seen=seen)
    return seen


def kib(names: set[str], folder: Path = DIST_FOLDER) -> float:
    return sum(len(gzip.compress((folder / name).read_bytes(), 9)) for name in names) / 1024


def measure() -> list[Row]:
    """Return each budget and what of it is used."""
    manifest = json.loads((DIST_FOLDER / ".vite" / "manifest.json").read_text())
    first = files_of(manifest, "index.html")
    loads = [kib(first | files_of(manifest, f"src/languages/{language}/index.ts")) for language in LANGUAGES]
    worklist = files_of(manifest, "src/worklist/WorklistPage.tsx") - first
    viewer = files_of(manifest, "src/reader/ReaderPage.tsx") - first
    return [
        limit("first load of the pages, the largest language (gzip)", [max(loads)], unit="KiB", must=FIRST_LOAD_KIB),
        limit("worklist, on top (gzip)", [kib(worklist)], unit="KiB", must=None),
        limit("reader and viewer (gzip)", [kib(viewer)], unit="KiB", must=VIEWER_KIB),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    report("pages", measure, kept=parser.parse_args().keep)


if __name__ == "__main__":
    main()
