"""Reports over HTTP while a case is being read: the catalogue, drafts, previews."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from service.access import Caller, may
from service.errors import NotFound
from service.reports import answers, records
from service.reports.answers import CaseReport, Catalogue, Preview, VersionAnswer
from service.reports.compose import Standing, compose_all
from service.reports.content import Content, Quality
from service.reports.required import missing_parts, proposal
from service.reports.suggest import Basis, suggest
from service.roles import Permission

router = APIRouter(prefix="/api", tags=["reports"])

Reader = Annotated[Caller, Depends(may(Permission.READ_CASES))]
Anyone = Annotated[Caller, Depends(may(Permission.OWN_ACCOUNT))]


class Written(BaseModel):
    """A report as its author has it on the screen."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    content: Content


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
            draft=Content.model_validate(draft["content"]) if draft else None,
            draft_updated_at=draft["updated_at"] if draft else None,
            versions=[version_answer(v) for v in records.versions_of(rx, report.id)] if report else [],
            suggestion=suggest(_basis(rx, case, who)),
        )


@router.post("/cases/{public_id}/report/preview")
def preview(request: Request, public_id: str, written: Written, who: Reader) -> Preview:
    """Return the report as it would stand in every language, and what keeps it from being signed."""
    with request.app.state.database.reading() as rx:
        case = _case(rx, who, public_id)
        facts = records.facts_of(rx, case)
    texts = compose_all(written.content, facts, Standing())
    return Preview(
        ko=texts["ko"],
        en=texts["en"],
        vi=texts["vi"],
        ru=texts["ru"],
        missing=missing_parts(written.content),
        proposed=proposal(written.content),
    )


def version_answer(version: records.Version) -> VersionAnswer:
    """Return what is told of a version in a list."""
    return VersionAnswer(
        number=version.number,
        status=version.status,
        signed_at=version.signed_at,
        signer=version.signer_name,
        licence=version.signer_licence,
        reason=version.reason,
        language=version.language,  # type: ignore[arg-type]  # checked when it was written
        sha256=version.sha256,
    )


def _case(rx: Connection, who: Caller, public_id: str) -> records.Case:
    case = records.find_case(rx, who, public_id)
    if case is None:
        raise NotFound
    return case


def _account(who: Caller) -> int:
    if who.account_id is None:
        raise NotFound
    return who.account_id


def _basis(rx: Connection, case: records.Case, who: Caller) -> Basis:
    account_id = _account(who)
    quality = records.quality_of(rx, case, account_id)
    return Basis(
        headers=records.image_headers(rx, case.study_id),
        age_years=case.age_years,
        impression=records.impression_of(rx, case, account_id),
        verdicts=records.verdicts_of(rx, case, account_id),
        quality=Quality(grade=quality["grade"], reasons=quality["reasons"]) if quality else None,
        has_priors=records.has_priors(rx, case),
        language=records.signer_of(rx, account_id).language,  # type: ignore[arg-type]  # one of LANGUAGES
    )
