"""The SQLAlchemy engine, its transactions, and bringing the tables up to date."""

from __future__ import annotations

import contextlib
import errno
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, inspect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

_MIGRATIONS = Path(__file__).parent / "migrations"
_SYNC_REFUSED = frozenset({sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC})
_PRIMARY_CODE = 0xFF
_DISK_FULL_SQLSTATE = "53100"
"""PostgreSQL's disk_full. When its own disk refuses a sync, its server stops by itself."""
_QUERY_CANCELED_SQLSTATE = "57014"
_STEPS_BETWEEN_LOOKS = 50_000
"""Of SQLite's machine: some milliseconds, and no look at the clock in a search by an index."""
BUSY_TIMEOUT_MS = 30_000
"""How long a writer waits for another process' writer on SQLite before it gives up."""
SQLITE_CONNECTIONS = 128
"""How many may be open at once in a process: more than threads are at work in it, so that none waits for one."""


class TakesTooLong(Exception):
    """What was asked would have to read too much."""


class Database:
    """Our own tables: one engine, short transactions.

    Args:
        url: SQLAlchemy URL; SQLite opens in WAL mode with synchronous=FULL, so that a commit survives power loss.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        # SQLite's own wait for a writer is a poll that favours whoever asks at the right moment; within a process
        # writers stand in line instead. Another process' writer is still waited for by polling.
        self._writing = threading.Lock() if self.engine.dialect.name == "sqlite" else contextlib.nullcontext()

    @contextmanager
    def transaction(self, *, is_durable: bool = True) -> Iterator[Connection]:
        """Open a writing transaction; it commits when the block ends and rolls back when it raises.

        Args:
            is_durable: False lets SQLite commit without a sync: a loss of power may undo it, and with it nothing that
                was durable; `make_durable`, or any later durable transaction, makes it so. PostgreSQL syncs all.
        """
        with self._writing, self.engine.connect() as connection, self._syncing(connection, is_durable=is_durable):
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextmanager
    def _syncing(self, connection: Connection, *, is_durable: bool) -> Iterator[None]:
        if is_durable or self.engine.dialect.name != "sqlite":
            yield
            return
        cursor = connection.connection.cursor()
        cursor.execute("PRAGMA synchronous=NORMAL")
        try:
            yield
        finally:
            cursor.execute("PRAGMA synchronous=FULL")
            cursor.close()

    def make_durable(self) -> None:
        """Return when every transaction that had committed is on the disk."""
        if self.engine.dialect.name == "sqlite":
            with self.transaction() as connection:
                connection.exec_driver_sql("PRAGMA user_version=0")  # writes a page: a commit of nothing syncs nothing

    @contextmanager
    def reading(self, *, longest_s: float | None = None) -> Iterator[Connection]:
        """Open a reading transaction: one consistent view, no lock on writers.

        Args:
            longest_s: After so many seconds what is being read is broken off, on PostgreSQL so many for each statement;
                None for no end.

        Raises:
            TakesTooLong: It was broken off.
        """
        with self.engine.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN")
            with contextlib.nullcontext() if longest_s is None else _within(connection, longest_s):
                yield connection
            connection.rollback()

    def migrate(self) -> None:
        """Bring the tables to the newest migration. Raises when that is not possible: no half-ready service."""
        from alembic import command  # takes a fifth of a second to load, and is needed after an upgrade only
        from alembic.config import Config

        config = Config()
        config.set_main_option("script_location", str(_MIGRATIONS))
        with self.transaction() as connection:
            config.attributes["connection"] = connection
            command.upgrade(config, "head")

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _within(connection: Connection, longest_s: float) -> Iterator[None]:
    """Break off what a connection reads when its time is over. Raises TakesTooLong."""
    raw: object = connection.connection.dbapi_connection
    if isinstance(raw, sqlite3.Connection):
        end = time.monotonic() + longest_s
        raw.set_progress_handler(lambda: time.monotonic() > end, _STEPS_BETWEEN_LOOKS)
    else:
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = {longest_s * 1000:.0f}")
    try:
        yield
    except DBAPIError as failure:
        if _is_broken_off(failure.orig):
            raise TakesTooLong from None
        raise
    finally:
        if isinstance(raw, sqlite3.Connection):
            raw.set_progress_handler(None, 0)


def _is_broken_off(cause: BaseException | None) -> bool:
    code, state = getattr(cause, "sqlite_errorcode", None), getattr(cause, "sqlstate", None)
    return code == sqlite3.SQLITE_INTERRUPT or state == _QUERY_CANCELED_SQLSTATE


def migration_of(connection: Connection) -> str | None:
    """Return the migration at which the tables stand; None before the first."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
    return found


def newest_migration() -> str:
    """Return the migration that this program was made for: the first word of the last file's name."""
    return max(path.name for path in (_MIGRATIONS / "versions").glob("*.py")).partition("_")[0]


def is_refused_by_disk(failure: Exception) -> bool:
    """Tell whether a statement or commit failed because the tables' disk is full or does not read or write."""
    return _are_tables_full(failure) or _sqlite_code(failure) & _PRIMARY_CODE == sqlite3.SQLITE_IOERR


def is_disk_full(failure: Exception) -> bool:
    """Tell whether something failed for want of room: a file's write, or a statement or commit."""
    if isinstance(failure, OSError):
        return failure.errno in (errno.ENOSPC, errno.EDQUOT)
    return _are_tables_full(failure)


def is_refused_sync(failure: Exception) -> bool:
    """Tell whether a commit failed because the tables' disk refused a sync: what it holds since is unknown."""
    return _sqlite_code(failure) in _SYNC_REFUSED


def _are_tables_full(failure: Exception) -> bool:
    is_full = _sqlite_code(failure) & _PRIMARY_CODE == sqlite3.SQLITE_FULL
    return is_full or getattr(getattr(failure, "orig", failure), "sqlstate", None) == _DISK_FULL_SQLSTATE


def _sqlite_code(failure: Exception) -> int:
    return int(getattr(getattr(failure, "orig", failure), "sqlite_errorcode", 0))


def _engine(url: str) -> Engine:
    if not url.startswith("sqlite"):
        return create_engine(url, pool_pre_ping=True, hide_parameters=True)
    engine = create_engine(url, hide_parameters=True, pool_size=12, max_overflow=SQLITE_CONNECTIONS - 12)
    if engine.url.database:
        Path(engine.url.database).parent.mkdir(parents=True, exist_ok=True)

    @event.listens_for(engine, "connect")
    def _open(dbapi: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # We begin transactions ourselves: pysqlite's own late BEGIN is deferred and can fail at the first write.
        dbapi.isolation_level = None
        cursor = dbapi.cursor()
        cursor.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.execute("PRAGMA foreign_keys=ON")
        cursor.close()

    return engine
