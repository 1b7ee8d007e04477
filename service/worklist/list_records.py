"""The SQL of the ordered list: which items, in which order, and everything that a row of it shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, exists, func, literal, null, select, true
from sqlalchemy import tuple_ as row_of

from service.access import Caller
from service.results.visibility import Rule, Sight, impression_revision, reported_revision
from service.tables import (
    account,
    clinical_question,
    first_impression,
    report,
    report_draft,
    report_version,
    site,
    study,
    worklist_item,
)
from service.worklist.criteria import Ask, class_of, conditions_of, due_of, keys_of, seen_by, values_of
from service.worklist.items import OPEN_STATES, Place

Row = dict[str, Any]
"""One row by column name; `answers.py` turns it into what a caller gets."""


def site_policies(rx: Connection, caller: Caller) -> dict[int, dict[str, object]]:
    """Return the policies of the sites whose rows exist for the caller."""
    mine = true() if caller.site_id is None else site.c.id == caller.site_id
    return {row.id: row.policy for row in rx.execute(select(site.c.id, site.c.policy).where(mine))}


def time_zone_of(rx: Connection, caller: Caller) -> str:
    """Return the time zone that a person set for himself; a program has UTC."""
    if caller.account_id is None:
        return "UTC"
    found = rx.execute(select(account.c.time_zone).where(account.c.id == caller.account_id)).scalar_one_or_none()
    return found or "UTC"


def list_items(rx: Connection, ask: Ask, *, limit: int, after: Place | None) -> list[Row]:
    """Return one page of items in the order asked for, each with its study, site, claim and `place` columns."""
    places = list_places(rx, ask, limit=limit, after=after)
    rows = items_by_id(rx, ask, [place.item_id for place in places])
    return [{**rows[place.item_id], "place": place} for place in places]


def list_places(rx: Connection, ask: Ask, *, limit: int, after: Place | None) -> list[Place]:
    """Return where the items of one page stand: keys alone, so that sorting ten thousand of them stays cheap."""
    keys = keys_of(ask)
    order = (*keys, worklist_item.c.id)
    which = conditions_of(ask)
    if after is not None:
        values = values_of(after)
        which.append(row_of(*order) > row_of(*values, literal(after.item_id)))
    query = (
        select(worklist_item.c.id, *(key.label(f"key_{index}") for index, key in enumerate(keys)))
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .where(*which)
        .order_by(*order)
        .limit(limit)
    )
    sort = ask.filters.sort
    return [
        Place(sort, int(row[0]), ask.as_of, () if sort == "patient" else tuple(row[1:])) for row in rx.execute(query)
    ]


def first_ids(rx: Connection, ask: Ask, *, limit: int, but: str | None) -> list[str]:
    """Return the first studies of the list that are ready to be read, by their public ids."""
    which = conditions_of(ask)
    if ask.filters.state is None:
        which.append(study.c.state != "arriving")
    if but is not None:
        which.append(worklist_item.c.public_id != but)
    query = (
        select(worklist_item.c.public_id)
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .where(*which)
        .order_by(*keys_of(ask), worklist_item.c.id)
        .limit(limit)
    )
    return list(rx.execute(query).scalars())


def items_by_id(rx: Connection, ask: Ask, item_ids: Sequence[int]) -> dict[int, Row]:
    """Return the rows of items by their ids."""
    return {row["item_id"]: row for row in _rows(rx, ask, worklist_item.c.id.in_(item_ids))}


def get_item(rx: Connection, ask: Ask, public_id: str) -> Row | None:
    """Return one item with its study and site, when the caller may see it."""
    return next(iter(_rows(rx, ask, and_(worklist_item.c.public_id == public_id, seen_by(ask.caller)))), None)


def count_states(rx: Connection, caller: Caller) -> dict[str, int]:
    """Return how many open items there are in each state of their study."""
    query = (
        select(study.c.state, func.count().label("items"))
        .join(worklist_item, worklist_item.c.study_id == study.c.id)
        .where(worklist_item.c.state.in_(OPEN_STATES), seen_by(caller))
        .group_by(study.c.state)
    )
    return {row.state: row.items for row in rx.execute(query)}


def _rows(rx: Connection, ask: Ask, which: ColumnElement[bool]) -> list[Row]:
    query = (
        select(
            *_ITEM, *_STUDY, *_SITE,
            class_of(ask).label("priority_class"),
            due_of(ask).label("due_at"),
            account.c.name.label("claimed_by"),
            *_own(ask),
        )
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .outerjoin(account, account.c.id == worklist_item.c.claimed_by_id)
        .where(which)
    )  # fmt: skip
    rows = [dict(row) for row in rx.execute(query).mappings()]
    for row in rows:
        row["seen_revision"] = _seen_revision(ask.sight, row)
    return rows


def _own(ask: Ask) -> Sequence[ColumnElement[Any]]:
    """What there is of a study's reading, the caller's own where it is somebody's."""
    who = literal(ask.caller.account_id)
    asked = exists().where(
        clinical_question.c.site_id == study.c.site_id,
        clinical_question.c.study_instance_uid == study.c.study_instance_uid,
    )
    impression = exists().where(
        first_impression.c.study_id == study.c.id,
        first_impression.c.account_id == who,
        first_impression.c.revision == study.c.revision,
    )
    draft = exists().where(report_draft.c.study_id == study.c.id, report_draft.c.account_id == who)
    status = (
        select(report_version.c.status)
        .join(report, report.c.id == report_version.c.report_id)
        .where(report.c.study_id == study.c.id)
        .order_by(report_version.c.number.desc())
        .limit(1)
        .correlate(study)
        .scalar_subquery()
    )
    is_read = ask.sight.rule is Rule.AFTER_IMPRESSION
    is_told = ask.sight.rule in (Rule.AFTER_IMPRESSION, Rule.AFTER_REPORT)
    return (
        asked.correlate(study).label("has_question"),
        impression.correlate(study).label("has_impression"),
        draft.correlate(study).label("has_draft"),
        status.label("report_status"),
        (impression_revision(ask.sight, study.c.id) if is_read else null()).label("impression_revision"),
        (reported_revision(study.c.id) if is_told else null()).label("reported_revision"),
    )


