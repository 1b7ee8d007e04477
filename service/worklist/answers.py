"""What the worklist's routes answer: typed, so that the OpenAPI document says every field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from service.access import Caller
from service.worklist.items import OPEN_STATES, PriorityClass

Presence = Literal["present", "absent", "undetermined", "not_evaluated"]


class EvidenceAnswer(BaseModel):
    """How well an output parted films with the finding from films without it, on films kept out of training."""

    auroc: float
    """The chance that of two such films the one with the finding scores higher, with its 95 % interval."""
    low: float
    high: float
    films: int
    positives: int
    data: str


class FindingAnswer(BaseModel):
    """One output of one run that readers see. Silence is never "absent": what was not evaluated says so."""

    finding: str
    package: str | None
    presence: Presence
    reason: str | None
    """Why it was not evaluated; None otherwise."""
    probability: float | None
    calibrated: bool
    """False: `probability` and `threshold` only rank, and are no probabilities."""
    operating_point: str | None
    threshold: float | None
    experimental: bool
    evidence: EvidenceAnswer | None
    raises_priority: bool
    """It is present so clearly that it raises the study's priority."""
    place: list[float] | None


class SiteAnswer(BaseModel):
    """The organisation that sent a study."""

    code: str
    name: str
    time_zone: str
    language: str


class ClaimAnswer(BaseModel):
    """Who reads a study now."""

    by: str
    mine: bool
    expires_at: float


class Item(BaseModel):
    """One row of the worklist."""

    public_id: str
    site: SiteAnswer
    patient_name: str | None
    patient_id: str | None
    patient_sex: str | None
    age_years: float | None
    study_date: str | None
    study_description: str | None
    accession_number: str | None
    modalities: list[str]
    series_count: int
    instance_count: int
    flags: list[str]
    state: Literal["arriving", "settled", "scored", "unscored"]
    reason: str | None
    item_state: Literal["scheduled", "in progress", "completed", "canceled"]
    revision: int
    has_question: bool
    """The center asked something of this study."""
    claim: ClaimAnswer | None
    reading: Literal["new", "impression", "draft", "preliminary", "final", "amended", "retracted"]
    """How far it is read: the reader's own work, or the state of its report."""
    findings: list[FindingAnswer] | None
    """Those that are present, by probability; the detail has all. None: the caller may not know them yet."""
    evaluated: int | None
    """How many outputs gave a present or absent; 0 means that nothing is known, not that nothing is there."""
    findings_revision: int | None
    """The revision that the findings are from: less than `revision` while a later one is under way or unscored."""
    failure: str | None
    """Why a part of a scored study has no result: its other findings speak for the rest only."""
    priority_class: int
    """By the caller's reading policy; under `blind` what center and rules ask for."""
    priority: Literal["stat", "urgent", "routine"]
    center_priority: int
    rule_priority: int | None
    """What a routing rule raises to; rules look at headers alone, so that everybody may know."""
    ai_priority: int | None
    """None also for a caller who may not know it yet."""
    waited_too_long: bool
    due_at: float
    first_image_at: float
    last_instance_at: float
    settled_at: float | None
    scored_at: float | None


class ItemPage(BaseModel):
    """One page of the worklist."""

    now: float
    """The service's clock, so that a page's countdown does not depend on the browser's."""
    counts: dict[str, int]
    items: list[Item]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class Look:
    """Who looks at the list, and when."""

    caller: Caller
    now: float
    max_wait_s: float


def row_answer(row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], look: Look) -> Item:
    """Return one row's answer from its columns and its newest findings."""
    return Item(**item_values(row, findings, look))


def item_values(row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], look: Look) -> dict[str, Any]:
    """Return the fields that a row and a study's detail share."""
    values = {name: row[name] for name in Item.model_fields if name in row}
    claim = _claim(row, look)
    is_left = row["item_state"] == "in progress" and claim is None
    return (
        values
        | _seen_values(row, findings)
        | {
            "site": {key: row[f"site_{key}"] for key in SiteAnswer.model_fields},
            "modalities": [word for word in row["modalities"].split("\\") if word],
            "item_state": "scheduled" if is_left else row["item_state"],
            "claim": claim,
            "reading": _reading(row),
            "priority": PriorityClass(row["priority_class"]).word,
            "waited_too_long": row["created_at"] <= look.now - look.max_wait_s,
        }
    )


def _seen_values(row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a row tells of the AI: nothing at all where the caller may not know of any revision."""
    if row["seen_revision"] is None:
        return {"findings": None, "evaluated": None, "findings_revision": None, "failure": None, "ai_priority": None}
    shown = [f for f in findings if f["presence"] == "present"]
    shown.sort(key=lambda f: (f["experimental"], -(f["probability"] or 0.0)))
    return {
        "findings": [finding_answer(f, f["package"]) for f in shown],
        "evaluated": sum(f["presence"] in ("present", "absent") for f in findings),
        "findings_revision": findings[0]["revision"] if findings else None,
        "failure": findings[0]["failure"] if findings else None,
        "ai_priority": row["ai_priority"] if row["seen_revision"] >= row["revision"] else None,
    }


def _claim(row: Mapping[str, Any], look: Look) -> ClaimAnswer | None:
    if row["claimed_by_id"] is None or row["claim_expires_at"] <= look.now:
        return None
    return ClaimAnswer(
        by=row["claimed_by"],
        mine=row["claimed_by_id"] == look.caller.account_id,
        expires_at=row["claim_expires_at"],
    )


_OF_REPORT = {
    "preliminary": "preliminary", "final": "final", "appended": "final", "amended": "amended", "cancelled": "retracted",
}  # fmt: skip


def _reading(row: Mapping[str, Any]) -> str:
    is_open = row["item_state"] in OPEN_STATES  # images that came after a final report wait for a reader of their own
    if row["report_status"] == "preliminary" or (row["report_status"] in _OF_REPORT and not is_open):
        return _OF_REPORT[row["report_status"]]
    return "draft" if row["has_draft"] else "impression" if row["has_impression"] else "new"


def finding_answer(found: Mapping[str, Any], package: str | None) -> FindingAnswer:
    """Return one finding's answer from its columns."""
    values = {name: found[name] for name in FindingAnswer.model_fields if name in found}
    raises = found["raises_priority"] and found["presence"] == "present" and not found["experimental"]
    return FindingAnswer(**(values | {"package": package, "raises_priority": raises}))
