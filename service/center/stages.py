"""Where a study stands, in the words of who sent it; what the AI found is in none of them."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select
from sqlalchemy import tuple_ as row_of

from service.tables import problem, report, report_version, series, study, worklist_item


class Stage(StrEnum):
    """One word for where a study stands."""

    ARRIVING = "arriving"
    RECEIVED = "received"
    BEING_READ = "being_read"
    PRELIMINARY = "preliminary"
    REPORTED = "reported"
    AMENDED = "amended"
    RETRACTED = "retracted"
    NEEDS_ATTENTION = "needs_attention"
    """Something only the center can put right: images that we refused or hold aside, or that are missing."""


PROBLEMS = ("refused", "held", "damaged")
"""Kinds of problems that a center can do something about."""
OPEN = ("scheduled", "in progress")
_OF_REPORT = {
    "final": Stage.REPORTED,
    "appended": Stage.REPORTED,
    "amended": Stage.AMENDED,
    "cancelled": Stage.RETRACTED,
}


def shown_statuses(*, with_preliminary: bool) -> frozenset[str]:
    """Return the states of a report in which a center is shown it."""
    return frozenset({*_OF_REPORT, "preliminary"} if with_preliminary else _OF_REPORT)


def newest_version(column: Any, statuses: frozenset[str]) -> Any:
    """Return a column of the version of a study's report that a center is shown, as a scalar.

    What was final once stands above a preliminary word on images that came later.
    """
    return (
        select(column)
        .join_from(report_version, report, report.c.id == report_version.c.report_id)
        .where(report.c.study_id == study.c.id, report_version.c.status.in_(sorted(statuses)))
        .order_by(report_version.c.status == "preliminary", report_version.c.number.desc())
        .limit(1)
        .correlate(study)
        .scalar_subquery()
    )


def stage_of(now: float) -> ColumnElement[str]:
    """Return the stage of a row of `study` joined with its `worklist_item`."""
    status = newest_version(report_version.c.status, shown_statuses(with_preliminary=False))
    is_claimed = and_(worklist_item.c.claimed_by_id.is_not(None), worklist_item.c.claim_expires_at > now)
    has_preliminary = (
        exists()
        .where(
            report.c.study_id == study.c.id,
            report_version.c.report_id == report.c.id,
            report_version.c.status == "preliminary",
        )
        .correlate(study)
    )
    return case(
        *((status == code, literal(stage.value)) for code, stage in _OF_REPORT.items()),
        (or_(has_problem(), is_incomplete(), has_faulty_slices()), literal(Stage.NEEDS_ATTENTION.value)),
        (has_preliminary, literal(Stage.PRELIMINARY.value)),
        (study.c.state == "arriving", literal(Stage.ARRIVING.value)),
        (is_claimed, literal(Stage.BEING_READ.value)),
        else_=literal(Stage.RECEIVED.value),
    )


def has_problem() -> ColumnElement[bool]:
    """Tell whether an object of the study was refused or is held aside and nobody has put that right."""
    troubled = select(problem.c.site_id, problem.c.study_instance_uid).where(
        problem.c.study_instance_uid.is_not(None), problem.c.resolved_at.is_(None), problem.c.kind.in_(PROBLEMS)
    )  # not correlated: found once for a whole list
    return row_of(study.c.site_id, study.c.study_instance_uid).in_(troubled)


def has_faulty_slices() -> ColumnElement[bool]:
    """Tell whether a CT or MR series of the study lacks slices or their positions, and no more are awaited."""
    faulty = exists().where(series.c.study_id == study.c.id, series.c.slice_faults.is_not(None)).correlate(study)
    return and_(study.c.state != "arriving", faulty)


def is_incomplete() -> ColumnElement[bool]:
    """Tell whether fewer images came than the sender announced, and no more are awaited."""
    missing = func.coalesce(study.c.expected_instances, 0) > study.c.instance_count
    return and_(study.c.state != "arriving", missing)
