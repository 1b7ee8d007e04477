"""The sentences at the top of a dataset's report: what somebody must know before learning from it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from training.cases import EXTERNAL
from training.datasets import USES
from training.output_texts import TEXTS
from training.room_report import Report
from training.room_shortcuts import ALL_SETS, ERA_MATCHED, FEATURES, Tell

_NAMES: Mapping[str, str] = {text.finding: text.names.en for text in TEXTS} | {"covid_19": "COVID-19"}
MOST_TELLS = 3
"""Sentences about shortcuts for each group of films."""


@dataclass(frozen=True, slots=True)
class Note:
    """One sentence; `level` is a class of the style sheet."""

    level: Literal["bad", "middling", "good"]
    word: str
    text: str


def notes_of(report: Report) -> list[Note]:
    """Return the sentences, what is wrong first."""
    order = {"bad": 0, "middling": 1, "good": 2}
    notes = [*_copies(report), *_shortcuts(report), *_labels(report), *_terms(report), *_left_out(report)]
    return sorted(notes, key=lambda note: order[note.level])


def finding_title(finding: str) -> str:
    """Return a finding's English name."""
    return _NAMES.get(finding, finding.replace("_", " ").capitalize())


def scope_title(scope: str, report: Report) -> str:
    """Return a group of films in words."""
    if scope == ALL_SETS:
        return scope[0].upper() + scope[1:]
    titles = {each.film_set.name: each.film_set.title for each in report.sets}
    name = scope.removesuffix(ERA_MATCHED)
    return titles[name] + (ERA_MATCHED if name != scope else "")


def _copies(report: Report) -> Iterator[Note]:
    used = {n for n, entry in enumerate(report.dataset.entries) if entry.left_out is None}
    crossing, harmless = 0, 0
    for alike, trouble in report.alike:
        splits = {report.dataset.entries[film].case.split for film in alike.films if film in used}
        crossing += len(splits) > 1
        harmless += len(splits) <= 1 and trouble is None
    mixed = len(report.alike) - crossing - harmless
    if crossing:
        yield Note("bad", "fault", f"{_many(crossing, 'film stands', 'films stand')} in more than one split.")
    else:
        yield Note("good", "checked", "No film, and no copy of one, stands in two splits.")
    if mixed:
        yield Note(
            "middling",
            "look",
            f"{_many(mixed, 'film appears', 'films appear')} twice within a split under different patients or labels.",
        )
    if harmless:
        yield Note(
            "good", "checked", f"{_many(harmless, 'film appears', 'films appear')} more than once, within one split."
        )


def _shortcuts(report: Report) -> Iterator[Note]:
    """Name the strongest tells of each group of films, each with the finding that it tells best."""
    for scope in dict.fromkeys(tell.scope for tell in report.tells):
        best: dict[str, Tell] = {}
        for tell in sorted(report.tells, key=lambda tell: -tell.auroc):
            if tell.scope == scope and tell.is_notable and not scope.endswith(ERA_MATCHED):
                best.setdefault(tell.feature, tell)
        by_finding: dict[str, list[str]] = {}
        for tell in list(best.values())[:MOST_TELLS]:
            by_finding.setdefault(tell.finding, []).append(f"the {FEATURES[tell.feature]} ({_figures(tell)})")
        if by_finding:
            said = (f"“{finding_title(finding)}” is told by {_listed(by)}" for finding, by in by_finding.items())
            yield Note("middling", "shortcut", f"{scope_title(scope, report)}: {'; '.join(said)}.")


def _figures(tell: Tell) -> str:
    interval = f", {tell.interval.low:.2f}–{tell.interval.high:.2f}" if tell.interval else ""
    return f"AUROC {tell.auroc:.2f}{interval}"


def _listed(words: list[str]) -> str:
    return ", ".join(words[:-1]) + (" and " if len(words) > 1 else "") + words[-1]


def _labels(report: Report) -> Iterator[Note]:
    few = [finding_title(row.finding) for row in report.findings if row.too_few]
    if few:
        yield Note(
            "middling",
            "few films",
            f"Fewer than 10 films with or without it in val or test: {', '.join(few)}. Figures on these mean little.",
        )


def _terms(report: Report) -> Iterator[Note]:
    for each in report.sets:
        forbidden = [use.replace("_", " ") for use in USES if use not in each.film_set.uses]
        if forbidden:
            yield Note("middling", "terms", f"{each.film_set.title}: not for {' or '.join(forbidden)}.")
    if EXTERNAL in report.splits:
        films = report.splits[EXTERNAL].films
        yield Note(
            "good", "external", f"{films:,} films are only ever looked at; nothing is learned or chosen on them."
        )


def _left_out(report: Report) -> Iterator[Note]:
    for each in report.sets:
        for why, films in each.left_out.items():
            yield Note("good", "left out", f"{each.film_set.title}: {_many(films, 'film', 'films')}: {why}.")


def _many(count: int, one: str, more: str) -> str:
    return f"{count:,} {one if count == 1 else more}"
