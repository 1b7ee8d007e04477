"""Cases over HTTP: what a reader sees, his first impression, his verdicts, what his page did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Depends, Header, Request
from sqlalchemy import Connection

from service import audit
from service.access import Caller, may
from service.database import Database
from service.errors import NotFound
from service.reading import judging, records
from service.reading.answers import AiView, CaseView, ImpressionStored, VerdictsStored
from service.reading.cases import ai_view, case_view, reading_of, verdict_views
from service.reading.records import Reading
from service.reading.requests import EventsGiven, ImpressionGiven, VerdictsGiven
from service.roles import Permission
from service.worklist import claims, list_records
from service.worklist.claims import Claimed, ClaimToken
from service.worklist.criteria import Ask
from service.worklist.list_records import Row
from service.worklist.looks import ask_for

router = APIRouter(prefix="/api/cases", tags=["reading"])

MaySee = Annotated[Caller, Depends(may(Permission.SEE_WORKLIST))]
MayRead = Annotated[Caller, Depends(may(Permission.READ_CASES))]
Prefetch = Annotated[bool, Header(alias="X-Pandok-Prefetch")]
"""The page fetches ahead what its reader will probably want: nobody opened the case."""


@router.get("/{public_id}")
def get_case(request: Request, public_id: str, who: MaySee, is_prefetch: Prefetch = False) -> CaseView:
    """Return a case with its images, priors, question and the caller's own reading; the AI once he may know it."""
    parts = request.app.state
    database: Database = parts.database
    with database.reading() as rx:
        ask, row = _find(rx, request, public_id, who)
        view = case_view(rx, ask, row, parts.finding_names)
    action = "case_prefetched" if is_prefetch else "case_opened"
    parts.reads.looked(who, action, site_id=row["site_id"], object_type="study", object_id=public_id)
    return view


@router.post("/{public_id}/impression")
def give_impression(
    request: Request, public_id: str, given: ImpressionGiven, who: MayRead, token: ClaimToken = None
) -> ImpressionStored:
    """Store the first impression, once for each revision; from its commit on its reader may know what the AI found."""
    parts = request.app.state
    database: Database = parts.database
    now = parts.clock()
    with database.transaction() as tx:
        claimed = claims.require(tx, who, public_id, token, now)
        claims.refuse_new_images(claimed, given.revision)
        ask, row = _find(tx, request, public_id, who)
        policy = ask.policies.of(claimed.site_id, row["rule_policy"])
        is_new = judging.store_impression(tx, _reading(claimed, who), given, policy=policy, state=row["state"], now=now)
        if is_new:
            detail = {"revision": claimed.revision, "policy": policy}
            _note(tx, who, claimed, "impression_stored", now=now, detail=detail)
    return ImpressionStored(ai=_ai(request, public_id, who))


@router.put("/{public_id}/verdicts")
def give_verdicts(
    request: Request, public_id: str, given: VerdictsGiven, who: MayRead, token: ClaimToken = None
) -> VerdictsStored:
    """Store every verdict of the reader on this case, and the images' quality; earlier ones are kept as replaced."""
    parts = request.app.state
    database: Database = parts.database
    now = parts.clock()
    with database.transaction() as tx:
        claimed = claims.require(tx, who, public_id, token, now)
        claims.refuse_new_images(claimed, given.revision)
        reading = _reading(claimed, who)
        if judging.store_verdicts(tx, reading, given, now=now):
            detail = {"revision": claimed.revision, "verdicts": len(given.verdicts)}
            _note(tx, who, claimed, "verdicts_stored", now=now, detail=detail)
        stored = verdict_views(records.list_verdicts(tx, reading))
        return VerdictsStored(verdicts=stored, quality=judging.quality_of(tx, reading))


@router.post("/{public_id}/events", status_code=204)
def note_events(request: Request, public_id: str, given: EventsGiven, who: MayRead) -> None:
    """Note what the reader's page did: opened, closed, overlay on and off."""
    parts = request.app.state
    database: Database = parts.database
    with database.transaction() as tx:
        ask, row = _find(tx, request, public_id, who)
        judging.store_events(tx, reading_of(ask, row), given, now=parts.clock())


def _find(rx: Connection, request: Request, public_id: str, who: Caller) -> tuple[Ask, Row]:
    parts = request.app.state
    ask = ask_for(rx, who, parts.settings, now=parts.clock())
    row = list_records.get_item(rx, ask, public_id)
    if row is None:
        raise NotFound
    return ask, row


def _ai(request: Request, public_id: str, who: Caller) -> AiView | None:
    """Look anew after the commit: nothing of the AI leaves before the impression is durable."""
    parts = request.app.state
    database: Database = parts.database
    with database.reading() as rx:
        ask, row = _find(rx, request, public_id, who)
        return ai_view(rx, ask, row, parts.finding_names)


def _reading(claimed: Claimed, who: Caller) -> Reading:
    return Reading(claimed.site_id, claimed.study_id, who.account_id or 0, claimed.revision)


def _note(
    tx: Connection, who: Caller, claimed: Claimed, action: str, *, now: float, detail: Mapping[str, object]
) -> None:
    audit.note(
        tx, who, action, now=now, site_id=claimed.site_id, object_type="study", object_id=claimed.public_id,
        detail=detail,
    )  # fmt: skip
