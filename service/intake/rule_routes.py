"""The routing rules over HTTP: read, change, look at earlier ones, and try them on a file."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from dataclasses import asdict
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from preprocessing.header import InstanceHeader
from service import audit, site_records
from service.access import Caller, may
from service.database import Database
from service.errors import Conflict, Invalid, NotFound
from service.intake.body import BodyRefused, SenderLeft, check_before_body, one_more_body, pieces
from service.intake.glance import Glance, GlanceRefused
from service.intake.stow import CLIENT_CLOSED
from service.intake.trying import default_for
from service.roles import Permission
from service.routing.facts import PRIORITIES, Origin
from service.routing.records import (
    Revision,
    RuleBook,
    RulesChanged,
    check,
    find_revision,
    list_revisions,
    newest_revision,
    set_rules,
)
from service.routing.tester import Tried, try_rules
from service.routing.text import MAX_BYTES, RulesRefused

router = APIRouter(prefix="/api/rules", tags=["rules"])


def of_installation(who: Annotated[Caller, Depends(may(Permission.MANAGE_RULES))]) -> Caller:
    """Let only administrators of the whole installation in: rules hold for every site and name their senders."""
    if who.site_id is not None:
        raise NotFound
    return who


MayManage = Annotated[Caller, Depends(of_installation)]


class RuleRevisionAnswer(BaseModel):
    """One revision of the rules, without its text."""

    number: int
    rules: int
    changed_by: str
    changed_at: float
    note: str


class RulesAnswer(BaseModel):
    """The rules of a revision; revision 0 is that nobody has set any."""

    number: int
    text: str
    history: list[RuleRevisionAnswer]


class FaultAnswer(BaseModel):
    """What is wrong with a file of rules."""

    line: int | None
    code: str
    key: str
    expected: str
    words: str


class CheckAnswer(BaseModel):
    """Whether a file of rules could be set: it could when there are no faults."""

    rules: int
    faults: list[FaultAnswer]


class Draft(BaseModel):
    """A file of rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(max_length=MAX_BYTES)


class Change(Draft):
    """A file of rules that is to hold from now on."""

    base: int = Field(ge=0)
    """The revision that it was made from."""
    note: str = Field(min_length=1, max_length=500)


class ConditionAnswer(BaseModel):
    """One condition held against the file."""

    fact: str
    expected: str
    found: list[str]
    holds: bool | None
    """None: the file does not tell, which never matches."""


class TraceAnswer(BaseModel):
    """One rule held against the file."""

    rule: str
    matches: bool
    conditions: list[ConditionAnswer]
    decides: list[str]
    too_late_for: list[str]


class EffectAnswer(BaseModel):
    """What comes of it, and by which rule; None is what site and settings say."""

    effect: str
    value: str | float | list[str]
    rule: str | None


class TriedAnswer(BaseModel):
    """The rules tried on a file of which nothing was kept."""

    revision: int
    facts: dict[str, list[str]]
    rules: list[TraceAnswer]
    effects: list[EffectAnswer]


@router.get("")
def get_rules(request: Request, _who: MayManage) -> RulesAnswer:
    """Return the rules that hold, and every revision before them."""
    with _database(request).reading() as rx:
        return _answer(rx, newest_revision(rx))


@router.get("/{number}")
def get_revision(request: Request, number: int, _who: MayManage) -> RulesAnswer:
    """Return the rules of an earlier revision."""
    with _database(request).reading() as rx:
        if find_revision(rx, number) is None:
            raise NotFound
        return _answer(rx, number)


@router.put("")
def put_rules(request: Request, change: Change, who: MayManage) -> RulesAnswer:
    """Let other rules hold from the next image on. A file with any fault is refused whole."""
    now = request.app.state.clock()
    with _database(request).transaction() as tx:
        try:
            made = set_rules(tx, change.text, base=change.base or None, changed_by=who.name, now=now, note=change.note)
        except RulesRefused as refused:
            raise Invalid(f"The rules were not set: {refused.faults[0].words()}.", code="rules_refused") from None
        except RulesChanged:
            raise Conflict(
                "Somebody else has set rules meanwhile; look at theirs first.", code="rules_changed"
            ) from None
        detail = {"rules": made.rules, "base": change.base}
        number = str(made.number)
        audit.note(tx, who, "rules_changed", now=now, object_type="rules", object_id=number, detail=detail)
        return _answer(tx, made.number)


