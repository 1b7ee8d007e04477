"""`pandok rules`: which package, which priority, which timer; show them, set them, try them on files."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from service import audit, site_records
from service.cli_tables import reading, when, writing
from service.intake.trying import default_for
from service.routing.facts import PRIORITIES, Origin, facts_of
from service.routing.records import RuleBook, check, find_revision, list_revisions, newest_revision, set_rules
from service.routing.tester import Tried, try_rules
from service.routing.text import RulesRefused
from service.settings import Settings
from service.sites import SiteRefused

_PIECE_BYTES = 1 << 20
_HOLDS = {True: "yes", False: "no", None: "unknown"}


def add_commands(rules: argparse.ArgumentParser) -> None:
    """Add the actions of `pandok rules`."""
    actions = rules.add_subparsers(required=True, metavar="ACTION")
    show = actions.add_parser("show", help="print the rules that hold, as the file that `set` takes")
    show.add_argument("--revision", type=int, help="an earlier one")
    show.set_defaults(run=_show)
    actions.add_parser("history", help="every revision: when, who, why").set_defaults(run=_history)
    put = actions.add_parser("set", help="let the rules of a TOML file hold from the next image on")
    put.add_argument("file", type=Path)
    put.add_argument("--note", default="", help="why, for the history")
    put.set_defaults(run=_set)
    test = actions.add_parser("test", help="see which rules match a DICOM file and why; nothing is stored")
    test.add_argument("files", nargs="+", type=Path, metavar="FILE")
    test.add_argument("--site", required=True)
    test.add_argument("--sender", help="AE title that would send it")
    test.add_argument("--requested-priority", choices=tuple(PRIORITIES), default="routine")
    test.add_argument("--rules", type=Path, help="try this file of rules instead of those that hold")
    test.set_defaults(run=_test)


def _show(settings: Settings, options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        number = options.revision or newest_revision(rx)
        found = find_revision(rx, number) if number else None
    if found is None and options.revision:
        raise SiteRefused("there is no such revision; `pandok rules history` lists all")
    print(found.text if found else "# no rules are set", end="" if found and found.text.endswith("\n") else "\n")
    return 0


def _history(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for one in list_revisions(rx):
            print(f"{one.number}  {when(one.changed_at)}  {one.changed_by}  {one.rules} rules  {one.note}".rstrip())
    return 0


def _set(settings: Settings, options: argparse.Namespace) -> int:
    text = _text_of(options.file)
    now = time.time()
    try:
        with writing(settings) as tx:
            base = newest_revision(tx)
            made = set_rules(tx, text, base=base, changed_by=audit.SYSTEM, now=now, note=options.note)
            detail = {"rules": made.rules, "base": base or 0}
            audit.note(
                tx, audit.SYSTEM, "rules_changed", now=now, object_type="rules", object_id=str(made.number),
                detail=detail,
            )  # fmt: skip
    except RulesRefused as refused:
        raise _refused(options.file, refused) from None
    print(f"revision {made.number}: {made.rules} rules hold from the next image on")
    return 0


def _test(settings: Settings, options: argparse.Namespace) -> int:
    from service.intake.glance import Glance, GlanceRefused  # counts what it takes, which only a part may begin to do

    origin = Origin(options.site, options.sender, "dimse", PRIORITIES[options.requested_priority])
    failed = 0
    with reading(settings) as rx:
        site = site_records.get_site(rx, options.site)
        try:
            rules = check(rx, _text_of(options.rules)) if options.rules else RuleBook().current(rx)
        except RulesRefused as refused:
            raise _refused(options.rules, refused) from None
        settings.spool_folder.mkdir(parents=True, exist_ok=True)
        for path in options.files:
            glance = Glance(settings.spool_folder, settings.max_dataset_bytes)
            try:
                with path.open("rb") as file:
                    while piece := file.read(_PIECE_BYTES):
                        glance.feed(piece)
                header = glance.header()
            except (OSError, GlanceRefused) as error:
                failed += 1
                print(f"{path}: {error}", file=sys.stderr)
                continue
            finally:
                glance.close()
            print(f"{path}:")
            plain = default_for(rx, site, header.modality, settings)
            _print(try_rules(rules, facts_of(header, origin), origin, plain))
    return 1 if failed else 0


def _print(tried: Tried) -> None:
    for trace in tried.traces:
        print(f"  {'matches' if trace.matches else 'passes '}  {trace.rule}")
        for one in trace.conditions:
            found = " | ".join(one.found) or "unknown"
            print(f"             {_HOLDS[one.holds]:<7}  {one.fact}: {one.expected}; found {found}")
    for effect in tried.effects:
        value = ", ".join(effect.value) or "none" if isinstance(effect.value, tuple) else effect.value
        print(f"  {effect.effect} = {value}  ({effect.rule or 'no rule: as site and settings say'})")


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SiteRefused(f"{path} cannot be read: {type(error).__name__}") from None


def _refused(path: Path, refused: RulesRefused) -> SiteRefused:
    return SiteRefused("\n".join(f"{path}: {fault.words()}" for fault in refused.faults))
