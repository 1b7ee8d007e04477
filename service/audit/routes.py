"""The audit over HTTP, for those who may read it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict

from service.access import Caller, may
from service.audit.records import Wanted, newest_events
from service.database import Database
from service.roles import Permission

router = APIRouter(prefix="/api/audit", tags=["audit"])

MayRead = Annotated[Caller, Depends(may(Permission.READ_AUDIT))]
_Text = Annotated[str | None, Query(min_length=1, max_length=64)]


class Event(BaseModel):
    """One event of the audit."""

    model_config = ConfigDict(frozen=True)

    id: int
    at: float
    actor: str
    actor_name: str | None
    role: str | None
    site: str | None
    action: str
    outcome: str
    object_type: str | None
    object_id: str | None
    detail: dict[str, Any]
    request_id: str | None
    sha256: str


class EventPage(BaseModel):
    """Events, the newest first."""

    model_config = ConfigDict(frozen=True)

    events: list[Event]
    next_after: int | None
    """Give it as `after` for the page of older ones."""


@router.get("")
def list_events(
    request: Request,
    who: MayRead,
    *,
    after: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    object_id: _Text = None,
    actor: _Text = None,
    action: _Text = None,
) -> EventPage:
    """List events, the newest first; `after` is the `next_after` of the page before."""
    request.app.state.reads.looked(who, "audit_read", site_id=who.site_id, object_type="audit", object_id=None)
    database: Database = request.app.state.database
    with database.reading() as rx:
        rows = newest_events(rx, who, Wanted(after, limit + 1, object_id, actor, action))
    events = [Event.model_validate({name: row[name] for name in Event.model_fields}) for row in rows[:limit]]
    return EventPage(events=events, next_after=events[-1].id if len(rows) > limit else None)
