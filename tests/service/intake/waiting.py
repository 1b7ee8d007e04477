"""A study that waits to be scored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, update

from service import tables
from tests.factories import Parts, make_radiograph


def add_waiting(parts: Parts, seconds: float, *, queued_ago_s: float | None = None, **columns: Any) -> None:
    """Store a study that settled so long ago and was not scored since."""
    now = parts.clock()
    parts.send(make_radiograph())
    values = {"number": 1, "state": "settled", "settled_by": "quiet", "attempt": 1, **columns}
    with parts.database.transaction() as tx:
        tx.execute(update(tables.study).values(state="settled", settle_at=None))
        tx.execute(
            insert(tables.revision).values(
                site_id=parts.site_id,
                study_id=1,
                settled_at=now - seconds,
                queued_at=now - queued_ago_s if queued_ago_s is not None else None,
                **values,
            )
        )
    parts.intake.pressure(fresh_s=0.0)
