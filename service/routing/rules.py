"""Rules and what they decide: the first rule that matches and sets an effect wins that effect."""

from __future__ import annotations

import fnmatch
import math
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol, TypeAlias

from service.routing.facts import AGE, PRIORITIES, Facts

Value: TypeAlias = str | float | tuple[str, ...]

POLICIES: Mapping[str, int] = {"blind": 0, "triage": 1}
"""Reading policies by their words; of several that images of a study ask for the first holds."""

LATEST = ("quiet_s", "partial_after_s")
"""Effects on a study that its newest image decides, as the quiet time of a modality does."""


class Condition(Protocol):
    """One thing that must hold."""

    @property
    def fact(self) -> str:
        """What is asked for."""
        ...

    @property
    def expected(self) -> str:
        """What the rule says, in its own words."""
        ...

    def found(self, facts: Facts) -> tuple[str, ...]:
        """Return what is known; nothing is unknown."""
        ...

    def holds(self, facts: Facts) -> bool | None:
        """Tell whether it holds; None is unknown, which is never a match."""
        ...


@dataclass(frozen=True, slots=True)
class Words:
    """A fact is like one of these: `*` and `?` stand for anything, case does not count."""

    fact: str
    patterns: tuple[str, ...]

    @property
    def expected(self) -> str:
        """What the rule says."""
        return " | ".join(self.patterns)

    def found(self, facts: Facts) -> tuple[str, ...]:
        """Return the fact's values."""
        return facts.words[self.fact]

    def holds(self, facts: Facts) -> bool | None:
        """Tell whether any value is like any pattern."""
        values = self.found(facts)
        if not values:
            return None
        return any(_matcher(pattern).match(_plain(value)) for pattern in self.patterns for value in values)


