"""The SQL of one study's item: made and kept up to date in the transaction of whatever happened to the study."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, true, update

from service.access import Caller
from service.results.visibility import reported_revision
from service.routing.records import RuleBook, asked_class, reroute
from service.routing.rules import due_minutes_of, from_json
from service.settings import Settings
from service.tables import instance, revision, run, study, worklist_item
from service.worklist.items import due_at, kept_ai_priority, priority_class


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study by our ids."""

    study_id: int
    site_id: int
    public_id: str
    revision: int


def update_item(
    tx: Connection, *, study_id: int, now: float, settings: Settings, ai_priority: int | None = None
) -> None:
    """Bring a study's item up to date, making it when the study is new; in the transaction of what happened.

    An item whose study was reported waits for a reader again when images came that no final report covers.

    Args:
        tx: The caller's transaction.
        study_id: The study.
        now: Seconds since 1970 UTC.
        settings: Minutes that each class has.
        ai_priority: The class that this revision's findings raise to; None when none does. It only ever raises.
    """
    complete_at = select(func.min(revision.c.settled_at)).where(revision.c.study_id == study.c.id).scalar_subquery()
    row = tx.execute(
        select(
            study.c.site_id,
            study.c.public_id,
            asked_class().label("asked_class"),
            study.c.routing,
            study.c.revision,
            func.coalesce(complete_at, study.c.first_image_at).label("complete_at"),
            study.c.first_image_at,
            worklist_item.c.id.label("item_id"),
            worklist_item.c.ai_priority,
            worklist_item.c.state,
            reported_revision(study.c.id).label("reported_revision"),
        )
        .outerjoin(worklist_item, worklist_item.c.study_id == study.c.id)
        .where(study.c.id == study_id)
    ).one()
    ai = kept_ai_priority(row.ai_priority, ai_priority)
    priority, unaided = priority_class(row.asked_class, ai), priority_class(row.asked_class, None)
    due_minutes = due_minutes_of(from_json(row.routing), settings.due_minutes)
    values: dict[str, object] = {
        "ai_priority": ai,
        "priority_class": int(priority),
        "due_at": due_at(row.complete_at, priority, due_minutes),
        "center_due_at": due_at(row.complete_at, unaided, due_minutes),
        "updated_at": now,
    }
    if row.item_id is None:
        first = {"site_id": row.site_id, "study_id": study_id, "public_id": row.public_id, "state": "scheduled"}
        tx.execute(insert(worklist_item).values(**first, created_at=row.first_image_at, **values))
        return
    if row.state == "completed" and row.revision > (row.reported_revision or 0):
        values |= {"state": "scheduled", "completed_at": None}
    tx.execute(update(worklist_item).where(worklist_item.c.id == row.item_id).values(values))


def set_center_priority(tx: Connection, study_id: int, priority: int) -> None:
    """Note the center's own priority, for which rules may ask; `update_item` then works out the class."""
    tx.execute(update(study).where(study.c.id == study_id).values(center_priority=priority))
    reroute(tx, study_id, RuleBook().current(tx))


def find_study(rx: Connection, caller: Caller, public_id: str) -> StudyKey | None:
    """Return a study that the caller may see; another site's study does not exist for it."""
    seen = true() if caller.site_id is None else study.c.site_id == caller.site_id
    row = rx.execute(
        select(study.c.id, study.c.site_id, study.c.public_id, study.c.revision).where(
            study.c.public_id == public_id, seen
        )
    ).first()
    return StudyKey(row.id, row.site_id, row.public_id, row.revision) if row else None


def change_mark(rx: Connection, now: float) -> tuple[object, ...]:
    """Return a value that differs when the list may look different: a few looks at the end of an index."""
    c = worklist_item.c
    ran_out = select(func.count()).where(c.claimed_by_id.is_not(None), c.claim_expires_at <= now)
    return tuple(
        rx.execute(
            select(
                select(func.max(c.updated_at)).scalar_subquery(),
                select(func.max(instance.c.id)).scalar_subquery(),
                select(func.max(revision.c.id)).scalar_subquery(),
                select(func.max(run.c.id)).scalar_subquery(),
                ran_out.scalar_subquery(),
            )
        ).one()
    )
