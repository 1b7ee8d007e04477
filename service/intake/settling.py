"""The SQL of settling: by the sender's word, by count, after a quiet time, or at the limit."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

from sqlalchemy import ColumnElement, Connection, and_, insert, or_, select, update

from service import tables
from service.intake.studies import Settled

StudyKey: TypeAlias = tuple[int, str]
"""Site and Study Instance UID."""

CLOCK_SLACK_S = 60.0
"""A latest image that is further in the future than this shows that the clock was set back since."""

_s = tables.study.c


def mark_done(
    tx: Connection, *, site_id: int, study_instance_uid: str, expected_instances: int | None, now: float
) -> bool:
    """Take the sender's word that a study is whole: it settles now, or when the expected count has arrived.

    Returns False when no such study of the site is known.
    """
    t = tables.study
    row = tx.execute(
        select(t.c.id, t.c.state, t.c.instance_count)
        .where(t.c.site_id == site_id, t.c.study_instance_uid == study_instance_uid)
        .with_for_update()
    ).one_or_none()
    if row is None:
        return False
    values: dict[str, object] = {"expected_instances": expected_instances}
    if row.state == "arriving" and (expected_instances is None or row.instance_count >= expected_instances):
        values |= {"settle_at": now, "settle_by": "done"}
    tx.execute(update(t).where(t.c.id == row.id).values(**values))
    return True


def settles_soon(rx: Connection, under_way: Collection[StudyKey], *, before: float) -> list[int]:
    """Return those of these studies that would settle, by quiet alone, before a moment."""
    named = or_(*(and_(_s.site_id == site_id, _s.study_instance_uid == uid) for site_id, uid in under_way))
    return list(rx.execute(select(_s.id).where(named, _s.settle_by == "quiet", _s.settle_at < before)).scalars())


def put_off(tx: Connection, study_ids: Collection[int], *, until: float, partial_after_s: float) -> None:
    """Let studies settle later: their next image is on the wire. The limit stays (RELIABILITY 5.5)."""
    soon = (_s.settle_by == "quiet", _s.settle_at < until, _s.arriving_since + partial_after_s > until)
    tx.execute(update(tables.study).where(_s.id.in_(study_ids), *soon).values(settle_at=until))


def is_any_due(rx: Connection, now: float) -> bool:
    """Tell whether a study's time to settle has come; asked before a writing transaction is opened for it."""
    return rx.execute(select(_s.id).where(_is_due(now)).limit(1)).first() is not None


def settle_due(tx: Connection, now: float, *, limit: int = 100) -> list[Settled]:
    """Settle every study whose time has come: one revision row each, for the pipeline to take.

    It was complete when its time came, however late a worker looks: its due time counts from then.
    """
    t = tables.study
    due = tx.execute(
        select(t.c.id, t.c.site_id, t.c.revision, t.c.settle_by, t.c.settle_at)
        .where(_is_due(now))
        .order_by(t.c.settle_at)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    for row in due:
        settled_at = min(row.settle_at, now)
        tx.execute(
            insert(tables.revision).values(
                site_id=row.site_id,
                study_id=row.id,
                number=row.revision,
                state="settled",
                settled_by=row.settle_by,
                settled_at=settled_at,
                attempt=1,
            )
        )
        values = {"state": "settled", "reason": None, "settle_at": None, "settled_at": settled_at}
        tx.execute(update(t).where(t.c.id == row.id).values(**values))
    return [Settled(row.id, row.revision, row.settle_by) for row in due]


def _is_due(now: float) -> ColumnElement[bool]:
    """After the clock was set back a study's time would never come."""
    return and_(_s.settle_at.is_not(None), or_(_s.settle_at <= now, _s.last_instance_at > now + CLOCK_SLACK_S))