def _seen_revision(sight: Sight, row: Row) -> int | None:
    """Return the newest revision of which the caller may know what the AI found; None when there is none."""
    if sight.rule is Rule.ALWAYS:
        return int(row["revision"])
    return max((row[name] for name in ("impression_revision", "reported_revision") if row[name]), default=None)


_ITEM: Sequence[ColumnElement[Any]] = (
    worklist_item.c.id.label("item_id"), worklist_item.c.public_id, worklist_item.c.state.label("item_state"),
    worklist_item.c.ai_priority, worklist_item.c.created_at, worklist_item.c.updated_at,
    worklist_item.c.claimed_by_id, worklist_item.c.claim_expires_at,
)  # fmt: skip
_STUDY: Sequence[ColumnElement[Any]] = (
    study.c.id.label("study_id"), study.c.site_id, study.c.study_instance_uid, study.c.patient_name,
    study.c.patient_id, study.c.patient_sex, study.c.age_years, study.c.study_date, study.c.study_description,
    study.c.accession_number, study.c.modalities, study.c.series_count, study.c.instance_count, study.c.flags,
    study.c.state, study.c.reason, study.c.revision, study.c.first_image_at, study.c.last_instance_at,
    study.c.settled_at, study.c.scored_at, study.c.center_priority, study.c.rule_priority, study.c.rule_policy,
    study.c.routing,
)  # fmt: skip
_SITE: Sequence[ColumnElement[Any]] = (
    site.c.code.label("site_code"), site.c.name.label("site_name"), site.c.time_zone.label("site_time_zone"),
    site.c.language.label("site_language"),
)  # fmt: skip
