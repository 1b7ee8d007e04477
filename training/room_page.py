"""The report of a dataset as one page: no scripts, nothing loaded from elsewhere, for a physician and an engineer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from training.cases import ImageFiles
from training.datasets import USES, Entry
from training.pages_frame import render
from training.room_duplicates import Alike
from training.room_notes import finding_title, notes_of, scope_title
from training.room_pictures import Picture, examples, picture
from training.room_report import Report
from training.room_shortcuts import FEATURES, LEAST_FILMS, Tell

PAGE = "dataset.html"
AGES_WIDTH, AGES_HEIGHT = 300, 84


@dataclass(frozen=True, slots=True)
class Copy:
    """A group of near-duplicates as the page shows it."""

    alike: Alike
    trouble: str | None
    entries: tuple[Entry, ...]
    pictures: tuple[Picture, ...]

    @property
    def crosses(self) -> bool:
        """Do its films stand in different splits?"""
        return len({entry.case.split for entry in self.entries}) > 1

    @property
    def is_harmless(self) -> bool:
        """Do its films agree in patient, split and labels?"""
        return self.trouble is None


@dataclass(frozen=True, slots=True)
class TellTable:
    """The tells of one group of films: by finding, then by feature."""

    features: tuple[str, ...]
    rows: Mapping[str, Mapping[str, Tell]]


def write_page(report: Report, folder: Path) -> Path:
    """Write dataset.html into a folder that must not be part of a repository: it shows films.

    Returns:
        The page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / PAGE
    path.write_text(page(report), encoding="utf-8")
    return path


def page(report: Report) -> str:
    """Return the page as HTML."""
    filters = {
        "finding": finding_title,
        "scope": lambda scope: scope_title(scope, report),
        "number": lambda count: f"{count:,}",
        "percent": lambda share: f"{100 * share:.0f} %" if share >= 0.095 else f"{100 * share:.1f} %",
    }
    rows = examples(report.dataset)
    named = dict.fromkeys(row.data_set for row in rows)
    values = {
        "report": report,
        "notes": notes_of(report),
        "uses": USES,
        "features": FEATURES,
        "least_films": LEAST_FILMS,
        "scopes": _tables(report.tells),
        "copies": _copies(report),
        "examples": {name: [row for row in rows if row.data_set == name] for name in named},
        "titles": {each.film_set.name: each.film_set.title for each in report.sets},
        "ages": _ages,
    }
    return render("room_page.html", styles=("pages.css", "room_page.css"), filters=filters, values=values)


def _tables(tells: Sequence[Tell]) -> dict[str, TellTable]:
    tables = {}
    for scope in dict.fromkeys(tell.scope for tell in tells):
        own = [tell for tell in tells if tell.scope == scope]
        tried = {tell.feature for tell in own}
        tables[scope] = TellTable(
            features=tuple(feature for feature in FEATURES if feature in tried),
            rows={
                finding: {tell.feature: tell for tell in own if tell.finding == finding}
                for finding in dict.fromkeys(tell.finding for tell in own)
            },
        )
    return tables


def _copies(report: Report) -> list[Copy]:
    """Return the groups of near-duplicates, those across splits first."""
    copies = []
    with ImageFiles() as files:
        for alike, trouble in report.alike:
            entries = tuple(report.dataset.entries[film] for film in alike.films)
            pictures = tuple(picture(entry.case, files) for entry in entries)
            copies.append(Copy(alike, trouble, entries, pictures))
    return sorted(copies, key=lambda copy: not copy.crosses)


def _ages(decades: Sequence[int]) -> Markup:
    """Return a histogram of ages in ten-year bins."""
    step, ground = AGES_WIDTH / len(decades), AGES_HEIGHT - 16
    bars = []
    for number, films in enumerate(decades):
        height = (ground - 12) * films / max(decades)
        bars.append(
            f'<rect x="{number * step + 1:.1f}" y="{ground - height:.1f}" width="{step - 2:.1f}" '
            f'height="{height:.1f}" rx="1.5"><title>{films} films</title></rect>'
            f'<text x="{number * step + 1:.1f}" y="{AGES_HEIGHT - 4}">{10 * number}</text>'
        )
    line = f'<line x1="0" x2="{AGES_WIDTH}" y1="{ground}" y2="{ground}"/>'
    return Markup(  # noqa: S704 - numbers only
        f'<svg class="ages" viewBox="0 0 {AGES_WIDTH} {AGES_HEIGHT}" role="img" aria-label="films by age in years">'
        f"{''.join(bars)}{line}</svg>"
    )
