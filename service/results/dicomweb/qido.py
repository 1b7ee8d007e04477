"""QIDO-RS: a query's text → a typed Search, and found rows → DICOM JSON (PS3.18 10.6, 8.3.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.errors import Invalid
from service.intake.verify import is_valid_uid
from service.results.dicomweb.attributes import (
    ATTRIBUTES,
    BY_TAGS,
    Attribute,
    Json,
    Level,
    element,
    json_element,
    named,
    tag_of,
)

MAX_RESULTS: Mapping[Level, int] = {Level.STUDY: 1_000, Level.SERIES: 5_000, Level.INSTANCE: 5_000}
"""More in one answer is for the next page: `offset`."""
MAX_OFFSET = 10_000_000
MAX_VALUE = 1_024
MAX_LIST = 500
SERVICE = "pandok"

_DATE = re.compile(r"\d{8}")
_TIME = re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d(\.\d{1,6})?)?)?")
_NUMBER = re.compile(r"[+-]?\d{1,9}")
_BOOLEANS = {"true": True, "false": False}
SWITCHES = ("fuzzymatching", "emptyvaluematching", "multiplevaluematching")


@dataclass(frozen=True, slots=True)
class OneOf:
    """The value is one of these."""

    values: tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Like:
    """The value matches a pattern: `*` is any text, `?` any one character."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Between:
    """The value is in a range, both ends included; an open end is None."""

    low: str | None
    high: str | None


@dataclass(frozen=True, slots=True)
class Empty:
    """There is no value."""


Match = OneOf | Like | Between | Empty


@dataclass(frozen=True, slots=True)
class Condition:
    """One attribute and what it must match."""

    attribute: Attribute
    match: Match


@dataclass(frozen=True, slots=True)
class Search:
    """A checked query."""

    level: Level
    conditions: tuple[Condition, ...]
    attributes: tuple[Attribute, ...]
    """What is returned, in the order of tags."""
    limit: int
    offset: int
    warnings: tuple[str, ...]


def parse_search(level: Level, within: Level | None, parameters: Sequence[tuple[str, str]]) -> Search:
    """Check the parameters of a search.

    Args:
        level: What is searched for.
        within: The level that the address fixes by its UIDs; None for a search over everything.
        parameters: Names and decoded values, as often as they occur.

    Raises:
        Invalid: A parameter is unknown, occurs twice or has a value that cannot be.
    """
    conditions: dict[tuple[int, ...], Condition] = {}
    asked: set[tuple[int, ...]] = set()
    paging = {"limit": MAX_RESULTS[level], "offset": 0}
    switches = dict.fromkeys(SWITCHES, False)
    warnings: list[str] = []
    includes_all = False
    for name, value in parameters:
        if len(value) > MAX_VALUE * 40 or "\0" in value:
            raise Invalid("A value of the query is too long or has characters that no attribute has.")
        if name in switches:
            switches[name] = _boolean(name, value)
        elif name in paging:
            paging[name] = _count(name, value)
        elif name == "includefield":
            includes_all |= value == "all"
            asked |= _fields(value)
    for name, value in parameters:
        if name in switches or name in paging or name in ("includefield", "site", "accept"):
            continue
        tags = _tags(name)
        if tags in conditions:
            raise Invalid("An attribute occurs twice in the query.")
        asked.add(tags)
        attribute = BY_TAGS.get(tags)
        if attribute is None or attribute.matching == "none" or attribute.level > level:
            warnings.append(f"Not searched by: {name}")
            continue
        match = _match(attribute, value, switches)
        if match is not None:
            conditions[tags] = Condition(attribute, match)
    if switches["fuzzymatching"]:
        warnings.append("The fuzzymatching parameter is not supported. Only literal matching has been performed.")
    return Search(
        level=level,
        conditions=tuple(conditions.values()),
        attributes=_returned(level, within, asked, includes_all=includes_all),
        limit=min(paging["limit"], MAX_RESULTS[level]),
        offset=paging["offset"],
        warnings=tuple(warnings),
    )


def warning_headers(search: Search, remaining: int, *, is_at_least: bool) -> list[str]:
    """Return the values of the Warning header (DWB-14)."""
    texts = list(search.warnings)
    if remaining:
        more = "at least " if is_at_least else ""
        texts.append(f"There are {more}{remaining} additional results that can be requested")
    return [f'299 {SERVICE}: "{text}"' for text in texts]


