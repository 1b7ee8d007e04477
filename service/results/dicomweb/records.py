"""The SQL of search and retrieve. Every query is scoped to sites, and to what its caller may see, before any limit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from preprocessing.header import InstanceHeader, from_json
from service import tables
from service.intake.studies import fold
from service.results.dicomweb.attributes import ATTRIBUTES, Attribute, Level
from service.results.dicomweb.qido import Between, Condition, Empty, Like, Match, OneOf, Search
from service.results.visibility import Scope, Sight, sees_instance, sees_series

COUNTED = 1_000
"""Remaining results are counted up to here: a full count of a large archive is not worth what it costs."""
LAST = "\U0010ffff"
"""Sorts after every text: a prefix is a range, which an index serves on every database (ENGINE section 4)."""

_STUDY, _SERIES, _INSTANCE = tables.study.c, tables.series.c, tables.instance.c
_OWNER_TABLE = {Level.STUDY: tables.study, Level.SERIES: tables.series, Level.INSTANCE: tables.instance}
_OWNER = {level: table.c for level, table in _OWNER_TABLE.items()}
_ORDER = {
    Level.STUDY: (_STUDY.study_date.desc(), _STUDY.id.desc()),
    Level.SERIES: (_SERIES.id,),
    Level.INSTANCE: (_INSTANCE.id,),
}
_ORDER_OF_FEW = {
    Level.STUDY: (func.coalesce(_STUDY.study_date, "").desc(), _STUDY.id.desc()),
    Level.SERIES: ((_SERIES.id + 0),),
    Level.INSTANCE: ((_INSTANCE.id + 0),),
}
"""The same orders, told so that no index serves them: of few rows, finding them is what needs the index."""
FEW = 2_000
_TELLING = frozenset({
    "patient_id", "accession_number", "patient_name", "referring_physician_name", "study_instance_uid",
})  # fmt: skip
"""Attributes that have an index of their own and rarely match many studies."""
_COUNTS = frozenset({"modalities_in_study", "number_of_series", "number_of_instances"})
_IN_HEADER = tuple(a.column for a in ATTRIBUTES if a.level is Level.INSTANCE and a.column not in tables.instance.c)


@dataclass(frozen=True, slots=True)
class Place:
    """A study, series or instance as an address names it."""

    study_instance_uid: str | None = None
    series_instance_uid: str | None = None
    sop_instance_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the rows that a search finds."""

    rows: list[dict[str, object]]
    remaining: int
    remaining_is_at_least: bool


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """An instance that can be retrieved."""

    site_id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    content_sha256: str
    size_bytes: int
    is_result: bool
    header: InstanceHeader


def all_sites(rx: Connection) -> tuple[int, ...]:
    """Return every site: named one by one, so that indexes that begin with the site serve those who see all."""
    return tuple(rx.execute(select(tables.site.c.id).order_by(tables.site.c.id)).scalars())


def search(rx: Connection, scope: Scope, place: Place, query: Search) -> Page:
    """Return one page of what a search finds for a caller, in an order that stays the same."""
    narrowed = _narrowed(rx, scope, place, query)
    owner, order = _OWNER[query.level], _ORDER[query.level]
    found = _from(query).where(*_at(place))
    if narrowed is None:
        found = found.where(_of_sites(owner.site_id, scope, query, place))
    else:
        found = found.where((owner.id if query.level is Level.STUDY else owner.study_id).in_(narrowed))
        order = _ORDER_OF_FEW[query.level]
    if query.level >= Level.SERIES:
        found = found.where(sees_series(scope.sight))
    if query.level is Level.INSTANCE:
        found = found.where(sees_instance(scope.sight))
    for condition in query.conditions:
        if narrowed is None or condition.attribute.level > Level.STUDY:
            found = found.where(_condition(condition, scope.sight))
    page = found.order_by(*order).limit(query.limit + 1).offset(query.offset)
    rows = [dict(row) for row in rx.execute(page).mappings()]
    remaining, is_at_least = 0, False
    if len(rows) > query.limit:
        beyond = found.with_only_columns(_STUDY.id).limit(COUNTED + 1).offset(query.offset + query.limit)
        remaining = rx.execute(select(func.count()).select_from(beyond.subquery())).scalar_one()
        is_at_least = remaining > COUNTED
    rows = rows[: query.limit]
    if query.level is Level.INSTANCE:
        rows = [{**_of_header(row.pop("header")), **row} for row in rows]
    if any(attribute.column in _COUNTS for attribute in query.attributes):
        _add_counts(rx, rows, scope.sight)
    return Page([{**row, "availability": "ONLINE"} for row in rows], min(remaining, COUNTED), is_at_least)


def instances(rx: Connection, scope: Scope, place: Place) -> list[StoredInstance]:
    """Return what a caller can retrieve at a place, series by series."""
    query = (
        select(
            _INSTANCE.site_id, _STUDY.study_instance_uid, _SERIES.series_instance_uid, _INSTANCE.sop_instance_uid,
            _INSTANCE.sop_class_uid, _INSTANCE.transfer_syntax_uid, _INSTANCE.content_sha256, _INSTANCE.size_bytes,
            _INSTANCE.is_result, _INSTANCE.header,
        )
        .join_from(tables.instance, tables.series, _SERIES.id == _INSTANCE.series_id)
        .join(tables.study, _STUDY.id == _INSTANCE.study_id)
        .where(_among(_STUDY.site_id, scope.sites), sees_instance(scope.sight), *_at(place))
        .order_by(_INSTANCE.series_id, _INSTANCE.id)
    )  # fmt: skip
    rows = rx.execute(query).mappings()
    return [StoredInstance(**{**row, "header": from_json(row["header"])}) for row in rows]


