"""The worklist's SQL: one item a study, the ordered list, and one study with all its runs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, case, func, insert, literal, select, true, update
from sqlalchemy import tuple_ as row_of

from service.access import Caller
from service.settings import Settings
from service.tables import finding, instance, revision, run, series, site, study, worklist_item
from service.worklist.items import OPEN_STATES, Place, due_at, kept_ai_priority, priority_class

Row = dict[str, Any]
"""One row by column name; `answers.py` turns it into what a caller gets."""


@dataclass(frozen=True, slots=True)
class StudyKey:
    """A study by our ids."""

    study_id: int
    site_id: int
    public_id: str
    revision: int


def update_item(
    tx: Connection, *, study_id: int, now: float, settings: Settings, ai_priority: int | None = None
) -> None:
    """Bring a study's item up to date, making it when the study is new; in the transaction of what happened.

    Args:
        tx: The caller's transaction.
        study_id: The study.
        now: Seconds since 1970 UTC.
        settings: Minutes that each class has.
        ai_priority: The class that this revision's findings raise to; None when none does. It only ever raises.
    """
    complete_at = select(func.min(revision.c.settled_at)).where(revision.c.study_id == study.c.id).scalar_subquery()
    row = tx.execute(
        select(
            study.c.site_id,
            study.c.public_id,
            study.c.center_priority,
            func.coalesce(complete_at, study.c.first_image_at).label("complete_at"),
            study.c.first_image_at,
            worklist_item.c.id.label("item_id"),
            worklist_item.c.ai_priority,
        )
        .outerjoin(worklist_item, worklist_item.c.study_id == study.c.id)
        .where(study.c.id == study_id)
    ).one()
    ai = kept_ai_priority(row.ai_priority, ai_priority)
    priority = priority_class(row.center_priority, ai)
    values = {
        "ai_priority": ai,
        "priority_class": int(priority),
        "due_at": due_at(row.complete_at, priority, settings.due_minutes),
        "updated_at": now,
    }
    if row.item_id is None:
        first = {"site_id": row.site_id, "study_id": study_id, "public_id": row.public_id, "state": "scheduled"}
        tx.execute(insert(worklist_item).values(**first, created_at=row.first_image_at, **values))
    else:
        tx.execute(update(worklist_item).where(worklist_item.c.id == row.item_id).values(values))


def set_center_priority(tx: Connection, study_id: int, priority: int) -> None:
    """Note the center's own priority; `update_item` then works out the class."""
    tx.execute(update(study).where(study.c.id == study_id).values(center_priority=priority))


def find_study(rx: Connection, caller: Caller, public_id: str) -> StudyKey | None:
    """Return a study that the caller may see; another site's study does not exist for it."""
    row = rx.execute(
        select(study.c.id, study.c.site_id, study.c.public_id, study.c.revision).where(
            study.c.public_id == public_id, _seen_by(caller)
        )
    ).first()
    return StudyKey(row.id, row.site_id, row.public_id, row.revision) if row else None


def list_items(
    rx: Connection,
    caller: Caller,
    *,
    settings: Settings,
    now: float,
    state: str | None,
    limit: int,
    after: Place | None,
) -> list[Row]:
    """Return one page of open items in reading order, each with its study and site, and its `Place` columns."""
    as_of = after.as_of if after else now
    rank = case((worklist_item.c.created_at <= as_of - settings.max_wait_hours * 3600.0, 0), else_=1)
    order = (rank, worklist_item.c.priority_class, worklist_item.c.due_at, worklist_item.c.id)
    which = [worklist_item.c.state.in_(OPEN_STATES), _seen_by(caller)]
    if state is not None:
        which.append(study.c.state == state)
    if after is not None:
        place = (0 if after.waited_too_long else 1, after.priority_class, after.due_at, after.item_id)
        which.append(row_of(*order) > row_of(*map(literal, place)))
    query = (
        select(
            *_ITEM,
            *_STUDY,
            site.c.code.label("site"),
            rank.label("rank"),
            literal(as_of).label("as_of"),
        )
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .where(*which)
        .order_by(*order)
        .limit(limit)
    )
    return _rows(rx, query)


def get_item(rx: Connection, caller: Caller, public_id: str) -> Row | None:
    """Return one item with its study and site, when the caller may see it."""
    query = (
        select(*_ITEM, *_STUDY, study.c.study_instance_uid, site.c.code.label("site"))
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .where(worklist_item.c.public_id == public_id, _seen_by(caller))
    )
    row = rx.execute(query).mappings().first()
    return dict(row) if row else None


