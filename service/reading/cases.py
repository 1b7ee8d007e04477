"""One case, put together for one reader: images, priors, question, his own reading, and the AI once he may know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection

from preprocessing.header import from_json
from preprocessing.view import View, read_view
from service import catalogue
from service.reading import case_records, records
from service.reading.answers import (
    AiView,
    CaseView,
    FindingView,
    ImageView,
    ImpressionView,
    NamesView,
    PatientView,
    PriorReport,
    PriorView,
    QuestionView,
    ReadingView,
    RunView,
    SeriesView,
    StackView,
    UnscoredView,
    VerdictView,
)
from service.reading.images import image_view
from service.reading.records import Reading
from service.reading.requests import QualityGiven
from service.reading.stacks import arranged
from service.roles import READERS
from service.worklist import finding_records
from service.worklist.criteria import Ask
from service.worklist.items import OPEN_STATES
from service.worklist.list_records import Row
from service.worklist.looks import answers_for
from service.worklist.names import FindingName

Names = Callable[[], Sequence[FindingName]]
"""Gives what the installed packages call their findings."""


def case_view(rx: Connection, ask: Ask, row: Row, names: Names) -> CaseView:
    """Return a case as the caller may see it now.

    Args:
        rx: One view of the tables, so that no part of the answer is newer than another.
        ask: Who looks, under which policies, how far into the AI's results.
        row: The study's item.
        names: What the installed packages call their findings.
    """
    [item] = answers_for(rx, ask, [row])
    study_id = row["study_id"]
    base = f"/dicomweb/studies/{row['study_instance_uid']}"
    images = case_records.list_images(rx, study_id)
    birth_date, sex = case_records.identity_of(rx, study_id)
    question = case_records.find_question(rx, row["site_id"], row["study_instance_uid"])
    return CaseView(
        item=item,
        study_instance_uid=row["study_instance_uid"],
        patient=PatientView(
            name=row["patient_name"], id=row["patient_id"], sex=sex, age_years=row["age_years"], birth_date=birth_date
        ),
        question=QuestionView(**question) if question else None,
        series=_series(images, base, case_records.geometries_of(rx, study_id)),
        priors=_priors(rx, ask, row, (birth_date, sex), {read_view(from_json(one["header"])).view for one in images}),
        reading=_reading(rx, ask, row, item.claim),
        unscored=_unscored(rx, ask, row),
        ai=ai_view(rx, ask, row, names),
    )


def ai_view(rx: Connection, ask: Ask, row: Row, names: Names) -> AiView | None:
    """Return what the AI found in the newest revision that the caller may know of; None when there is none."""
    seen = row["seen_revision"]
    if seen is None:
        return None
    revisions = finding_records.list_revisions(rx, row["study_id"])
    newest = max((r["number"] for r in revisions if r["state"] == "scored" and r["number"] <= seen), default=None)
    if newest is None:
        return AiView(revision=min(seen, row["revision"]), runs=[])
    revision_id = next(r["id"] for r in revisions if r["number"] == newest)
    runs = finding_records.list_runs(rx, row["study_id"], ask.sight)
    findings = finding_records.list_findings(rx, row["study_id"], ask.sight)
    display = {(name.package, name.finding): name for name in names()}
    return AiView(
        revision=newest,
        runs=[
            _run(run, [f for f in findings if f["run_id"] == run["id"]], display)
            for run in runs
            if run["revision_id"] == revision_id and run["outcome"] == "done"
        ],
    )


def verdict_views(rows: Iterable[Row]) -> list[VerdictView]:
    """Return the answers of verdict rows."""
    return [
        VerdictView(
            finding_id=row["finding_id"],
            code=row["finding_code"],
            judgement=row["judgement"],
            instance=row["sop_instance_uid"],
            place=row["place"],
            side=row["side"],
            severity=row["severity"],
            made_at=row["made_at"],
        )
        for row in rows
    ]


def reading_of(ask: Ask, row: Row) -> Reading:
    """Return the caller's reading of the study's newest revision."""
    return Reading(row["site_id"], row["study_id"], ask.caller.account_id or 0, row["revision"])


def _series(images: Iterable[Row], base: str, geometries: Mapping[int, Any]) -> list[SeriesView]:
    views: dict[int, list[tuple[int, ImageView]]] = {}
    first: dict[int, Row] = {}
    for row in images:
        header = from_json(row["header"])
        if not header.has_pixel_data:
            continue
        url = f"{base}/series/{row['series_instance_uid']}/instances/{header.sop_instance_uid}"
        views.setdefault(row["series_id"], []).append((row["instance_id"], image_view(header, url)))
        first.setdefault(row["series_id"], row)
    return [_series_view(row, *arranged(views[key], geometries.get(key))) for key, row in first.items()]


def _series_view(row: Row, instances: list[ImageView], stacks: list[StackView]) -> SeriesView:
    return SeriesView(
        series_instance_uid=row["series_instance_uid"],
        modality=row["modality"],
        number=row["series_number"],
        description=row["series_description"],
        body_part=row["body_part_examined"],
        instances=instances,
        stacks=stacks,
    )


def _priors(
    rx: Connection, ask: Ask, row: Row, identity: tuple[str | None, str | None], views: set[View]
) -> list[PriorView]:
    priors = case_records.list_priors(rx, row)
    ids = [prior["study_id"] for prior in priors]
    reports = case_records.reports_of(rx, ask, ids)
    seen: dict[int, set[View]] = {}
    for study_id, header in case_records.headers_of(rx, ids):
        seen.setdefault(study_id, set()).add(read_view(from_json(header)).view)
    return [
        PriorView(
            public_id=prior["public_id"],
            study_date=prior["study_date"],
            days_before=_days_between(prior["study_date"], row["study_date"]),
            modalities=[word for word in prior["modalities"].split("\\") if word],
            description=prior["study_description"],
            same_view=any(_can_compare(one, other) for one in views for other in seen.get(prior["study_id"], ())),
            report=_prior_report(reports.get(prior["study_id"])),
            identity_doubt=_differ(identity, (prior["patient_birth_date"], prior["patient_sex"])),
        )
        for prior in priors
    ]


def _prior_report(shown: Row | None) -> PriorReport | None:
    return PriorReport(public_id=shown["public_id"], status=shown["status"]) if shown else None


_FRONTAL = frozenset({View.PA, View.AP, View.FRONTAL})


def _can_compare(one: View, other: View) -> bool:
    """Tell whether films of two views can lie side by side: frontal beside frontal, lateral beside lateral."""
    return (one in _FRONTAL and other in _FRONTAL) or (one is other is View.LATERAL)


def _differ(identity: tuple[str | None, str | None], other: tuple[str | None, str | None]) -> bool:
    return any(a and b and a != b for a, b in zip(identity, other, strict=True))


def _days_between(earlier: str | None, later: str | None) -> int | None:
    try:
        return (date.fromisoformat(later or "") - date.fromisoformat(earlier or "")).days
    except ValueError:
        return None


def _reading(rx: Connection, ask: Ask, row: Row, claim: Any) -> ReadingView:
    reading = reading_of(ask, row)
    impression = records.find_impression(rx, reading)
    quality = records.find_quality(rx, reading)
    is_open = row["item_state"] in OPEN_STATES
    return ReadingView(
        policy=ask.policies.of(row["site_id"], row["rule_policy"]),
        impression=ImpressionView(**impression) if impression else None,
        needs_impression=is_open and impression is None and ask.caller.role in READERS,
        verdicts=verdict_views(records.list_verdicts(rx, reading)),
        quality=QualityGiven(**quality) if quality else None,
        draft_updated_at=records.draft_updated_at(rx, row["study_id"], ask.caller.account_id),
        claim=claim,
    )


def _unscored(rx: Connection, ask: Ask, row: Row) -> list[UnscoredView]:
    """Return the images of the newest revision without a result; without runs, the study's own reason."""
    revisions = finding_records.list_revisions(rx, row["study_id"])
    newest = revisions[-1]["id"] if revisions else None
    found = [
        UnscoredView(reason=run["reason"], instance=run["sop_instance_uid"])
        for run in finding_records.list_runs(rx, row["study_id"], ask.sight)
        if run["revision_id"] == newest and run["outcome"] != "done" and run["reason"]
    ]
    if not found and row["state"] == "unscored" and row["reason"]:
        return [UnscoredView(reason=row["reason"], instance=None)]
    return found


