"""The `pandok` command: serve, sites, peers, keys, accounts, rules, studies, audit and more.

Each command loads only what it needs: `pandok serve` begins at once, and the others answer sooner.
"""

from __future__ import annotations

import argparse
import gc
import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from service.part import EXIT_CONFIGURATION, EXIT_REFUSED, PARTS, CannotStart
from service.settings import Settings

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "sites": ("the organisations that send studies", "service.cli_sites:add_site_commands"),
    "peers": ("who may send DICOM", "service.cli_peers:add_commands"),
    "keys": ("who may send and ask over HTTP", "service.cli_sites:add_key_commands"),
    "releases": (
        "which model packages serve which site, and what readers see",
        "service.cli_releases:add_commands",
    ),
    "rules": ("which package, which priority, which timer", "service.cli_rules:add_commands"),
    "models": ("packages of models that you bring", "service.cli_models:add_commands"),
    "accounts": ("who may sign in, and as what", "service.cli_accounts:add_commands"),
    "sign-in": ("print a one-time link of the administrator", "service.cli_accounts:add_sign_in"),
    "cases": ("signed verdicts as cases for training", "service.cli_cases:add_commands"),
    "audit": ("who did what: prove it is whole, export it", "service.cli_audit:add_commands"),
    "studies": ("restart or cancel the scoring of a study", "service.cli_studies:add_study_commands"),
    "uploads": ("what is on its way in pieces, and making room", "service.cli_uploads:add_commands"),
    "problems": ("what was refused, held aside or given up", "service.cli_studies:add_problem_commands"),
}
"""Commands of other files: what they are for, and what adds their options once they are asked for."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 done, 1 refused, 2 wrong usage, 78 wrong settings."""
    given = sys.argv[1:] if arguments is None else arguments
    options = _parser(given[0] if given else "").parse_args(given)
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            print(f"PANDOK_{'_'.join(map(str, problem['loc'])).upper()}: {problem['msg']}", file=sys.stderr)
        return EXIT_CONFIGURATION
    except (OSError, ValueError) as error:
        print(f"the file that PANDOK_CONFIG names cannot be read: {error}", file=sys.stderr)
        return EXIT_CONFIGURATION
    return _run(settings, options)


def _run(settings: Settings, options: argparse.Namespace) -> int:
    status = EXIT_REFUSED
    try:
        status = options.run(settings, options)
    except CannotStart as why:
        print(why, file=sys.stderr)
        return EXIT_CONFIGURATION
    except _refusals() as why:  # Python asks for them only when something was raised
        print(why, file=sys.stderr)
    except _database_errors() as error:
        print(f"the tables in {settings.data_folder} do not answer: {type(error).__name__}", file=sys.stderr)
    return status


def _refusals() -> tuple[type[Exception], ...]:
    from service.access.accounts import AccountRefused
    from service.sites import SiteRefused

    return SiteRefused, AccountRefused


def _database_errors() -> type[Exception]:
    from sqlalchemy.exc import SQLAlchemyError

    return SQLAlchemyError


def _serve(settings: Settings, options: argparse.Namespace) -> int:
    from service.inference.forked import ForkServer

    gc.disable()  # until all is loaded: what loads is not garbage, and looking for it takes a tenth of the time
    server = ForkServer()
    try:
        parts = [options.only] if options.only else list(PARTS)
        if "worker" in parts:
            server.start()  # it loads on one processor what follows here on another
        from service.serve import serve

        return serve(settings, parts, server, say=lambda words: print(words, flush=True))
    finally:
        server.close()


def _demo(settings: Settings, options: argparse.Namespace) -> int:
    from service.demo import run_demo  # needs the `demo` extra

    return run_demo(settings, options.films)


def _alive(settings: Settings, _options: argparse.Namespace) -> int:
    from service.cli_check import is_alive  # loads onnxruntime

    return 0 if is_alive(settings) else EXIT_REFUSED


def _check(settings: Settings, _options: argparse.Namespace) -> int:
    from service.cli_check import check  # loads onnxruntime

    findings = check(settings)
    for finding in findings:
        print(f"{'ok  ' if finding.ok else 'BAD '} {finding.what}: {finding.words}")
    return 0 if all(finding.ok for finding in findings) else EXIT_REFUSED


def _parser(command: str) -> argparse.ArgumentParser:
    """Return the parser of every command, with the options of the one that is asked for."""
    parser = argparse.ArgumentParser(prog="pandok", description="Self-hosted AI for remote reading.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service until Ctrl-C or SIGTERM")
    serve.add_argument("--only", choices=PARTS, help="run one part, where parts run on several machines")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="run the service with real studies in it")
    demo.add_argument("films", nargs="?", type=Path, help="a folder with further DICOM files to send")
    demo.set_defaults(run=_demo)

    for name, (purpose, adder) in _COMMANDS.items():
        described = commands.add_parser(name, help=purpose)
        if name == command:
            module, _, function = adder.partition(":")
            getattr(importlib.import_module(module), function)(described)

    alive = commands.add_parser("alive", help="ask the running web server whether it lives: for a container's health")
    alive.set_defaults(run=_alive)

    check = commands.add_parser("check", help="look whether the service could start")
    check.set_defaults(run=_check)
    return parser


if __name__ == "__main__":
    sys.exit(main())
