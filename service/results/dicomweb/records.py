"""The SQL of search and retrieve. Every query is scoped to sites, and to what its caller may see, before any limit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, Connection, Select, bindparam, func, select

from preprocessing.header import InstanceHeader, from_json
from service import tables
from service.results.dicomweb.attributes import ATTRIBUTES, Level
from service.results.dicomweb.condition_records import OWNER, among, column_of, matching, narrowed
from service.results.dicomweb.qido import Search
from service.results.visibility import Scope, Sight, sees_instance, sees_series

COUNTED = 1_000
"""Remaining results are counted up to here: a full count of a large archive is not worth what it costs."""

_STUDY, _SERIES, _INSTANCE = tables.study.c, tables.series.c, tables.instance.c
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
    found = _from(query).where(*_at(place))
    owner, order = OWNER[query.level].c, _ORDER[query.level]
    few = _studies_at(scope, place) if place.study_instance_uid else narrowed(rx, scope, query.level, query.conditions)
    is_walk = few is None
    if few is not None:
        level, ids = few
        found, order = found.where(_held(query.level, level).in_(ids)), _ORDER_OF_FEW[query.level]
    # A page over several sites walks the page's order, and not each site; that of few follows what was found.
    is_plain = few is not None or len(scope.sites) > 1
    found = found.where(among(owner.site_id + 0 if is_plain else owner.site_id, scope.sites))
    if query.level >= Level.SERIES:
        found = found.where(sees_series(scope.sight))
    if query.level is Level.INSTANCE:
        found = found.where(sees_instance(scope.sight))
    for condition in query.conditions:
        is_order = is_walk and query.level is Level.STUDY and condition.attribute.column == "study_date"
        found = found.where(matching(condition, scope.sight, is_indexed=is_order))
    page = found.order_by(*order).limit(query.limit + 1).offset(query.offset)
    rows = [dict(row) for row in rx.execute(page).mappings().all()]
    remaining, is_at_least = 0, False
    if len(rows) > query.limit and is_walk and query.conditions:
        remaining, is_at_least = 1, True  # to count more would be to walk on for nothing else
    elif len(rows) > query.limit:
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
        .where(among(_STUDY.site_id, scope.sites), sees_instance(scope.sight), *_at(place))
        .order_by(_INSTANCE.series_id, _INSTANCE.id)
    )  # fmt: skip
    rows = rx.execute(query).mappings()
    return [StoredInstance(**{**row, "header": from_json(row["header"])}) for row in rows]


def _from(query: Search) -> Select[Any]:
    """Select what the search returns, by the names that attributes use, and the study's id to count by."""
    columns: list[ColumnElement[Any]] = [_STUDY.id.label("study_id")]
    for attribute in query.attributes:
        column = column_of(attribute)
        if column is not None:
            columns.append(column.label(attribute.column))
    if query.level is Level.INSTANCE:
        columns.append(_INSTANCE.header)
    rows = select(*columns).select_from(OWNER[query.level])
    if query.level is Level.INSTANCE:
        rows = rows.join(tables.series, _SERIES.id == _INSTANCE.series_id)
    if query.level >= Level.SERIES:
        rows = rows.join(tables.study, _STUDY.id == _SERIES.study_id)
    return rows


def _at(place: Place) -> list[ColumnElement[bool]]:
    named = (
        (_STUDY.study_instance_uid, place.study_instance_uid),
        (_SERIES.series_instance_uid, place.series_instance_uid),
        (_INSTANCE.sop_instance_uid, place.sop_instance_uid),
    )
    return [column == uid for column, uid in named if uid is not None]


def _studies_at(scope: Scope, place: Place) -> tuple[Level, Select[Any]]:
    """Return what selects the studies of a place: the same one may have come from several sites."""
    named = _STUDY.study_instance_uid == place.study_instance_uid
    return Level.STUDY, select(_STUDY.id).where(among(_STUDY.site_id, scope.sites), named)


def _held(level: Level, by: Level) -> ColumnElement[Any]:
    """Return the column by which a study, series or instance names itself, its study or its series."""
    owner = OWNER[level].c
    if level is by:
        return owner.id
    return owner.study_id if by is Level.STUDY else owner.series_id


def _add_counts(rx: Connection, rows: list[dict[str, Any]], sight: Sight) -> None:
    """Add what a study holds, results included: all that the caller can retrieve counts."""
    study_ids: BindParameter[int] = bindparam("study_ids", sorted({row["study_id"] for row in rows}), expanding=True)
    held: dict[int, list[tuple[str | None, int]]] = {}
    query = select(_SERIES.study_id, _SERIES.modality, _SERIES.instance_count).where(
        _SERIES.study_id.in_(study_ids), sees_series(sight)
    )
    for study_id, modality, count in rx.execute(query).all():
        held.setdefault(study_id, []).append((modality, count))
    for row in rows:
        series = held.get(row["study_id"], [])
        row["modalities_in_study"] = sorted({modality for modality, _ in series if modality})
        row["number_of_series"] = len(series)
        row["number_of_instances"] = sum(count for _, count in series)


def _of_header(header: dict[str, Any]) -> dict[str, object]:
    return {name: header.get(name) for name in _IN_HEADER}
