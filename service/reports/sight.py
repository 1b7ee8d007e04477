"""Which versions of a report a reader may see: one that is not final tells what the AI found (DESIGN section 7)."""

from __future__ import annotations

from sqlalchemy import Connection

from service.access import Caller
from service.reports import records
from service.reports.records import Report, Version
from service.reports.versions import STANDING
from service.results.visibility import Rule, sight_of


def versions_for(rx: Connection, who: Caller, report: Report) -> list[Version]:
    """Return the versions of a report that do not tell a reader what he must not know yet, the first first.

    Final reports that stand are for all. A preliminary one, and one that was taken back, is for its signer, and for who
    may know what the AI found in its images: the study waits for a reader whom they would lead.
    """
    versions = records.versions_of(rx, report.id)
    sight = sight_of(who)
    if sight.rule is not Rule.AFTER_IMPRESSION:
        return versions
    known = records.known_revision(rx, sight, report.study_id)
    taken_back = max((version.number for version in versions if version.status == "cancelled"), default=0)
    return [
        version
        for version in versions
        if (version.status in STANDING and version.number > taken_back)
        or version.account_id == who.account_id
        or version.study_revision <= known
    ]