def count_states(rx: Connection, caller: Caller) -> dict[str, int]:
    """Return how many open items there are in each state of their study."""
    query = (
        select(study.c.state, func.count().label("items"))
        .join(worklist_item, worklist_item.c.study_id == study.c.id)
        .where(worklist_item.c.state.in_(OPEN_STATES), _seen_by(caller))
        .group_by(study.c.state)
    )
    return {row.state: row.items for row in rx.execute(query)}


def current_findings(rx: Connection, study_ids: Iterable[int]) -> dict[int, list[Row]]:
    """Return, by study, every finding of its newest finished revision that readers see, with the run it came from.

    While a later revision is under way the earlier one's findings stand, with their revision's number.
    """
    wanted = list(study_ids)
    newest = (
        select(revision.c.study_id, func.max(revision.c.number).label("number"))
        .where(revision.c.study_id.in_(wanted), revision.c.state == "scored")
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


def list_findings(rx: Connection, study_id: int) -> list[Row]:
    """Return every finding of a study's runs that readers see, absent and not evaluated ones too."""
    query = (
        select(*_FINDING)
        .where(finding.c.study_id == study_id, finding.c.shown)
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


def list_runs(rx: Connection, study_id: int) -> list[Row]:
    """Return every run of a study that readers see, with the image it looked at, oldest first."""
    r = run.c
    query = (
        select(
            r.id, r.revision_id, r.package, r.package_version, r.package_sha256, r.recipe, r.outcome, r.reason,
            r.detail, r.view, r.view_source, r.notes, r.decoder, r.provider, r.shown, r.started_at, r.finished_at,
            instance.c.sop_instance_uid, instance.c.instance_number, series.c.series_instance_uid,
        )
        .join(instance, instance.c.id == r.instance_id)
        .join(series, series.c.id == instance.c.series_id)
        .where(r.study_id == study_id)
        .order_by(r.revision_id, r.id)
    )  # fmt: skip
    return [row for row in _rows(rx, query) if row["shown"] != []]


def list_results(rx: Connection, study_id: int) -> list[Row]:
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
        .where(instance.c.study_id == study_id, instance.c.is_result.is_(True))
        .order_by(instance.c.id)
    )
    return list({(row["run_id"], row["modality"]): row for row in _rows(rx, query)}.values())


def change_mark(rx: Connection) -> tuple[object, ...]:
    """Return a value that differs when the list may look different: four looks at the end of an index."""
    return tuple(
        rx.execute(
            select(
                select(func.max(worklist_item.c.updated_at)).scalar_subquery(),
                select(func.max(instance.c.id)).scalar_subquery(),
                select(func.max(revision.c.id)).scalar_subquery(),
                select(func.max(run.c.id)).scalar_subquery(),
            )
        ).one()
    )


def place_of(row: Mapping[str, Any]) -> Place:
    """Return where a listed row stands."""
    return Place(row["rank"] == 0, row["priority_class"], row["due_at"], row["item_id"], row["as_of"])


def _rows(rx: Connection, query: Select[Any]) -> list[Row]:
    return [dict(row) for row in rx.execute(query).mappings()]


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    """Keep to the caller's site: every query of this file that starts from a request has this criterion."""
    return true() if caller.site_id is None else study.c.site_id == caller.site_id


_ITEM: Sequence[ColumnElement[Any]] = (
    worklist_item.c.id.label("item_id"), worklist_item.c.public_id, worklist_item.c.state.label("item_state"),
    worklist_item.c.priority_class, worklist_item.c.ai_priority, worklist_item.c.due_at,
    worklist_item.c.created_at, worklist_item.c.updated_at,
)  # fmt: skip
_FINDING: Sequence[ColumnElement[Any]] = (
    finding.c.run_id, finding.c.channel, finding.c.finding, finding.c.presence, finding.c.reason,
    finding.c.probability, finding.c.operating_point, finding.c.threshold, finding.c.raises_priority,
    finding.c.experimental, finding.c.calibrated, finding.c.evidence, finding.c.place,
)  # fmt: skip
_STUDY: Sequence[ColumnElement[Any]] = (
    study.c.id.label("study_id"), study.c.site_id, study.c.patient_name, study.c.patient_id,
    study.c.patient_sex, study.c.age_years, study.c.study_date, study.c.study_description,
    study.c.accession_number, study.c.modalities, study.c.series_count, study.c.instance_count, study.c.flags,
    study.c.state, study.c.reason, study.c.revision, study.c.first_image_at, study.c.last_instance_at,
    study.c.settled_at, study.c.scored_at, study.c.center_priority,
)  # fmt: skip
