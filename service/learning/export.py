"""Signed verdicts → a folder that training reads: pseudonymous films, their labels, and where those are from."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from service.archive import Archive
from service.learning.cases import Film, Labels, labels_of, pseudonym, row_of, why_not
from service.learning.films import FilmRefused, write_film

FORMAT = "pandok-cases/1"
SPLIT_KEY = "pandok-verdicts"
"""Draws a patient's split. It never changes, so that a patient stays where he is in every later export."""
KEY_BYTES = 32

UNAIDED, WITH_AI = "unaided", "with-ai"
LABELS_FROM = {
    UNAIDED: "the reading radiologist, from the images alone",
    WITH_AI: "the reading radiologist, who saw what the AI had found: no second opinion on the AI",
}
"""Labels made with AI visible stand in a set of their own: whoever trains or measures sees it in the manifest."""


class ExportRefused(Exception):
    """Nothing was exported; the text tells the operator why."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the center agreed to.

    Attributes:
        uses: `training`, `evaluation`, `published_weights`: what is not named is refused by whoever reads the manifest.
        licence: The agreement, in words.
    """

    uses: tuple[str, ...]
    licence: str


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds, and why it does not hold the rest."""

    films: int
    by_site: dict[int, int]
    left_out: dict[str, int]


def export_films(
    films: Iterable[Film], folder: Path, *, name: str, archive: Archive, key: bytes, terms: Terms
) -> Exported:
    """Write a new folder with a case manifest; it appears whole or not at all.

    Raises:
        ExportRefused: The folder is there already, or there is no film with a label.
    """
    if folder.exists():
        raise ExportRefused(f"{folder} is there already; an export is never written over")
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        (unfinished / "films").mkdir(parents=True)
        rows, exported = _write(films, unfinished, archive, key, terms)
        _write_manifest(unfinished, rows, name, terms)
        unfinished.rename(folder)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    return exported


def _write_manifest(folder: Path, rows: Sequence[dict[str, Any]], name: str, terms: Terms) -> None:
    if not rows:
        raise ExportRefused("no film of a study with a signed report has a label")
    head = {
        "format": FORMAT,
        "name": name,
        "version": "1",
        "findings": sorted({finding for row in rows for finding in row["labels"]}),
        "sets": _sets(sorted({row["set"] for row in rows}), terms),
        "split": {"key": SPLIT_KEY},
    }
    lines = (json.dumps(row, sort_keys=True, ensure_ascii=False) + "\n" for row in rows)
    (folder / "manifest.json").write_text(json.dumps(head, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "cases.jsonl").write_text("".join(lines), encoding="utf-8")


def pseudonym_key(path: Path) -> bytes:
    """Return the key of every pseudonym, which never leaves the installation; made when there is none."""
    if not path.exists():
        unfinished = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(KEY_BYTES))
        unfinished.rename(path)
    return bytes.fromhex(path.read_text())


def _write(
    films: Iterable[Film], folder: Path, archive: Archive, key: bytes, terms: Terms
) -> tuple[list[dict[str, Any]], Exported]:
    rows: list[dict[str, Any]] = []
    left_out: Counter[str] = Counter()
    by_site: Counter[int] = Counter()
    for film in films:
        labels = labels_of(film)
        why = why_not(film) or (None if labels.by_finding else "no_label")
        if why is None:
            try:
                split = None if "training" in terms.uses else "test"  # what must not be learned from is in no other
                rows.append(_write_one(film, labels, folder, key, split=split, archive=archive))
                by_site[film.site_id] += 1
            except FilmRefused as refused:
                why = str(refused)
        if why is not None:
            left_out[why] += 1
    return rows, Exported(len(rows), dict(by_site), dict(left_out))


def _write_one(
    film: Film, labels: Labels, folder: Path, key: bytes, *, split: str | None, archive: Archive
) -> dict[str, Any]:
    name = pseudonym(key, film.site, film.sop_instance_uid)
    image = f"films/{name}.dcm"
    row = row_of(
        film,
        labels,
        key=key,
        data_set=f"{film.site}-{WITH_AI if labels.with_ai else UNAIDED}",
        image=image,
        split=split,
    )
    source = archive.path(film.site_id, film.content_sha256)
    write_film(source, film.header, folder / image, name=name, patient=row["patient"])
    return row


def _sets(names: Sequence[str], terms: Terms) -> list[dict[str, Any]]:
    found = []
    for name in names:
        how = WITH_AI if name.endswith(f"-{WITH_AI}") else UNAIDED
        site = name.removesuffix(f"-{how}")
        found.append(
            {
                "name": name,
                "site": site,
                "title": f"Signed verdicts of {site}, {'made with AI visible' if how == WITH_AI else 'made unaided'}",
                "licence": terms.licence,
                "attribution": site,
                "source": "verdict export",
                "labels_from": LABELS_FROM[how],
                "uses": list(terms.uses),
                "folder": ".",
            }
        )
    return found
