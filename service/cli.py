"""The `pandok` command: serve, sites, peers, keys, accounts, rules, studies, audit and more."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from service import audit, cli_accounts, cli_audit, cli_cases, cli_models, cli_releases, cli_rules, site_records
from service.access import new_key
from service.access.accounts import AccountRefused
from service.access.records import list_keys, revoke_key
from service.cli_tables import opened, reading, when, writing
from service.intake import problems
from service.settings import Settings
from service.sites import (
    LANGUAGES,
    NewPeer,
    NewSite,
    SitePolicy,
    SiteRefused,
    certificate_fingerprint,
    open_shelf,
    parse_quiet,
    served_by_default,
)
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
        site = site_records.add_site(tx, new, now=now)
        packages = served_by_default(shelf.packages)
        released = site_records.release_packages(tx, site.id, packages, now=now, released_by="sites add")
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
        site_records.set_policy(tx, site.id, policy)
    print(f"{site.code}: {_policy_words(policy)}")
    return 0


def _list_sites(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for site in site_records.list_sites(rx):
            place = f"{site.country}  {site.language}  {site.time_zone}"
            print(f"{site.code}  {site.name}  {place}  {_policy_words(site.policy)}")
    return 0


def _add_peer(settings: Settings, options: argparse.Namespace) -> int:
    sha256 = certificate_fingerprint(options.certificate) if options.certificate else None
    new = NewPeer(options.ae_title, options.network, sha256)
    with writing(settings) as tx:
        site_records.add_peer(tx, site_records.get_site(tx, options.site).id, new, now=time.time())
    over = "TLS with its certificate" if sha256 else "plain or TLS connections"
    print(f"{new.ae_title} may send to {options.site} from {new.network} over {over}")
    return 0


def _list_peers(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for peer in site_records.list_peers(rx):
            tls = f"certificate {peer.certificate_sha256[:16]}" if peer.certificate_sha256 else "no certificate"
            state = f"disabled {when(peer.disabled_at)}" if peer.disabled_at else "enabled"
            print(f"{peer.site}  {peer.ae_title}  {peer.network}  {tls}  {state}")
    return 0


def _disable_peer(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site)
        if not site_records.disable_peer(tx, site.id, options.ae_title, now=time.time()):
            raise SiteRefused(f"{options.site} has no enabled peer {options.ae_title}")
    print(f"{options.ae_title} may no longer send to {options.site}")
    return 0


def _add_key(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        now = time.time()
        site = site_records.get_site(tx, options.site)
        key = new_key(tx, site_id=site.id, name=options.name, now=now)
        audit.note(tx, audit.SYSTEM, "key_added", now=now, site_id=site.id, object_type="key", object_id=key.prefix)
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
        if not revoke_key(tx, options.prefix, now=time.time()):
            raise SiteRefused(f"there is no live key {options.prefix}; `pandok keys list` shows all")
        audit.note(tx, audit.SYSTEM, "key_revoked", now=time.time(), object_type="key", object_id=options.prefix)
    print(f"{options.prefix} opens nothing any more")
    return 0


def _operate_study(settings: Settings, options: argparse.Namespace) -> int:
    from service.errors import Conflict
    from service.interventions import cancel_study, restart_study

    act = restart_study if options.action == "restart" else cancel_study
    action = "study_restarted" if options.action == "restart" else "study_canceled"
    with opened(settings) as database:
        try:
            done = act(database, settings, options.public_id, time.time())
        except Conflict as refused:
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


def _policy_words(policy: SitePolicy) -> str:
    quiet = ",".join(f"{modality}={seconds:g}s" for modality, seconds in sorted(policy.quiet_s.items()))
    rules = f"unknown age {policy.unknown_age}  conflict {policy.conflict_answer}  reading {policy.reading_policy}"
    return f"quiet {quiet or 'as set'}  {rules}  preliminary reports {policy.preliminary_reports}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="pandok", description="Self-hosted AI for remote reading.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the service until Ctrl-C or SIGTERM")
    serve.add_argument("--only", choices=PARTS, help="run one part, where parts run on several machines")
    serve.set_defaults(run=_serve)

    demo = commands.add_parser("demo", help="run the service with real studies in it")
    demo.add_argument("films", nargs="?", type=Path, help="a folder with further DICOM files to send")
    demo.set_defaults(run=_demo)

    _site_commands(commands.add_parser("sites", help="the organisations that send studies"))
    _peer_commands(commands.add_parser("peers", help="who may send DICOM"))
    _key_commands(commands.add_parser("keys", help="who may send and ask over HTTP"))

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


def _site_commands(sites: argparse.ArgumentParser) -> None:
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


def _peer_commands(peers: argparse.ArgumentParser) -> None:
    actions = peers.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list_peers)
    add = actions.add_parser("add", help="let a DICOM peer send for a site")
    add.add_argument("site")
    add.add_argument("ae_title")
    add.add_argument("--network", default="127.0.0.1/32", help="where it calls from, such as 192.0.2.0/24")
    add.add_argument("--certificate", type=Path, help="PEM file: then it may send over TLS with it alone")
    add.set_defaults(run=_add_peer)
    disable = actions.add_parser("disable")
    disable.add_argument("site")
    disable.add_argument("ae_title")
    disable.set_defaults(run=_disable_peer)


def _key_commands(keys: argparse.ArgumentParser) -> None:
    actions = keys.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list").set_defaults(run=_list_keys)
    add = actions.add_parser("add", help="print a new key of a site, once")
    add.add_argument("site")
    add.add_argument("--name", required=True, help="what it is for")
    add.set_defaults(run=_add_key)
    revoke = actions.add_parser("revoke")
    revoke.add_argument("prefix")
    revoke.set_defaults(run=_revoke_key)


if __name__ == "__main__":
    sys.exit(main())
