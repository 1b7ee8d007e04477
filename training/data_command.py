"""The data room's commands: freeze a dataset, check it, report what is in it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from preprocessing.recipes import RECIPES
from training.cases import ManifestRefused
from training.datasets import Dataset, joined
from training.manifest import HEAD, read_manifest
from training.public_sets import DEFAULT_SETS, PUBLIC_SETS, read_public
from training.room_freeze import freeze, problems
from training.room_page import write_page
from training.room_report import make_report
from training.train_command import RECIPE, stamped

ROOT = Path(__file__).parent.parent


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `data freeze`, `data check` and `data report`."""
    actions = commands.add_parser("data", help="freeze a dataset, check it, report what is in it").add_subparsers(
        required=True
    )
    command = actions.add_parser("freeze", help="write a version of a dataset: its manifest, with every image's hash")
    command.add_argument("--to", type=Path, required=True, help="a new folder for the manifest")
    command.add_argument("--name", required=True)
    command.add_argument("--version", required=True)
    _add_sources(command)
    command.set_defaults(act=_freeze)

    command = actions.add_parser("check", help="is a frozen version still what it was?")
    command.add_argument("frozen", type=Path, help="its folder")
    command.set_defaults(act=_check)

    command = actions.add_parser("report", help="write a page on what is in a dataset; it shows films")
    command.add_argument("--to", type=Path, required=True, help="a folder outside the repository")
    _add_sources(command)
    command.set_defaults(act=_report)


def _add_sources(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--sets",
        nargs="*",
        choices=tuple(PUBLIC_SETS),
        help=f"public sets in --data; without both options: {' '.join(DEFAULT_SETS)}",
    )
    command.add_argument(
        "--manifest", type=Path, nargs="*", default=[], help="folders with a manifest: exports, frozen versions"
    )


def _sources(arguments: argparse.Namespace, name: str, version: str) -> Dataset:
    """Return what the command line names; the default public sets where it names nothing."""
    parts = [read_manifest(folder) for folder in arguments.manifest]
    sets = arguments.sets if arguments.sets is not None or parts else DEFAULT_SETS
    if sets:
        parts.append(read_public(arguments.data, sets))
    return joined(name, version, parts)


def _freeze(arguments: argparse.Namespace) -> None:
    try:
        dataset = _sources(arguments, arguments.name, arguments.version)
        frozen = freeze(dataset, arguments.to, RECIPES[RECIPE], stamped)
    except ManifestRefused as refused:
        sys.exit(f"not frozen: {refused}")
    stamped(f"{frozen.name} {frozen.version}: {len(frozen.cases())} films, {frozen.sha256}, in {arguments.to / HEAD}")


def _check(arguments: argparse.Namespace) -> None:
    found = problems(arguments.frozen)
    for problem in found:
        stamped(problem)
    if found:
        sys.exit(f"{len(found)} {'problem' if len(found) == 1 else 'problems'}: this is not what was frozen")
    stamped("everything is as it was frozen")


def _report(arguments: argparse.Namespace) -> None:
    if arguments.to.resolve().is_relative_to(ROOT):
        sys.exit("the page shows films: choose a folder outside the repository")
    try:
        if len(arguments.manifest) == 1 and not arguments.sets:
            dataset = read_manifest(arguments.manifest[0])
        else:
            dataset = _sources(arguments, "selection", "")
        path = write_page(make_report(dataset, RECIPES[RECIPE], stamped), arguments.to)
    except ManifestRefused as refused:
        sys.exit(f"no report: {refused}")
    stamped(f"written: {path}")
