"""One caller's look at the list: under which policies, how far into the AI's results, until when today lasts."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from service.access import Caller
from service.results.visibility import sight_of
from service.settings import Settings
from service.worklist import finding_records, list_records
from service.worklist.answers import Item, Look, row_answer
from service.worklist.criteria import Ask
from service.worklist.detail_answers import Detail, ItemDetail, detail_answer
from service.worklist.filters import Filters
from service.worklist.list_records import Row
from service.worklist.policies import policies_of

EVERYTHING = Filters()


def ask_for(
    rx: Connection,
    caller: Caller,
    settings: Settings,
    *,
    now: float,
    filters: Filters = EVERYTHING,
    as_of: float | None = None,
) -> Ask:
    """Return what a caller asks of the list, with what decides how it looks for him."""
    return Ask(
        caller=caller,
        policies=policies_of(caller, list_records.site_policies(rx, caller)),
        sight=sight_of(caller),
        filters=filters,
        now=now,
        as_of=now if as_of is None else as_of,
        day_ends_at=_day_ends_at(list_records.time_zone_of(rx, caller), now) if filters.due == "today" else now,
        max_wait_s=settings.max_wait_hours * 3600.0,
    )


def answers_for(rx: Connection, ask: Ask, rows: list[Row]) -> list[Item]:
    """Return the answers of rows, with what the caller may know of their findings."""
    findings = finding_records.current_findings(rx, [row["study_id"] for row in rows], ask.sight)
    return [row_answer(row, findings[row["study_id"]], look_of(ask)) for row in rows]


def detail_for(rx: Connection, ask: Ask, row: Row) -> ItemDetail:
    """Return the answer of one study with everything that was done with it."""
    study_id, sight = row["study_id"], ask.sight
    rows = Detail(
        row=row,
        current=finding_records.current_findings(rx, [study_id], sight)[study_id],
        revisions=finding_records.list_revisions(rx, study_id),
        runs=finding_records.list_runs(rx, study_id, sight),
        findings=finding_records.list_findings(rx, study_id, sight),
        results=finding_records.list_results(rx, study_id, sight),
    )
    return detail_answer(rows, look_of(ask))


def look_of(ask: Ask) -> Look:
    """Return who looks, and when."""
    return Look(ask.caller, ask.now, ask.max_wait_s)


def _day_ends_at(time_zone: str, now: float) -> float:
    """Return the next midnight at a place, whatever its clocks do in between."""
    today = datetime.fromtimestamp(now, ZoneInfo(time_zone)).date()
    tomorrow = today + timedelta(days=1)
    return datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=ZoneInfo(time_zone)).timestamp()
