"""The rows of one-time links, sessions and keys."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, insert, select, update

from service.access.callers import Caller
from service.roles import Role
from service.tables import account, api_key, session, sign_in_link
from service.tables import site as site_table

# Built once: every request of a program asks it, and building costs more than running.
_LIVE_KEY = select(api_key.c.prefix, api_key.c.site_id).where(
    api_key.c.key_sha256 == bindparam("key"), api_key.c.revoked_at.is_(None)
)


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A session that may act, and what its person has to prove who they are."""

    caller: Caller
    seen_at: float
    has_password: bool
    has_totp: bool
    has_oidc: bool


@dataclass(frozen=True, slots=True)
class LiveKey:
    """A key that may act."""

    prefix: str
    site_id: int


@dataclass(frozen=True, slots=True)
class ListedKey:
    """A key as an operator sees it."""

    site: str
    prefix: str
    name: str
    created_at: float
    revoked_at: float | None


def add_link(tx: Connection, *, account_id: int, token_sha256: str, created_at: float, expires_at: float) -> None:
    """Add a one-time link."""
    row = {"account_id": account_id, "token_sha256": token_sha256, "created_at": created_at, "expires_at": expires_at}
    tx.execute(insert(sign_in_link).values(row))


def open_link(rx: Connection, token_sha256: str, *, now: float) -> int | None:
    """Return the account of a link that is known, unused and young enough."""
    query = select(sign_in_link.c.account_id).where(
        sign_in_link.c.token_sha256 == token_sha256,
        sign_in_link.c.used_at.is_(None),
        sign_in_link.c.expires_at > now,
    )
    found: int | None = rx.execute(query).scalar_one_or_none()
    return found


def use_link(tx: Connection, token_sha256: str, *, now: float) -> bool:
    """Use a link up, once: of two at the same time one gets it."""
    done = tx.execute(
        update(sign_in_link)
        .where(
            sign_in_link.c.token_sha256 == token_sha256,
            sign_in_link.c.used_at.is_(None),
            sign_in_link.c.expires_at > now,
        )
        .values(used_at=now)
    )
    return done.rowcount > 0


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session that has no row yet."""

    account_id: int
    token_sha256: str
    created_at: float
    expires_at: float
    confirmed_at: float | None
    """None where a link alone opened it."""


def add_session(tx: Connection, new: NewSession) -> None:
    """Add a session, seen now."""
    row = {
        "confirmed_at": new.confirmed_at,
        "account_id": new.account_id,
        "token_sha256": new.token_sha256,
        "created_at": new.created_at,
        "seen_at": new.created_at,
        "expires_at": new.expires_at,
    }
    tx.execute(insert(session).values(row))


def live_session(rx: Connection, token_sha256: str, *, now: float, seen_after: float) -> LiveSession | None:
    """Return the session when it has not ended, is not too old and was used lately enough."""
    row = rx.execute(
        select(
            session.c.id.label("session_id"),
            session.c.seen_at,
            session.c.confirmed_at,
            account.c.id,
            account.c.public_id,
            account.c.role,
            account.c.site_id,
            account.c.reading_policy,
            account.c.password_hash,
            account.c.totp_confirmed_at,
            account.c.oidc_subject,
        )
        .join(account, account.c.id == session.c.account_id)
        .where(
            session.c.token_sha256 == token_sha256,
            session.c.ended_at.is_(None),
            session.c.expires_at > now,
            session.c.seen_at > seen_after,
            account.c.disabled_at.is_(None),
        )
    ).first()
    if row is None:
        return None
    who = Caller(
        row.public_id,
        row.site_id,
        Role(row.role),
        account_id=row.id,
        reading_policy=row.reading_policy,
        confirmed_at=row.confirmed_at,
        session_id=row.session_id,
    )
    return LiveSession(
        who,
        row.seen_at,
        has_password=row.password_hash is not None,
        has_totp=row.totp_confirmed_at is not None,
        has_oidc=row.oidc_subject is not None,
    )


def see_session(tx: Connection, token_sha256: str, *, now: float) -> None:
    """Note that a session was used."""
    tx.execute(update(session).where(session.c.token_sha256 == token_sha256).values(seen_at=now))


def confirm_session(tx: Connection, session_id: int, *, now: float) -> None:
    """Note that the session's person proved who they are."""
    tx.execute(update(session).where(session.c.id == session_id).values(confirmed_at=now))


def session_lives(rx: Connection, session_id: int, account_id: int, *, now: float) -> bool:
    """Tell whether an account's session has not ended."""
    query = select(session.c.id).where(
        session.c.id == session_id,
        session.c.account_id == account_id,
        session.c.ended_at.is_(None),
        session.c.expires_at > now,
    )
    return rx.execute(query).first() is not None


def end_session(tx: Connection, token_sha256: str, *, now: float) -> None:
    """End a session for good."""
    tx.execute(
        update(session).where(session.c.token_sha256 == token_sha256, session.c.ended_at.is_(None)).values(ended_at=now)
    )


def anyone_can_sign_in(rx: Connection, *, now: float) -> bool:
    """Tell whether somebody signed in once or has a link that still works."""
    ever = select(session.c.id).limit(1)
    waiting = select(sign_in_link.c.id).where(sign_in_link.c.used_at.is_(None), sign_in_link.c.expires_at > now)
    return rx.execute(ever).first() is not None or rx.execute(waiting.limit(1)).first() is not None


def add_key(tx: Connection, *, site_id: int, name: str, prefix: str, key_sha256: str, created_at: float) -> None:
    """Add a site's key."""
    row = {"site_id": site_id, "name": name, "prefix": prefix, "key_sha256": key_sha256, "created_at": created_at}
    tx.execute(insert(api_key).values(row))


def live_key(rx: Connection, key_sha256: str) -> LiveKey | None:
    """Return the key when it is known and not revoked."""
    row = rx.execute(_LIVE_KEY, {"key": key_sha256}).first()
    return LiveKey(row.prefix, row.site_id) if row else None


def list_keys(rx: Connection) -> list[ListedKey]:
    """Return every key, by site and age."""
    rows = rx.execute(
        select(site_table.c.code, api_key.c.prefix, api_key.c.name, api_key.c.created_at, api_key.c.revoked_at)
        .join(site_table, site_table.c.id == api_key.c.site_id)
        .order_by(site_table.c.code, api_key.c.created_at, api_key.c.id)
    )
    return [ListedKey(*row) for row in rows]


def revoke_key(tx: Connection, prefix: str, *, now: float) -> int | None:
    """Revoke a key by its prefix and return its site; None when there is no live key of that prefix."""
    ended = (
        update(api_key)
        .where(api_key.c.prefix == prefix, api_key.c.revoked_at.is_(None))
        .values(revoked_at=now)
        .returning(api_key.c.site_id)
    )
    found: int | None = tx.execute(ended).scalars().first()
    return found
