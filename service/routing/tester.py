"""Tries the rules on one image: which hold and why, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from service.routing.facts import PRIORITIES, Facts, Origin
from service.routing.rules import Decisions, RuleSet, Trace, Value, chosen_packages, due_minutes_of, floor_of, policy_of


@dataclass(frozen=True, slots=True)
class WithoutRules:
    """What a site has where no rule says otherwise."""

    packages: Sequence[str]
    reading_policy: str
    quiet_s: float
    partial_after_s: float
    due_minutes: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Effect:
    """One thing that comes of it."""

    effect: str
    value: Value
    rule: str | None
    """The rule that decided it; None: what site and settings say."""


@dataclass(frozen=True, slots=True)
class Tried:
    """The rules held against one image."""

    revision: int
    facts: Facts
    traces: tuple[Trace, ...]
    effects: tuple[Effect, ...]


def try_rules(rules: RuleSet, facts: Facts, origin: Origin, plain: WithoutRules) -> Tried:
    """Return what the rules make of an image."""
    traces = tuple(rules.explain(facts))
    return Tried(rules.revision, facts, traces, _effects(rules.decide(facts), origin, plain))


def _effects(decided: Decisions, origin: Origin, plain: WithoutRules) -> tuple[Effect, ...]:
    def by(effect: str) -> str | None:
        return decided[effect].rule if effect in decided else None

    floor = floor_of(decided)
    is_raised = floor is not None and floor < origin.requested_priority
    number = floor if is_raised else origin.requested_priority
    word = next(word for word, value in PRIORITIES.items() if value == number)
    chosen = chosen_packages(decided, plain.packages)
    packages: set[str | None] = {one.rule for one in chosen.values() if one} or {by("packages")}
    waits = {"quiet_s": plain.quiet_s, "partial_after_s": plain.partial_after_s}
    return (
        Effect("packages", tuple(chosen), ", ".join(sorted(rule for rule in packages if rule)) or None),
        Effect("priority", word, by("priority") if is_raised else None),
        Effect(f"due_minutes.{word}", due_minutes_of(decided, plain.due_minutes)[word], by(f"due_minutes.{word}")),
        Effect("reading_policy", policy_of(decided) or plain.reading_policy, by("reading_policy")),
        *(Effect(name, decided[name].value if name in decided else value, by(name)) for name, value in waits.items()),
    )
