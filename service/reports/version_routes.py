"""Signed reports over HTTP: read, downloaded as PDF, added to, amended, retracted."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from service import audit
from service.access import Caller, may
from service.catalogue import Language
from service.errors import NotFound, error_body
from service.reports import life, records
from service.reports.answers import AboutAnswer, ReportAnswer, VersionAnswer, version_answer
from service.reports.content import MAX_TEXT, Content
from service.reports.life import Incomplete
from service.reports.records import Report, Version
from service.reports.signing import Desk
from service.reports.versions import STANDING, content_of, facts_of, texts_of
from service.results.visibility import sight_of
from service.roles import Permission

router = APIRouter(prefix="/api/reports", tags=["reports"])

Reader = Annotated[Caller, Depends(may(Permission.READ_CASES))]
ReportReader = Annotated[Caller, Depends(may(Permission.READ_CASES, Permission.SEE_OWN_STUDIES))]
FOR_SITES = STANDING | {"cancelled"}
"""Versions that every center is shown; a preliminary one may still change, and is shown where the policy says so."""


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AddendumAsked(_Asked):
    """What is added to a report that stands."""

    text: Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class AmendmentAsked(_Asked):
    """What a report shall say instead, and why."""

    content: Content
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class RetractionAsked(_Asked):
    """Why a report is taken back."""

    reason: Annotated[str, Field(min_length=1, max_length=1000)]


def desk_of(request: Request) -> Desk:
    """Return what signing needs of the running installation."""
    parts = request.app.state
    return Desk(parts.database, parts.archive, parts.documents, parts.clock)


def incomplete_answer(refusal: Incomplete) -> JSONResponse:
    """Return the answer to a signature that something stands in the way of."""
    body = error_body("incomplete", "The report lacks parts that a signature needs; `missing` lists them.")
    return JSONResponse({**body, "missing": [part.model_dump() for part in refusal.missing]}, status_code=409)


@router.get("/{public_id}")
def get_report(
    request: Request, public_id: str, who: ReportReader, version: Annotated[int | None, Query(ge=1, lt=2**31)] = None
) -> ReportAnswer:
    """Return a signed version in every language; the newest one unless another is asked for."""
    with request.app.state.database.reading() as rx:
        report, chosen, all_seen = _chosen(rx, who, public_id, version)
    _note_read(request, who, report, chosen, "all")
    return ReportAnswer(
        **VersionAnswer.model_dump(version_answer(chosen)),
        public_id=public_id,
        study=report.study_public_id,
        previous_sha256=chosen.previous_sha256,
        is_latest=chosen is all_seen[-1],
        about=AboutAnswer.model_validate(facts_of(chosen), from_attributes=True),
        texts=texts_of(chosen),
        content=content_of(chosen.content["content"]) if who.can(Permission.READ_CASES) else None,
        may_correct=all_seen[-1].status in STANDING and life.may_correct(who, all_seen),
        versions=[version_answer(seen) for seen in all_seen],
    )


@router.get("/{public_id}/pdf", response_class=Response)
def get_pdf(
    request: Request,
    public_id: str,
    who: ReportReader,
    language: Language,
    version: Annotated[int | None, Query(ge=1, lt=2**31)] = None,
) -> Response:
    """Return a signed version's pages as PDF in one language."""
    parts = request.app.state
    with parts.database.reading() as rx:
        report, chosen, _ = _chosen(rx, who, public_id, version)
        document = records.document_of(rx, chosen.id, language)
    if document is None:
        raise NotFound
    pages = parts.documents.get(document["site_id"], document["pdf_sha256"])
    _note_read(request, who, report, chosen, language)
    name = f"report-{public_id[:8]}-{chosen.number}-{language}.pdf"
    return Response(pages, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{name}"'})


@router.post("/{public_id}/addendum", response_model=VersionAnswer)
def add_addendum(request: Request, public_id: str, asked: AddendumAsked, who: Reader) -> Response | VersionAnswer:
    """Add to a final report; what stands there is unchanged."""
    try:
        number = life.append(desk_of(request), request.app.state.settings, who, public_id, text=asked.text)
    except Incomplete as refusal:
        return incomplete_answer(refusal)
    return _version(request, who, public_id, number)


@router.post("/{public_id}/amend", response_model=VersionAnswer)
def amend(request: Request, public_id: str, asked: AmendmentAsked, who: Reader) -> Response | VersionAnswer:
    """Replace what a final report says, with a reason; the earlier version is kept."""
    settings = request.app.state.settings
    try:
        number = life.amend(desk_of(request), settings, who, public_id, content=asked.content, reason=asked.reason)
    except Incomplete as refusal:
        return incomplete_answer(refusal)
    return _version(request, who, public_id, number)


@router.post("/{public_id}/retract", response_model=VersionAnswer)
def retract(request: Request, public_id: str, asked: RetractionAsked, who: Reader) -> Response | VersionAnswer:
    """Take a final report back, with a reason; its study waits for a reader again."""
    try:
        number = life.retract(desk_of(request), request.app.state.settings, who, public_id, reason=asked.reason)
    except Incomplete as refusal:
        return incomplete_answer(refusal)
    return _version(request, who, public_id, number)


def _version(request: Request, who: Caller, public_id: str, number: int) -> VersionAnswer:
    with request.app.state.database.reading() as rx:
        return version_answer(_chosen(rx, who, public_id, number)[1])


def _chosen(rx: Connection, who: Caller, public_id: str, number: int | None) -> tuple[Report, Version, list[Version]]:
    """Return a report, the version asked for or the newest, and all that the caller is shown."""
    report = records.find_report(rx, who, public_id)
    if report is None:
        raise NotFound
    sees_all = who.can(Permission.READ_CASES) or records.shows_preliminary(rx, report.site_id)
    seen = [v for v in records.versions_seen(rx, sight_of(who), report) if sees_all or v.status in FOR_SITES]
    for version in reversed(seen):
        if number is None or version.number == number:
            return report, version, seen
    raise NotFound


def _note_read(request: Request, who: Caller, report: Report, version: Version, language: str) -> None:
    """Note who was shown what; of a person also beside the version, since a center's read is what a loop waits for."""
    parts = request.app.state
    if who.account_id is None:
        parts.reads.looked(who, "report_read", site_id=report.site_id, object_type="report", object_id=report.public_id)
        return
    now = parts.clock()
    with parts.database.transaction() as tx:
        is_new = records.note_read(tx, report, version.id, account_id=who.account_id, language=language, now=now)
        if is_new:
            audit.note(
                tx, who, "report_read", now=now, site_id=report.site_id, object_type="report",
                object_id=report.public_id, detail={"number": version.number, "language": language},
            )  # fmt: skip
