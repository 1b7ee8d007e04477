"""Claims: who reads a study. A lease that runs out, and a fence that tells an old owner's writes from the new one's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import Header
from sqlalchemy import Connection

from service import audit
from service.access import Caller
from service.errors import Conflict, NotFound
from service.worklist import claim_records
from service.worklist.claim_records import Held
from service.worklist.items import OPEN_STATES

HEARTBEAT_S = 60.0
"""An open case renews its claim this often."""
LEASE_S = 30 * 60.0
LONG_LEASE_S = 60 * 60.0
"""Of studies that take longer to read (WL-4)."""
LONG_MODALITIES = frozenset({"CT", "MR", "PT"})

ClaimToken = Annotated[int | None, Header(alias="X-Pandok-Claim", ge=0, lt=2**31)]
"""The fence of the caller's claim, which every write of a reading shows."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """A study that the caller holds, as of the transaction that asked."""

    study_id: int
    site_id: int
    revision: int
    public_id: str
    fence: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim as its owner is told of it."""

    public_id: str
    token: int
    expires_at: float


def lease_s(modalities: Sequence[str]) -> float:
    """Return how long a claim of a study lasts without a heartbeat."""
    return LONG_LEASE_S if LONG_MODALITIES.intersection(modalities) else LEASE_S


def claim(tx: Connection, caller: Caller, public_id: str, *, now: float) -> Claim:
    """Take a free study, or one's own again: its other windows then hold it no more.

    Raises:
        NotFound: No such study for the caller.
        Conflict: `claimed` by somebody else; `not_open` when it is read already or canceled.
    """
    held = _open(tx, caller, public_id)
    if held.is_by_other(caller, now):
        raise _claimed(held)
    _note_end(tx, held, now)
    taken = claim_records.take(tx, held, caller, now=now, expires_at=now + lease_s(held.modalities))
    if taken is None:
        raise _claimed(claim_records.find(tx, caller, public_id) or held)
    _note(tx, held, caller, fence=taken, kind="claimed", now=now)
    return Claim(public_id, taken, now + lease_s(held.modalities))


def take_over(tx: Connection, caller: Caller, public_id: str, *, reason: str, now: float) -> Claim:
    """Take a study from whoever reads it, with a reason that is kept. Raises as `claim` does, but for `claimed`."""
    held = _open(tx, caller, public_id)
    expires_at = now + lease_s(held.modalities)
    _note_end(tx, held, now)
    taken = claim_records.take(tx, held, caller, now=now, expires_at=expires_at, by_force=True)
    if taken is None:
        raise _lost()
    _note(tx, held, caller, fence=taken, kind="taken", now=now, reason=reason)
    return Claim(public_id, taken, expires_at)


def claim_next(tx: Connection, caller: Caller, public_ids: Sequence[str], *, now: float) -> Claim | None:
    """Take the first of these studies that is still free; None when none is."""
    for public_id in public_ids:
        held = claim_records.find(tx, caller, public_id)
        if held is None or held.state not in OPEN_STATES or held.is_claimed(now):
            continue
        _note_end(tx, held, now)
        taken = claim_records.take(tx, held, caller, now=now, expires_at=now + lease_s(held.modalities))
        if taken is not None:
            _note(tx, held, caller, fence=taken, kind="claimed", now=now)
            return Claim(public_id, taken, now + lease_s(held.modalities))
    return None


def renew(tx: Connection, caller: Caller, public_id: str, token: int | None, *, now: float) -> Claim:
    """Put the end of a claim off. Raises NotFound and Conflict `claim_lost`."""
    held = _held(tx, caller, public_id, token, now)
    expires_at = now + lease_s(held.modalities)
    claim_records.renew(tx, held, expires_at=expires_at)
    return Claim(public_id, held.fence, expires_at)


def release(tx: Connection, caller: Caller, public_id: str, token: int | None, *, now: float) -> None:
    """Give a study back. Raises NotFound and Conflict `claim_lost`."""
    held = _held(tx, caller, public_id, token, now)
    claim_records.free(tx, held, now=now)
    _note(tx, held, caller, fence=held.fence, kind="released", now=now)


def give_back(tx: Connection, caller: Caller, public_id: str, token: int | None, *, now: float) -> None:
    """Give a study back if the caller still holds it; a claim that ended meanwhile needs no giving back."""
    held = claim_records.find(tx, caller, public_id)
    is_mine = held is not None and held.is_claimed(now) and held.claimed_by_id == caller.account_id
    if held is not None and is_mine and token in (None, held.fence):
        claim_records.free(tx, held, now=now)
        _note(tx, held, caller, fence=held.fence, kind="released", now=now)


def refuse_early(held: Held | None, caller: Caller, now: float) -> None:
    """Raise NotFound, or Conflict `claimed`, for what a look without a lock tells already."""
    if held is None:
        raise NotFound
    if held.is_by_other(caller, now):
        raise _claimed(held)


def require(tx: Connection, caller: Caller, public_id: str, token: int | None, now: float) -> Claimed:
    """Return the study that a write of a reading is for; in the transaction that writes it.

    Args:
        tx: The write's own transaction: nobody can take the claim between this look and its commit.
        caller: Who writes.
        public_id: The study.
        token: What the caller's claim gave.
        now: Seconds since 1970 UTC.

    Raises:
        NotFound: No such study for the caller.
        Conflict: `claim_lost`: the claim ran out, was taken over, or never was.
    """
    held = _held(tx, caller, public_id, token, now)
    return Claimed(held.study_id, held.site_id, held.revision, public_id, held.fence)


def refuse_new_images(claimed: Claimed, revision: int) -> None:
    """Raise Conflict `new_images` unless the study still consists of the images that the reader had before him."""
    if claimed.revision != revision:
        raise Conflict("The images of this study changed. Look at the new ones first.", code="new_images")


def complete(tx: Connection, caller: Caller, claimed: Claimed, *, now: float) -> None:
    """End a study's item and its claim: its final report is signed in the same transaction."""
    held = _held(tx, caller, claimed.public_id, claimed.fence, now)
    claim_records.free(tx, held, now=now, is_completed=True)
    _note(tx, held, caller, fence=held.fence, kind="completed", now=now)


