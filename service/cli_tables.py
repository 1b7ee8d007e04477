"""How the commands open the tables, and how they write a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from sqlalchemy import Connection

from service.database import Database
from service.settings import Settings


@contextmanager
def opened(settings: Settings) -> Iterator[Database]:
    """Open the tables as they must be: a command run before the first start makes them."""
    settings.data_folder.mkdir(parents=True, exist_ok=True)
    database = Database(settings.sqlalchemy_url)
    try:
        database.migrate()
        yield database
    finally:
        database.close()


@contextmanager
def writing(settings: Settings) -> Iterator[Connection]:
    """Open a transaction that changes something."""
    with opened(settings) as database, database.transaction() as tx:
        yield tx


@contextmanager
def reading(settings: Settings) -> Iterator[Connection]:
    """Open a transaction that only looks."""
    with opened(settings) as database, database.reading() as rx:
        yield rx


def when(at: float) -> str:
    """Return a moment in UTC, such as 2026-01-31T09:30:00Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
