"""The intake's HTTP doors: STOW-RS, web upload, a sender's word that a study is whole, problems."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from service import audit, site_records
from service.access import Caller, may
from service.database import Database
from service.errors import Invalid, NotFound
from service.intake import problems
from service.intake.body import one_more_body
from service.intake.openapi import STORE, UPLOAD
from service.intake.outcomes import Door, Sender
from service.intake.settling import mark_done
from service.intake.stow import store
from service.intake.uploads import upload
from service.intake.verify import is_valid_uid
from service.roles import Permission
from service.settings import Settings
from service.sites import Site

router = APIRouter()

_MAX_PROBLEMS = 500

MaySend = Annotated[Caller, Depends(may(Permission.SEND_STUDIES))]
MayPickSite = Annotated[Caller, Depends(may(Permission.SEND_STUDIES, Permission.SEE_WORKLIST))]
MaySeeProblems = Annotated[Caller, Depends(may(Permission.SEE_PROBLEMS))]
ProblemId = Annotated[int, Path(ge=1, lt=2**63)]
MayRun = Annotated[Caller, Depends(may(Permission.RUN_SERVICE))]


async def site_of(request: Request, who: MaySend, site: Annotated[str | None, Query(max_length=32)] = None) -> int:
    """Return the site of a request: the caller's own, or for a person of the installation the one that they name.

    Raises:
        Invalid: A person of the installation named no site.
        NotFound: No such site for this caller.
    """
    if site is None:
        if who.site_id is None:
            raise Invalid("Say for which site: add ?site=CODE to the address.", code="site_missing")
        return who.site_id
    found = await asyncio.to_thread(_find_site, request.app.state.database, site)
    if found is None or not who.may_see(found.id):
        raise NotFound("There is no such site.")
    return found.id


def _find_site(database: Database, code: str) -> Site | None:
    with database.reading() as rx:
        return site_records.find_site(rx, code)


SiteId = Annotated[int, Depends(site_of)]


async def study_uid_of(study_instance_uid: str) -> str:
    """Return the Study Instance UID of an address. Raises Invalid for what cannot be one."""
    if not is_valid_uid(study_instance_uid):
        raise Invalid("The Study Instance UID in the address is not a UID.", code="bad_uid")
    return study_instance_uid


StudyUid = Annotated[str, Depends(study_uid_of)]


@router.post("/dicomweb/studies", **STORE)
async def store_instances(request: Request, who: MaySend, site_id: SiteId) -> Response:
    """STOW-RS: store instances of any studies."""
    return await _store(request, Sender(site_id, Door.STOW, who.name), None)


@router.post("/dicomweb/studies/{study_instance_uid}", **STORE)
async def store_instances_of_study(request: Request, who: MaySend, site_id: SiteId, study: StudyUid) -> Response:
    """STOW-RS: store instances of one study; those of others are refused."""
    return await _store(request, Sender(site_id, Door.STOW, who.name), study)


async def _store(request: Request, sender: Sender, study_instance_uid: str | None) -> Response:
    state, settings = request.app.state, _settings(request)
    base = (settings.public_url or str(request.base_url)).rstrip("/") + "/dicomweb"
    with one_more_body(state, settings, (sender.site_id, sender.name)):
        return await store(
            request,
            intake=state.intake,
            settings=settings,
            sender=sender,
            base=base,
            study_instance_uid=study_instance_uid,
        )


@router.get("/api/sites", tags=["intake"])
def list_sites(request: Request, who: MayPickSite) -> Mapping[str, Any]:
    """List the sites that this caller may send for, or whose studies it reads."""
    database: Database = request.app.state.database
    with database.reading() as connection:
        sites = [site for site in site_records.list_sites(connection) if who.may_see(site.id)]
    return {"sites": [{"code": site.code, "name": site.name} for site in sites]}


@router.post("/api/uploads", **UPLOAD)
async def upload_file(request: Request, who: MaySend, site_id: SiteId) -> Response:
    """Take one Part-10 file, or one zip of them, as the request's body; answer an outcome for each file.

    `X-File-Name` (percent-encoded UTF-8) comes back in the answer and is kept nowhere.
    """
    state, settings = request.app.state, _settings(request)
    sender = Sender(site_id, Door.UPLOAD, who.name)
    with one_more_body(state, settings, (site_id, who.name)):
        return await upload(request, intake=state.intake, settings=settings, sender=sender)


class Done(BaseModel):
    """A sender's word that a study is whole."""

    model_config = ConfigDict(extra="forbid")

    expected_instances: int | None = Field(default=None, ge=1, lt=2**31)
    """How many instances the study has; it settles when they are all here. Without it, it settles now."""


@router.post("/api/studies/{study_instance_uid}/done", tags=["intake"])
def study_is_done(request: Request, site_id: SiteId, study: StudyUid, done: Done | None = None) -> Mapping[str, Any]:
    """Say that everything of a study was sent."""
    database: Database = request.app.state.database
    expected = done.expected_instances if done else None
    with database.transaction() as tx:
        now = request.app.state.clock()
        if not mark_done(tx, site_id=site_id, study_instance_uid=study, expected_instances=expected, now=now):
            raise NotFound("No image of this study has arrived.")
        return {"study_instance_uid": study, **(problems.arrival(tx, site_id=site_id, study_instance_uid=study) or {})}


@router.get("/api/studies/{study_instance_uid}/arrival", tags=["intake"])
def study_arrival(request: Request, site_id: SiteId, study: StudyUid) -> Mapping[str, Any]:
    """Tell a sender how much of a study is here, and what of it was refused or is held."""
    database: Database = request.app.state.database
    with database.reading() as connection:
        found = problems.arrival(connection, site_id=site_id, study_instance_uid=study)
        page = problems.Page(site_id, _MAX_PROBLEMS, is_open=True, study_instance_uid=study)
        troubles = problems.newest_problems(connection, page)
    if found is None and not troubles:
        raise NotFound("No image of this study has arrived.")
    return {"study_instance_uid": study, "instance_count": 0, "state": None, **(found or {}), "problems": troubles}


@router.get("/api/problems", tags=["intake"])
def list_problems(
    request: Request,
    who: MaySeeProblems,
    *,
    state: Annotated[str, Query(pattern="^(open|resolved|all)$")] = "open",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
    limit: Annotated[int, Query(ge=1, le=_MAX_PROBLEMS)] = 100,
) -> Mapping[str, Any]:
    """List what was refused, held or broken off, the newest first; `before` is the last id of the page before."""
    database: Database = request.app.state.database
    is_open = {"open": True, "resolved": False}.get(state)
    with database.reading() as connection:
        rows = problems.newest_problems(connection, problems.Page(who.site_id, limit, before, is_open))
    return {"problems": rows}


class Resolution(BaseModel):
    """What an operator did about a problem."""

    model_config = ConfigDict(extra="forbid")

    resolution: str = Field(default="seen", min_length=1, max_length=500)


@router.post("/api/problems/{problem_id}/resolve", status_code=204, tags=["intake"])
def resolve_problem(request: Request, who: MayRun, problem_id: ProblemId, resolution: Resolution | None = None) -> None:
    """Mark a problem as dealt with."""
    database: Database = request.app.state.database
    words = (resolution or Resolution()).resolution
    with database.transaction() as tx:
        now = request.app.state.clock()
        if not problems.resolve_problem(tx, problem_id, site_id=who.site_id, words=words, now=now):
            raise NotFound("There is no such open problem that you may see.")
        number = str(problem_id)
        audit.note(tx, who, "problem_resolved", now=now, site_id=who.site_id, object_type="problem", object_id=number)


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings
