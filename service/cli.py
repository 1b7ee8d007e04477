"""The `pandok` command: serve, sites, peers, keys, accounts, rules, studies, audit and more."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from service import (
    audit,
    cli_accounts,
    cli_audit,
    cli_cases,
    cli_models,
    cli_peers,
    cli_releases,
    cli_rules,
    cli_sites,
    site_records,
)
from service.access.accounts import AccountRefused
from service.cli_tables import opened, reading, when
from service.intake import problems
from service.intake.pressure import measure
from service.settings import Settings
from service.sites import SiteRefused
from service.startup import EXIT_CONFIGURATION, PARTS, CannotStart

EXIT_REFUSED = 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 refused, 2 wrong usage, 78 wrong settings."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            print(f"PANDOK_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except (OSError, ValueError) as error:
        print(f"the file that PANDOK_CONFIG names cannot be read: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    try:
        status: int = options.run(settings, options)
    except (SiteRefused, AccountRefused) as why:
        print(why, file=sys.stderr)
        return EXIT_REFUSED
    except CannotStart as why:
        print(why, file=sys.stderr)
        return EXIT_CONFIGURATION
    except SQLAlchemyError as error:
        print(f"the tables in {settings.data_folder} do not answer: {type(error).__name__}", file=sys.stderr)
        return EXIT_REFUSED
    return status


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from service.serve import serve  # loads the web server's parts, which no other command needs

    parts = [options.only] if options.only else list(PARTS)
    return serve(settings, parts, say=lambda words: print(words, flush=True))


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from service.demo import run_demo  # needs the `demo` extra

    return run_demo(settings, options.films)


def _operate_study(settings: Settings, options: argparse.Namespace) -> int:
    from service.errors import Busy, Conflict
    from service.interventions import cancel_study, check_may_score_again, restart_study

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


def _alive(settings: Settings, _options: argparse.Namespace) -> int:
    from service.cli_check import is_alive  # loads onnxruntime

    return 0 if is_alive(settings) else EXIT_REFUSED


def _check(settings: Settings, _options: argparse.Namespace) -> int:
    from service.cli_check import check  # loads onnxruntime

    findings = check(settings)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.words}")
    return 0 if all(finding.ok for finding in findings) else EXIT_REFUSED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pandok", description="Self-hosted AI for remote reading.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service until Ctrl-C or SIGTERM")
    serve.add_argument("--only", choices=PARTS, help="run one part, where parts run on several machines")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="run the service with real studies in it")
    demo.add_argument("films", nargs="?", type=Path, help="a folder with further DICOM files to send")
    demo.set_defaults(run=_demo)

    cli_sites.add_site_commands(commands.add_parser("sites", help="the organisations that send studies"))
    cli_peers.add_commands(commands.add_parser("peers", help="who may send DICOM"))
    cli_sites.add_key_commands(commands.add_parser("keys", help="who may send and ask over HTTP"))

    releases = commands.add_parser("releases", help="which model packages serve which site, and what readers see")
    cli_releases.add_commands(releases)

    cli_rules.add_commands(commands.add_parser("rules", help="which package, which priority, which timer"))

    models = commands.add_parser("models", help="packages of models that you bring")
    cli_models.add_commands(models)

    cli_accounts.add_commands(commands.add_parser("accounts", help="who may sign in, and as what"))
    cli_accounts.add_sign_in(commands.add_parser("sign-in", help="print a one-time link of the administrator"))
    cli_cases.add_commands(commands.add_parser("cases", help="signed verdicts as cases for training"))
    cli_audit.add_commands(commands.add_parser("audit", help="who did what: prove it is whole, export it"))

    studies = commands.add_parser("studies", help="restart or cancel the scoring of a study")
    studies.add_argument("action", choices=("restart", "cancel"))
    studies.add_argument("public_id")
    studies.set_defaults(run=_operate_study)

    problems_ = commands.add_parser("problems", help="what was refused, held aside or given up")
    problems_.add_argument("--site")
    problems_.add_argument("--limit", type=int, default=50)
    problems_.add_argument("--all", action="store_true", help="resolved ones too")
    problems_.set_defaults(run=_list_problems)

    alive = commands.add_parser("alive", help="ask the running web server whether it lives: for a container's health")
    alive.set_defaults(run=_alive)

    check = commands.add_parser("check", help="look whether the service could start")
    check.set_defaults(run=_check)
    return parser


if __name__ == "__main__":
    sys.exit(main())
