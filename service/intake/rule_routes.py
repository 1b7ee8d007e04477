"""The routing rules over HTTP: read, change, look at earlier ones, and try them on a file."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlalchemy import Connection

from preprocessing.header import InstanceHeader
from service import audit, site_records
from service.access import Caller, may
from service.database import Database
from service.errors import Conflict, Invalid, NotFound
from service.intake.body import BodyRefused, SenderLeft, check_before_body, one_more_body, pieces
from service.intake.glance import Glance, GlanceRefused
from service.intake.rule_answers import (
    Change,
    CheckAnswer,
    Draft,
    DraftOnImages,
    DraftTried,
    RulesAnswer,
    SenderQuery,
    TriedAnswer,
    fault_answers,
    revision_answer,
    tried_answer,
)
from service.intake.stow import CLIENT_CLOSED
from service.intake.trying import default_for
from service.roles import Permission
from service.routing.facts import Facts, Origin, facts_of, sent_by
from service.routing.records import (
    RuleBook,
    RulesChanged,
    check,
    find_revision,
    list_revisions,
    newest_revision,
    set_rules,
)
from service.routing.rules import RuleSet
from service.routing.tester import try_rules
from service.routing.text import RulesRefused

router = APIRouter(prefix="/api/rules", tags=["rules"])


def of_installation(who: Annotated[Caller, Depends(may(Permission.MANAGE_RULES))]) -> Caller:
    """Let only administrators of the whole installation in: rules hold for every site and name their senders."""
    if who.site_id is not None:
        raise NotFound
    return who


MayManage = Annotated[Caller, Depends(of_installation)]


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
            return CheckAnswer(rules=0, faults=fault_answers(refused))


@router.post("/try")
def try_draft(request: Request, draft: DraftOnImages, _who: MayManage) -> DraftTried:
    """Try rules that are not set on the facts of images: what they would decide, and why."""
    with _database(request).reading() as rx:
        try:
            rules = check(rx, draft.text)
        except RulesRefused as refused:
            return DraftTried(faults=fault_answers(refused), tried=[])
        tried = [
            _tried(request, rx, rules, sent_by(one.words, one.age_years, draft.origin), draft.origin)
            for one in draft.images
        ]
        return DraftTried(faults=[], tried=tried)


@router.post("/test", response_model=TriedAnswer)
async def try_on_file(
    request: Request, who: MayManage, sent: Annotated[SenderQuery, Query()]
) -> Response | TriedAnswer:
    """Try the rules on a Part-10 file, the request's body. Only its header is read, and nothing of it is kept."""
    state = request.app.state
    check_before_body(request, intake=state.intake, max_bytes=state.settings.max_dataset_bytes)
    with one_more_body(state, state.settings, (who.site_id, who.name)):
        try:
            header = await _look(request)
        except SenderLeft:
            return Response(status_code=CLIENT_CLOSED)
    return await asyncio.to_thread(_try, request, header, sent.origin)


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
        return _tried(request, rx, RuleBook().current(rx), facts_of(header, origin), origin)


def _tried(request: Request, rx: Connection, rules: RuleSet, facts: Facts, origin: Origin) -> TriedAnswer:
    site = site_records.find_site(rx, origin.site)
    if site is None:
        raise NotFound("There is no such site.")
    modality = next(iter(facts.words["modality"]), None)
    return tried_answer(try_rules(rules, facts, origin, default_for(rx, site, modality, request.app.state.settings)))


def _answer(rx: Connection, number: int | None) -> RulesAnswer:
    found = find_revision(rx, number) if number else None
    history = [revision_answer(one) for one in list_revisions(rx)]
    return RulesAnswer(number=found.number if found else 0, text=found.text if found else "", history=history)


def _database(request: Request) -> Database:
    database: Database = request.app.state.database
    return database