def answer(search: Search, rows: Iterable[Mapping[str, object]], base: str) -> list[Json]:
    """Return the rows as DICOM JSON.

    Args:
        search: Says what to return.
        rows: By column name, for each attribute that the search returns, and the UIDs down to its level.
        base: The address of the DICOMweb service, for the retrieve addresses.
    """
    plain = [(*named(a.keyword), a.column) for a in search.attributes if not a.sequence]
    sequences = {
        sequence: [(a.keyword, a.column) for a in search.attributes if a.sequence == sequence]
        for sequence in {a.sequence for a in search.attributes if a.sequence}
    }

    def item(row: Mapping[str, object]) -> Json:
        found = {tag: json_element(vr, row.get(column)) for tag, vr, column in plain}
        for sequence, inner in sequences.items():
            held = dict(element(keyword, row[column]) for keyword, column in inner if row.get(column) is not None)
            found |= dict([element(sequence, [held] if held else None)])
        found |= dict([element("RetrieveURL", _address(search.level, row, base))])
        return dict(sorted(found.items()))

    return [item(row) for row in rows]


def _address(level: Level, row: Mapping[str, object], base: str) -> str:
    url = f"{base}/studies/{row['study_instance_uid']}"
    if level >= Level.SERIES:
        url += f"/series/{row['series_instance_uid']}"
    if level >= Level.INSTANCE:
        url += f"/instances/{row['sop_instance_uid']}"
    return url


def _returned(
    level: Level, within: Level | None, asked: Iterable[tuple[int, ...]], *, includes_all: bool
) -> tuple[Attribute, ...]:
    """The level's own, those of levels above that the address does not fix, the UIDs on the way, what was asked for."""
    wanted = set(asked)
    above = within or 0
    uids = {"StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "InstanceAvailability"}
    return tuple(
        a
        for a in sorted(ATTRIBUTES, key=lambda a: a.tags)
        if a.level <= level
        and (
            a.keyword in uids
            or a.tags in wanted
            or a.tags[:1] in wanted
            or (above < a.level and (a.is_default or includes_all))
        )
    )


def _tags(name: str) -> tuple[int, ...]:
    """Return the tags of an attribute's name, one for each step into a sequence."""
    tags = tuple(tag for part in name.split(".") if (tag := tag_of(part)) is not None)
    if len(tags) < 1 + name.count("."):
        raise Invalid("The query has a parameter that is neither DICOMweb's nor an attribute's name.")
    return tags


def _fields(value: str) -> set[tuple[int, ...]]:
    names = [name.strip() for name in value.split(",")]
    if len(names) > MAX_LIST:
        raise Invalid("includefield names too many attributes.")
    return {_tags(name) for name in names if name and name != "all"}


def _match(attribute: Attribute, value: str, switches: Mapping[str, bool]) -> Match | None:
    """Return what a value asks for; None for an empty one, which matches everything (PS3.4 C.2.2.2.3)."""
    if value == '""' and switches["emptyvaluematching"]:
        return Empty()
    if attribute.matching == "uid":
        return _uids(value)
    if attribute.matching in ("code", "modalities") or switches["multiplevaluematching"]:
        return _any_of(attribute, value)
    return _single(attribute, value)


def _any_of(attribute: Attribute, value: str) -> Match | None:
    parts = [part for part in re.split(r"[,\\]", value) if part]
    if len(parts) > MAX_LIST:
        raise Invalid("The query lists too many values.")
    if len(parts) < 2:
        return _single(attribute, value)
    matches = [_single(attribute, part) for part in parts]
    exact = [v for match in matches if isinstance(match, OneOf) for v in match.values]
    if len(exact) < len(parts):
        raise Invalid("A list of values can have no wildcards and no ranges.")
    return OneOf(tuple(exact))


def _single(attribute: Attribute, value: str) -> Match | None:
    if len(value) > MAX_VALUE:
        raise Invalid("A value of the query is too long.")
    if value in ("", "*"):
        return None
    match attribute.matching:
        case "date":
            return _between(value, _DATE, "A date is YYYYMMDD, or two of them with a hyphen between.")
        case "time":
            return _between(value, _TIME, "A time is HHMMSS, or two of them with a hyphen between.")
        case "number":
            if not _NUMBER.fullmatch(value):
                raise Invalid("A number in the query is not a number.")
            return OneOf((int(value),))
        case _:
            return Like(value) if "*" in value or "?" in value else OneOf((value,))


def _between(value: str, form: re.Pattern[str], words: str) -> Match:
    low, hyphen, high = value.partition("-")
    if any(end and not form.fullmatch(end) for end in (low, high)) or not (low or high):
        raise Invalid(words)
    return Between(low or None, (high or None) if hyphen else low)


def _uids(value: str) -> Match | None:
    uids = [uid for uid in re.split(r"[,\\]", value) if uid]
    if len(uids) > MAX_LIST:
        raise Invalid("The query lists too many UIDs.")
    if not all(is_valid_uid(uid) for uid in uids):
        raise Invalid("A UID in the query is not a UID.")
    return OneOf(tuple(uids)) if uids else None


def _boolean(name: str, value: str) -> bool:
    found = _BOOLEANS.get(value.lower())
    if found is None:
        raise Invalid(f"{name} is true or false.")
    return found


def _count(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 8 or int(value) > MAX_OFFSET:
        raise Invalid(f"{name} is a whole number, 0 to {MAX_OFFSET}.")
    return int(value)
