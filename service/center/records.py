"""The center's SQL: its studies with their stage, their newest report, and its questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, Select, func, insert, or_, select, true

from service.access import Caller
from service.center.stages import PROBLEMS, Stage, newest_version, shown_statuses, stage_of
from service.intake.studies import fold
from service.reports.records import shows_preliminary
from service.tables import (
    account,
    clinical_question,
    problem,
    report,
    report_read,
    report_version,
    series,
    study,
    worklist_item,
)

COUNTED_S = 30 * 86_400.0
"""Counts speak of studies whose last image came within this time."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which studies are asked for."""

    stage: Stage | None
    text: str | None
    before_id: int | None
    limit: int


def list_studies(rx: Connection, caller: Caller, asked: Asked, *, now: float) -> list[RowMapping]:
    """Return the caller's studies, the newest first."""
    query = _studies(rx, caller, now).order_by(study.c.id.desc()).limit(asked.limit)
    if asked.stage is not None:
        query = query.where(stage_of(now) == asked.stage.value)
    if asked.before_id is not None:
        query = query.where(study.c.id < asked.before_id)
    if asked.text:
        query = query.where(_matches(asked.text))
    return list(rx.execute(query).mappings().all())


def get_study(rx: Connection, caller: Caller, public_id: str, *, now: float) -> RowMapping | None:
    """Return one of the caller's studies."""
    return rx.execute(_studies(rx, caller, now).where(study.c.public_id == public_id)).mappings().first()


def count_stages(rx: Connection, caller: Caller, *, now: float) -> dict[str, int]:
    """Return how many of the caller's recent studies stand at each stage."""
    staged = (
        select(stage_of(now).label("stage"))
        .join_from(study, worklist_item, worklist_item.c.study_id == study.c.id, isouter=True)
        .where(_seen_by(caller), study.c.last_instance_at > now - COUNTED_S)
        .subquery()
    )
    rows = rx.execute(select(staged.c.stage, func.count().label("studies")).group_by(staged.c.stage))
    return {stage.value: 0 for stage in Stage} | {row.stage: row.studies for row in rows}


def open_problems(rx: Connection, rows: list[RowMapping]) -> dict[tuple[int, str], list[RowMapping]]:
    """Return what is wrong with each of these studies' objects, by site and Study Instance UID."""
    found: dict[tuple[int, str], list[RowMapping]] = {}
    uids = [row["study_instance_uid"] for row in rows]
    if not uids:
        return found
    query = (
        select(
            problem.c.site_id,
            problem.c.study_instance_uid,
            problem.c.kind,
            problem.c.reason,
            func.sum(problem.c.count).label("count"),
        )
        .where(
            problem.c.site_id.in_({row["site_id"] for row in rows}),
            problem.c.study_instance_uid.in_(uids),
            problem.c.resolved_at.is_(None),
            problem.c.kind.in_(PROBLEMS),
        )
        .group_by(problem.c.site_id, problem.c.study_instance_uid, problem.c.kind, problem.c.reason)
        .order_by(problem.c.kind, problem.c.reason)
    )
    for row in rx.execute(query).mappings():
        found.setdefault((row["site_id"], row["study_instance_uid"]), []).append(row)
    return found


def questions_of(rx: Connection, rows: list[RowMapping]) -> dict[tuple[int, str], RowMapping]:
    """Return the newest question of each of these studies."""
    t = clinical_question
    uids = [row["study_instance_uid"] for row in rows]
    query = (
        select(
            t.c.site_id, t.c.study_instance_uid, t.c.question, t.c.history, t.c.language, t.c.made_at, account.c.name
        )
        .outerjoin(account, account.c.id == t.c.account_id)
        .where(t.c.study_instance_uid.in_(uids), t.c.site_id.in_({row["site_id"] for row in rows}))
        .order_by(t.c.id)
    )
    return {(row["site_id"], row["study_instance_uid"]): row for row in rx.execute(query).mappings()}


def faults_of(rx: Connection, rows: list[RowMapping]) -> dict[int, dict[str, int]]:
    """Return, by study id, what is wrong with the slices of its CT and MR series, and with how many."""
    s = series.c
    query = select(s.study_id, s.slice_faults).where(
        s.study_id.in_([row["id"] for row in rows]), s.slice_faults.is_not(None)
    )
    found: dict[int, dict[str, int]] = {}
    for row in rx.execute(query):
        own = found.setdefault(row.study_id, {})
        for code, count in row.slice_faults.items():
            own[code] = own.get(code, 0) + count
    return found


def versions_read(rx: Connection, caller: Caller, version_ids: list[int]) -> set[int]:
    """Return those of these versions that the caller was shown."""
    query = select(report_read.c.report_version_id).where(
        report_read.c.report_version_id.in_(version_ids), report_read.c.account_id == caller.account_id
    )
    return set(rx.execute(query).scalars())


def add_question(tx: Connection, values: Mapping[str, Any]) -> None:
    """Append what a center asks; the newest row counts."""
    tx.execute(insert(clinical_question).values(dict(values)))


def _studies(rx: Connection, caller: Caller, now: float) -> Select[Any]:
    may_be_preliminary = caller.site_id is not None and shows_preliminary(rx, caller.site_id)
    statuses = shown_statuses(with_preliminary=may_be_preliminary)
    images = (
        select(func.count())
        .select_from(series)
        .where(series.c.study_id == study.c.id, ~series.c.is_result)
        .correlate(study)
        .scalar_subquery()
    )
    return (
        select(
            study.c.id,
            study.c.site_id,
            study.c.public_id,
            study.c.study_instance_uid,
            study.c.patient_id,
            study.c.patient_name,
            study.c.patient_sex,
            study.c.age_years,
            study.c.study_date,
            study.c.study_description,
            study.c.accession_number,
            study.c.modalities,
            study.c.instance_count,
            study.c.expected_instances,
            study.c.revision,
            study.c.state,
            study.c.center_priority,
            study.c.first_image_at,
            study.c.last_instance_at,
            study.c.settled_at,
            images.label("series_count"),
            worklist_item.c.center_due_at,
            stage_of(now).label("stage"),
            newest_version(report_version.c.id, statuses).label("version_id"),
            newest_version(report.c.public_id, statuses).label("report_public_id"),
            newest_version(report_version.c.number, statuses).label("version_number"),
            newest_version(report_version.c.status, statuses).label("version_status"),
            newest_version(report_version.c.study_revision, statuses).label("version_revision"),
            newest_version(report_version.c.signed_at, statuses).label("signed_at"),
            newest_version(report_version.c.signer_name, statuses).label("signer"),
            newest_version(report_version.c.content["content"]["critical_category"].as_integer(), statuses).label(
                "critical"
            ),
            newest_version(report_version.c.content["content"]["quality"]["grade"].as_string(), statuses).label(
                "quality"
            ),
        )
        .join_from(study, worklist_item, worklist_item.c.study_id == study.c.id, isouter=True)
        .where(_seen_by(caller))
    )


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    return true() if caller.site_id is None else study.c.site_id == caller.site_id


def _matches(text: str) -> ColumnElement[bool]:
    """Find what a center knows a study by: the person's id or name, or the order's number."""
    return or_(
        study.c.patient_id.icontains(text, autoescape=True),
        study.c.patient_name_folded.contains(fold(text) or text, autoescape=True),
        study.c.accession_number.icontains(text, autoescape=True),
    )
