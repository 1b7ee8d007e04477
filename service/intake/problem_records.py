"""The SQL of what an operator must see: instances that were held or refused."""

from __future__ import annotations

from sqlalchemy import Connection, insert, update

from service import tables
from service.intake.arrival import Arrival
from service.intake.outcomes import Door, IntakeReason


def hold(tx: Connection, arrival: Arrival, reason: IntakeReason, now: float) -> None:
    """Note bytes that are held aside for an operator; the same bytes again only count."""
    t = tables.problem
    header, sender = arrival.header, arrival.sender
    again = tx.execute(
        update(t)
        .where(
            t.c.site_id == sender.site_id,
            t.c.kind == "held",
            t.c.sop_instance_uid == header.sop_instance_uid,
            t.c.content_sha256 == arrival.content_sha256,
            t.c.resolved_at.is_(None),
        )
        .values(count=t.c.count + 1)
    )
    if again.rowcount:
        return
    note_problem(
        tx,
        kind="held",
        reason=reason,
        site_id=sender.site_id,
        door=sender.door,
        sender=sender.name,
        study_instance_uid=header.study_instance_uid,
        sop_instance_uid=header.sop_instance_uid,
        content_sha256=arrival.content_sha256,
        now=now,
    )


def note_problem(
    tx: Connection,
    *,
    kind: str,
    reason: IntakeReason,
    site_id: int | None,
    door: Door,
    sender: str,
    now: float,
    detail: str = "",
    study_instance_uid: str | None = None,
    sop_instance_uid: str | None = None,
    content_sha256: str | None = None,
) -> None:
    """Write one row that an operator can see."""
    tx.execute(
        insert(tables.problem).values(
            site_id=site_id,
            kind=kind,
            reason=reason.word,
            detail=detail or reason.comment,
            status=f"0x{reason.status:04X}",
            door=door.value,
            sender=sender,
            study_instance_uid=short(study_instance_uid, 64),
            sop_instance_uid=short(sop_instance_uid, 64),
            content_sha256=content_sha256,
            occurred_at=now,
        )
    )


def short(text: str | None, length: int) -> str | None:
    """Return a text cut to its column; None for none."""
    return text[:length] if text else None
