"""`pandok audit`: prove that it is whole, and give it to others."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path
from typing import TextIO

from service import audit
from service.audit.fhir import export
from service.audit.verify import Broken, Whole, verify
from service.cli_tables import opened
from service.reports.versions import verify_reports
from service.settings import Settings
from service.sites import SiteRefused


def add_commands(commands: argparse.ArgumentParser) -> None:
    """Add the commands of `pandok audit`."""
    actions = commands.add_subparsers(required=True, metavar="ACTION")
    check = actions.add_parser("verify", help="walk the whole chain of events, and that of every report")
    check.add_argument("--head", help="a head that was printed before: tells whether newer events were cut off")
    check.set_defaults(run=_verify)
    give = actions.add_parser("export", help="write every event as FHIR R4 AuditEvent, one a line")
    give.add_argument("--to", type=Path, required=True, metavar="FILE")
    give.set_defaults(run=_export)


def _verify(settings: Settings, options: argparse.Namespace) -> int:
    with opened(settings) as database:
        with database.reading() as rx:
            found = verify(rx, known_head=options.head)
            bad_reports = verify_reports(rx)
        status = _say(found, bad_reports)
        told: dict[str, object] = {"broken_reports": bad_reports}
        if isinstance(found, Whole):
            told |= {"events": found.events, "head": found.head}
        else:
            told |= {"broken_at": found.event_id}
        with database.transaction() as tx:  # after the words: a chain that takes no event is told all the same
            audit.note(
                tx, audit.SYSTEM, "audit_verified", now=time.time(), detail=told,
                outcome="refused" if status else "success",
            )  # fmt: skip
    return status


def _say(found: Whole | Broken, bad_reports: list[str]) -> int:
    for report in bad_reports:
        print(f"report {report}: its versions are not what was signed", file=sys.stderr)
    if isinstance(found, Broken):
        place = f"event {found.event_id}" if found.event_id is not None else "its end"
        print(f"the audit is broken at {place}: {found.why}", file=sys.stderr)
        return 1
    print(f"{found.events} events, whole; head {found.head}")
    return 1 if bad_reports else 0


def _export(settings: Settings, options: argparse.Namespace) -> int:
    count = 0
    with opened(settings) as database:
        with _new_file(options.to) as out, database.reading() as rx:
            for line in export(rx):
                out.write(line)
                count += 1
        with database.transaction() as tx:
            audit.note(tx, audit.SYSTEM, "audit_exported", now=time.time(), detail={"events": count})
    print(f"{count} events in {options.to}")
    return 0


def _new_file(path: Path) -> TextIO:
    """Open a file that only its owner may read; one that is there already stays as it is."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
    except OSError as error:
        raise SiteRefused(f"{path} cannot be made: {error.strerror}") from None
