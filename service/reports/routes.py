"""Reports over HTTP while a case is being read: the catalogue, drafts, previews."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from service.access import Caller, may
from service.errors import NotFound
from service.reports import answers, case_records, life, records
from service.reports.answers import CaseReport, Catalogue, Preview, VersionAnswer, version_answer
from service.reports.case_records import Case
from service.reports.compose import Standing, compose_all
from service.reports.content import Content, Quality
from service.reports.life import Incomplete
from service.reports.merging import merged
from service.reports.required import missing_parts, proposal
from service.reports.suggest import Basis, suggest
from service.reports.version_routes import desk_of, incomplete_answer
from service.reports.versions import content_of
from service.results.visibility import sight_of
from service.roles import Permission
from service.worklist import claims
from service.worklist.claims import ClaimToken

router = APIRouter(prefix="/api", tags=["reports"])

Reader = Annotated[Caller, Depends(may(Permission.READ_CASES))]
Anyone = Annotated[Caller, Depends(may(Permission.OWN_ACCOUNT))]


class Written(BaseModel):
    """A report as its author has it on the screen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: Content


class Signing(Written):
    """A report to be signed."""

    status: Literal["preliminary", "final"]
    revision: Annotated[int, Field(ge=1, lt=2**31)]
    """Of the study: which of its images the author had before him."""


class DraftStored(BaseModel):
    """When a draft was kept."""

    updated_at: float


@router.get("/findings")
def get_catalogue(_who: Anyone) -> Catalogue:
    """Return every code of a report with its words in every language."""
    return answers.catalogue()


@router.get("/cases/{public_id}/report")
def get_case_report(request: Request, public_id: str, who: Reader) -> CaseReport:
    """Return the reader's draft, the signed versions and a report to begin with."""
    with request.app.state.database.reading() as rx:
        case = _case(rx, who, public_id)
        report = records.report_of(rx, case.study_id)
        draft = records.draft_of(rx, case, _account(who))
        return CaseReport(
            public_id=report.public_id if report else None,
            draft=content_of(draft["content"]) if draft else None,
            draft_updated_at=draft["updated_at"] if draft else None,
            versions=[version_answer(v) for v in records.versions_seen(rx, sight_of(who), report)] if report else [],
            suggestion=suggest(_basis(rx, case, who)),
        )


@router.put("/cases/{public_id}/report/draft")
def keep_draft(
    request: Request, public_id: str, written: Written, who: Reader, token: ClaimToken = None
) -> DraftStored:
    """Keep the reader's draft; it needs the claim, so that two windows do not overwrite each other."""
    parts = request.app.state
    now = parts.clock()
    with parts.database.transaction() as tx:
        claims.require(tx, who, public_id, token, now)
        records.save_draft(tx, _case(tx, who, public_id), _account(who), written.content, now)
    return DraftStored(updated_at=now)


@router.post("/cases/{public_id}/report/sign", response_model=VersionAnswer)
def sign(
    request: Request, public_id: str, signing: Signing, who: Reader, token: ClaimToken = None
) -> Response | VersionAnswer:
    """Sign the report; a final one ends the case, prints its pages and stores them in the study."""
    parts = request.app.state
    try:
        number = life.sign(
            desk_of(request),
            parts.settings,
            who,
            public_id,
            token=token,
            content=signing.content,
            status=signing.status,
            revision=signing.revision,
        )
    except Incomplete as refusal:
        return incomplete_answer(refusal)
    with parts.database.reading() as rx:
        report = records.report_of(rx, _case(rx, who, public_id).study_id)
        versions = records.versions_of(rx, report.id) if report else []
    return next(version_answer(version) for version in versions if version.number == number)


@router.post("/cases/{public_id}/report/preview")
def preview(request: Request, public_id: str, written: Written, who: Reader) -> Preview:
    """Return the report as it would stand in every language, and what keeps it from being signed."""
    with request.app.state.database.reading() as rx:
        case = _case(rx, who, public_id)
        facts = case_records.facts_of(rx, case, sight_of(who))
    texts = compose_all(merged(written.content), facts, Standing())
    return Preview(
        ko=texts["ko"],
        en=texts["en"],
        vi=texts["vi"],
        ru=texts["ru"],
        missing=missing_parts(written.content),
        proposed=proposal(written.content),
    )


def _case(rx: Connection, who: Caller, public_id: str) -> Case:
    case = case_records.find_case(rx, who, public_id)
    if case is None:
        raise NotFound
    return case


def _account(who: Caller) -> int:
    if who.account_id is None:
        raise NotFound
    return who.account_id


def _basis(rx: Connection, case: Case, who: Caller) -> Basis:
    account_id = _account(who)
    quality = case_records.quality_of(rx, case, account_id)
    return Basis(
        headers=case_records.image_headers(rx, case.study_id),
        age_years=case.age_years,
        impression=case_records.impression_of(rx, case, account_id),
        verdicts=case_records.verdicts_of(rx, case, account_id),
        quality=Quality(grade=quality["grade"], reasons=quality["reasons"]) if quality else None,
        has_priors=case_records.has_priors(rx, case),
        language=case_records.signer_of(rx, account_id).language,
    )
