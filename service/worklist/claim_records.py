"""The SQL of claims: every change is one conditional update, so that of two at the same time one is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, true, update

from service.access import Caller
from service.tables import account, claim_event, study, worklist_item


@dataclass(frozen=True, slots=True)
class Held:
    """An item and who holds it."""

    item_id: int
    study_id: int
    site_id: int
    public_id: str
    state: str
    fence: int
    claimed_by_id: int | None
    claim_expires_at: float | None
    claimed_by: str | None
    """By the name that stands on reports."""
    revision: int
    modalities: tuple[str, ...]

    def is_claimed(self, now: float) -> bool:
        """Tell whether somebody's claim holds now."""
        return self.claimed_by_id is not None and (self.claim_expires_at or 0.0) > now

    def has_run_out(self, now: float) -> bool:
        """Tell whether a claim ended by itself and nobody has tidied it away."""
        return self.claimed_by_id is not None and not self.is_claimed(now)

    def is_by_other(self, caller: Caller, now: float) -> bool:
        """Tell whether somebody else's claim holds now."""
        return self.is_claimed(now) and self.claimed_by_id != caller.account_id


def find(tx: Connection, caller: Caller, public_id: str) -> Held | None:
    """Return an item that the caller may see; on PostgreSQL its row is locked until the transaction ends."""
    seen = true() if caller.site_id is None else worklist_item.c.site_id == caller.site_id
    return _one(tx, _HELD.where(worklist_item.c.public_id == public_id, seen).with_for_update(of=worklist_item))


def peek(rx: Connection, caller: Caller, public_id: str) -> Held | None:
    """Return an item that the caller may see, without a lock: to refuse a late comer before he waits in the queue."""
    seen = true() if caller.site_id is None else worklist_item.c.site_id == caller.site_id
    return _one(rx, _HELD.where(worklist_item.c.public_id == public_id, seen))


def take(
    tx: Connection, held: Held, caller: Caller, *, now: float, expires_at: float, by_force: bool = False
) -> int | None:
    """Give an item to the caller if it still is as it was found; returns the new fence."""
    c = worklist_item.c
    if held.is_by_other(caller, now) and not by_force:
        return None
    taken: int | None = tx.execute(
        update(worklist_item)
        .where(c.id == held.item_id, c.fence == held.fence, c.state == held.state)
        .values(
            state="in progress", claimed_by_id=caller.account_id, claimed_at=now, claim_expires_at=expires_at,
            fence=c.fence + 1, updated_at=now,
        )
        .returning(c.fence)
    ).scalar_one_or_none()  # fmt: skip
    return taken


def renew(tx: Connection, held: Held, *, expires_at: float) -> None:
    """Put the end of a claim off. The list does not change by it, so nobody is told."""
    tx.execute(
        update(worklist_item)
        .where(worklist_item.c.id == held.item_id, worklist_item.c.fence == held.fence)
        .values(claim_expires_at=expires_at)
    )


def free(tx: Connection, held: Held, *, now: float, is_completed: bool = False) -> None:
    """End a claim; the item waits for the next reader, or for nobody any more."""
    values = {"state": "completed", "completed_at": now} if is_completed else {"state": "scheduled"}
    tx.execute(
        update(worklist_item)
        .where(worklist_item.c.id == held.item_id, worklist_item.c.fence == held.fence)
        .values(claimed_by_id=None, claimed_at=None, claim_expires_at=None, updated_at=now, **values)
    )


def shorten(tx: Connection, *, to: float) -> None:
    """Let no claim run longer than to this moment."""
    c = worklist_item.c
    tx.execute(
        update(worklist_item).where(c.claimed_by_id.is_not(None), c.claim_expires_at > to).values(claim_expires_at=to)
    )


def list_expired(tx: Connection, now: float) -> list[Held]:
    """Return items whose claim ran out and that nobody has claimed since."""
    c = worklist_item.c
    query = _HELD.where(c.claimed_by_id.is_not(None), c.claim_expires_at <= now).with_for_update(of=worklist_item)
    return [_held(row) for row in tx.execute(query)]


def note(
    tx: Connection, held: Held, account_id: int | None, *, fence: int, kind: str, now: float, reason: str | None = None
) -> None:
    """Write what became of a claim into its history."""
    tx.execute(
        insert(claim_event).values(
            site_id=held.site_id, study_id=held.study_id, account_id=account_id, fence=fence, kind=kind,
            reason=reason, at=now,
        )
    )  # fmt: skip


def _one(tx: Connection, query: Select[Any]) -> Held | None:
    row = tx.execute(query).first()
    return _held(row) if row else None


def _held(row: Row[Any]) -> Held:
    return Held(**{**row._mapping, "modalities": tuple(word for word in row.modalities.split("\\") if word)})


_HELD: Select[Any] = (
    select(
        worklist_item.c.id.label("item_id"), worklist_item.c.study_id, worklist_item.c.site_id,
        worklist_item.c.public_id, worklist_item.c.state, worklist_item.c.fence, worklist_item.c.claimed_by_id,
        worklist_item.c.claim_expires_at, account.c.name.label("claimed_by"), study.c.revision, study.c.modalities,
    )
    .join(study, study.c.id == worklist_item.c.study_id)
    .outerjoin(account, account.c.id == worklist_item.c.claimed_by_id)
)  # fmt: skip
