"""The SQL of storage commitment: what was asked, what we found, and whether the peer has heard it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sqlalchemy import Connection, and_, case, func, insert, select, update

from service import tables
from service.intake.outcomes import Door

Reference: TypeAlias = tuple[str, str]
"""SOP Class UID and SOP Instance UID."""
Failure: TypeAlias = tuple[str, str, int]
"""A reference and its Failure Reason (0008,1197)."""

DUPLICATE_TRANSACTION = 0x0131
_AT_ONCE = 500

_c = tables.commitment.c


@dataclass(frozen=True, slots=True)
class Address:
    """Where a peer hears our answers."""

    ae_title: str
    host: str
    port: int
    is_tls: bool


@dataclass(frozen=True, slots=True)
class Commitment:
    """One request that is in hand."""

    id: int
    site_id: int
    transaction_uid: str
    asked: tuple[Reference, ...]
    failed: tuple[Failure, ...] | None
    """None until the stored bytes were looked at."""
    attempts: int
    """This one included."""
    asked_at: float
    address: Address | None
    """None when an operator has taken the peer or its address away meanwhile."""


@dataclass(frozen=True, slots=True)
class Known:
    """What the tables say of an instance."""

    sop_class_uid: str
    content_sha256: str


NOT_THERE = "not told on the association that asked"
"""Until this, or a failed try, is noted the outcome is offered there."""


def add_request(
    tx: Connection, *, site_id: int, peer_id: int, transaction_uid: str, asked: Sequence[Reference], now: float
) -> int:
    """Write a request down; return its row number.

    The same one again, before its answer, is no other; another one under its UID fails.
    """
    open_one = tx.execute(
        select(_c.id, _c.asked).where(
            _c.dicom_peer_id == peer_id, _c.transaction_uid == transaction_uid, _c.next_try_at.is_not(None)
        )
    ).all()
    wanted = [list(reference) for reference in asked]
    for row in open_one:
        if row.asked == wanted:
            return int(row.id)
    failed = [[*reference, DUPLICATE_TRANSACTION] for reference in asked] if open_one else None
    values = {
        "transaction_uid": transaction_uid,
        "asked": wanted,
        "failed": failed,
        "state": "checked" if failed else "asked",
        "attempts": 0,
        "next_try_at": now,
        "asked_at": now,
    }
    added = insert(tables.commitment).values(site_id=site_id, dicom_peer_id=peer_id, **values).returning(_c.id)
    return int(tx.execute(added).scalar_one())


def find_due(rx: Connection, now: float) -> int | None:
    """Return the row number of a request whose time has come, the longest waiting first."""
    return rx.execute(select(_c.id).where(_c.next_try_at <= now).order_by(_c.next_try_at).limit(1)).scalar_one_or_none()


def take(
    tx: Connection, commitment_id: int, *, now: float, lease_s: float, is_asker: bool = False
) -> Commitment | None:
    """Take a request in hand for so long; None when another worker was first, or it is not due.

    For who asked it need not be due: until then it is kept for them.
    """
    # What is about to be told elsewhere is not told here too.
    error = (
        _c.last_error
        if is_asker
        else case((_c.state == "checked", func.coalesce(_c.last_error, NOT_THERE)), else_=_c.last_error)
    )
    is_ready = and_(_c.state == "checked", _c.last_error.is_(None)) if is_asker else _c.next_try_at <= now
    taken = tx.execute(
        update(tables.commitment)
        .where(_c.id == commitment_id, is_ready)
        .values(next_try_at=now + lease_s, attempts=_c.attempts + 1, last_error=error)
    )
    if not taken.rowcount:
        return None
    p = tables.dicom_peer.c
    row = tx.execute(
        select(tables.commitment, p.ae_title, p.answer_host, p.answer_port, p.answer_tls, p.disabled_at)
        .join(tables.dicom_peer, p.id == _c.dicom_peer_id)
        .where(_c.id == commitment_id)
    ).one()
    is_there = row.disabled_at is None and row.answer_host and row.answer_port
    return Commitment(
        id=row.id,
        site_id=row.site_id,
        transaction_uid=row.transaction_uid,
        asked=tuple((sop_class, sop_instance) for sop_class, sop_instance in row.asked),
        failed=None if row.failed is None else tuple((c, i, reason) for c, i, reason in row.failed),
        attempts=row.attempts,
        asked_at=row.asked_at,
        address=Address(row.ae_title, row.answer_host, row.answer_port, row.answer_tls) if is_there else None,
    )


def write_checked(tx: Connection, commitment_id: int, failed: Sequence[Failure]) -> None:
    """Write what was found: every later try says the same."""
    _set(tx, commitment_id, state="checked", failed=[list(failure) for failure in failed])


def wait_for_asker(tx: Connection, commitment_id: int, *, until: float) -> bool:
    """Put the telling off for the sake of who asked; False when nobody is there any more to be waited for."""
    waits = update(tables.commitment).where(_c.id == commitment_id, _c.last_error.is_(None)).values(next_try_at=until)
    return bool(tx.execute(waits).rowcount)


def list_checked(rx: Connection, commitment_ids: Collection[int]) -> list[int]:
    """Return those of these requests whose outcome is known and not told, and whose asker may still be there."""
    checked = (_c.id.in_(commitment_ids), _c.state == "checked", _c.last_error.is_(None), _c.next_try_at.is_not(None))
    return list(rx.execute(select(_c.id).where(*checked)).scalars())


def note_asker_left(tx: Connection, commitment_ids: Collection[int], *, now: float) -> None:
    """Let a worker tell what was promised on an association that has ended; at once, if it is known."""
    mine = (_c.id.in_(commitment_ids), _c.next_try_at.is_not(None), _c.last_error.is_(None))
    tx.execute(update(tables.commitment).where(*mine, _c.state == "checked").values(next_try_at=now))
    tx.execute(update(tables.commitment).where(*mine).values(last_error=NOT_THERE))


def write_answered(tx: Connection, commitment_id: int, now: float) -> None:
    """Note that the peer has heard the answer."""
    _set(tx, commitment_id, state="answered", next_try_at=None, last_error=None, ended_at=now)


def try_again(tx: Connection, commitment_id: int, *, at: float, error: str) -> None:
    """Note why the peer did not hear the answer, and when it is told again."""
    _set(tx, commitment_id, next_try_at=at, last_error=error)


def give_up(tx: Connection, commitment: Commitment, *, error: str, now: float) -> None:
    """Tell the peer no more, and the operator instead."""
    _set(tx, commitment.id, state="given_up", next_try_at=None, last_error=error, ended_at=now)
    tx.execute(
        insert(tables.problem).values(
            site_id=commitment.site_id,
            kind="dead_letter",
            reason="commitment_not_told",
            detail=f"the answer on {len(commitment.asked)} instances was not taken: {error}; the sender may ask again",
            status="N-EVENT-REPORT",
            door=Door.DIMSE.value,
            sender=commitment.address.ae_title if commitment.address else "(disabled)",
            occurred_at=now,
        )
    )


def note_damaged(tx: Connection, commitment: Commitment, sop_instance_uid: str, *, status: str, now: float) -> None:
    """Write, once, the row that an operator sees of a stored file that is not what was stored."""
    t = tables.problem
    same = (t.c.site_id == commitment.site_id, t.c.kind == "damaged", t.c.sop_instance_uid == sop_instance_uid)
    if tx.execute(select(t.c.id).where(*same, t.c.resolved_at.is_(None)).limit(1)).first() is not None:
        return
    tx.execute(
        insert(t).values(
            site_id=commitment.site_id,
            kind="damaged",
            reason="stored_file_damaged",
            detail="the stored file is missing or not what was stored: have it sent again, or restore it",
            status=status,
            door=Door.DIMSE.value,
            sender=commitment.address.ae_title if commitment.address else "(disabled)",
            sop_instance_uid=sop_instance_uid,
            occurred_at=now,
        )
    )


def find_instances(rx: Connection, site_id: int, sop_instance_uids: Sequence[str]) -> dict[str, Known]:
    """Return what the site has of these instances."""
    i = tables.instance.c
    known = {}
    for start in range(0, len(sop_instance_uids), _AT_ONCE):
        rows = rx.execute(
            select(i.sop_instance_uid, i.sop_class_uid, i.content_sha256).where(
                i.site_id == site_id, i.sop_instance_uid.in_(sop_instance_uids[start : start + _AT_ONCE])
            )
        )
        known.update({row.sop_instance_uid: Known(row.sop_class_uid, row.content_sha256) for row in rows})
    return known


def _set(tx: Connection, commitment_id: int, **values: object) -> None:
    tx.execute(update(tables.commitment).where(_c.id == commitment_id).values(**values))
