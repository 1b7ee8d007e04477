"""Accounts in the hands of who manages them, over HTTP or at the machine: every change is noted in the audit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service import audit
from service.access.account_records import Account, add_account, change_account, end_sessions
from service.access.accounts import (
    AccountRefused,
    NewAccount,
    check_language,
    check_licence,
    check_name,
    check_place,
    check_time_zone,
)
from service.access.callers import Caller
from service.access.secrets import new_sign_in_link
from service.settings import Settings

By = Caller | str
"""Who manages: a caller, or `audit.SYSTEM` for the operator at the machine."""
ENDS_SESSIONS = frozenset({"role", "site_id", "reading_policy"})
"""What a session must not outlive: who somebody is to us."""


def add(tx: Connection, by: By, new: NewAccount, *, now: float) -> Account:
    """Add an account. Raises AccountRefused when its login is taken or its site is not the manager's."""
    _check_site(by, new.site_id)
    person = add_account(tx, new, now=now)
    _note(tx, by, person, "account_added", {"role": new.role}, now=now)
    return person


def change(tx: Connection, by: By, person: Account, values: Mapping[str, Any], *, now: float) -> None:
    """Write what is new of an account. Raises AccountRefused for what cannot be."""
    changed = {name: value for name, value in values.items() if value != getattr(person, name)}
    if not changed:
        return
    _check(by, person, changed)
    change_account(tx, person.id, **changed)
    if changed.keys() & ENDS_SESSIONS:
        end_sessions(tx, person.id, now=now)
    told: dict[str, Any] = {name: changed[name] for name in ("role", "reading_policy") if name in changed}
    _note(tx, by, person, "account_changed", {"fields": sorted(changed), **told}, now=now)


def disable(tx: Connection, by: By, person: Account, *, now: float) -> None:
    """Let nobody in with an account any more, from this moment on. Raises AccountRefused for one's own."""
    _check_not_own(by, person)
    change_account(tx, person.id, disabled_at=now)
    end_sessions(tx, person.id, now=now)
    _note(tx, by, person, "account_disabled", {}, now=now)


def enable(tx: Connection, by: By, person: Account, *, now: float) -> None:
    """Let an account's person sign in again."""
    change_account(tx, person.id, disabled_at=None)
    _note(tx, by, person, "account_enabled", {}, now=now)


def make_link(tx: Connection, by: By, person: Account, settings: Settings, *, now: float, resets: bool = False) -> str:
    """Return a one-time link of an account.

    Args:
        tx: A writing transaction.
        by: Who asks.
        person: Whose link it is.
        settings: Where people go.
        now: Seconds since 1970 UTC.
        resets: Forget password and one-time codes and end every session, for who lost them: they choose anew, and
            notice when it was not they who asked.

    Raises:
        AccountRefused: The account is disabled.
    """
    if person.disabled_at is not None:
        raise AccountRefused("this account is disabled; enable it first")
    if resets:
        forgotten = ("password_hash", "password_set_at", "totp_secret", "totp_confirmed_at", "totp_last_step")
        change_account(tx, person.id, **dict.fromkeys(forgotten))
        end_sessions(tx, person.id, now=now)
        _note(tx, by, person, "account_reset", {}, now=now)
    _note(tx, by, person, "link_made", {}, now=now)
    return new_sign_in_link(tx, settings, account_id=person.id, now=now)


def _check(by: By, person: Account, changed: Mapping[str, Any]) -> None:
    if "role" in changed or "site_id" in changed:
        _check_not_own(by, person)
        _check_site(by, changed.get("site_id", person.site_id))
    checks = {
        "name": check_name, "language": check_language, "time_zone": check_time_zone, "licence_number": check_licence,
    }  # fmt: skip
    for name, check in checks.items():
        if name in changed:
            check(changed[name])
    after = [changed.get(name, getattr(person, name)) for name in ("role", "site_id", "reading_policy")]
    check_place(*after)


def _check_site(by: By, site_id: int | None) -> None:
    if isinstance(by, Caller) and by.site_id is not None and site_id != by.site_id:
        raise AccountRefused("you manage the accounts of your own site only")


def _check_not_own(by: By, person: Account) -> None:
    if isinstance(by, Caller) and by.account_id == person.id:
        raise AccountRefused("nobody disables their own account or changes its role; a colleague does")


def _note(tx: Connection, by: By, person: Account, action: str, detail: Mapping[str, Any], *, now: float) -> None:
    audit.note(
        tx,
        by,
        action,
        now=now,
        site_id=person.site_id,
        object_type="account",
        object_id=person.public_id,
        detail=detail,
    )
