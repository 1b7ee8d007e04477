"""The rows of the audit. The tables themselves refuse to change or remove one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select, text

from service.access import Caller
from service.tables import account, audit_event
from service.tables import site as site_table

HASHED = (
    "at", "actor", "role", "site_id", "action", "outcome", "object_type", "object_id", "detail", "request_id",
    "previous_sha256",
)  # fmt: skip
"""What an event's hash is made over."""
_LOCK = 7_262_601
"""Of PostgreSQL's advisory locks, the one that holds the chain's end."""


def hold_end(tx: Connection) -> None:
    """Let no other transaction add an event before this one ends. On SQLite a writer has that already."""
    if tx.dialect.name == "postgresql":
        tx.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})


def end_sha256(tx: Connection) -> str | None:
    """Return the hash of the newest event."""
    newest = select(audit_event.c.sha256).order_by(audit_event.c.id.desc()).limit(1)
    found: str | None = tx.execute(newest).scalar_one_or_none()
    return found


def add_event(tx: Connection, row: Mapping[str, Any]) -> None:
    """Add an event."""
    tx.execute(insert(audit_event).values(**row))


def every_event(rx: Connection) -> Iterator[dict[str, Any]]:
    """Give every event as it is kept, the oldest first, a few at a time."""
    rows = rx.execution_options(stream_results=True, yield_per=1_000).execute(
        select(audit_event).order_by(audit_event.c.id)
    )
    yield from (dict(row) for row in rows.mappings())


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events somebody asks for."""

    before_id: int | None = None
    limit: int = 100
    object_id: str | None = None
    actor: str | None = None
    action: str | None = None


def newest_events(rx: Connection, caller: Caller, wanted: Wanted) -> list[dict[str, Any]]:
    """Return events that the caller may see, the newest first, with the names behind the ids."""
    which = [] if caller.site_id is None else [audit_event.c.site_id == caller.site_id]
    if wanted.before_id is not None:
        which.append(audit_event.c.id < wanted.before_id)
    asked = {"object_id": wanted.object_id, "actor": wanted.actor, "action": wanted.action}
    which += [audit_event.c[name] == value for name, value in asked.items() if value is not None]
    rows = rx.execute(
        select(audit_event, account.c.name.label("actor_name"), site_table.c.code.label("site"))
        .join(account, account.c.public_id == audit_event.c.actor, isouter=True)
        .join(site_table, site_table.c.id == audit_event.c.site_id, isouter=True)
        .where(*which)
        .order_by(audit_event.c.id.desc())
        .limit(wanted.limit)
    )
    return [dict(row) for row in rows.mappings()]
