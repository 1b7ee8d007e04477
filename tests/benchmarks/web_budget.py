"""`python -m tests.benchmarks.web_budget`: what a browser fetches first and for the viewer, gzip, from the manifest."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from service.web.build import DIST_FOLDER

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


def main() -> None:
    """Print each budget and what of it is used, gzip."""
    manifest = json.loads((DIST_FOLDER / ".vite" / "manifest.json").read_text())
    first = files_of(manifest, "index.html")
    for language in LANGUAGES:
        total = kib(first | files_of(manifest, f"src/languages/{language}/index.ts"))
        print(f"first load in {language}: {total:7.1f} KiB of {FIRST_LOAD_KIB:.0f}")
    worklist = files_of(manifest, "src/worklist/WorklistPage.tsx") - first
    print(f"worklist, on top:    {kib(worklist):7.1f} KiB")
    viewer = files_of(manifest, "src/reader/ReaderPage.tsx") - first
    print(f"reader and viewer:   {kib(viewer):7.1f} KiB of {VIEWER_KIB:.0f}")


if __name__ == "__main__":
    main()
