"""What the worklist's routes answer of one study: its revisions, runs, findings and results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from service.worklist.answers import FindingAnswer, Item, Look, finding_answer, item_values


class DecisionAnswer(BaseModel):
    """What a routing rule decided, and which rule of which revision of the rules."""

    effect: str
    value: str | float | list[str]
    rule: str
    revision: int


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
    routing: list[DecisionAnswer]
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
    routing: list[DecisionAnswer]
    """Why it is as urgent as it is, and waited for as long, as far as rules decided that."""
    revisions: list[RevisionAnswer]
    runs: list[RunAnswer]


@dataclass(frozen=True, slots=True)
class Detail:
    """The rows of one study with everything that was done with it, as far as the caller sees."""

    row: Mapping[str, Any]
    current: Sequence[Mapping[str, Any]]
    revisions: Sequence[Mapping[str, Any]]
    runs: Sequence[Mapping[str, Any]]
    findings: Sequence[Mapping[str, Any]]
    results: Sequence[Mapping[str, Any]]


def detail_answer(rows: Detail, look: Look) -> ItemDetail:
    """Return one study's answer from all its rows."""
    study_url = f"/dicomweb/studies/{rows.row['study_instance_uid']}"
    numbers = {revision["id"]: revision["number"] for revision in rows.revisions}
    return ItemDetail(
        **item_values(rows.row, rows.current, look),
        study_url=study_url,
        routing=[DecisionAnswer(**decision) for decision in rows.row["routing"] or ()],
        revisions=[RevisionAnswer(**{k: v for k, v in revision.items() if k != "id"}) for revision in rows.revisions],
        runs=[
            _run_answer(
                run,
                study_url,
                numbers[run["revision_id"]],
                findings=[f for f in rows.findings if f["run_id"] == run["id"]],
                results=[r for r in rows.results if r["run_id"] == run["id"]],
            )
            for run in rows.runs
        ],
    )


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
        **{**values, "routing": run["routing"] or []},
        revision=revision,
        instance_url=f"{study_url}/series/{run['series_instance_uid']}/instances/{run['sop_instance_uid']}",
        findings=[finding_answer(f, run["package"]) for f in findings],
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
