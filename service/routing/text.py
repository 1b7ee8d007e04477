"""The rules as one TOML file: read whole or refused whole, with the line and the reason."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model

from service.routing.facts import AGE, WORD_FACTS
from service.routing.rules import Age, Condition, Rule, RuleSet, Value, Words

MAX_BYTES = 262_144
MAX_RULES = 500
MAX_QUIET_S = 900.0
MAX_PARTIAL_S = 86_400.0
MAX_DUE_MINUTES = 43_200

Code = Literal[
    "too_large", "not_toml", "unknown_key", "missing", "wrong_name", "wrong_words", "wrong_number", "wrong_choice",
    "no_effect", "same_name", "unknown_site", "unknown_package",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a file of rules.

    Attributes:
        line: Counted from 1; None when it cannot be told.
        key: What it is about, such as `when.modality`.
        expected: What may stand there, where that is a list.
    """

    line: int | None
    code: Code
    key: str = ""
    expected: str = ""

    def words(self) -> str:
        """Say it in a sentence."""
        where = f"line {self.line}: " if self.line else ""
        return where + _WORDS[self.code].format(key=self.key, expected=self.expected, most=MAX_RULES)


_WORDS: Mapping[Code, str] = {
    "too_large": f"the file is longer than {MAX_BYTES} bytes",
    "not_toml": "this is not TOML: {expected}",
    "unknown_key": "`{key}` is not known here; known are {expected}",
    "missing": "`{key}` is missing",
    "wrong_name": "`{key}` must be a text of 1 to 120 characters",
    "wrong_words": "`{key}` must be a text or a list of texts of 1 to 128 characters",
    "wrong_number": "`{key}` must be a number: {expected}",
    "wrong_choice": "`{key}` must be one of {expected}",
    "no_effect": "`then` says nothing; it may say {expected}",
    "same_name": "the name `{key}` stands for two rules",
    "unknown_site": "there is no site `{key}`",
    "unknown_package": "no package `{key}` serves any site",
}


class RulesRefused(ValueError):
    """A file of rules that cannot be taken; none of it is."""

    def __init__(self, faults: Collection[Fault]) -> None:
        self.faults = tuple(faults)
        super().__init__("; ".join(fault.words() for fault in self.faults))


def _tuple(value: object) -> object:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


