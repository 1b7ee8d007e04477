"""The workers' SQL: who is alive, by the one clock that all share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, insert, literal_column, select, update

from service import tables


def beat(tx: Connection, executor_id: str, *, provider: str | None, alarm: str | None) -> None:
    """Say that a worker is alive, by the database's own clock."""
    t = tables.executor
    now = _database_time(tx)
    done = tx.execute(update(t).where(t.c.id == executor_id).values(seen_at=now, provider=provider, alarm=alarm))
    if not done.rowcount:
        tx.execute(insert(t).values(id=executor_id, started_at=now, seen_at=now, provider=provider, alarm=alarm))


def begin_executor(tx: Connection, executor_id: str) -> None:
    """Forget the earlier life of this worker's slot."""
    tx.execute(delete(tables.executor).where(tables.executor.c.id == executor_id))


def list_silent(tx: Connection, *, silent_s: float) -> list[str]:
    """Return the workers that have not been heard of for so long."""
    t = tables.executor
    return list(tx.execute(select(t.c.id).where(t.c.seen_at < _database_time(tx) - silent_s)).scalars())


def list_fresh(tx: Connection, *, seen_after: float) -> list[tuple[str | None, str | None]]:
    """Return what each worker seen after that moment scores on, and its alarm."""
    t = tables.executor
    return [
        (row.provider, row.alarm)
        for row in tx.execute(select(t.c.provider, t.c.alarm).where(t.c.seen_at >= seen_after))
    ]


def forget_executor(tx: Connection, executor_id: str, *, silent_s: float) -> None:
    """Remove a worker that is still silent; one that comes back says so itself."""
    t = tables.executor
    tx.execute(delete(t).where(t.c.id == executor_id, t.c.seen_at < _database_time(tx) - silent_s))


def _database_time(tx: Connection) -> ColumnElement[float]:
    """Seconds since 1970 by the one clock that all workers share."""
    if tx.dialect.name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)")
    return literal_column("extract(epoch from clock_timestamp())")