def _from(query: Search) -> Select[Any]:
    """Select what the search returns, by the names that attributes use, and the study's id to count by."""
    columns: list[ColumnElement[Any]] = [_STUDY.id.label("study_id")]
    for attribute in query.attributes:
        column = _column(attribute)
        if column is not None:
            columns.append(column.label(attribute.column))
    if query.level is Level.INSTANCE:
        columns.append(_INSTANCE.header)
    rows = select(*columns).select_from(_OWNER_TABLE[query.level])
    if query.level is Level.INSTANCE:
        rows = rows.join(tables.series, _SERIES.id == _INSTANCE.series_id)
    if query.level >= Level.SERIES:
        rows = rows.join(tables.study, _STUDY.id == _SERIES.study_id)
    return rows


def _column(attribute: Attribute) -> ColumnElement[Any] | None:
    """Return where an attribute is kept; None for what is computed or read from the stored header."""
    if attribute.column == "series_instance_count":
        return _SERIES.instance_count
    return _OWNER[attribute.level].get(attribute.column)


def _at(place: Place) -> list[ColumnElement[bool]]:
    named = (
        (_STUDY.study_instance_uid, place.study_instance_uid),
        (_SERIES.series_instance_uid, place.series_instance_uid),
        (_INSTANCE.sop_instance_uid, place.sop_instance_uid),
    )
    return [column == uid for column, uid in named if uid is not None]


def _among(column: ColumnElement[Any], values: Sequence[object]) -> ColumnElement[bool]:
    return column == values[0] if len(values) == 1 else column.in_(values)


def _condition(condition: Condition, sight: Sight) -> ColumnElement[bool]:
    attribute, match = condition.attribute, condition.match
    if attribute.matching == "modalities":
        inner = tables.series.alias()
        named = exists().where(inner.c.study_id == _STUDY.id, _matches(inner.c.modality, match))
        return named.where(sees_series(sight, inner)).correlate_except(inner)
    column = _OWNER[attribute.level][attribute.folded] if attribute.folded else _column(attribute)
    if column is None:
        raise ValueError(f"{attribute.keyword} is not kept in a column")
    matches = _name_matches if attribute.folded else _matches
    return matches(column, match)


def _of_sites(column: ColumnElement[Any], scope: Scope, query: Search, place: Place) -> ColumnElement[bool]:
    """Keep to the caller's sites; for a page over several, in a way that walks the page's order and not each site."""
    is_walk = place == Place() and (query.level is Level.STUDY or not query.conditions)
    return _among(column + 0 if is_walk and len(scope.sites) > 1 else column, scope.sites)


def _narrowed(rx: Connection, scope: Scope, place: Place, query: Search) -> list[int] | None:
    """Return the studies that the query's study conditions leave, when they are few; None when there is no telling.

    Without statistics a database walks every row in the order of the page rather than take the index of a telling
    condition. Asked for alone, the condition is answered from its index; a part of a text, by reading that through.
    """
    conditions = [condition for condition in query.conditions if condition.attribute.level is Level.STUDY]
    if not any(condition.attribute.column in _TELLING for condition in conditions):
        return None
    at = [_STUDY.study_instance_uid == place.study_instance_uid] if place.study_instance_uid else []
    found = select(_STUDY.id).where(_among(_STUDY.site_id, scope.sites), *at)
    for condition in conditions:
        found = found.where(_condition(condition, scope.sight))
    ids = list(rx.execute(found.limit(FEW + 1)).scalars())
    return ids if len(ids) <= FEW else None


def _matches(column: ColumnElement[Any], match: Match) -> ColumnElement[bool]:
    match match:
        case OneOf(values):
            return _among(column, values)
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
            # One component group is enough: `Kim^Minjun` finds `Kim^Minjun=김^민준`.
            ways = [column == folded, _like(column, f"{folded} *")]
        case _:
            return _matches(column, match)
    if not folded.isascii():
        # Another script's name may be the second or third group. No index serves that, so only such names pay for it.
        ways += [column.like(_like_pattern(f"* {folded}"), escape="\\")]
        if isinstance(match, OneOf):
            ways += [column.like(_like_pattern(f"* {folded} *"), escape="\\")]
    return or_(*ways)


def _add_counts(rx: Connection, rows: list[dict[str, Any]], sight: Sight) -> None:
    """Add what a study holds, results included: all that the caller can retrieve counts."""
    study_ids = sorted({row["study_id"] for row in rows})
    held: dict[int, list[tuple[str | None, int]]] = {}
    query = select(_SERIES.study_id, _SERIES.modality, _SERIES.instance_count).where(
        _SERIES.study_id.in_(study_ids), sees_series(sight)
    )
    for study_id, modality, count in rx.execute(query):
        held.setdefault(study_id, []).append((modality, count))
    for row in rows:
        series = held.get(row["study_id"], [])
        row["modalities_in_study"] = sorted({modality for modality, _ in series if modality})
        row["number_of_series"] = len(series)
        row["number_of_instances"] = sum(count for _, count in series)


def _of_header(header: dict[str, Any]) -> dict[str, object]:
    return {name: header.get(name) for name in _IN_HEADER}