@dataclass(frozen=True, slots=True)
class Age:
    """The patient is at least `low` and younger than `high` years."""

    low: float
    high: float

    fact = AGE

    @property
    def expected(self) -> str:
        """What the rule says."""
        return f"{self.low:g} ≤ age" if self.high == float("inf") else f"{self.low:g} ≤ age < {self.high:g}"

    def found(self, facts: Facts) -> tuple[str, ...]:
        """Return the age in years."""
        # Cut off, not rounded: nobody who is 17.97 years old is to be told as 18 where 18 is asked for.
        return () if facts.age_years is None else (f"{math.floor(facts.age_years * 10) / 10:g}",)

    def holds(self, facts: Facts) -> bool | None:
        """Tell whether the age lies between."""
        return None if facts.age_years is None else self.low <= facts.age_years < self.high


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: when all of its conditions hold, it sets its effects, as far as no rule before it has."""

    name: str
    conditions: tuple[Condition, ...]
    effects: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Decision:
    """One effect, and which rule of which revision of the rules decided it."""

    effect: str
    value: Value
    rule: str
    revision: int

    def to_json(self) -> dict[str, object]:
        """Return JSON values, for a row."""
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"effect": self.effect, "value": value, "rule": self.rule, "revision": self.revision}

    @classmethod
    def from_json(cls, values: Mapping[str, object]) -> Decision:
        """Read what `to_json` gave."""
        value = values["value"]
        known: Value = tuple(map(str, value)) if isinstance(value, list) else value  # type: ignore[assignment]
        return cls(str(values["effect"]), known, str(values["rule"]), int(str(values["revision"])))


Decisions: TypeAlias = Mapping[str, Decision]
"""By effect."""


@dataclass(frozen=True, slots=True)
class Tested:
    """One condition held against one image."""

    fact: str
    expected: str
    found: tuple[str, ...]
    holds: bool | None


@dataclass(frozen=True, slots=True)
class Trace:
    """One rule held against one image."""

    rule: str
    conditions: tuple[Tested, ...]
    decides: tuple[str, ...]
    """Effects that it wins."""
    too_late_for: tuple[str, ...]
    """Effects that a rule before it has won."""

    @property
    def matches(self) -> bool:
        """Every condition holds."""
        return all(tested.holds for tested in self.conditions)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """All rules in their order, as one revision."""

    revision: int
    rules: tuple[Rule, ...]

    def decide(self, facts: Facts) -> dict[str, Decision]:
        """Return what the rules decide of one image; what none decides stays as it is without rules."""
        decided: dict[str, Decision] = {}
        for rule in self.rules:
            if all(condition.holds(facts) for condition in rule.conditions):
                for effect, value in rule.effects.items():
                    decided.setdefault(effect, Decision(effect, value, rule.name, self.revision))
        return decided

    def explain(self, facts: Facts) -> list[Trace]:
        """Return every rule with every condition, for the tester."""
        decided = self.decide(facts)
        traces = []
        for rule in self.rules:
            tested = tuple(Tested(c.fact, c.expected, c.found(facts), c.holds(facts)) for c in rule.conditions)
            effects = tuple(rule.effects) if all(one.holds for one in tested) else ()
            wins = tuple(effect for effect in effects if decided[effect].rule == rule.name)
            traces.append(Trace(rule.name, tested, wins, tuple(effect for effect in effects if effect not in wins)))
        return traces

    def asks_for(self, fact: str) -> bool:
        """Tell whether any rule depends on a fact."""
        return any(condition.fact == fact for rule in self.rules for condition in rule.conditions)


NO_RULES = RuleSet(0, ())


def study_decisions(before: Decisions, image: Decisions) -> dict[str, Decision]:
    """Return what holds for a study after one more image.

    Its waiting times are the newest image's. Its priority and its due times are the most urgent that any image got,
    and it is read blind when any image asks for that: nothing depends on the order of arrival or is taken back.
    """
    merged = {effect: decision for effect, decision in before.items() if effect not in LATEST}
    for effect, decision in image.items():
        known = merged.get(effect)
        is_of_study = effect in (*LATEST, *_RANKS) or effect.startswith("due_minutes.")
        if is_of_study and (known is None or _rank(decision) < _rank(known)):
            merged[effect] = decision
    return merged


def floor_of(decisions: Decisions) -> int | None:
    """Return the priority class that rules raise to; None when they raise nothing."""
    decided = decisions.get("priority")
    return None if decided is None else PRIORITIES[str(decided.value)]


def policy_of(decisions: Decisions) -> str | None:
    """Return the reading policy that rules set for the study; None when they set none."""
    decided = decisions.get("reading_policy")
    return None if decided is None else str(decided.value)


def seconds_of(decisions: Decisions, effect: str, default: float) -> float:
    """Return a waiting time that a rule decided, or else the default."""
    decided = decisions.get(effect)
    return default if decided is None else float(str(decided.value))


def due_minutes_of(decisions: Decisions, default: Mapping[str, int]) -> dict[str, float]:
    """Return the minutes of each class, a rule's before the settings'.

    A class has never more than a less urgent one: what raises a study never makes it due later.
    """
    minutes: dict[str, float] = {}
    for word in sorted(default, key=PRIORITIES.__getitem__, reverse=True):
        said = seconds_of(decisions, f"due_minutes.{word}", default[word])
        minutes[word] = min([said, *minutes.values()])
    return minutes


def chosen_packages(decisions: Decisions, names: Iterable[str]) -> dict[str, Decision | None]:
    """Return which of the packages that serve a site run on an image, each with what brought it back or None.

    A rule chooses among released packages; it releases none.
    """
    only, added = decisions.get("packages"), decisions.get("add_packages")
    chosen: dict[str, Decision | None] = {}
    for name in names:
        if only is None or _names(only, name):
            chosen[name] = only
        elif added is not None and _names(added, name):
            chosen[name] = added
    return chosen


def to_json(decisions: Decisions) -> list[dict[str, object]] | None:
    """Return decisions for a row; None when there are none."""
    return [decision.to_json() for decision in decisions.values()] or None


def from_json(values: Sequence[Mapping[str, object]] | None) -> dict[str, Decision]:
    """Read what `to_json` gave."""
    return {one.effect: one for one in map(Decision.from_json, values or ())}


def _names(decision: Decision, package: str) -> bool:
    return isinstance(decision.value, tuple) and package in decision.value


_RANKS: Mapping[str, Mapping[str, int]] = {"priority": PRIORITIES, "reading_policy": POLICIES}


def _rank(decision: Decision) -> float:
    """Return a number by which the decision of one image stands before another's: the smaller one holds."""
    ranks = _RANKS.get(decision.effect)
    return float(str(decision.value)) if ranks is None else ranks[str(decision.value)]


@cache
def _matcher(pattern: str) -> re.Pattern[str]:
    """Compile a pattern. `fnmatch` gives one whose time grows with the text's length alone."""
    return re.compile(fnmatch.translate(_plain(pattern).replace("[", "[[]")))


def _plain(text: str) -> str:
    """Return text as it is compared: composed, without case, without spaces at its ends."""
    return unicodedata.normalize("NFC", text).casefold().strip()
