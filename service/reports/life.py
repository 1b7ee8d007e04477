"""A report's life: signed, added to, amended, retracted. A signed version is never edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from sqlalchemy import Connection

from service.access import Caller, require_confirmed
from service.errors import Conflict, Forbidden, NotFound
from service.reports import case_records, records, signing
from service.reports.case_records import Case, Signer
from service.reports.compose import Standing, Status
from service.reports.content import Addendum, Content
from service.reports.fonts import unprintable
from service.reports.merging import merged
from service.reports.records import Version
from service.reports.required import Missing, missing_parts, unreported
from service.reports.signing import Basis, Desk
from service.reports.suggest import held
from service.reports.versions import STANDING, Author, Body, body_of, make_body, next_status
from service.results.visibility import sight_of
from service.roles import Permission
from service.settings import Settings
from service.worklist import claims
from service.worklist.records import update_item


class Incomplete(Exception):
    """The report cannot be signed as it is."""

    def __init__(self, missing: list[Missing]) -> None:
        super().__init__(f"{len(missing)} parts")
        self.missing = missing


def sign(
    desk: Desk,
    settings: Settings,
    who: Caller,
    public_id: str,
    *,
    token: int | None,
    content: Content,
    status: Literal["preliminary", "final"],
    revision: int,
) -> int:
    """Sign a case's report and return the version's number; a final one ends the case.

    Raises:
        NotFound: No such study for the caller.
        Forbidden: `confirm_first`.
        Conflict: `claim_lost`; `changed`, somebody signed meanwhile; `new_images`, other images than `revision`.
        Incomplete: What is missing, in the order of the report.
    """
    now = desk.clock()
    require_confirmed(who, now, settings)
    account_id = who.account_id or 0
    with desk.database.reading() as rx:
        claims.refuse_new_images(claims.require(rx, who, public_id, token, now), revision)
        case = signing.find_case(rx, who, public_id)
        if problems := _in_the_way(rx, case, account_id, content):
            raise Incomplete(problems)
        basis, signer = signing.basis_of(rx, case), case_records.signer_of(rx, account_id)
        facts = case_records.facts_of(rx, case, sight_of(who))
    stands = next_status(status, basis.stands)
    standing = _next_standing(stands, basis)
    body = make_body(merged(content), facts, standing, Author(name=signer.name, licence=signer.licence))
    signed = signing.prepare(desk, basis, body, signer, status=stands, reason=None, study_revision=case.revision)
    with desk.database.transaction() as tx:
        claimed = claims.require(tx, who, public_id, token, desk.clock())
        claims.refuse_new_images(claimed, case.revision)
        number = signing.write(desk, tx, signed, who, action="report_signed")
        if status == "final":
            records.drop_draft(tx, case, account_id)
            claims.complete(tx, who, claimed, now=desk.clock())
    return number


def append(desk: Desk, settings: Settings, who: Caller, public_id: str, *, text: str) -> int:
    """Add to a report that stands; what stands there is unchanged. Returns the version's number.

    One that replaced another still says so, and why.
    """
    basis, signer, before = _opened(desk, settings, who, public_id)
    language = signer.language
    _check_words(text)
    when = signing.moment_of(desk.clock(), before.facts).isoformat(timespec="minutes")
    note = Addendum(text=text, language=language, signer=signer.name, signed_on=when)
    status: Status = "amended" if before.standing.status == "amended" else "appended"
    standing = before.standing.model_copy(update={"status": status, "addenda": [*before.standing.addenda, note]})
    reason = before.standing.reason
    body = make_body(before.content, before.facts, standing, before.author)
    signed = _prepared(desk, basis, body, signer, status=status, reason=reason)
    with desk.database.transaction() as tx:
        return signing.write(desk, tx, signed, who, action="report_addended")


def amend(desk: Desk, settings: Settings, who: Caller, public_id: str, *, content: Content, reason: str) -> int:
    """Replace what a report says, with a reason; the earlier version is kept. Returns the version's number."""
    basis, signer, before = _opened(desk, settings, who, public_id)
    _check_words(reason)
    with desk.database.reading() as rx:
        problems = [*missing_parts(content), *_not_a_prior(rx, basis.case, content)]
    if problems:
        raise Incomplete(problems)
    standing = Standing(
        status="amended", reason=reason, reason_language=content.language, addenda=before.standing.addenda
    )
    body = make_body(merged(content), before.facts, standing, Author(name=signer.name, licence=signer.licence))
    signed = _prepared(desk, basis, body, signer, status="amended", reason=reason)
    with desk.database.transaction() as tx:
        return signing.write(desk, tx, signed, who, action="report_amended")


