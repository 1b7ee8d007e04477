"""What a radiologist writes: coded findings and free text, and what of the study stands beside it."""

from __future__ import annotations

import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.catalogue import FINDING_CODES, ZONES, Language, findings, quality_reasons, table

MAX_TEXT = 8_000
MAX_FINDINGS = 60


def _finding_code(code: str) -> str:
    if code not in FINDING_CODES:
        raise ValueError("not a finding of the catalogue")
    return code


def _one_of(name: str, kind: str) -> AfterValidator:
    def check(code: str) -> str:
        if code not in table(name)[kind]:
            raise ValueError("not a code of the table")
        return code

    return AfterValidator(check)


def _reason(code: str) -> str:
    if code not in quality_reasons():
        raise ValueError("not a reason of the catalogue")
    return code


def _in_order(zones: list[str]) -> list[str]:
    return [zone for zone in ZONES if zone in zones]


Text = Annotated[str, Field(max_length=MAX_TEXT)]
Zone = Literal["upper", "middle", "lower", "apical", "perihilar", "basal", "retrocardiac"]
Category = Literal[1, 2, 3]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Technique(_Part):
    """How the images were made: a code, or the author's words, or both."""

    code: Annotated[str, _one_of("words", "technique")] | None = None
    text: Text = ""


class Comparison(_Part):
    """What the images were compared with; "none" is said, never left out."""

    kind: Literal["none", "prior"]
    study: Annotated[str, Field(max_length=32)] | None = None
    """The public id of the prior study."""
    date: datetime.date | None = None


class CodedFinding(_Part):
    """One finding with everything that the phrase tables can say of it."""

    code: Annotated[str, AfterValidator(_finding_code)]
    presence: Literal["present", "absent", "uncertain"] = "present"
    certainty: Annotated[int, Field(ge=1, le=5)] | None = None
    side: Literal["right", "left", "both"] | None = None
    zones: Annotated[list[Zone], Field(max_length=7), AfterValidator(_in_order)] = []
    """Each once, from above to below."""
    size_mm: Annotated[float, Field(gt=0, le=999, allow_inf_nan=False)] | None = None
    count: Annotated[int, Field(ge=1, le=99)] | None = None
    severity: Literal["mild", "moderate", "severe"] | None = None
    change: Literal["new", "increased", "decreased", "unchanged", "resolved"] | None = None
    text: Text = ""
    finding_id: int | None = None
    """The AI's finding that this one follows from."""

    @property
    def sureness(self) -> int:
        """The level of certainty, 1 to 5, that a present or uncertain finding is told with."""
        return self.certainty or (5 if self.presence == "present" else 3)


class Quality(_Part):
    """How good the images are."""

    grade: Literal["good", "limited", "insufficient"]
    reasons: Annotated[list[Annotated[str, AfterValidator(_reason)]], Field(max_length=12)] = []


class Content(_Part):
    """A report as its author writes it; a draft may lack parts that a signed one must have."""

    template: Annotated[str, _one_of("report", "template")] | None = None
    """Says what is normal of every region that no finding speaks of."""
    technique: Technique = Technique()
    comparison: Comparison | None = None
    findings: Annotated[list[CodedFinding], Field(max_length=MAX_FINDINGS)] = []
    findings_text: Text = ""
    impression_text: Text = ""
    recommendations: Annotated[list[Annotated[str, _one_of("words", "recommendation")]], Field(max_length=18)] = []
    recommendation_text: Text = ""
    departments: Annotated[list[Annotated[str, _one_of("words", "department")]], Field(max_length=11)] = []
    critical_category: Category | None = None
    quality: Quality | None = None
    language: Language

    @property
    def free_texts(self) -> dict[str, str]:
        """Every text in the author's own words that is not empty, by field."""
        texts = {
            "technique": self.technique.text,
            "findings_text": self.findings_text,
            "impression_text": self.impression_text,
            "recommendation_text": self.recommendation_text,
        } | {f"findings.{index}.text": finding.text for index, finding in enumerate(self.findings)}
        return {field: text for field, text in texts.items() if text.strip()}

    @property
    def abnormal(self) -> list[CodedFinding]:
        """What is there or may be there, the most urgent first, otherwise as the author put it."""
        named = [finding for finding in self.findings if finding.presence != "absent"]
        return sorted(named, key=_urgency)


class Question(_Part):
    """What the center asked, in its own words."""

    question: str
    history: str
    language: Language


class Model(_Part):
    """A model whose findings the reader could see."""

    package: str
    version: str


class Facts(_Part):
    """What stands beside the author's words, as it was when the report was signed."""

    study_date: str | None
    """YYYYMMDD."""
    patient: str
    """The pseudonym by which the center knows the person."""
    sex: str | None
    age_years: float | None
    accession_number: str | None
    site_name: str
    time_zone: str
    images: int
    is_radiograph: bool
    is_lossy: bool
    models: list[Model] | None
    """None: not to be told yet, since the reader has not judged these images alone; a signed report has a list."""
    question: Question | None


class Addendum(_Part):
    """What a signer added to a report that stands."""

    text: Text
    language: Language
    signer: str
    signed_on: str
    """ISO 8601 date and time in the center's zone."""


def _urgency(finding: CodedFinding) -> int:
    """Devices and harmless findings last; what needs somebody first, first."""
    return findings()[finding.code].proposed_category(finding.severity) or 9
