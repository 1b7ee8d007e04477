"""The SQL of the ordered list: which items, in which order, and everything that a row of it shows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, exists, func, literal, null, or_, select, true
from sqlalchemy import tuple_ as row_of

from service.access import Caller
from service.intake.studies import fold
from service.results.visibility import Rule, Sight, impression_revision, reported_revision
from service.tables import (
    account,
    claim_event,
    clinical_question,
    first_impression,
    report,
    report_draft,
    report_version,
    series,
    site,
    study,
    worklist_item,
)
from service.worklist.filters import DUE_SOON_S, SIGNED_FOR_DAYS, Filters
from service.worklist.items import OPEN_STATES, Place, PriorityClass
from service.worklist.policies import Policies

Row = dict[str, Any]
"""One row by column name; `answers.py` turns it into what a caller gets."""

DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Ask:
    """One look at the list.

    Attributes:
        policies: Under which the caller sees the sites' studies: they decide class, due time and order.
        as_of: The moment for which the order holds: who waited too long by then comes first.
        day_ends_at: The caller's next midnight.
    """

    caller: Caller
    policies: Policies
    sight: Sight
    filters: Filters
    now: float
    as_of: float
    day_ends_at: float
    max_wait_s: float


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
    keys = _keys(ask)
    order = (*keys, worklist_item.c.id)
    which = _conditions(ask)
    if after is not None:
        values = _values_of(after)
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
    which = _conditions(ask)
    if ask.filters.state is None:
        which.append(study.c.state != "arriving")
    if but is not None:
        which.append(worklist_item.c.public_id != but)
    query = (
        select(worklist_item.c.public_id)
        .join(study, study.c.id == worklist_item.c.study_id)
        .join(site, site.c.id == worklist_item.c.site_id)
        .where(*which)
        .order_by(*_keys(ask), worklist_item.c.id)
        .limit(limit)
    )
    return list(rx.execute(query).scalars())


def items_by_id(rx: Connection, ask: Ask, item_ids: Sequence[int]) -> dict[int, Row]:
    """Return the rows of items by their ids."""
    return {row["item_id"]: row for row in _rows(rx, ask, worklist_item.c.id.in_(item_ids))}


def get_item(rx: Connection, ask: Ask, public_id: str) -> Row | None:
    """Return one item with its study and site, when the caller may see it."""
    return next(iter(_rows(rx, ask, and_(worklist_item.c.public_id == public_id, _seen_by(ask.caller)))), None)


def count_states(rx: Connection, caller: Caller) -> dict[str, int]:
    """Return how many open items there are in each state of their study."""
    query = (
        select(study.c.state, func.count().label("items"))
        .join(worklist_item, worklist_item.c.study_id == study.c.id)
        .where(worklist_item.c.state.in_(OPEN_STATES), _seen_by(caller))
        .group_by(study.c.state)
    )
    return {row.state: row.items for row in rx.execute(query)}


def is_free(now: float) -> ColumnElement[bool]:
    """Keep to items that nobody holds; a claim that ran out holds nothing."""
    return or_(worklist_item.c.claimed_by_id.is_(None), worklist_item.c.claim_expires_at <= now)


def _rows(rx: Connection, ask: Ask, which: ColumnElement[bool]) -> list[Row]:
    query = (
        select(
            *_ITEM, *_STUDY, *_SITE,
            _class(ask).label("priority_class"),
            _due(ask).label("due_at"),
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


def _keys(ask: Ask) -> tuple[ColumnElement[Any], ...]:
    rank = case((worklist_item.c.created_at <= ask.as_of - ask.max_wait_s, 0), else_=1)
    ways: dict[str, Callable[[], tuple[ColumnElement[Any], ...]]] = {
        "order": lambda: (rank, _class(ask), _due(ask)),
        "due": lambda: (_due(ask),),
        "received": lambda: (study.c.first_image_at,),
        "patient": lambda: (_name(study),),
        "site": lambda: (site.c.code, rank, _class(ask), _due(ask)),
    }
    return ways[ask.filters.sort]()


def _values_of(place: Place) -> tuple[ColumnElement[Any], ...]:
    if place.sort != "patient":
        return tuple(literal(value) for value in place.values)
    at, item = study.alias(), worklist_item.alias()
    name = select(_name(at)).join(item, item.c.study_id == at.c.id).where(item.c.id == place.item_id)
    return (func.coalesce(name.scalar_subquery(), ""),)


def _name(of: Any) -> ColumnElement[Any]:
    return func.coalesce(of.c.patient_name_folded, "")


def _class(ask: Ask) -> ColumnElement[Any]:
    """The class that the caller's list shows: under `blind` nothing that the AI raised."""
    return _by_policy(ask.policies, blind=study.c.center_priority, triage=worklist_item.c.priority_class)


