"""The workers' SQL: who is alive, by the one clock that all share."""

from __future__ import annotations

from sqlalchemy import ColumnElement, Connection, delete, insert, literal, literal_column, select, update

from service import tables


def beat(tx: Connection, executor_id: str, *, now: float, provider: str | None, alarm: str | None) -> None:
    """Say that a worker is alive."""
    t = tables.executor
    seen_at = _shared_time(tx, now)
    done = tx.execute(update(t).where(t.c.id == executor_id).values(seen_at=seen_at, provider=provider, alarm=alarm))
    if not done.rowcount:
        tx.execute(
            insert(t).values(id=executor_id, started_at=seen_at, seen_at=seen_at, provider=provider, alarm=alarm)
        )


def begin_executor(tx: Connection, executor_id: str) -> None:
    """Forget the earlier life of this worker's slot."""
    tx.execute(delete(tables.executor).where(tables.executor.c.id == executor_id))


def list_silent(tx: Connection, *, now: float, silent_s: float) -> list[str]:
    """Return the workers that have not been heard of for so long."""
    t = tables.executor
    return list(tx.execute(select(t.c.id).where(t.c.seen_at < _shared_time(tx, now) - silent_s)).scalars())


def list_fresh(tx: Connection, *, seen_after: float) -> list[tuple[str | None, str | None]]:
    """Return what each worker seen after that moment scores on, and its alarm."""
    t = tables.executor
    return [
        (row.provider, row.alarm)
        for row in tx.execute(select(t.c.provider, t.c.alarm).where(t.c.seen_at >= seen_after))
    ]


def forget_executor(tx: Connection, executor_id: str, *, now: float, silent_s: float) -> None:
    """Remove a worker that is still silent; one that comes back says so itself."""
    t = tables.executor
    tx.execute(delete(t).where(t.c.id == executor_id, t.c.seen_at < _shared_time(tx, now) - silent_s))


def note_clock(tx: Connection, words: str, *, now: float) -> None:
    """Write the row by which an operator sees that the machine's clock jumped; again, it only counts."""
    t = tables.problem
    same = (t.c.kind == "clock", t.c.resolved_at.is_(None))
    if tx.execute(update(t).where(*same).values(count=t.c.count + 1)).rowcount:
        return
    values = {"kind": "clock", "reason": "clock_jumped", "detail": words, "status": "", "door": "", "sender": "worker"}
    tx.execute(insert(t).values(site_id=None, occurred_at=now, **values))


def _shared_time(tx: Connection, now: float) -> ColumnElement[float]:
    """Seconds since 1970 by the one clock that all workers share: the service's on one machine, else the database's."""
    return literal(now) if tx.dialect.name == "sqlite" else literal_column("extract(epoch from clock_timestamp())")
