"""What a caller asks of the list, as SQL: which items, by which keys they are ordered, which class and due time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, case, exists, func, literal, or_, select, true

from service.access import Caller
from service.intake.studies import fold
from service.results.visibility import Rule, Sight
from service.routing.records import asked_class
from service.tables import claim_event, series, site, study, worklist_item
from service.worklist.filters import DUE_SOON_S, SIGNED_FOR_DAYS, Filters
from service.worklist.items import OPEN_STATES, Place, PriorityClass
from service.worklist.policies import Policies

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


def keys_of(ask: Ask) -> tuple[ColumnElement[Any], ...]:
    """Return the keys of the order asked for, the first first; the item's id comes after them."""
    rank = case((worklist_item.c.created_at <= ask.as_of - ask.max_wait_s, 0), else_=1)
    ways: dict[str, Callable[[], tuple[ColumnElement[Any], ...]]] = {
        "order": lambda: (rank, class_of(ask), due_of(ask)),
        "due": lambda: (due_of(ask),),
        "received": lambda: (study.c.first_image_at,),
        "patient": lambda: (_name(study),),
        "site": lambda: (site.c.code, rank, class_of(ask), due_of(ask)),
    }
    return ways[ask.filters.sort]()


def values_of(place: Place) -> tuple[ColumnElement[Any], ...]:
    """Return the values of a place, to compare the keys with."""
    if place.sort != "patient":
        return tuple(literal(value) for value in place.values)
    at, item = study.alias(), worklist_item.alias()
    name = select(_name(at)).join(item, item.c.study_id == at.c.id).where(item.c.id == place.item_id)
    return (func.coalesce(name.scalar_subquery(), ""),)


def _name(of: Any) -> ColumnElement[Any]:
    return func.coalesce(of.c.patient_name_folded, "")


def class_of(ask: Ask) -> ColumnElement[Any]:
    """The class that the caller's list shows: under `blind` nothing that the AI raised."""
    return _by_policy(ask.policies, blind=asked_class(), triage=worklist_item.c.priority_class)


def due_of(ask: Ask) -> ColumnElement[Any]:
    """Return the due time that the caller's list shows."""
    return _by_policy(ask.policies, blind=worklist_item.c.center_due_at, triage=worklist_item.c.due_at)


def _by_policy(policies: Policies, *, blind: ColumnElement[Any], triage: ColumnElement[Any]) -> ColumnElement[Any]:
    by_site = worklist_item.c.site_id.in_(sorted(policies.blind_sites))
    if policies.follows_rules:
        by_rule = study.c.rule_policy
        return case((by_rule == "blind", blind), (by_rule == "triage", triage), (by_site, blind), else_=triage)
    if not policies.blind_sites:
        return triage
    return case((by_site, blind), else_=triage) if policies.other_sites else blind


def conditions_of(ask: Ask) -> list[ColumnElement[bool]]:
    """Return what keeps an item in the list asked for."""
    wanted, c = ask.filters, worklist_item.c
    which = [seen_by(ask.caller), _in_state(ask)]
    if wanted.modality:
        which.append(
            exists().where(series.c.study_id == study.c.id, series.c.modality == wanted.modality.upper(),
                           series.c.is_result.is_(False)).correlate(study)
        )  # fmt: skip
    if wanted.site:
        which.append(site.c.code == wanted.site)
    if wanted.priority:
        which.append(class_of(ask) == int(PriorityClass[wanted.priority.upper()]))
    if wanted.claim == "free":
        which.append(_is_free(ask.now))
    elif wanted.claim == "mine":
        which += [c.claimed_by_id == literal(ask.caller.account_id), c.claim_expires_at > ask.now]
    if wanted.due:
        until = {"overdue": ask.now, "4h": ask.now + DUE_SOON_S, "today": ask.day_ends_at}[wanted.due]
        which.append(due_of(ask) <= until)
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
        study.c.patient_name_folded.contains(fold(words) or words, autoescape=True),
        study.c.patient_id.startswith(words, autoescape=True),
        study.c.accession_number.startswith(words, autoescape=True),
    )


def seen_by(caller: Caller) -> ColumnElement[bool]:
    """Keep to the caller's site: every query of this file that starts from a request has this criterion."""
    return true() if caller.site_id is None else worklist_item.c.site_id == caller.site_id


def _is_free(now: float) -> ColumnElement[bool]:
    """Keep to items that nobody holds; a claim that ran out holds nothing."""
    return or_(worklist_item.c.claimed_by_id.is_(None), worklist_item.c.claim_expires_at <= now)
