"""What the worklist's routes answer: typed, so that the OpenAPI document says every field."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel

from service.settings import Settings
from service.worklist.items import PriorityClass

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


class Item(BaseModel):
    """One row of the worklist."""

    public_id: str
    site: str
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
    findings: list[FindingAnswer]
    """Those that are present, by probability; the detail has all."""
    evaluated: int
    """How many outputs gave a present or absent; 0 means that nothing is known, not that nothing is there."""
    findings_revision: int | None
    """The revision that the findings are from: less than `revision` while a later one is under way or unscored."""
    failure: str | None
    """Why a part of a scored study has no result: its other findings speak for the rest only."""
    priority_class: int
    priority: Literal["stat", "urgent", "routine"]
    center_priority: int
    ai_priority: int | None
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


class ResultAnswer(BaseModel):
    """A result object and where DICOMweb gives it."""

    kind: str
    revision: int
    url: str
    rendered_url: str | None


class RunAnswer(BaseModel):
    """One package on one image: done, or why not."""

    revision: int
    package: str | None
    package_version: str | None
    package_sha256: str | None
    recipe: str | None
    outcome: Literal["done", "not_applicable", "failed"]
    reason: str | None
    detail: str | None
    view: str | None
    view_source: str | None
    notes: list[str]
    decoder: str | None
    provider: str | None
    instance_number: int | None
    instance_url: str
    started_at: float
    finished_at: float
    findings: list[FindingAnswer]
    results: list[ResultAnswer]


class RevisionAnswer(BaseModel):
    """One settled state of a study's images and what became of it."""

    number: int
    state: str
    reason: str | None
    detail: str | None
    settled_by: str
    settled_at: float
    started_at: float | None
    finished_at: float | None
    attempt: int


class ItemDetail(Item):
    """One study with everything that was done with it."""

    study_url: str
    revisions: list[RevisionAnswer]
    runs: list[RunAnswer]


def row_answer(
    row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], *, now: float, settings: Settings
) -> Item:
    """Return one row's answer from its columns and its newest findings."""
    return Item(**_item_values(row, findings, now=now, settings=settings))


def detail_answer(
    row: Mapping[str, Any],
    *,
    current: Sequence[Mapping[str, Any]],
    revisions: Sequence[Mapping[str, Any]],
    runs: Sequence[Mapping[str, Any]],
    findings: Sequence[Mapping[str, Any]],
    results: Sequence[Mapping[str, Any]],
    now: float,
    settings: Settings,
) -> ItemDetail:
    """Return one study's answer from all its rows."""
    study_url = f"/dicomweb/studies/{row['study_instance_uid']}"
    numbers = {revision["id"]: revision["number"] for revision in revisions}
    return ItemDetail(
        **_item_values(row, current, now=now, settings=settings),
        study_url=study_url,
        revisions=[RevisionAnswer(**{k: v for k, v in revision.items() if k != "id"}) for revision in revisions],
        runs=[
            _run_answer(
                run,
                study_url,
                numbers[run["revision_id"]],
                findings=[f for f in findings if f["run_id"] == run["id"]],
                results=[r for r in results if r["run_id"] == run["id"]],
            )
            for run in runs
        ],
    )


def _item_values(
    row: Mapping[str, Any], findings: Sequence[Mapping[str, Any]], *, now: float, settings: Settings
) -> dict[str, Any]:
    values = {name: row[name] for name in Item.model_fields if name in row}
    shown = [f for f in findings if f["presence"] == "present"]
    shown.sort(key=lambda f: (f["experimental"], -(f["probability"] or 0.0)))
    return values | {
        "modalities": [word for word in row["modalities"].split("\\") if word],
        "findings": [_finding_answer(f, f["package"]) for f in shown],
        "evaluated": sum(f["presence"] in ("present", "absent") for f in findings),
        "findings_revision": findings[0]["revision"] if findings else None,
        "failure": findings[0]["failure"] if findings else None,
        "priority": PriorityClass(row["priority_class"]).word,
        "waited_too_long": row["created_at"] <= now - settings.max_wait_hours * 3600.0,
    }


def _run_answer(
    run: Mapping[str, Any],
    study_url: str,
    revision: int,
    *,
    findings: Iterable[Mapping[str, Any]],
    results: Iterable[Mapping[str, Any]],
) -> RunAnswer:
    values = {name: run[name] for name in RunAnswer.model_fields if name in run}
    return RunAnswer(
        **values,
        revision=revision,
        instance_url=f"{study_url}/series/{run['series_instance_uid']}/instances/{run['sop_instance_uid']}",
        findings=[_finding_answer(f, run["package"]) for f in findings],
        results=[_result_answer(r, study_url) for r in results],
    )


def _result_answer(result: Mapping[str, Any], study_url: str) -> ResultAnswer:
    url = f"{study_url}/series/{result['series_instance_uid']}/instances/{result['sop_instance_uid']}"
    is_image = result["modality"] != "SR"
    return ResultAnswer(
        kind="overlay" if is_image else "structured_report",
        revision=result["revision"],
        url=url,
        rendered_url=f"{url}/rendered" if is_image else None,
    )


def _finding_answer(found: Mapping[str, Any], package: str | None) -> FindingAnswer:
    values = {name: found[name] for name in FindingAnswer.model_fields if name in found}
    raises = found["raises_priority"] and found["presence"] == "present" and not found["experimental"]
    return FindingAnswer(**(values | {"package": package, "raises_priority": raises}))