def _run(run: Row, findings: Iterable[Row], display: dict[tuple[str, str], FindingName]) -> RunView:
    return RunView(
        run_id=run["id"],
        package=run["package"],
        version=run["package_version"],
        sha256=run["package_sha256"],
        instance=run["sop_instance_uid"],
        view=run["view"],
        notes=run["notes"],
        shown_findings=[_finding(run, finding, display) for finding in findings],
    )


def _finding(run: Row, finding: Row, display: dict[tuple[str, str], FindingName]) -> FindingView:
    has_map = run["heat_map_sha256"] is not None and run["tensor_sha256"] is not None
    values = {name: finding[name] for name in FindingView.model_fields if name in finding}
    return FindingView(
        **values,
        code=finding["finding"],
        names=_names(display.get((run["package"], finding["finding"])), finding["finding"]),
        heat_map_url=f"/api/runs/{run['id']}/heat-maps/{finding['channel']}" if has_map else None,
    )


def _names(known: FindingName | None, code: str) -> NamesView:
    """Return a finding's names: the package's own, else the catalogue's; a package may have gone since."""
    if known is not None:
        return NamesView(ko=known.ko, en=known.en, vi=known.vi, ru=known.ru)
    entry = catalogue.findings().get(code)
    words = code.replace("_", " ")
    return (
        NamesView(**{str(key): text for key, text in entry.names.items()})
        if entry
        else NamesView(ko=words, en=words, vi=words, ru=words)
    )
