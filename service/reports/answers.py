"""What the reports' routes answer: the catalogue in every language, a case's report, a preview, a signed version."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from service.catalogue import LANGUAGES, SEVERITIES, FindingEntry, Language, findings, phrases_version, table
from service.reports.compose import Composed
from service.reports.content import CodedFinding, Content
from service.reports.records import Version
from service.reports.required import Missing, Proposal

Names = dict[Language, str]


class Choice(BaseModel):
    """A code and what it is called."""

    code: str
    names: Names


class FindingChoice(Choice):
    """A finding and what can be said of it."""

    region: str
    sides: list[str]
    zones: bool
    size: bool
    count: bool
    severity: str | None
    """`amount` or `degree`; null: none."""
    critical_category: int | None
    critical_category_severe: int | None
    departments: list[str]
    recommendations: list[str]
    reportable: bool


class TemplateChoice(Choice):
    """A normal template and what it says of each region."""

    modalities: list[str]
    regions: dict[str, Names]
    impression: Names


class MacroChoice(Choice):
    """Findings and follow-up that are filled in together."""

    findings: list[CodedFinding]
    recommendations: list[str]


class Catalogue(BaseModel):
    """Every code of a report with its words in every language."""

    version: str
    findings: list[FindingChoice]
    sides: list[Choice]
    zones: list[Choice]
    severities: dict[str, list[Choice]]
    certainties: list[Choice]
    changes: list[Choice]
    qualities: list[Choice]
    quality_reasons: list[Choice]
    techniques: list[Choice]
    recommendations: list[Choice]
    departments: list[Choice]
    critical_categories: list[Choice]
    templates: list[TemplateChoice]
    macros: list[MacroChoice]


class VersionAnswer(BaseModel):
    """One signed version, without its words."""

    number: int
    status: str
    signed_at: float
    signer: str
    licence: str | None
    reason: str | None
    language: Language
    sha256: str


class CaseReport(BaseModel):
    """The report of a case as its reader needs it."""

    public_id: str | None
    draft: Content | None
    draft_updated_at: float | None
    versions: list[VersionAnswer]
    suggestion: Content


class Preview(BaseModel):
    """A report as it would stand, in every language, what it lacks and what its findings propose."""

    ko: Composed
    en: Composed
    vi: Composed
    ru: Composed
    missing: list[Missing]
    proposed: Proposal


class AboutAnswer(BaseModel):
    """Whose study a report is of, as it was when it was signed: a report without a name may be anybody's."""

    patient: str
    """The pseudonym by which the center knows the person."""
    sex: str | None
    age_years: float | None
    study_date: str | None
    """YYYYMMDD."""
    accession_number: str | None
    site_name: str


class ReportAnswer(VersionAnswer):
    """A signed version in every language, and the report's other versions."""

    public_id: str
    study: str
    previous_sha256: str
    is_latest: bool
    about: AboutAnswer
    texts: dict[Language, Composed]
    content: Content | None
    """The coded report; readers only."""
    may_correct: bool
    """The caller may add to it, amend it or take it back: it stands, and it is theirs or correcting is their duty."""
    versions: list[VersionAnswer]


def catalogue() -> Catalogue:
    """Return the whole catalogue."""
    words, own = table("words"), table("report")
    return Catalogue(
        version=phrases_version(),
        findings=[_finding(entry) for entry in findings().values()],
        sides=_choices(words["side"]),
        zones=_choices(words["zone"]),
        severities={
            kind: [Choice(code=code, names=words["severity"][kind][code]["name"]) for code in SEVERITIES]
            for kind in words["severity"]
        },
        certainties=_choices(words["certainty"]),
        changes=_choices(words["change"]),
        qualities=_choices(words["quality"]),
        quality_reasons=_choices(words["quality_reason"]),
        techniques=_choices(words["technique"]),
        recommendations=_choices(words["recommendation"]),
        departments=_choices(words["department"]),
        critical_categories=_choices(words["critical"]),
        templates=[
            TemplateChoice(
                code=code,
                names=row["name"],
                modalities=row["modalities"],
                regions=row["region"],
                impression=row["impression"],
            )
            for code, row in own["template"].items()
        ],
        macros=[
            MacroChoice(code=code, names=row["name"], findings=row["findings"], recommendations=row["recommendations"])
            for code, row in own["macro"].items()
        ],
    )


def _choices(rows: Mapping[str, Any]) -> list[Choice]:
    named = {code: row.get("name", row) for code, row in rows.items()}
    return [
        Choice(code=code, names={language: names[language] for language in LANGUAGES}) for code, names in named.items()
    ]


def _finding(entry: FindingEntry) -> FindingChoice:
    return FindingChoice(
        code=entry.code,
        names=dict(entry.names),
        region=entry.region,
        sides=list(entry.allowed_sides),
        zones=entry.has_zones,
        size=entry.is_measurable,
        count=entry.is_countable,
        severity=entry.severity,
        critical_category=entry.critical,
        critical_category_severe=entry.critical_severe,
        departments=list(entry.departments),
        recommendations=list(entry.recommendations),
        reportable=entry.is_reportable,
    )


def version_answer(version: Version) -> VersionAnswer:
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
