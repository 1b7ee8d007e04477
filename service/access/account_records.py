"""The rows of accounts."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, insert, or_, select, true, update

from service.access.accounts import ADMIN_LOGIN, AccountRefused, NewAccount
from service.access.callers import Caller
from service.roles import Role
from service.tables import account, session, sign_in_link
from service.tables import site as site_table


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may sign in."""

    id: int
    public_id: str
    login: str
    name: str
    role: Role
    site_id: int | None
    language: str
    time_zone: str
    licence_number: str | None
    reading_policy: str | None
    preferences: dict[str, Any]
    password_hash: str | None
    totp_secret: str | None
    totp_confirmed_at: float | None
    totp_last_step: int | None
    oidc_issuer: str | None
    oidc_subject: str | None
    created_at: float
    disabled_at: float | None

    @property
    def has_totp(self) -> bool:
        """Sign-in asks for a one-time code."""
        return self.totp_confirmed_at is not None


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account as who manages accounts sees it."""

    account: Account
    site: str | None
    last_seen_at: float | None


_COLUMNS = tuple(account.c[name] for name in Account.__slots__)


def add_account(tx: Connection, new: NewAccount, *, now: float) -> Account:
    """Add an account that nobody can sign in to yet. Raises AccountRefused when its login is taken."""
    if find_login(tx, new.login) is not None:
        raise AccountRefused(f"there is an account {new.login} already")
    values = {name: getattr(new, name) for name in NewAccount.__slots__}
    public_id = secrets.token_hex(16)
    tx.execute(insert(account).values(**values, public_id=public_id, preferences={}, created_at=now))
    found = find_login(tx, new.login)
    assert found is not None  # noqa: S101 - just added; narrows for mypy
    return found


def administrator(tx: Connection, *, now: float) -> Account:
    """Return the account `admin`, made when it is not there: what the operator at the machine signs in with."""
    found = find_login(tx, ADMIN_LOGIN)
    if found is None:
        return add_account(tx, NewAccount(ADMIN_LOGIN, "Administrator", Role.ADMINISTRATOR, None, "en", "UTC"), now=now)
    if found.role is not Role.ADMINISTRATOR or found.site_id is not None or found.disabled_at is not None:
        raise AccountRefused(f"the account {ADMIN_LOGIN} is disabled or no administrator of the installation any more")
    return found


def find_login(rx: Connection, login: str) -> Account | None:
    """Return the account of a folded login, disabled or not."""
    return _one(rx, account.c.login == login)


def find_identity(rx: Connection, issuer: str, subject: str) -> Account | None:
    """Return the account that is tied to an identity at the provider."""
    return _one(rx, account.c.oidc_issuer == issuer, account.c.oidc_subject == subject)


def get_account(rx: Connection, account_id: int) -> Account:
    """Return an account by its row number."""
    found = _one(rx, account.c.id == account_id)
    if found is None:
        raise LookupError("no such account")
    return found


def find_account(rx: Connection, caller: Caller, public_id: str) -> Account | None:
    """Return an account that the caller may manage; one of another site does not exist for them."""
    return _one(rx, account.c.public_id == public_id, _seen_by(caller))


def list_accounts(rx: Connection, caller: Caller | None = None) -> list[ListedAccount]:
    """Return the accounts that the caller may manage, by login; None is the operator at the machine."""
    last_seen = (
        select(func.max(session.c.seen_at)).where(session.c.account_id == account.c.id).correlate(account)
    ).scalar_subquery()
    rows = rx.execute(
        select(*_COLUMNS, site_table.c.code.label("site"), last_seen.label("last_seen_at"))
        .join(site_table, site_table.c.id == account.c.site_id, isouter=True)
        .where(true() if caller is None else _seen_by(caller))
        .order_by(account.c.login)
    ).mappings()
    return [ListedAccount(_account(row), row["site"], row["last_seen_at"]) for row in rows]


def change_account(tx: Connection, account_id: int, **values: Any) -> None:
    """Write columns of an account."""
    tx.execute(update(account).where(account.c.id == account_id).values(**values))


def use_totp_step(tx: Connection, account_id: int, step: int) -> bool:
    """Note that a time step's code was used; false when it or a later one was used already."""
    done = tx.execute(
        update(account)
        .where(account.c.id == account_id, or_(account.c.totp_last_step.is_(None), account.c.totp_last_step < step))
        .values(totp_last_step=step)
    )
    return done.rowcount > 0


def end_sessions(tx: Connection, account_id: int, *, now: float, but: int | None = None) -> None:
    """End every session of an account and use up its links; `but` is the session that asked and stays."""
    live = [session.c.account_id == account_id, session.c.ended_at.is_(None)]
    if but is not None:
        live.append(session.c.id != but)
    tx.execute(update(session).where(*live).values(ended_at=now))
    tx.execute(
        update(sign_in_link)
        .where(sign_in_link.c.account_id == account_id, sign_in_link.c.used_at.is_(None))
        .values(used_at=now)
    )


def _one(rx: Connection, *which: ColumnElement[bool]) -> Account | None:
    row = rx.execute(select(*_COLUMNS).where(*which)).mappings().first()
    return _account(row) if row else None


def _account(row: Any) -> Account:
    values = {name: row[name] for name in Account.__slots__}
    return Account(**{**values, "role": Role(row["role"])})


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    """Keep to the caller's site: every query of this file that starts from a request has this criterion."""
    return true() if caller.site_id is None else account.c.site_id == caller.site_id
