"""`pandok audit`: prove that it is whole, and give it to others."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from service import audit
from service.audit.fhir import export
from service.audit.verify import Broken, verify
from service.cli_tables import opened, reading
from service.reports.versions import verify_reports
from service.settings import Settings


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
    with reading(settings) as rx:
        found = verify(rx, known_head=options.head)
        bad_reports = verify_reports(rx)
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
        with database.reading() as rx, options.to.open("x", encoding="utf-8") as out:
            options.to.chmod(0o600)
            for line in export(rx):
                out.write(line)
                count += 1
        with database.transaction() as tx:
            audit.note(tx, audit.SYSTEM, "audit_exported", now=time.time(), detail={"events": count})
    print(f"{count} events in {options.to}")
    return 0
