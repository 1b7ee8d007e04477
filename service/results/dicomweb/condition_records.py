"""The SQL of a search's conditions: what each means, and which is asked first, alone, so that its index serves.

Without statistics a database picks among indexes by their shape: of a patient's studies in a range of dates it reads
the whole range. So one telling condition is asked alone; when few rows match, the rest of the search is about those,
and nothing else of it is told in a way that an index could serve. When none is telling, rows are walked in the page's
order until the page is full.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, and_, exists, func, or_, select

from service import tables
from service.intake.studies import fold
from service.results.dicomweb.attributes import Attribute, Level
from service.results.dicomweb.qido import Between, Condition, Empty, Like, Match, OneOf
from service.results.visibility import Scope, Sight, sees_series

LAST = "\U0010ffff"
"""Sorts after every text: a prefix is a range, which an index serves on every database (ENGINE section 4)."""
OWNER = {Level.STUDY: tables.study, Level.SERIES: tables.series, Level.INSTANCE: tables.instance}
FEW = 2_000
"""So many rows are read and sorted faster than a page is found by walking a large table in its order."""

_TELLING = (
    "study_instance_uid", "series_instance_uid", "sop_instance_uid", "accession_number", "patient_id",
    "requested_procedure_id", "study_id_text", "patient_name", "referring_physician_name", "modality",
    "modalities_in_study", "study_description", "patient_birth_date", "study_date",
)  # fmt: skip
"""Attributes that have an index of their own, the most telling first."""


def narrowed(
    rx: Connection, scope: Scope, level: Level, conditions: Sequence[Condition]
) -> tuple[Level, Select[Any] | list[int]] | None:
    """Return the studies, series or instances that one telling condition leaves, as ids or what selects them.

    None when every condition leaves many, and for a date of studies, whose pages are walked by date anyway.

    A part of a text is asked last: it is answered by reading its index through, which is still less than the table.
    """
    telling = [one for one in conditions if one.attribute.column in _TELLING]
    if level is Level.STUDY:
        telling = [one for one in telling if one.attribute.column != "study_date"]
    for condition in sorted(telling, key=lambda one: (_is_part(one), _TELLING.index(one.attribute.column))):
        attribute = condition.attribute
        if attribute.matching == "modalities":
            # Of all that a series says, and of those that the caller may not see too: the search itself looks closer.
            held_by, ids = Level.STUDY, select(tables.series.c.study_id).distinct()
            criterion = _matches(tables.series.c.modality, condition.match)
            owner = tables.series
        else:
            held_by, owner = attribute.level, OWNER[attribute.level]
            ids, criterion = select(owner.c.id), matching(condition, scope.sight, is_indexed=True)
        few = ids.where(among(owner.c.site_id, scope.sites), criterion).limit(FEW + 1)
        if _is_part(condition):
            found = list(rx.execute(few).scalars())  # reading an index through is done once
            if len(found) <= FEW:
                return held_by, found
        elif rx.execute(select(func.count()).select_from(few.subquery())).scalar_one() <= FEW:
            return held_by, few
    return None


def _is_part(condition: Condition) -> bool:
    """Tell whether a condition asks for a text inside of others; a name in another script may be a later group."""
    match match := condition.match:
        case Like(pattern):
            return pattern.startswith(("*", "?")) or bool(condition.attribute.folded and not fold(pattern).isascii())
        case OneOf(values):
            return bool(condition.attribute.folded) and not fold(str(values[0])).isascii()
        case _:
            return isinstance(match, Empty)


def matching(condition: Condition, sight: Sight, *, is_indexed: bool) -> ColumnElement[bool]:
    """Keep to rows that match a condition; only when asked to, in a way that an index may serve."""
    attribute, match = condition.attribute, condition.match
    if attribute.matching == "modalities":
        inner = tables.series.alias()
        named = exists().where(inner.c.study_id == tables.study.c.id, _matches(_plain(inner.c.modality), match))
        return named.where(sees_series(sight, inner)).correlate_except(inner)
    column = OWNER[attribute.level].c[attribute.folded] if attribute.folded else column_of(attribute)
    if column is None:
        raise ValueError(f"{attribute.keyword} is not kept in a column")
    matches = _name_matches if attribute.folded else _matches
    return matches(column if is_indexed else _plain(column), match)


def _plain(column: ColumnElement[Any]) -> ColumnElement[Any]:
    """Return a column's value, which no index knows."""
    return column + 0 if isinstance(column.type, Integer) else column.concat("")


def column_of(attribute: Attribute) -> ColumnElement[Any] | None:
    """Return where an attribute is kept; None for what is computed or read from the stored header."""
    if attribute.column == "series_instance_count":
        return tables.series.c.instance_count
    return OWNER[attribute.level].c.get(attribute.column)


def among(column: ColumnElement[Any], values: Sequence[object]) -> ColumnElement[bool]:
    """Keep to rows whose column is one of the values."""
    return column == values[0] if len(values) == 1 else column.in_(values)


def _matches(column: ColumnElement[Any], match: Match) -> ColumnElement[bool]:
    match match:
        case OneOf(values):
            return among(column, values)
        case Between(low, high):
            # `10` as the end of a range of times is the whole of that hour: what begins with it is still inside.
            ends = [column >= low] if low else []
            return and_(*ends, *([column < high + LAST] if high else []))
        case Like(pattern):
            return _like(column, pattern)
        case Empty():
            return or_(column.is_(None), column == "")


def _like(column: ColumnElement[Any], pattern: str) -> ColumnElement[bool]:
    prefix = pattern[:-1]
    if pattern.endswith("*") and "*" not in prefix and "?" not in prefix:
        return and_(column >= prefix, column < prefix + LAST)
    return column.like(_like_pattern(pattern), escape="\\")


def _like_pattern(pattern: str) -> str:
    escaped = "".join(f"\\{character}" if character in "\\%_" else character for character in pattern)
    return escaped.replace("*", "%").replace("?", "_")


def _name_matches(column: ColumnElement[Any], match: Match) -> ColumnElement[bool]:
    """Names are compared folded: without case, accents and component marks, in each of their scripts."""
    match match:
        case Like(pattern):
            folded = fold(pattern)
            ways = [_like(column, folded)]
        case OneOf(values):
            folded = fold(str(values[0]))
            # One component group is enough: `Kim^Minjun` finds `Kim^Minjun=김^민준`. The range around both lets an
            # index serve the two ways at once.
            exact = or_(column == folded, _like(column, f"{folded} *"))
            ways = [and_(column >= folded, column < f"{folded} {LAST}", exact)]
        case _:
            return _matches(column, match)
    if not folded.isascii():
        # Another script's name may be the second or third group. No index serves that, so only such names pay for it.
        ways += [column.like(_like_pattern(f"* {folded}"), escape="\\")]
        if isinstance(match, OneOf):
            ways += [column.like(_like_pattern(f"* {folded} *"), escape="\\")]
    return or_(*ways)
