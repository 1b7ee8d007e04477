"""The SQL of the rules: their revisions, and the one that holds."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, case, func, insert, select, update

from preprocessing.header import from_json as from_header
from service.routing.facts import Origin, facts_of
from service.routing.rules import NO_RULES, Decisions, RuleSet, floor_of, from_json, policy_of, study_decisions, to_json
from service.routing.text import check_names, read_rules
from service.tables import account, instance, release, rule_set, site, study

NEWEST = select(func.max(rule_set.c.id)).scalar_subquery()
"""The revision that holds; null while nobody has set any rules."""


class RulesChanged(Exception):
    """Somebody else has set rules meanwhile."""


@dataclass(frozen=True, slots=True)
class Revision:
    """One revision of the rules."""

    number: int
    text: str
    rules: int
    changed_by: str
    """The person's name, or `system` for the command line."""
    changed_at: float
    note: str


class RuleBook:
    """Gives the rules of a revision; it reads each file once.

    One object for a process: threads may read one file twice, which gives the same rules.
    """

    def __init__(self) -> None:
        self._kept = NO_RULES

    def of(self, rx: Connection, revision: int | None) -> RuleSet:
        """Return the rules of a revision; none for None."""
        kept = self._kept
        if revision is None:
            return NO_RULES
        if kept.revision != revision:
            text = rx.execute(select(rule_set.c.text).where(rule_set.c.id == revision)).scalar_one()
            kept = self._kept = read_rules(text, revision)
        return kept

    def current(self, rx: Connection) -> RuleSet:
        """Return the rules that hold."""
        return self.of(rx, newest_revision(rx))


def newest_revision(rx: Connection) -> int | None:
    """Return the number of the revision that holds, or None."""
    found: int | None = rx.execute(select(NEWEST)).scalar_one()
    return found


def check(rx: Connection, text: str) -> RuleSet:
    """Return the rules of a file that could be set now. Raises RulesRefused with every fault."""
    rules = read_rules(text, 0)
    sites = rx.execute(select(site.c.code)).scalars().all()
    packages = rx.execute(select(release.c.package).where(release.c.until.is_(None)).distinct()).scalars().all()
    check_names(rules, text, sites=sites, packages=packages)
    return rules


def set_rules(tx: Connection, text: str, *, base: int | None, changed_by: str, now: float, note: str) -> Revision:
    """Let the rules of a file hold from now on; earlier revisions stay.

    Args:
        tx: The caller's transaction.
        text: The whole file.
        base: The revision that the change was made from; None when there was none.
        changed_by: Account's public id, or `system`.
        now: Seconds since 1970 UTC.
        note: Why.

    Raises:
        RulesRefused: The file cannot be taken.
        RulesChanged: `base` is not the newest revision.
    """
    rules = check(tx, text)
    if newest_revision(tx) != base:
        raise RulesChanged
    values = {"text": text, "rules": len(rules.rules), "changed_by": changed_by, "changed_at": now, "note": note}
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    done = tx.execute(insert(rule_set).values(sha256=sha256, **values).returning(rule_set.c.id))
    return Revision(done.scalar_one(), text, len(rules.rules), changed_by, now, note)


def find_revision(rx: Connection, number: int) -> Revision | None:
    """Return a revision, or None."""
    return next(iter(_revisions(rx, [rule_set.c.id == number])), None)


def list_revisions(rx: Connection, limit: int = 200) -> list[Revision]:
    """Return the revisions, the newest first."""
    return _revisions(rx, [], limit=limit)


def _revisions(rx: Connection, which: Sequence[ColumnElement[bool]], limit: int = 1) -> list[Revision]:
    r = rule_set.c
    rows = rx.execute(
        select(r.id, r.text, r.rules, func.coalesce(account.c.name, r.changed_by), r.changed_at, r.note)
        .join(account, account.c.public_id == r.changed_by, isouter=True)
        .where(*which)
        .order_by(r.id.desc())
        .limit(limit)
    )
    return [Revision(*row) for row in rows]


def asked_class() -> ColumnElement[int]:
    """The class that center and rules ask for, without the AI: the more urgent of the two."""
    by_rule, by_center = study.c.rule_priority, study.c.center_priority
    return case((by_rule < by_center, by_rule), else_=by_center)


def route_images(rx: Connection, study_id: int, revision: int, rules: RuleSet) -> dict[int, Decisions]:
    """Return what the rules decide of each received image of a study revision, by the image's id."""
    if not rules.rules:
        return {}
    i = instance.c
    rows = rx.execute(
        select(i.id, i.header, i.sender, i.door, site.c.code, study.c.center_priority)
        .join(site, site.c.id == i.site_id)
        .join(study, study.c.id == i.study_id)
        .where(i.study_id == study_id, i.revision <= revision, i.is_result.is_(False))
        .order_by(i.id)
    )
    return {
        row.id: rules.decide(
            facts_of(from_header(row.header), Origin(row.code, row.sender, row.door, row.center_priority))
        )
        for row in rows
    }


def values_of(decisions: Decisions) -> dict[str, object]:
    """Return what a study's row keeps of the rules' decisions."""
    return {
        "rule_priority": floor_of(decisions),
        "rule_policy": policy_of(decisions),
        "routing": to_json(decisions),
    }


def reroute(tx: Connection, study_id: int, rules: RuleSet) -> None:
    """Hold a study's images against the rules again, because the center asks for another class.

    What an earlier request raised stays raised: only the center lowers, and only its own class.
    """
    if not rules.asks_for("requested_priority"):
        return
    row = tx.execute(select(study.c.routing, study.c.revision).where(study.c.id == study_id)).one()
    decisions: Decisions = from_json(row.routing)
    for image in route_images(tx, study_id, row.revision, rules).values():
        decisions = study_decisions(decisions, image)
    tx.execute(update(study).where(study.c.id == study_id).values(**values_of(decisions)))
