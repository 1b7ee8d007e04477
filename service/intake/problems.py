"""What an operator or a sender asks about arrivals: problem rows and how much of a study is here. SQL only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, select, true, update

from service.tables import problem, series, study


@dataclass(frozen=True, slots=True)
class Page:
    """Which problem rows are asked for."""

    site_id: int | None
    """Only this site's rows; None is every row, those of unknown senders too."""
    limit: int
    before_id: int | None = None
    is_open: bool | None = None
    study_instance_uid: str | None = None


def newest_problems(connection: Connection, page: Page) -> list[Mapping[str, Any]]:
    """Return problem rows, the newest first."""
    wanted = select(problem).where(_of_site(page.site_id)).order_by(problem.c.id.desc()).limit(page.limit)
    if page.before_id is not None:
        wanted = wanted.where(problem.c.id < page.before_id)
    if page.is_open is not None:
        wanted = wanted.where(problem.c.resolved_at.is_(None) == page.is_open)
    if page.study_instance_uid is not None:
        wanted = wanted.where(problem.c.study_instance_uid == page.study_instance_uid)
    return [dict(row) for row in connection.execute(wanted).mappings()]


def resolve_problem(connection: Connection, problem_id: int, *, site_id: int | None, words: str, now: float) -> bool:
    """Mark a problem as dealt with; False when there is no such open row for this site."""
    done = connection.execute(
        update(problem)
        .where(problem.c.id == problem_id, problem.c.resolved_at.is_(None), _of_site(site_id))
        .values(resolved_at=now, resolution=words)
    )
    return bool(done.rowcount)


def arrival(connection: Connection, *, site_id: int, study_instance_uid: str) -> Mapping[str, Any] | None:
    """Return how much of a study is here, per series too; None when the site has no such study."""
    row = (
        connection.execute(
            select(
                study.c.id, study.c.public_id, study.c.state, study.c.reason, study.c.revision,
                study.c.instance_count, study.c.expected_instances, study.c.first_image_at,
                study.c.last_instance_at, study.c.settle_at, study.c.settled_at,
            ).where(study.c.site_id == site_id, study.c.study_instance_uid == study_instance_uid)
        )
        .mappings()
        .one_or_none()
    )  # fmt: skip
    if row is None:
        return None
    per_series = connection.execute(
        select(series.c.series_instance_uid, series.c.instance_count)
        .where(series.c.study_id == row["id"], series.c.is_result.is_(False))
        .order_by(series.c.id)
    ).mappings()
    found = {name: value for name, value in row.items() if name != "id"}
    return {**found, "series": [dict(one) for one in per_series]}


def _of_site(site_id: int | None) -> ColumnElement[bool]:
    return true() if site_id is None else problem.c.site_id == site_id
