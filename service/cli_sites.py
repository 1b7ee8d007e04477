"""`pandok sites` and `pandok keys`: who sends, and under which policy."""

from __future__ import annotations

import argparse
import sys
import time

from service import audit, site_changes, site_records
from service.access.records import list_keys
from service.cli_tables import reading, when, writing
from service.settings import Settings
from service.sites import (
    LANGUAGES,
    NewSite,
    SitePolicy,
    open_shelf,
    parse_quiet,
    served_by_default,
)


def add_site_commands(sites: argparse.ArgumentParser) -> None:
    """Add the commands of `pandok sites`."""
    actions = sites.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list_sites)
    add = actions.add_parser("add", help="add a site and release the installed packages for it")
    add.add_argument("code")
    add.add_argument("--name", required=True)
    add.add_argument("--country", required=True, help="two letters, such as VN")
    add.add_argument("--language", required=True, choices=LANGUAGES)
    add.add_argument("--time-zone", required=True, help="such as Asia/Ho_Chi_Minh")
    _policy_options(add)
    add.set_defaults(run=_add_site)
    change = actions.add_parser("set", help="change a site's policy")
    change.add_argument("code")
    _policy_options(change)
    change.set_defaults(run=_set_site)


def _policy_options(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--quiet-seconds", nargs="+", metavar="MODALITY=SECONDS", help="such as CR=60; default=60 is for all others"
    )
    command.add_argument("--unknown-age", choices=("unscored", "adult"))
    command.add_argument("--conflict-answer", choices=("refuse", "warn"))
    command.add_argument(
        "--reading-policy", choices=("triage", "blind"), help="blind: a reader's list does not follow the AI"
    )
    command.add_argument(
        "--preliminary-reports", choices=("hidden", "shown"), help="shown: the center reads them before they are final"
    )


def add_key_commands(keys: argparse.ArgumentParser) -> None:
    """Add the commands of `pandok keys`."""
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list_keys)
    add = actions.add_parser("add", help="print a new key of a site, once")
    add.add_argument("site")
    add.add_argument("--name", required=True, help="what it is for")
    add.set_defaults(run=_add_key)
    revoke = actions.add_parser("revoke")
    revoke.add_argument("prefix")
    revoke.set_defaults(run=_revoke_key)


def _add_site(settings: Settings, options: argparse.Namespace) -> int:
    policy = SitePolicy(
        quiet_s=parse_quiet(options.quiet_seconds or []),
        unknown_age=options.unknown_age or "unscored",
        conflict_answer=options.conflict_answer or "refuse",
        reading_policy=options.reading_policy or "triage",
        preliminary_reports=options.preliminary_reports or "hidden",
    )
    new = NewSite(options.code, options.name, options.country.upper(), options.language, options.time_zone, policy)
    shelf = open_shelf(settings)
    now = time.time()
    with writing(settings) as tx:
        site = site_changes.add_site(tx, audit.SYSTEM, new, now=now)
        packages = served_by_default(shelf.packages)
        released = site_changes.release_packages(tx, audit.SYSTEM, site, packages, now=now, command="sites add")
    print(f"{site.code}: {site.name}")
    for package in released:
        print(f"  released: {package.name} {package.version}")
    for name, why in shelf.refused.items():
        print(f"  not released: {name}: {why}", file=sys.stderr)
    if not released:
        print("  no model package is released for this site: its studies will stand unscored", file=sys.stderr)
    return 0


def _set_site(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.code)
        before = site.policy
        policy = SitePolicy(
            quiet_s={**before.quiet_s, **parse_quiet(options.quiet_seconds or [])},
            unknown_age=options.unknown_age or before.unknown_age,
            conflict_answer=options.conflict_answer or before.conflict_answer,
            reading_policy=options.reading_policy or before.reading_policy,
            preliminary_reports=options.preliminary_reports or before.preliminary_reports,
        )
        site_changes.set_policy(tx, audit.SYSTEM, site, policy, now=time.time())
    print(f"{site.code}: {_policy_words(policy)}")
    return 0


def _list_sites(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for site in site_records.list_sites(rx):
            place = f"{site.country}  {site.language}  {site.time_zone}"
            print(f"{site.code}  {site.name}  {place}  {_policy_words(site.policy)}")
    return 0


def _add_key(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        key = site_changes.add_key(tx, audit.SYSTEM, site, options.name, now=time.time())
    print(key.text)
    print(f"This is shown once. `pandok keys revoke {key.prefix}` ends it.", file=sys.stderr)
    return 0


def _list_keys(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for key in list_keys(rx):
            state = f"revoked {when(key.revoked_at)}" if key.revoked_at else "live"
            print(f"{key.site}  {key.prefix}  {key.name}  since {when(key.created_at)}  {state}")
    return 0


def _revoke_key(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site_changes.revoke_key(tx, audit.SYSTEM, options.prefix, now=time.time())
    print(f"{options.prefix} opens nothing any more")
    return 0


def _policy_words(policy: SitePolicy) -> str:
    quiet = ",".join(f"{modality}={seconds:g}s" for modality, seconds in sorted(policy.quiet_s.items()))
    rules = f"unknown age {policy.unknown_age}  conflict {policy.conflict_answer}  reading {policy.reading_policy}"
    return f"quiet {quiet or 'as set'}  {rules}  preliminary reports {policy.preliminary_reports}"
