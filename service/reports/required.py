"""What a report lacks before it can be signed, and what its findings propose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from pydantic import BaseModel

from service.catalogue import FINDING_CODES, findings
from service.reports.content import CodedFinding, Content
from service.reports.fonts import unprintable
from service.reports.merging import clashes

MessageCode = Literal[
    "required", "unknown_finding", "side_not_possible", "zone_not_possible", "size_not_possible", "count_not_possible",
    "severity_not_possible", "absent_has_attributes", "certainty_contradicts", "change_needs_prior",
    "resolved_is_absent", "found_twice", "contradicts", "describe_in_words", "quality_reason_needed",
    "normal_on_insufficient", "none_with_others", "unprintable", "verdict_needed", "verdict_not_reported",
    "impression_needed", "not_a_prior",
]  # fmt: skip


class Missing(BaseModel):
    """One thing that stands in the way of a signature."""

    field: str
    message_code: MessageCode


class Proposal(BaseModel):
    """What the rule tables propose for the findings; the radiologist decides."""

    critical_category: int | None
    recommendations: list[str]
    departments: list[str]


def missing_parts(content: Content) -> list[Missing]:
    """Return everything that keeps the content from being signed (STANDARDS REP-1), in the order of the report."""
    return [Missing(field=field, message_code=code) for field, code in _problems(content)]


def unreported(content: Content, held_true: Iterable[str]) -> list[Missing]:
    """Return the findings that the signer's own verdicts hold true and the report does not tell."""
    told = {finding.code for finding in content.abnormal}
    entries = [findings()[code] for code in dict.fromkeys(held_true) if code in FINDING_CODES]
    return [
        Missing(field=f"verdicts.{entry.code}", message_code="verdict_not_reported")
        for entry in entries
        if entry.is_reportable and entry.code not in told
    ]


def proposal(content: Content) -> Proposal:
    """Return the urgency, follow-up and departments that the findings propose (STANDARDS 4.4, 6.2, 6.3)."""
    categories: list[int] = []
    recommendations: list[str] = []
    departments: list[str] = []
    for finding in content.abnormal:
        entry = findings()[finding.code]
        if (category := entry.proposed_category(finding.severity)) is not None and finding.sureness >= _LIKELY:
            categories.append(category)
        if finding.sureness >= _POSSIBLE:
            recommendations += [code for code in entry.recommendations if code != "none"]
            departments += entry.departments
    if content.quality and content.quality.grade == "insufficient":
        recommendations.insert(0, "repeat_radiograph")
    return Proposal(
        critical_category=min(categories, default=None),
        recommendations=list(dict.fromkeys(recommendations)) or ["none"],
        departments=list(dict.fromkeys(departments)),
    )


_LIKELY, _POSSIBLE = 3, 2
"""Certainty from which on an urgency, and a follow-up, is proposed."""

Problem = tuple[str, MessageCode]


def _problems(content: Content) -> Iterator[Problem]:
    if not content.technique.code and not content.technique.text.strip():
        yield "technique", "required"
    if content.comparison is None:
        yield "comparison", "required"
    cannot_tell = content.quality is not None and content.quality.grade == "insufficient"
    if not (content.findings or content.template or content.findings_text.strip() or cannot_tell):
        yield "findings", "required"
    for index, finding in enumerate(content.findings):
        for code in _finding_problems(finding, content):
            yield f"findings.{index}", code
    yield from _twice(content)
    # A template's impression is "normal": words on findings beside it may say anything, and ask for their own.
    has_normal = content.template is not None and not content.findings_text.strip()
    if not (content.abnormal or has_normal or content.impression_text.strip() or cannot_tell):
        yield "impression_text", "required"
    if not content.recommendations and not content.recommendation_text.strip():
        yield "recommendations", "required"
    if "none" in content.recommendations and len(content.recommendations) > 1:
        yield "recommendations", "none_with_others"
    yield from _quality_problems(content)
    for field, text in content.free_texts.items():
        if unprintable(text):
            yield field, "unprintable"


def _finding_problems(finding: CodedFinding, content: Content) -> Iterator[MessageCode]:
    entry = findings()[finding.code]
    if not entry.is_reportable:
        yield "unknown_finding"
    if finding.side and finding.side not in entry.allowed_sides:
        yield "side_not_possible"
    if finding.zones and not entry.has_zones:
        yield "zone_not_possible"
    if finding.size_mm is not None and not entry.is_measurable:
        yield "size_not_possible"
    if finding.count is not None and not entry.is_countable:
        yield "count_not_possible"
    if finding.severity and entry.severity is None:
        yield "severity_not_possible"
    yield from _presence_problems(finding)
    if finding.change and (content.comparison is None or content.comparison.kind == "none"):
        yield "change_needs_prior"
    if finding.code == "other_finding" and not (finding.text.strip() or content.findings_text.strip()):
        yield "describe_in_words"


def _presence_problems(finding: CodedFinding) -> Iterator[MessageCode]:
    attributes = (finding.size_mm, finding.count, finding.severity, finding.certainty)
    if finding.presence == "absent" and any(value is not None for value in attributes):
        yield "absent_has_attributes"
    if (finding.presence == "uncertain" and finding.certainty == 5) or (
        finding.presence == "present" and finding.certainty in (1, 2)
    ):
        yield "certainty_contradicts"
    if (finding.change == "resolved") != (finding.presence == "absent" and finding.change is not None):
        yield "resolved_is_absent"


def _twice(content: Content) -> Iterator[Problem]:
    """A finding said twice of one place is a slip; said of a side and denied of it is a contradiction."""
    for field in clashes(content):
        yield field, "found_twice"
    denied = {
        (finding.code, side)
        for finding in content.findings
        if finding.presence == "absent" and not finding.zones
        for side in _DENIES[finding.side]
    }
    for index, finding in enumerate(content.findings):
        if finding.presence != "absent" and (finding.code, finding.side) in denied:
            yield f"findings.{index}", "contradicts"


_DENIES: Mapping[str | None, tuple[str | None, ...]] = {
    None: (None, "right", "left", "both"),
    "both": (None, "right", "left", "both"),
    "right": ("right", "both"),
    "left": ("left", "both"),
}
"""The sides of which a finding can no longer be said once it is denied of a side."""


def _quality_problems(content: Content) -> Iterator[Problem]:
    quality = content.quality
    if quality is None:
        yield "quality", "required"
    elif quality.grade != "good" and not quality.reasons:
        yield "quality", "quality_reason_needed"
    if quality and quality.grade == "insufficient" and content.template and not content.abnormal:
        yield "template", "normal_on_insufficient"
