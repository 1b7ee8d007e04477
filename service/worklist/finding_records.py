"""The SQL of what the AI found: findings, revisions, runs and results of studies, as far as the caller sees."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select

from service.results.visibility import Rule, Sight, sees, sees_instance
from service.tables import finding, instance, revision, run, series

Row = dict[str, Any]
"""One row by column name; `answers.py` turns it into what a caller gets."""

ALL = Sight(Rule.ALWAYS)


def current_findings(rx: Connection, study_ids: Iterable[int], sight: Sight = ALL) -> dict[int, list[Row]]:
    """Return, by study, every finding of its newest finished revision that the caller sees, with its run.

    While a later revision is under way, or not yet looked at by the reader, the earlier one's findings stand, with
    their revision's number.
    """
    wanted = list(study_ids)
    newest = (
        select(revision.c.study_id, func.max(revision.c.number).label("number"))
        .where(
            revision.c.study_id.in_(wanted),
            revision.c.state == "scored",
            sees(sight, revision.c.study_id, revision.c.number),
        )
        .group_by(revision.c.study_id)
        .subquery()
    )
    query = (
        select(
            finding.c.study_id,
            *_FINDING,
            run.c.package,
            revision.c.number.label("revision"),
            revision.c.reason.label("failure"),
        )
        .join(revision, revision.c.id == finding.c.revision_id)
        .join(newest, and_(newest.c.study_id == revision.c.study_id, newest.c.number == revision.c.number))
        .join(run, run.c.id == finding.c.run_id)
        .where(finding.c.shown)
        .order_by(finding.c.study_id, finding.c.run_id, finding.c.channel)
    )
    found: dict[int, list[Row]] = {study_id: [] for study_id in wanted}
    for row in rx.execute(query).mappings():
        found[row["study_id"]].append(dict(row))
    return found


def list_findings(rx: Connection, study_id: int, sight: Sight) -> list[Row]:
    """Return every finding of a study's runs that the caller sees, absent and not evaluated ones too."""
    query = (
        select(*_FINDING)
        .join(revision, revision.c.id == finding.c.revision_id)
        .where(finding.c.study_id == study_id, finding.c.shown, sees(sight, finding.c.study_id, revision.c.number))
        .order_by(finding.c.run_id, finding.c.channel)
    )
    return _rows(rx, query)


def list_revisions(rx: Connection, study_id: int) -> list[Row]:
    """Return every revision of a study, oldest first."""
    r = revision.c
    query = (
        select(
            r.id, r.number, r.state, r.reason, r.detail, r.settled_by, r.settled_at, r.started_at, r.finished_at,
            r.attempt,
        )
        .where(r.study_id == study_id)
        .order_by(r.number)
    )  # fmt: skip
    return _rows(rx, query)


def list_runs(rx: Connection, study_id: int, sight: Sight) -> list[Row]:
    """Return every run of a study that readers see, with the image it looked at, oldest first.

    Of a revision whose results the caller may not know yet there are only the runs without any, each with its reason.
    """
    r = run.c
    query = (
        select(
            r.id, r.revision_id, r.package, r.package_version, r.package_sha256, r.recipe, r.outcome, r.reason,
            r.detail, r.routing, r.view, r.view_source, r.notes, r.decoder, r.provider, r.shown, r.started_at,
            r.finished_at, r.tensor_sha256, r.heat_map_sha256,
            instance.c.sop_instance_uid, instance.c.instance_number, series.c.series_instance_uid,
            sees(sight, r.study_id, revision.c.number).label("is_seen"),
        )
        .join(revision, revision.c.id == r.revision_id)
        .join(instance, instance.c.id == r.instance_id)
        .join(series, series.c.id == instance.c.series_id)
        .where(r.study_id == study_id)
        .order_by(r.revision_id, r.id)
    )  # fmt: skip
    told = [row for row in _rows(rx, query) if row["shown"] != [] and (row["is_seen"] or row["outcome"] != "done")]
    return [row if row["is_seen"] else _reason_alone(row) for row in told]


def list_results(rx: Connection, study_id: int, sight: Sight = ALL) -> list[Row]:
    """Return the newest SR and overlay of each run of a study; those of an earlier attempt may show other findings."""
    query = (
        select(
            instance.c.run_id,
            instance.c.sop_class_uid,
            instance.c.sop_instance_uid,
            instance.c.revision,
            series.c.series_instance_uid,
            series.c.modality,
        )
        .join(series, series.c.id == instance.c.series_id)
        .where(
            instance.c.study_id == study_id,
            instance.c.is_result.is_(True),
            instance.c.run_id.is_not(None),
            sees_instance(sight),
        )
        .order_by(instance.c.id)
    )
    return list({(row["run_id"], row["modality"]): row for row in _rows(rx, query)}.values())


def _reason_alone(row: Row) -> Row:
    """Keep of a run that has no result what a reader may know before his first impression: that, and why."""
    kept = {"id", "revision_id", "outcome", "reason", "routing", "sop_instance_uid", "instance_number",
            "series_instance_uid", "started_at", "finished_at", "is_seen"}  # fmt: skip
    return {name: value if name in kept else [] if name == "notes" else None for name, value in row.items()}


def _rows(rx: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in rx.execute(query).mappings()]


_FINDING: Sequence[ColumnElement[Any]] = (
    finding.c.id.label("finding_id"), finding.c.run_id, finding.c.channel, finding.c.finding, finding.c.presence,
    finding.c.reason, finding.c.probability, finding.c.operating_point, finding.c.threshold,
    finding.c.raises_priority, finding.c.experimental, finding.c.calibrated, finding.c.evidence, finding.c.place,
)  # fmt: skip
