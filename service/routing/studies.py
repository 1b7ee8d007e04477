"""What routing rules decide of a study when one more image of it arrives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from preprocessing.header import InstanceHeader
from service.routing.facts import Origin, facts_of
from service.routing.rules import LATEST, Decisions, RuleSet, from_json, seconds_of, study_decisions


@dataclass(frozen=True, slots=True)
class Waits:
    """How long a study is waited for."""

    quiet_s: float
    partial_after_s: float


@dataclass(frozen=True, slots=True)
class Routed:
    """What rules decided of a study, its newest image counted in."""

    decisions: Decisions
    is_more_urgent: bool
    """Than before this image: its class or one of its due times."""

    def waits(self, quiet_s: float, partial_after_s: float) -> Waits:
        """Return the waiting times: a rule's word first, then these of site and settings."""
        return Waits(
            seconds_of(self.decisions, "quiet_s", quiet_s),
            seconds_of(self.decisions, "partial_after_s", partial_after_s),
        )


def route(
    header: InstanceHeader, origin: Origin, before: Sequence[Mapping[str, object]] | None, rules: RuleSet
) -> Routed:
    """Return what holds for a study after this image; `before` is what its row said."""
    if not rules.rules and not before:
        return Routed({}, is_more_urgent=False)
    known = from_json(before)
    after = study_decisions(known, rules.decide(facts_of(header, origin)))
    return Routed(after, is_more_urgent=_of_study(after) != _of_study(known))


def _of_study(decisions: Decisions) -> Decisions:
    return {effect: decision for effect, decision in decisions.items() if effect not in LATEST}
