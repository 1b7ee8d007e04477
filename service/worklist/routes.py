"""The worklist over HTTP: the ordered list, one study, live changes, and what an operator may do."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from service import audit
from service.access import Caller, may
from service.database import Database
from service.errors import Conflict, Invalid, NotFound
from service.roles import Permission
from service.worklist import cursor, list_records, records
from service.worklist.answers import Item, ItemPage
from service.worklist.detail_answers import ItemDetail
from service.worklist.filters import Filters, filters_of
from service.worklist.items import PriorityClass
from service.worklist.looks import answers_for, ask_for, detail_for
from service.worklist.names import FindingName
from service.worklist.records import StudyKey
from service.worklist.watch import LOOK_EVERY_S, Watch

router = APIRouter(prefix="/api/worklist", tags=["worklist"])

KEEP_ALIVE_S = 15.0
STILL_EVERY_S = 10.0
"""An open stream asks this often whether its caller still is one."""

MaySee = Annotated[Caller, Depends(may(Permission.SEE_WORKLIST))]
MayRun = Annotated[Caller, Depends(may(Permission.RUN_SERVICE))]
MaySend = Annotated[Caller, Depends(may(Permission.SEND_STUDIES))]


class PriorityChange(BaseModel):
    """The center's own priority of a study."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    priority: Literal["stat", "urgent", "routine"]


@router.get("")
def list_worklist(
    request: Request,
    who: MaySee,
    filters: Annotated[Filters, Depends(filters_of)],
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    after: Annotated[str | None, Query(alias="cursor", max_length=512)] = None,
) -> ItemPage:
    """List open studies in reading order: waited too long, priority class, due time; or as `sort` says."""
    parts = request.app.state
    try:
        place = cursor.from_text(after, sort=filters.sort) if after else None
    except cursor.CursorRefused:
        raise Invalid("`cursor` is not one that this list gave; start again without it.") from None
    database: Database = parts.database
    now = parts.clock()
    parts.reads.looked(who, "worklist_seen", site_id=who.site_id, object_type="worklist", object_id=None)
    with database.reading() as rx:
        as_of = place.as_of if place else now
        ask = ask_for(rx, who, parts.settings, now=now, filters=filters, as_of=as_of)
        rows = list_records.list_items(rx, ask, limit=limit + 1, after=place)
        return ItemPage(
            now=now,
            counts=list_records.count_states(rx, who),
            items=answers_for(rx, ask, rows[:limit]),
            next_cursor=cursor.to_text(rows[limit - 1]["place"]) if len(rows) > limit else None,
        )


@router.get("/events")
def worklist_events(request: Request, _who: MaySee) -> StreamingResponse:
    """Stream `{"changed": n}` whenever the list may look different (server-sent events)."""
    return StreamingResponse(_events(request), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


@router.get("/names")
def list_finding_names(request: Request, _who: MaySee) -> list[FindingName]:
    """List how the findings of the installed packages are called in each language."""
    names: list[FindingName] = request.app.state.finding_names()  # reads the packages, the first time
    return names


@router.get("/{public_id}")
def get_worklist_item(request: Request, public_id: str, who: MaySee) -> ItemDetail:
    """Return one study with every run, every finding and where its results are, as far as the caller may know."""
    parts = request.app.state
    with parts.database.reading() as rx:
        ask = ask_for(rx, who, parts.settings, now=parts.clock())
        row = list_records.get_item(rx, ask, public_id)
        if row is None:
            raise NotFound
        detail = detail_for(rx, ask, row)
    parts.reads.looked(who, "case_opened", site_id=row["site_id"], object_type="study", object_id=public_id)
    return detail


@router.post("/{public_id}/restart", status_code=202)
def restart(request: Request, public_id: str, who: MayRun) -> Item:
    """Score the study's newest revision again."""
    return _operate(request, public_id, who, "study_restarted", request.app.state.restart_study)


@router.post("/{public_id}/cancel", status_code=202)
def cancel(request: Request, public_id: str, who: MayRun) -> Item:
    """Stop scoring the study's newest revision; it stays in the list, unscored, for a person to read."""
    return _operate(request, public_id, who, "study_canceled", request.app.state.cancel_study)


@router.post("/{public_id}/priority")
def set_priority(request: Request, public_id: str, change: PriorityChange, who: MaySend) -> Item:
    """Set the center's priority. The AI's own raise, if there is one, stays."""
    parts = request.app.state
    with parts.database.transaction() as tx:
        key = records.find_study(tx, who, public_id)
        if key is None:
            raise NotFound
        records.set_center_priority(tx, key.study_id, int(PriorityClass[change.priority.upper()]))
        records.update_item(tx, study_id=key.study_id, now=parts.clock(), settings=parts.settings)
        _note(tx, who, "priority_set", key, now=parts.clock(), priority=change.priority)
    return _item(request, public_id, who)


def _operate(request: Request, public_id: str, who: Caller, action: str, act: Callable[[str], bool]) -> Item:
    parts = request.app.state
    with parts.database.reading() as rx:
        key = records.find_study(rx, who, public_id)
    if key is None:
        raise NotFound
    if not act(public_id):
        raise Conflict("The study is not in a state in which this can be done.")
    with parts.database.transaction() as tx:
        _note(tx, who, action, key, now=parts.clock())
    return _item(request, public_id, who)


def _note(tx: Connection, who: Caller, action: str, key: StudyKey, *, now: float, **detail: str) -> None:
    audit.note(
        tx, who, action, now=now, site_id=key.site_id, object_type="study", object_id=key.public_id, detail=detail
    )


def _item(request: Request, public_id: str, who: Caller) -> Item:
    parts = request.app.state
    with parts.database.reading() as rx:
        ask = ask_for(rx, who, parts.settings, now=parts.clock())
        row = list_records.get_item(rx, ask, public_id)
        if row is None:
            raise NotFound
        [answer] = answers_for(rx, ask, [row])
    return answer


async def _events(request: Request) -> AsyncIterator[str]:
    """Yield events until the page goes, its session ends or the process stops."""
    parts = request.app.state
    watch: Watch = parts.watch
    loop = asyncio.get_running_loop()
    told: int | None = None
    spoke_at = still_at = loop.time()
    while not parts.stopping.is_set() and not await request.is_disconnected():
        changes = await asyncio.to_thread(watch.changes)
        if changes != told:
            told, spoke_at = changes, loop.time()
            yield f"data: {json.dumps({'changed': changes})}\n\n"
        elif loop.time() - spoke_at >= KEEP_ALIVE_S:
            spoke_at = loop.time()
            yield ": still here\n\n"
        if loop.time() - still_at >= STILL_EVERY_S:
            still_at = loop.time()
            if not await asyncio.to_thread(parts.access.is_still, request.headers):
                return
        await asyncio.sleep(LOOK_EVERY_S)
