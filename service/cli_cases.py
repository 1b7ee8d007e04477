"""`pandok cases export`: signed verdicts as a case manifest that `python -m training` reads."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Connection

from service import audit, site_records
from service.archive import Archive
from service.cli_tables import opened
from service.database import Database
from service.intake.pressure import Level, measure
from service.learning.export import Exported, ExportRefused, Terms, export_films, pseudonym_key
from service.learning.records import signed_films
from service.settings import Settings
from service.sites import Site

USES = ("training", "evaluation", "published_weights")


def add_commands(cases: argparse.ArgumentParser) -> None:
    """Add `cases export`."""
    actions = cases.add_subparsers(required=True, metavar="ACTION")
    export = actions.add_parser("export", help="write films with signed verdicts, without their patients, to a folder")
    export.add_argument("--to", type=Path, required=True, help="a new folder")
    export.add_argument("--site", nargs="+", help="of these sites only")
    export.add_argument("--since", type=_day, default=0.0, help="signed on this day (UTC) or later, such as 2026-07-01")
    export.add_argument(
        "--dataset-use", nargs="+", choices=USES, default=["evaluation"], help="what the center agreed to; evaluation"
    )
    export.add_argument("--licence", default="by agreement with the site", help="the agreement, in words")
    export.set_defaults(run=_export)


def _export(settings: Settings, options: argparse.Namespace) -> int:
    terms = Terms(tuple(options.dataset_use), options.licence)
    with opened(settings) as database:
        pressure = measure(settings, database, time.time())
        if pressure.level is not Level.NONE:
            print(f"not now: the service {pressure.words}", file=sys.stderr)
            return 1
        with database.reading() as rx:
            sites = _sites(rx, options.site)
            films = signed_films(rx, [site.id for site in sites], since=options.since)
        key = pseudonym_key(settings.data_folder / "pseudonyms.key")
        try:
            exported = export_films(
                films, options.to, name=options.to.name, archive=Archive(settings.archive_folder), key=key, terms=terms
            )
        except ExportRefused as why:
            print(why, file=sys.stderr)
            return 1
        _note(database, exported, terms)
    print(f"{exported.films} films with signed labels")
    for why_not, films_left in sorted(exported.left_out.items()):
        print(f"  left out: {films_left} films: {why_not.replace('_', ' ')}")
    return 0


def _sites(rx: Connection, codes: list[str] | None) -> list[Site]:
    return [site_records.get_site(rx, code) for code in codes] if codes else site_records.list_sites(rx)


def _note(database: Database, exported: Exported, terms: Terms) -> None:
    with database.transaction() as tx:
        for site_id, films in exported.by_site.items():
            audit.note(
                tx, audit.SYSTEM, "cases_exported", now=time.time(), site_id=site_id, object_type="films",
                detail={"films": films, "uses": list(terms.uses)},
            )  # fmt: skip


def _day(text: str) -> float:
    return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()