def expire(tx: Connection, *, now: float) -> int:
    """Free every study whose claim ran out and note it; returns how many. They were free from that moment on."""
    # The service may have started again after its clock was set back: no lease is longer than the longest one.
    claim_records.shorten(tx, to=now + LONG_LEASE_S)
    ended = claim_records.list_expired(tx, now)
    for held in ended:
        _note_end(tx, held, now)
        claim_records.free(tx, held, now=now)
    return len(ended)


_AUDITED = {"claimed": "case_claimed", "taken": "case_taken", "released": "case_released", "expired": "claim_expired"}
"""What of a claim's history is an event of the audit; its end by a signature is the report's own."""


def _note(
    tx: Connection, held: Held, caller: Caller, *, fence: int, kind: str, now: float, reason: str | None = None
) -> None:
    claim_records.note(tx, held, caller.account_id, fence=fence, kind=kind, now=now, reason=reason)
    _audit(tx, held, caller, fence=fence, kind=kind, now=now)


def _note_end(tx: Connection, held: Held, now: float) -> None:
    """Note that a claim ran out, if it did."""
    if held.has_run_out(now):
        claim_records.note(tx, held, held.claimed_by_id, fence=held.fence, kind="expired", now=now)
        _audit(tx, held, audit.SYSTEM, fence=held.fence, kind="expired", now=now)


def _audit(tx: Connection, held: Held, actor: Caller | str, *, fence: int, kind: str, now: float) -> None:
    if kind in _AUDITED:
        audit.note(
            tx, actor, _AUDITED[kind], now=now, site_id=held.site_id, object_type="study", object_id=held.public_id,
            detail={"fence": fence},
        )  # fmt: skip


def _open(tx: Connection, caller: Caller, public_id: str) -> Held:
    held = claim_records.find(tx, caller, public_id)
    if held is None:
        raise NotFound
    if held.state not in OPEN_STATES:
        raise Conflict("This study does not wait for a reader any more.", code="not_open")
    return held


def _held(tx: Connection, caller: Caller, public_id: str, token: int | None, now: float) -> Held:
    held = claim_records.find(tx, caller, public_id)
    if held is None:
        raise NotFound
    is_mine = held.claimed_by_id is not None and held.claimed_by_id == caller.account_id
    if not is_mine or held.fence != token or not held.is_claimed(now):
        raise _lost()
    return held


def _claimed(held: Held) -> Conflict:
    words = f"{held.claimed_by or 'Somebody else'} is reading this study."
    return Conflict(words, code="claimed", detail={"claimed_by": held.claimed_by})


def _lost() -> Conflict:
    return Conflict("You do not hold this study any more. Claim it again before you go on.", code="claim_lost")