def retract(desk: Desk, settings: Settings, who: Caller, public_id: str, *, reason: str) -> int:
    """Take a report back, with a reason; its study waits for a reader again. Returns the version's number."""
    basis, signer, before = _opened(desk, settings, who, public_id)
    _check_words(reason)
    standing = Standing(status="cancelled", reason=reason, reason_language=signer.language)
    body = make_body(before.content, before.facts, standing, Author(name=signer.name, licence=signer.licence))
    signed = _prepared(desk, basis, body, signer, status="cancelled", reason=reason)
    with desk.database.transaction() as tx:
        number = signing.write(desk, tx, signed, who, action="report_retracted")
        update_item(tx, study_id=basis.case.study_id, now=desk.clock(), settings=settings)
    return number


def may_correct(who: Caller, versions: Sequence[Version]) -> bool:
    """Tell whether the caller may change a report: who signed a version of it, or somebody whose duty it is."""
    is_own = who.account_id is not None and any(version.account_id == who.account_id for version in versions)
    return who.can(Permission.READ_CASES) and (is_own or who.can(Permission.CORRECT_REPORTS))


def _in_the_way(rx: Connection, case: Case, account_id: int, content: Content) -> list[Missing]:
    """Return what keeps a report from being signed: its own parts, the first impression, verdicts on what the AI
    showed, and what the verdicts hold true but the report does not tell."""
    problems = [*missing_parts(content), *_not_a_prior(rx, case, content)]
    if case_records.impression_of(rx, case, account_id) is None:
        return [Missing(field="impression", message_code="impression_needed"), *problems]
    verdicts = case_records.verdicts_of(rx, case, account_id)
    judged = {verdict["finding_id"] for verdict in verdicts}
    held_true = [verdict["finding_code"] for verdict in verdicts if held(verdict) == "present"]
    open_findings = sorted(case_records.shown_positive(rx, case) - judged)
    return [
        *(Missing(field=f"verdicts.{finding_id}", message_code="verdict_needed") for finding_id in open_findings),
        *unreported(content, held_true),
        *problems,
    ]


def _not_a_prior(rx: Connection, case: Case, content: Content) -> list[Missing]:
    """Refuse a comparison with a study that is no earlier one of the same person."""
    compared = content.comparison.study if content.comparison else None
    if compared is None or case_records.is_prior(rx, case, compared):
        return []
    return [Missing(field="comparison", message_code="not_a_prior")]


def _next_standing(status: Status, basis: Basis) -> Standing:
    """Return where a newly signed version stands; what was added to the one that it replaces stays."""
    if status != "amended" or basis.stands is None:
        return Standing(status=status)
    return Standing(status=status, has_new_images=True, addenda=body_of(basis.stands).standing.addenda)


def _opened(desk: Desk, settings: Settings, who: Caller, public_id: str) -> tuple[Basis, Signer, Body]:
    """Return a final report that the caller may correct: what a new version follows, who signs it, what stands."""
    require_confirmed(who, desk.clock(), settings)
    with desk.database.reading() as rx:
        report = records.find_report(rx, who, public_id)
        if report is None:
            raise NotFound
        basis = signing.basis_of(rx, signing.find_case(rx, who, report.study_public_id))
        versions = records.versions_of(rx, report.id)
        signer = case_records.signer_of(rx, who.account_id or 0)
    if not may_correct(who, versions):
        raise Forbidden("Only who signed this report, or a chief radiologist, may correct it.", code="not_your_report")
    if basis.stands is None or basis.stands.status not in STANDING:
        raise Conflict("Only a final report that stands can be corrected.", code="not_final")
    return basis, signer, body_of(basis.stands)


def _prepared(
    desk: Desk, basis: Basis, body: Body, signer: Signer, *, status: Status, reason: str | None
) -> signing.Signed:
    """A correction speaks of the images that the report was of, and of none that came later."""
    revision = basis.stands.study_revision if basis.stands else basis.case.revision
    return signing.prepare(desk, basis, body, signer, status=status, reason=reason, study_revision=revision)


def _check_words(text: str) -> None:
    if not text.strip():
        raise Incomplete([Missing(field="text", message_code="required")])
    if unprintable(text):
        raise Incomplete([Missing(field="text", message_code="unprintable")])
