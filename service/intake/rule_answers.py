"""What the routes of the routing rules take and give, as JSON tells it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from service.routing.facts import MAX_VALUE_LENGTH, PRIORITIES, Origin, WordFact
from service.routing.records import Revision
from service.routing.tester import Tried
from service.routing.text import MAX_BYTES, RulesRefused

MAX_IMAGES = 20
"""On so many images a draft is tried at once."""


class RuleRevisionAnswer(BaseModel):
    """One revision of the rules, without its text."""

    number: int
    rules: int
    changed_by: str
    changed_at: float
    note: str


class RulesAnswer(BaseModel):
    """The rules of a revision; revision 0 is that nobody has set any."""

    number: int
    text: str
    history: list[RuleRevisionAnswer]


class FaultAnswer(BaseModel):
    """What is wrong with a file of rules."""

    line: int | None
    code: str
    key: str
    expected: str
    words: str


class CheckAnswer(BaseModel):
    """Whether a file of rules could be set: it could when there are no faults."""

    rules: int
    faults: list[FaultAnswer]


class Draft(BaseModel):
    """A file of rules."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field(max_length=MAX_BYTES)


class Change(Draft):
    """A file of rules that is to hold from now on."""

    base: int = Field(ge=0)
    """The revision that it was made from."""
    note: str = Field(min_length=1, max_length=500)


class ConditionAnswer(BaseModel):
    """One condition held against the file."""

    fact: str
    expected: str
    found: list[str]
    holds: bool | None
    """None: the file does not tell, which never matches."""


class TraceAnswer(BaseModel):
    """One rule held against the file."""

    rule: str
    matches: bool
    conditions: list[ConditionAnswer]
    decides: list[str]
    too_late_for: list[str]


class EffectAnswer(BaseModel):
    """What comes of it, and by which rule; None is what site and settings say."""

    effect: str
    value: str | float | list[str]
    rule: str | None


class ImageFacts(BaseModel):
    """Everything of an image that a rule can ask for; no value: unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    words: dict[WordFact, list[Annotated[str, Field(max_length=MAX_VALUE_LENGTH)]]]
    age_years: float | None = Field(ge=0, le=150)


class TriedAnswer(BaseModel):
    """The rules tried on a file of which nothing was kept."""

    revision: int
    """0: a draft that nobody has set."""
    facts: ImageFacts
    rules: list[TraceAnswer]
    effects: list[EffectAnswer]


class SenderQuery(BaseModel):
    """Who would send an image, and how urgently."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    site: str = Field(max_length=32)
    sender: str | None = Field(default=None, max_length=64)
    requested_priority: Literal["stat", "urgent", "routine"] = "routine"

    @property
    def origin(self) -> Origin:
        """As the rules see it."""
        return Origin(self.site, self.sender or None, "dimse", PRIORITIES[self.requested_priority])


class DraftOnImages(Draft, SenderQuery):
    """A draft of rules and the facts of images that `/test` read."""

    images: list[ImageFacts] = Field(max_length=MAX_IMAGES)


class DraftTried(BaseModel):
    """What the draft makes of each image; nothing while it has faults."""

    faults: list[FaultAnswer]
    tried: list[TriedAnswer]


def fault_answers(refused: RulesRefused) -> list[FaultAnswer]:
    """Return what is wrong with a file of rules, as JSON tells it."""
    return [FaultAnswer(**asdict(fault), words=fault.words()) for fault in refused.faults]


def tried_answer(tried: Tried) -> TriedAnswer:
    """Return what came of trying the rules, as JSON tells it."""
    return TriedAnswer(
        revision=tried.revision,
        facts=ImageFacts.model_validate({"words": tried.facts.words, "age_years": tried.facts.age_years}),
        rules=[
            TraceAnswer(
                rule=trace.rule,
                matches=trace.matches,
                conditions=[ConditionAnswer(**{**asdict(one), "found": list(one.found)}) for one in trace.conditions],
                decides=list(trace.decides),
                too_late_for=list(trace.too_late_for),
            )
            for trace in tried.traces
        ],
        effects=[EffectAnswer(**asdict(effect)) for effect in tried.effects],
    )


def revision_answer(one: Revision) -> RuleRevisionAnswer:
    """Return one revision, as JSON tells it."""
    return RuleRevisionAnswer(**{name: getattr(one, name) for name in RuleRevisionAnswer.model_fields})