_Pattern = Annotated[str, Field(min_length=1, max_length=128)]
_Patterns = Annotated[tuple[_Pattern, ...], BeforeValidator(_tuple), Field(min_length=1, max_length=64)]
_Names = Annotated[tuple[_Pattern, ...], BeforeValidator(_tuple), Field(max_length=64)]
_Years = Annotated[float, Field(ge=0, le=150)]
_Minutes = Annotated[int, Field(ge=1, le=MAX_DUE_MINUTES)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _Between(_Strict):
    from_: Annotated[_Years, Field(alias="from")] = 0.0
    below: _Years | None = None


class _Due(_Strict):
    stat: _Minutes | None = None
    urgent: _Minutes | None = None
    routine: _Minutes | None = None


class _Then(_Strict):
    packages: _Names | None = None
    add_packages: _Names | None = None
    priority: Literal["stat", "urgent", "routine"] | None = None
    reading_policy: Literal["triage", "blind"] | None = None
    quiet_s: Annotated[float, Field(gt=0, le=MAX_QUIET_S)] | None = None
    partial_after_s: Annotated[float, Field(gt=0, le=MAX_PARTIAL_S)] | None = None
    due_minutes: _Due | None = None


EFFECTS = tuple(_Then.model_fields)
"""What a rule may set."""

_When: type[BaseModel] = create_model(
    "_When",
    __base__=_Strict,
    **dict.fromkeys(WORD_FACTS, (_Patterns | None, None)),
    **{AGE: (_Between | None, None)},
)  # type: ignore[call-overload]


class _Rule(_Strict):
    name: Annotated[str, Field(min_length=1, max_length=120)]
    when: _When = Field(default_factory=_When)  # type: ignore[valid-type]
    then: _Then


class _File(_Strict):
    rule: Annotated[list[_Rule], Field(max_length=MAX_RULES)] = []


def read_rules(text: str, revision: int) -> RuleSet:
    """Return the rules of a file. Raises RulesRefused with every fault that was found."""
    if len(text.encode()) > MAX_BYTES:
        raise RulesRefused([Fault(None, "too_large")])
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        why, _, place = str(error).partition(" (at ")
        at = re.match(r"line (\d+)", place)
        line = int(at[1]) if at else text.count("\n") + 1
        raise RulesRefused([Fault(line, "not_toml", expected=why)]) from None
    lines = _Lines(text)
    try:
        read = _File.model_validate(values)
    except ValidationError as error:
        raise RulesRefused([_fault(one["loc"], one["type"], lines) for one in error.errors()]) from None
    rules = tuple(_rule(one) for one in read.rule)
    faults = [
        Fault(lines.of(number, "then"), "no_effect", expected=", ".join(EFFECTS))
        for number, rule in enumerate(rules)
        if not rule.effects
    ]
    names = [rule.name for rule in rules]
    faults += [
        Fault(lines.of(number, "name"), "same_name", key=name)
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    if faults:
        raise RulesRefused(faults)
    return RuleSet(revision, rules)


def check_names(rules: RuleSet, text: str, *, sites: Collection[str], packages: Collection[str]) -> None:
    """Hold what the rules name against what there is: a slip of the pen would quietly match nothing.

    Raises RulesRefused.
    """
    lines = _Lines(text)
    faults = []
    for number, rule in enumerate(rules.rules):
        for condition in rule.conditions:
            if isinstance(condition, Words) and condition.fact == "site":
                plain = [name for name in condition.patterns if not {"*", "?"} & set(name)]
                unknown = [name for name in plain if name.casefold() not in {site.casefold() for site in sites}]
                faults += [Fault(lines.of(number, "site"), "unknown_site", key=name) for name in unknown]
        for effect in ("packages", "add_packages"):
            named = rule.effects.get(effect, ())
            unknown = [name for name in named if name not in packages] if isinstance(named, tuple) else []
            faults += [Fault(lines.of(number, effect), "unknown_package", key=name) for name in unknown]
    if faults:
        raise RulesRefused(faults)


def _rule(read: _Rule) -> Rule:
    conditions: list[Condition] = []
    for fact in _When.model_fields:
        value = getattr(read.when, fact)
        if isinstance(value, _Between):
            conditions.append(Age(value.from_, float("inf") if value.below is None else value.below))
        elif value is not None:
            conditions.append(Words(fact, value))
    due = read.then.due_minutes.model_dump() if read.then.due_minutes else {}
    said: dict[str, Value | None] = {name: getattr(read.then, name) for name in EFFECTS if name != "due_minutes"} | {
        f"due_minutes.{word}": minutes for word, minutes in due.items()
    }
    return Rule(read.name, tuple(conditions), {name: value for name, value in said.items() if value is not None})


_KEYS: Mapping[str, type[BaseModel]] = {
    "": _File, "rule": _Rule, "when": _When, "then": _Then, AGE: _Between, "due_minutes": _Due,
}  # fmt: skip
_CHOICES = {"priority": "stat, urgent, routine", "reading_policy": "triage, blind"}
_NUMBERS = {
    "quiet_s": f"> 0, ≤ {MAX_QUIET_S:g}",
    "partial_after_s": f"> 0, ≤ {MAX_PARTIAL_S:g}",
    "from": "0–150",
    "below": "0–150",
    "stat": f"1, 2, … {MAX_DUE_MINUTES}",
    "urgent": f"1, 2, … {MAX_DUE_MINUTES}",
    "routine": f"1, 2, … {MAX_DUE_MINUTES}",
}


def _fault(loc: tuple[int | str, ...], kind: str, lines: _Lines) -> Fault:
    """Return what the library found wrong, in our words."""
    number = loc[1] if len(loc) > 1 and isinstance(loc[1], int) else None
    path = [str(part) for part in loc[2 if number is not None else 0 :]]
    words = [part for part in path if not part.isdigit()]
    line, key = lines.of(number, *words), ".".join(words) or "rule"
    last = words[-1] if words else "rule"
    if kind == "extra_forbidden":
        above = words[-2] if len(words) > 1 else "" if number is None else "rule"
        fields = _KEYS[above].model_fields.items()
        return Fault(line, "unknown_key", key, ", ".join(field.alias or name for name, field in fields))
    if kind == "missing":
        return Fault(line, "missing", key)
    if last == "name":
        return Fault(line, "wrong_name", key)
    if last in _CHOICES:
        return Fault(line, "wrong_choice", key, _CHOICES[last])
    if last in _NUMBERS:
        return Fault(line, "wrong_number", key, _NUMBERS[last])
    if last in _KEYS:
        what = f"[[rule]] (≤ {MAX_RULES})" if number is None else f"[rule.{key}]"
        return Fault(line, "wrong_choice", key, what)
    return Fault(line, "wrong_words", key)


class _Lines:
    """Where the rules and their keys stand in the text; TOML's reader does not tell."""

    def __init__(self, text: str) -> None:
        self._lines = text.splitlines()
        heads = [n for n, line in enumerate(self._lines) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
        self._spans = list(pairwise([*heads, len(self._lines)]))

    def of(self, number: int | None, *path: str) -> int | None:
        """Return the line of the last word of a path within a rule, or the nearest above it that can be told."""
        start, end = (0, len(self._lines)) if number is None else (None, None)
        if number is not None and number < len(self._spans):
            start, end = self._spans[number]
        if start is None:
            return None
        found = None if number is None else start
        for word in path:
            begins = rf"\s*\[{{0,2}}(.*\.)?\"?{re.escape(word)}\"?\s*(=|\])|.*[{{,]\s*\"?{re.escape(word)}\"?\s*="
            at = next((n for n in range(found or start, end or 0) if re.match(begins, self._lines[n])), None)
            found = at if at is not None else found
        return None if found is None else found + 1
