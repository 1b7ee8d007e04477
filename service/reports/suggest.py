"""A report to begin with: from the reader's verdicts, the images' headers and the normal template."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import RowMapping

from service.catalogue import FINDING_CODES, SEVERITIES, FindingEntry, Language, findings
from service.reports.content import CodedFinding, Comparison, Content, Quality, Technique
from service.reports.required import proposal

Row = Mapping[str, Any] | RowMapping

CHILD_YEARS = 16.0
RADIOGRAPHS = frozenset({"CR", "DX", "RG"})


@dataclass(frozen=True, slots=True)
class Basis:
    """What a suggestion is made from."""

    headers: Sequence[Mapping[str, Any]]
    age_years: float | None
    impression: str | None
    verdicts: Sequence[Row]
    quality: Quality | None
    has_priors: bool
    language: Language


def suggest(basis: Basis) -> Content:
    """Return a whole report where the verdicts allow one; what only a person can say is left open.

    Nothing is called normal that the reader has not: without an impression of normal or a named finding there is no
    normal template. A comparison is left open when there is something to compare with.
    """
    found = suggested_findings(basis.verdicts)
    is_described = bool(found) and all(finding.code != "other_finding" for finding in found)
    draft = Content(
        template=_template(basis) if is_described or (basis.impression == "normal" and not found) else None,
        technique=Technique(code=technique_code(basis.headers)),
        comparison=None if basis.has_priors else Comparison(kind="none"),
        findings=found,
        quality=basis.quality,
        language=basis.language,
    )
    if basis.impression is None or not (draft.template or found or _is_insufficient(basis)):
        return draft
    proposed = proposal(draft)
    return draft.model_copy(
        update={
            "recommendations": proposed.recommendations,
            "departments": proposed.departments,
            "critical_category": proposed.critical_category,
        }
    )


def suggested_findings(verdicts: Sequence[Row]) -> list[CodedFinding]:
    """Return what the reader confirmed, doubts or added, each finding of a place once.

    A model's "something is not normal" names no finding: confirmed alone, it asks the reader for words.
    """
    found: dict[tuple[str, str | None], CodedFinding] = {}
    has_unnamed = False
    for verdict in verdicts:
        if held(verdict) is None:
            continue
        code = verdict["finding_code"]
        entry = findings()[code] if code in FINDING_CODES else None
        if entry is None or not entry.is_reportable:
            has_unnamed = True
            continue
        named = _named(verdict, entry)
        known = found.get((code, named.side))
        if known is None or known.presence == "uncertain":
            found[code, named.side] = named
    if has_unnamed and not found:
        return [CodedFinding(code="other_finding")]
    return list(found.values())


def held(verdict: Row) -> Literal["present", "uncertain"] | None:
    """Return what a verdict holds of its finding: a confirmed "absent" is not there, a rejected one is."""
    match verdict["judgement"], verdict["presence"]:
        case ("missed", _) | ("confirmed", "present") | ("rejected", "absent"):
            return "present"
        case ("uncertain", "present" | "absent"):
            return "uncertain"
    return None


def technique_code(headers: Sequence[Mapping[str, Any]]) -> str | None:
    """Return the code of how a study's images were made, as far as their headers tell."""
    modalities = {str(header.get("modality") or "") for header in headers}
    if modalities and modalities <= RADIOGRAPHS:
        return _radiograph_code(headers)
    if "CT" in modalities:
        return "ct_chest" if any(_is_chest(header) for header in headers) else "ct"
    return "mr" if "MR" in modalities else None


def _radiograph_code(headers: Sequence[Mapping[str, Any]]) -> str:
    if not any(_is_chest(header) for header in headers):
        return "radiograph"
    views = {str(header.get("view_position") or "").upper() for header in headers}
    is_lateral = bool(views & {"LL", "RL", "LATERAL", "LAT"})
    frontal = views - {"LL", "RL", "LATERAL", "LAT"}
    if is_lateral:
        return "chest_two_views" if frontal else "chest_lateral"
    if frontal == {"PA"}:
        return "chest_pa"
    if frontal == {"AP"}:
        lying = any("supine" in str(header.get("patient_position") or "").lower() for header in headers)
        return "chest_ap_supine" if lying else "chest_ap"
    return "chest_frontal"


def _is_chest(header: Mapping[str, Any]) -> bool:
    words = f"{header.get('body_part_examined') or ''} {header.get('study_description') or ''}".lower()
    return any(word in words for word in ("chest", "thorax", "lung"))


def _template(basis: Basis) -> str | None:
    code = technique_code(basis.headers) or ""
    if not code.startswith("chest") or _is_insufficient(basis):
        return None
    is_child = basis.age_years is not None and basis.age_years < CHILD_YEARS
    return "chest_child_normal" if is_child else "chest_normal"


def _is_insufficient(basis: Basis) -> bool:
    return basis.quality is not None and basis.quality.grade == "insufficient"


def _named(verdict: Row, entry: FindingEntry) -> CodedFinding:
    return CodedFinding(
        code=entry.code,
        presence=held(verdict) or "present",
        side=verdict["side"] if verdict["side"] in entry.allowed_sides else None,
        severity=verdict["severity"] if entry.severity and verdict["severity"] in SEVERITIES else None,
        finding_id=verdict["finding_id"],
    )