def _due(ask: Ask) -> ColumnElement[Any]:
    return _by_policy(ask.policies, blind=worklist_item.c.center_due_at, triage=worklist_item.c.due_at)


def _by_policy(policies: Policies, *, blind: ColumnElement[Any], triage: ColumnElement[Any]) -> ColumnElement[Any]:
    if not policies.blind_sites:
        return triage
    if not policies.other_sites:
        return blind
    return case((worklist_item.c.site_id.in_(sorted(policies.blind_sites)), blind), else_=triage)


def _conditions(ask: Ask) -> list[ColumnElement[bool]]:
    wanted, c = ask.filters, worklist_item.c
    which = [_seen_by(ask.caller), _in_state(ask)]
    if wanted.modality:
        which.append(
            exists().where(series.c.study_id == study.c.id, series.c.modality == wanted.modality.upper(),
                           series.c.is_result.is_(False)).correlate(study)
        )  # fmt: skip
    if wanted.site:
        which.append(site.c.code == wanted.site)
    if wanted.priority:
        which.append(_class(ask) == int(PriorityClass[wanted.priority.upper()]))
    if wanted.claim == "free":
        which.append(is_free(ask.now))
    elif wanted.claim == "mine":
        which += [c.claimed_by_id == literal(ask.caller.account_id), c.claim_expires_at > ask.now]
    if wanted.due:
        until = {"overdue": ask.now, "4h": ask.now + DUE_SOON_S, "today": ask.day_ends_at}[wanted.due]
        which.append(_due(ask) <= until)
    if wanted.q and wanted.q.strip():
        which.append(_matches(wanted.q.strip()))
    return which


def _in_state(ask: Ask) -> ColumnElement[bool]:
    state, c = ask.filters.state, worklist_item.c
    if state != "signed":
        is_open = c.state.in_(OPEN_STATES)
        return is_open if state is None else and_(is_open, study.c.state == state)
    lately = and_(c.state == "completed", c.completed_at >= ask.now - SIGNED_FOR_DAYS * DAY_S)
    if ask.sight.rule is not Rule.AFTER_IMPRESSION:
        return lately
    mine = exists().where(
        claim_event.c.study_id == c.study_id,
        claim_event.c.kind == "completed",
        claim_event.c.account_id == literal(ask.caller.account_id),
    )
    return and_(lately, mine.correlate(worklist_item))


def _matches(words: str) -> ColumnElement[bool]:
    return or_(
        study.c.patient_name_folded.contains(fold(words), autoescape=True),
        study.c.patient_id.startswith(words, autoescape=True),
        study.c.accession_number.startswith(words, autoescape=True),
    )


def _seen_by(caller: Caller) -> ColumnElement[bool]:
    """Keep to the caller's site: every query of this file that starts from a request has this criterion."""
    return true() if caller.site_id is None else worklist_item.c.site_id == caller.site_id


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
    study.c.settled_at, study.c.scored_at, study.c.center_priority,
)  # fmt: skip
_SITE: Sequence[ColumnElement[Any]] = (
    site.c.code.label("site_code"), site.c.name.label("site_name"), site.c.time_zone.label("site_time_zone"),
    site.c.language.label("site_language"),
)  # fmt: skip
