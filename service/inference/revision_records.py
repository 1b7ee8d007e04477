"""The revisions' SQL: what waits, what runs, how it ended, and what an operator does about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, or_, select, update

from preprocessing.errors import Reason
from service import tables
from service.routing.records import asked_class

UNFINISHED = ("settled", "running")
"""States in which a revision waits for a worker or is with one."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A study revision that the pipeline has in hand."""

    id: int
    site_id: int
    study_id: int
    number: int
    attempt: int
    state: str
    is_newest: bool
    """No later revision of the study has settled."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A settled revision that has not been given to the engine."""

    study_id: int
    number: int
    attempt: int
    asked_class: int
    """The more urgent class of the center's and the rules'."""
    settled_by: str


def find_revision(tx: Connection, study_id: int, number: int) -> Revision | None:
    """Return a revision, or None when there is none."""
    t = tables.revision
    newest = select(func.max(t.c.number)).where(t.c.study_id == study_id).scalar_subquery()
    row = tx.execute(
        select(t.c.id, t.c.site_id, t.c.attempt, t.c.state, (newest == t.c.number).label("is_newest")).where(
            t.c.study_id == study_id, t.c.number == number
        )
    ).one_or_none()
    if row is None:
        return None
    return Revision(row.id, row.site_id, study_id, number, row.attempt, row.state, bool(row.is_newest))


def list_waiting(tx: Connection, limit: int = 200) -> list[Waiting]:
    """Return settled revisions that the engine has not been told of, the most urgent first."""
    t, s = tables.revision, tables.study
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt, asked_class(), t.c.settled_by)
        .join(s, s.c.id == t.c.study_id)
        .where(t.c.state == "settled", t.c.queued_at.is_(None))
        .order_by(asked_class(), t.c.settled_at)
        .limit(limit)
    )
    return [Waiting(*row) for row in rows]


def mark_queued(tx: Connection, waiting: Sequence[Waiting], now: float) -> None:
    """Note that the engine has them."""
    t = tables.revision
    for one in waiting:
        tx.execute(
            update(t)
            .where(t.c.study_id == one.study_id, t.c.number == one.number, t.c.attempt == one.attempt)
            .values(queued_at=now)
        )


def list_unfinished(tx: Connection, *, queued_before: float, limit: int = 200) -> list[tuple[int, int, int]]:
    """Return (study_id, number, attempt) of revisions that the engine has had for long, the oldest first."""
    t = tables.revision
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt)
        .where(t.c.state.in_(UNFINISHED), t.c.queued_at < queued_before)
        .order_by(t.c.queued_at)
        .limit(limit)
    )
    return [(row.study_id, row.number, row.attempt) for row in rows]


def count_unfinished(tx: Connection) -> int:
    """Return how many revisions wait for a worker or are with one."""
    t = tables.revision
    return tx.execute(select(func.count()).where(t.c.state.in_(UNFINISHED))).scalar_one()


def queue_again(tx: Connection, study_id: int, number: int, attempt: int) -> None:
    """Give a revision to the engine once more, which does not know it."""
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.study_id == study_id, t.c.number == number, t.c.attempt == attempt, t.c.state.in_(UNFINISHED))
        .values(queued_at=None, state="settled")
    )


def list_canceled(tx: Connection) -> list[tuple[int, int, int]]:
    """Return (study_id, number, attempt) of canceled revisions of which the engine has not been told."""
    t = tables.revision
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt).where(t.c.state == "canceled", t.c.finished_at.is_(None))
    )
    return [(row.study_id, row.number, row.attempt) for row in rows]


def start_revision(tx: Connection, revision: Revision, now: float) -> None:
    """Mark a revision as running; its first start is kept.

    Not one that an operator has just restarted or canceled: a restarted one would never be given to the engine. Whoever
    gave it to the engine may have died before saying so, and what the engine then forgets would never be missed.
    """
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.id == revision.id, t.c.attempt == revision.attempt, t.c.state.in_(UNFINISHED))
        .values(
            state="running", started_at=func.coalesce(t.c.started_at, now), queued_at=func.coalesce(t.c.queued_at, now)
        )
    )


def end_revision(
    tx: Connection, revision_id: int, *, state: str, reason: Reason | None, detail: str | None, now: float | None
) -> None:
    """Write how a revision ended."""
    tx.execute(
        update(tables.revision)
        .where(tables.revision.c.id == revision_id)
        .values(state=state, reason=reason.value if reason else None, detail=detail, finished_at=now)
    )


def end_canceled(tx: Connection, study_id: int, number: int, attempt: int, now: float) -> None:
    """Note that the engine has been told of a cancelation."""
    t = tables.revision
    key = (t.c.study_id == study_id, t.c.number == number, t.c.attempt == attempt, t.c.state == "canceled")
    tx.execute(update(t).where(*key).values(finished_at=now))


def set_study_state(tx: Connection, revision: Revision, *, state: str, reason: Reason | None, now: float) -> None:
    """Write a study's state, unless images of a later revision are arriving: that revision will write it."""
    t = tables.study
    values: dict[str, object] = {"state": state, "reason": reason.value if reason else None}
    if state == "scored":
        values["scored_at"] = now
    tx.execute(
        update(t)
        .where(t.c.id == revision.study_id, t.c.revision == revision.number, t.c.state != "arriving")
        .values(**values)
    )


def begin_attempt(tx: Connection, revision: Revision) -> None:
    """Make a revision wait again, as its next attempt; what killed decoders before gets another chance."""
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.id == revision.id)
        .values(
            state="settled",
            reason=None,
            detail=None,
            attempt=revision.attempt + 1,
            queued_at=None,
            started_at=None,
            finished_at=None,
        )
    )
    images = select(tables.instance.c.content_sha256).where(tables.instance.c.study_id == revision.study_id)
    volumes = select(tables.series.c.geometry["content_sha256"].as_string()).where(
        tables.series.c.study_id == revision.study_id, tables.series.c.geometry.is_not(None)
    )
    p = tables.poison.c
    is_of_study = or_(p.content_sha256.in_(images), p.content_sha256.in_(volumes))
    tx.execute(delete(tables.poison).where(p.site_id == revision.site_id, is_of_study))


def find_newest(tx: Connection, public_id: str) -> Revision | None:
    """Return the newest revision of a study that is not arriving, or None."""
    s, t = tables.study, tables.revision
    row = tx.execute(
        select(s.c.id, func.max(t.c.number).label("number"))
        .join(t, t.c.study_id == s.c.id)
        .where(s.c.public_id == public_id, s.c.state != "arriving")
        .group_by(s.c.id)
    ).one_or_none()
    return find_revision(tx, row.id, row.number) if row else None


def supersede(tx: Connection, revision: Revision, now: float) -> None:
    """End a revision that a later one took over from; what it had scored stays until the later one is done."""
    end_revision(tx, revision.id, state="superseded", reason=None, detail=None, now=now)
