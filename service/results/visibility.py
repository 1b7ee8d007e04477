"""Which of the AI's results a caller may see, as a criterion that every query of them carries."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, false, func, literal, or_, select, true

from service.access import Caller
from service.roles import READERS, Role
from service.tables import first_impression, instance, report, report_document, report_version, series

ENCAPSULATED_PDF = "1.2.840.10008.5.1.4.1.1.104.1"
"""A signed report in its study: whoever may see the study may read it, while it stands."""
FINAL = ("final", "appended", "amended")
"""Versions of a report that a center may act on."""


class Rule(StrEnum):
    """From when on a caller sees what the AI found."""

    ALWAYS = "always"
    AFTER_IMPRESSION = "after_impression"
    """After the caller's own first impression of these images, or a final report on them (DESIGN section 7)."""
    AFTER_REPORT = "after_report"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Sight:
    """How far a caller sees into the AI's results."""

    rule: Rule
    account_id: int | None = None


@dataclass(frozen=True, slots=True)
class Scope:
    """What exists for a request: the sites, and of their results what the caller may see."""

    caller: Caller
    sites: tuple[int, ...]
    sight: Sight


_RULES = {
    Role.SITE_UPLOADER: Rule.NEVER,
    Role.SITE_PHYSICIAN: Rule.AFTER_REPORT,
    Role.ML_ENGINEER: Rule.NEVER,
    Role.AUDITOR: Rule.NEVER,
    Role.ADMINISTRATOR: Rule.ALWAYS,
    Role.GATEWAY: Rule.ALWAYS,
}


def sight_of(caller: Caller) -> Sight:
    """Return how far a caller sees; a reader without an account, which there is not, would see nothing early."""
    if caller.role in READERS:
        return Sight(Rule.AFTER_IMPRESSION, caller.account_id)
    return Sight(_RULES.get(caller.role, Rule.NEVER))


def impression_revision(sight: Sight, study_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the newest revision of a study whose images the caller has judged alone; NULL when there is none."""
    t = first_impression.c
    query = select(func.max(t.revision)).where(t.study_id == study_id, t.account_id == literal(sight.account_id))
    return query.correlate_except(first_impression).scalar_subquery()


def reported_revision(study_id: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return the newest revision of a study that a standing final report covers; NULL when there is none."""
    query = _standing(select(func.max(report_version.c.study_revision)), study_id)
    return query.correlate_except(report, report_version).scalar_subquery()


def sees(sight: Sight, study_id: ColumnElement[Any], revision: ColumnElement[Any]) -> ColumnElement[bool]:
    """Keep to what the AI found in revisions that the caller may know of."""
    match sight.rule:
        case Rule.ALWAYS:
            return true()
        case Rule.NEVER:
            return false()
        case Rule.AFTER_REPORT:
            return _is_reported(study_id, revision)
        case Rule.AFTER_IMPRESSION:
            t = first_impression.c
            own = exists().where(
                t.study_id == study_id, t.account_id == literal(sight.account_id), t.revision >= revision
            )
            return or_(own.correlate_except(first_impression), _is_reported(study_id, revision))


@lru_cache(maxsize=256)
def sees_instance(sight: Sight) -> ColumnElement[bool]:
    """Keep to images, to signed reports, and to results that the caller may know of; needs the table `instance`.

    Kept for each sight: to build it anew costs a search more than to run it.
    """
    i = instance.c
    is_report = i.sop_class_uid == ENCAPSULATED_PDF
    if sight.rule is Rule.AFTER_IMPRESSION:
        # Its study waits for a reader again, and what was said of it would lead him.
        is_report = and_(is_report, ~_is_taken_back())
    is_open = or_(i.is_result.is_(False), is_report)
    return true() if sight.rule is Rule.ALWAYS else or_(is_open, sees(sight, i.study_id, i.revision))


def sees_series(sight: Sight, of: Any = series) -> ColumnElement[bool]:
    """Keep to series of which the caller may see an instance; `of` is the table `series` or an alias of it."""
    if sight.rule is Rule.ALWAYS:
        return true()
    any_seen = exists().where(instance.c.series_id == of.c.id, sees_instance(sight))
    return or_(of.c.is_result.is_(False), any_seen.correlate_except(instance, first_impression, report, report_version))


def sees_version(sight: Sight, of: Any, study_id: ColumnElement[Any]) -> ColumnElement[bool]:
    """Keep to versions of a study's report that do not tell a reader what he must not know yet.

    Final reports that stand are for all. A preliminary one, and one that was taken back, is for its signer, and for who
    may know what the AI found in its images: the study waits for a reader whom they would lead.

    Args:
        sight: How far the caller sees.
        of: An alias of the table `report_version`.
        study_id: The study that the report is about; a column of the tables `report` and `report_version` themselves
            would be taken for one of the subqueries'.
    """
    if sight.rule is not Rule.AFTER_IMPRESSION:
        return true()
    stands = and_(of.c.status.in_(FINAL), ~_is_retracted_by(of))
    is_own = of.c.account_id == literal(sight.account_id)
    return or_(stands, is_own, sees(sight, study_id, of.c.study_revision))


def _is_retracted_by(of: Any) -> ColumnElement[bool]:
    """Tell whether a version, or a later one of its report, took it back."""
    later = report_version.alias()
    later_ones = (later.c.report_id == of.c.report_id, later.c.number >= of.c.number, later.c.status == "cancelled")
    return exists().where(*later_ones).correlate_except(later)


def _is_taken_back() -> ColumnElement[bool]:
    """Tell whether an instance is the pages of a version that was retracted, or of its retraction."""
    query = (
        select(report_document.c.id)
        .join_from(report, report_version, report_version.c.report_id == report.c.id)
        .join(report_document, report_document.c.report_version_id == report_version.c.id)
        .where(report.c.study_id == instance.c.study_id, report_document.c.instance_id == instance.c.id)
        .where(_is_retracted_by(report_version))
    )
    return query.correlate_except(report, report_version, report_document).exists()


def _is_reported(study_id: ColumnElement[Any], revision: ColumnElement[Any]) -> ColumnElement[bool]:
    query = _standing(select(report_version.c.id), study_id).where(report_version.c.study_revision >= revision)
    return query.correlate_except(report, report_version).exists()


def _standing(query: Select[Any], study_id: ColumnElement[Any]) -> Select[Any]:
    """Keep to final versions of a study's report that nobody has taken back since."""
    return query.join_from(report_version, report, report.c.id == report_version.c.report_id).where(
        report.c.study_id == study_id,
        report_version.c.status.in_(FINAL),
        ~_is_retracted_by(report_version),
    )
