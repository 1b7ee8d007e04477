"""The SQL of back-pressure: how long the work that waits has waited."""

from __future__ import annotations

from sqlalchemy import Connection, case, func, select

from service import tables


def waiting_since(rx: Connection) -> float | None:
    """Return when the oldest study revision that waits for a worker began to wait; None when none waits.

    One that an operator restarted waits from the moment at which a worker queued it: it settled long before.
    """
    t = tables.revision.c
    began = func.coalesce(t.queued_at, case((t.attempt == 1, t.settled_at)))
    oldest: float | None = rx.execute(select(func.min(began)).where(t.state == "settled")).scalar_one()
    return oldest
