"""Routing rules as data: which packages look at an image, how urgent its study is, how long it is waited for."""

from service.routing.facts import Facts, Origin, facts_of
from service.routing.rules import NO_RULES, Decision, Decisions, RuleSet, study_decisions

__all__ = ["NO_RULES", "Decision", "Decisions", "Facts", "Origin", "RuleSet", "facts_of", "study_decisions"]
