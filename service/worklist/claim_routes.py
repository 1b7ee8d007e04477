"""Claims over HTTP: take a study, keep it, give it back, take it from a colleague, and take the next one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from service.access import Caller, may
from service.database import Database
from service.errors import Invalid, ServiceError
from service.roles import Permission
from service.worklist import claim_records, claims, list_records
from service.worklist.claims import HEARTBEAT_S, Claim, ClaimToken
from service.worklist.filters import Filters
from service.worklist.looks import ask_for

router = APIRouter(prefix="/api/worklist", tags=["worklist"])

MayRead = Annotated[Caller, Depends(may(Permission.READ_CASES))]
MayTake = Annotated[Caller, Depends(may(Permission.TAKE_CLAIMS))]

TRIED_AT_ONCE = 50
"""Of the first free studies; when others took them all in the meantime, the reader asks once more."""


class ClaimGiven(BaseModel):
    """A claim that holds."""

    token: int
    """Every write of the reading shows it in the header X-Pandok-Claim."""
    expires_at: float
    heartbeat_s: float = HEARTBEAT_S
    """So often an open case renews its claim."""


class NextGiven(ClaimGiven):
    """The next study of a list, claimed."""

    public_id: str


class TakeReason(BaseModel):
    """Why a study is taken from a colleague; it stays in the history of its claims."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    reason: Annotated[str, StringConstraints(strip_whitespace=True, min_length=3, max_length=500)]


class NextWanted(Filters):
    """The list whose next study is wanted."""

    after_release: Annotated[str | None, Field(max_length=64)] = None
    """A study that the caller gives back first if he still holds it, and does not get again now."""


@router.post("/next")
def claim_next(request: Request, wanted: NextWanted, who: MayRead, token: ClaimToken = None) -> NextGiven:
    """Claim the first free study of a list. Studies whose images still arrive wait, unless they are asked for."""
    if wanted.state == "signed":
        raise Invalid("Signed studies are read already; choose another state.")
    parts = request.app.state
    now = parts.clock()
    database: Database = parts.database
    filters = Filters(**wanted.model_dump(exclude={"after_release", "claim"}), claim="free")
    with database.transaction() as tx:
        given_back = wanted.after_release
        if given_back is not None:
            claims.give_back(tx, who, given_back, token, now=now)
        ask = ask_for(tx, who, parts.settings, now=now, filters=filters)
        free = list_records.first_ids(tx, ask, limit=TRIED_AT_ONCE, but=given_back)
        claimed = claims.claim_next(tx, who, free, now=now)
    if claimed is None:
        raise ServiceError(404, "nothing_left", "No free study is left in this list.")
    return NextGiven(public_id=claimed.public_id, token=claimed.token, expires_at=claimed.expires_at)


@router.post("/{public_id}/claim")
def claim(request: Request, public_id: str, who: MayRead) -> ClaimGiven:
    """Claim a study: from now on the caller alone writes its reading, until the claim ends."""
    parts = request.app.state
    now = parts.clock()
    database: Database = parts.database
    with database.reading() as rx:  # who comes too late hears it without waiting for the write lock
        claims.refuse_early(claim_records.peek(rx, who, public_id), who, now)
    with database.transaction() as tx:
        claimed = claims.claim(tx, who, public_id, now=now)
    return _given(claimed)


@router.put("/{public_id}/claim")
def renew_claim(request: Request, public_id: str, who: MayRead, token: ClaimToken = None) -> ClaimGiven:
    """Keep a claim: the heartbeat of an open case."""
    database: Database = request.app.state.database
    with database.transaction() as tx:
        return _given(claims.renew(tx, who, public_id, token, now=request.app.state.clock()))


@router.delete("/{public_id}/claim", status_code=204)
def release_claim(request: Request, public_id: str, who: MayRead, token: ClaimToken = None) -> None:
    """Give a study back unread."""
    database: Database = request.app.state.database
    with database.transaction() as tx:
        claims.release(tx, who, public_id, token, now=request.app.state.clock())


@router.post("/{public_id}/claim/take")
def take_claim(request: Request, public_id: str, why: TakeReason, who: MayTake) -> ClaimGiven:
    """Take a study from whoever reads it: what that reader still writes is refused."""
    parts = request.app.state
    now = parts.clock()
    with parts.database.transaction() as tx:
        claimed = claims.take_over(tx, who, public_id, reason=why.reason, now=now)
    return _given(claimed)


def _given(claimed: Claim) -> ClaimGiven:
    return ClaimGiven(token=claimed.token, expires_at=claimed.expires_at)
