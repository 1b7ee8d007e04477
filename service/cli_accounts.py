"""`pandok accounts` and `pandok sign-in`: who may sign in."""

from __future__ import annotations

import argparse
import sys
import time

from sqlalchemy import Connection

from service import audit, site_records
from service.access import account_records as records
from service.access import manage
from service.access.accounts import AccountRefused, NewAccount, fold_login
from service.cli_tables import reading, when, writing
from service.roles import Role
from service.settings import Settings
from service.sites import LANGUAGES

ROLES = [role.value for role in Role if role is not Role.GATEWAY]


def add_commands(accounts: argparse.ArgumentParser) -> None:
    """Add the commands of `pandok accounts`."""
    actions = accounts.add_subparsers(required=True, metavar="ACTION")
    actions.add_parser("list", help="everybody who has an account").set_defaults(run=_list)
    add = actions.add_parser("add", help="add a person and print their first one-time link")
    add.add_argument("login", help="such as their e-mail address")
    add.add_argument("--name", required=True, help="as it stands on a report")
    add.add_argument("--role", required=True, choices=ROLES)
    add.add_argument("--site", help="the only site whose studies the person sees; without it, all")
    _personal_options(add)
    add.set_defaults(run=_add)
    change = actions.add_parser("set", help="change a person's role, policy and the like; their sessions may end")
    change.add_argument("login")
    change.add_argument("--name")
    change.add_argument("--role", choices=ROLES)
    _personal_options(change)
    change.add_argument("--oidc-subject", help="who this is at the identity provider (its claim `sub`)")
    change.set_defaults(run=_set)
    link = actions.add_parser("link", help="print a one-time link")
    link.add_argument("login")
    link.add_argument("--reset", action="store_true", help="forget password and one-time codes, end every session")
    link.set_defaults(run=_link)
    for name, words in (("disable", "let a person in no more"), ("enable", "let a person in again")):
        command = actions.add_parser(name, help=words)
        command.add_argument("login")
        command.set_defaults(run=_disable if name == "disable" else _enable)


def add_sign_in(sign_in: argparse.ArgumentParser) -> None:
    """Add the command `pandok sign-in`."""
    sign_in.add_argument("login", nargs="?", help="without it the administrator's account, which it makes")
    sign_in.set_defaults(run=_sign_in)


def _personal_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--language", choices=LANGUAGES, help="of the pages; without it, the site's")
    command.add_argument("--time-zone", help="such as Asia/Seoul; without it, the site's")
    command.add_argument("--licence", help="number of a physician who signs")
    command.add_argument("--policy", choices=("triage", "blind"), help="how this person reads; without it, the site's")


def _list(settings: Settings, _options: argparse.Namespace) -> int:
    with reading(settings) as rx:
        for one in records.list_accounts(rx):
            person = one.account
            proof = "password" if person.password_hash else "no password yet"
            proof += " and codes" if person.has_totp else ""
            proof = "identity provider" if person.oidc_subject else proof
            state = f"disabled {when(person.disabled_at)}" if person.disabled_at else "enabled"
            print(f"{person.login}  {person.name}  {person.role}  {one.site or 'all sites'}  {proof}  {state}")
    return 0


def _add(settings: Settings, options: argparse.Namespace) -> int:
    now = time.time()
    with writing(settings) as tx:
        site = site_records.get_site(tx, options.site) if options.site else None
        new = NewAccount(
            login=fold_login(options.login),
            name=options.name.strip(),
            role=Role(options.role),
            site_id=site.id if site else None,
            language=options.language or (site.language if site else "en"),
            time_zone=options.time_zone or (site.time_zone if site else "UTC"),
            licence_number=options.licence,
            reading_policy=options.policy,
        )
        person = manage.add(tx, audit.SYSTEM, new, now=now)
        link = manage.make_link(tx, audit.SYSTEM, person, settings, now=now)
    return _say(link)


def _set(settings: Settings, options: argparse.Namespace) -> int:
    wanted = {
        "name": options.name,
        "role": Role(options.role) if options.role else None,
        "language": options.language,
        "time_zone": options.time_zone,
        "licence_number": options.licence,
        "reading_policy": options.policy,
        "oidc_subject": options.oidc_subject,
        "oidc_issuer": settings.oidc_issuer if options.oidc_subject else None,
    }
    if options.oidc_subject and settings.oidc_issuer is None:
        raise AccountRefused("no identity provider is set: PANDOK_OIDC_ISSUER")
    values = {name: value for name, value in wanted.items() if value is not None}
    with writing(settings) as tx:
        manage.change(tx, audit.SYSTEM, _person(tx, options.login), values, now=time.time())
    print(f"{options.login}: {', '.join(sorted(values)) or 'nothing'} set")
    return 0


def _link(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        person = _person(tx, options.login)
        link = manage.make_link(tx, audit.SYSTEM, person, settings, now=time.time(), resets=options.reset)
    return _say(link)


def _disable(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        manage.disable(tx, audit.SYSTEM, _person(tx, options.login), now=time.time())
    print(f"{options.login} is let in no more; the sessions ended")
    return 0


def _enable(settings: Settings, options: argparse.Namespace) -> int:
    with writing(settings) as tx:
        manage.enable(tx, audit.SYSTEM, _person(tx, options.login), now=time.time())
    print(f"{options.login} may sign in again")
    return 0


def _sign_in(settings: Settings, options: argparse.Namespace) -> int:
    now = time.time()
    with writing(settings) as tx:
        person = _person(tx, options.login) if options.login else records.administrator(tx, now=now)
        link = manage.make_link(tx, audit.SYSTEM, person, settings, now=now)
    return _say(link)


def _say(link: str) -> int:
    print(link)
    print("Works once, within 15 minutes.", file=sys.stderr)
    return 0


def _person(rx: Connection, login: str) -> records.Account:
    person = records.find_login(rx, fold_login(login))
    if person is None:
        raise AccountRefused("there is no such account; `pandok accounts list` shows all")
    return person