@router.post("/check")
def check_rules(request: Request, draft: Draft, _who: MayManage) -> CheckAnswer:
    """Tell what is wrong with a file of rules, without setting it."""
    with _database(request).reading() as rx:
        try:
            return CheckAnswer(rules=len(check(rx, draft.text).rules), faults=[])
        except RulesRefused as refused:
            faults = [FaultAnswer(**asdict(fault), words=fault.words()) for fault in refused.faults]
            return CheckAnswer(rules=0, faults=faults)


@router.post("/test", response_model=TriedAnswer)
async def try_on_file(
    request: Request,
    who: MayManage,
    site: Annotated[str, Query(max_length=32)],
    sender: Annotated[str | None, Query(max_length=64)] = None,
    requested_priority: Literal["stat", "urgent", "routine"] = "routine",
) -> Response | TriedAnswer:
    """Try the rules on a Part-10 file, the request's body. Only its header is read, and nothing of it is kept."""
    state = request.app.state
    check_before_body(request, intake=state.intake, max_bytes=state.settings.max_dataset_bytes)
    with one_more_body(state, state.settings, (who.site_id, who.name)):
        try:
            header = await _look(request)
        except SenderLeft:
            return Response(status_code=CLIENT_CLOSED)
    origin = Origin(site, sender or None, "dimse", PRIORITIES[requested_priority])
    return await asyncio.to_thread(_try, request, header, origin)


async def _look(request: Request) -> InstanceHeader:
    settings = request.app.state.settings
    glance = Glance(settings.spool_folder, settings.max_dataset_bytes)
    try:
        async with aclosing(pieces(request, settings=settings, max_bytes=settings.max_dataset_bytes)) as body:
            async for piece in body:
                await asyncio.to_thread(glance.feed, piece)
        return await asyncio.to_thread(glance.header)
    except BodyRefused as refusal:
        raise Invalid(refusal.words, code="file_refused") from None
    except GlanceRefused as refusal:
        raise Invalid(f"The file cannot be tried: {refusal}.", code="file_refused") from None
    finally:
        glance.close()


def _try(request: Request, header: InstanceHeader, origin: Origin) -> TriedAnswer:
    with _database(request).reading() as rx:
        found = site_records.find_site(rx, origin.site)
        if found is None:
            raise NotFound("There is no such site.")
        rules = RuleBook().current(rx)
        tried = try_rules(rules, header, origin, default_for(rx, found, header, request.app.state.settings))
    return tried_answer(tried)


def tried_answer(tried: Tried) -> TriedAnswer:
    """Return what came of trying the rules, as JSON tells it."""
    return TriedAnswer(
        revision=tried.revision,
        facts={fact: list(values) for fact, values in tried.facts.items()},
        rules=[
            TraceAnswer(
                rule=trace.rule,
                matches=trace.matches,
                conditions=[ConditionAnswer(**{**asdict(one), "found": list(one.found)}) for one in trace.conditions],
                decides=list(trace.decides),
                too_late_for=list(trace.too_late_for),
            )
            for trace in tried.traces
        ],
        effects=[EffectAnswer(**asdict(effect)) for effect in tried.effects],
    )


def _answer(rx: Connection, number: int | None) -> RulesAnswer:
    found = find_revision(rx, number) if number else None
    history = [_rule_revision(one) for one in list_revisions(rx)]
    return RulesAnswer(number=found.number if found else 0, text=found.text if found else "", history=history)


def _rule_revision(one: Revision) -> RuleRevisionAnswer:
    return RuleRevisionAnswer(**{name: getattr(one, name) for name in RuleRevisionAnswer.model_fields})


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database
