"""`pandok studies` and `pandok problems`: what an operator does about single studies, and what went wrong."""

from __future__ import annotations

import argparse
import sys
import time

from service import audit, site_records
from service.cli_tables import opened, reading, when
from service.errors import Busy, Conflict
from service.intake import problems
from service.intake.pressure import measure
from service.interventions import cancel_study, check_may_score_again, restart_study
from service.part import EXIT_REFUSED
from service.settings import Settings


def add_study_commands(studies: argparse.ArgumentParser) -> None:
    """Add what `pandok studies` takes."""
    studies.add_argument("action", choices=("restart", "cancel"))
    studies.add_argument("public_id")
    studies.set_defaults(run=_operate_study)


def add_problem_commands(listing: argparse.ArgumentParser) -> None:
    """Add what `pandok problems` takes."""
    listing.add_argument("--site")
    listing.add_argument("--limit", type=int, default=50)
    listing.add_argument("--all", action="store_true", help="resolved ones too")
    listing.set_defaults(run=_list_problems)


def _operate_study(settings: Settings, options: argparse.Namespace) -> int:
    act = restart_study if options.action == "restart" else cancel_study
    action = "study_restarted" if options.action == "restart" else "study_canceled"
    with opened(settings) as database:
        try:
            if options.action == "restart":
                check_may_score_again(measure(settings, database, time.time()))
            done = act(database, settings, options.public_id, time.time())
        except (Busy, Conflict) as refused:
            print(refused, file=sys.stderr)
            return EXIT_REFUSED
        if done:
            with database.transaction() as tx:
                audit.note(tx, audit.SYSTEM, action, now=time.time(), object_type="study", object_id=options.public_id)
    if not done:
        print("there is no such study, or it is not in a state in which this can be done", file=sys.stderr)
        return EXIT_REFUSED
    print(f"{options.public_id}: {options.action} is asked for; the worker acts on it")
    return 0


def _list_problems(settings: Settings, options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        site_id = site_records.get_site(rx, options.site).id if options.site else None
        page = problems.Page(site_id, options.limit, is_open=None if options.all else True)
        rows = problems.newest_problems(rx, page)
    for row in rows:
        what = f"{row['kind']}  {row['reason']}  {row['status']}  {row['door']}  {row['sender']}"
        print(f"{row['id']}  {when(row['occurred_at'])}  {what}  x{row['count']}  {row['detail']}")
    return 0
