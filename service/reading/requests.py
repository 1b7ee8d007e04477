"""What a reader sends of a case: first impression, verdicts, image quality, events."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from service.catalogue import FINDING_CODES

Judgement = Literal["confirmed", "rejected", "uncertain", "missed"]
Impression = Literal["normal", "abnormal", "cannot_tell"]

Uid = Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]
Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Pixel = Annotated[float, Field(ge=0, le=100_000, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)]
Number = Annotated[float, Field(ge=-1e9, le=1e9, allow_inf_nan=False)]
RowId = Annotated[int, Field(ge=1, lt=2**63)]
Revision = Annotated[int, Field(ge=1, lt=2**31)]
"""Of the study: which of its images the reader had before him."""


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PointGiven(_Body):
    """A place that a reader clicked, in full-resolution columns and rows."""

    instance: Uid
    x: Pixel
    y: Pixel


class ImpressionGiven(_Body):
    """The first impression, from the images alone."""

    revision: Revision
    impression: Impression
    places: Annotated[list[PointGiven], Field(max_length=50)] = []
    seconds: Seconds | None = None
    """From the case's opening."""


class VerdictGiven(_Body):
    """The reader on one finding; or one that the AI missed."""

    finding_id: RowId | None = None
    code: Code
    judgement: Judgement
    instance: Uid | None = None
    place: tuple[Pixel, Pixel, Pixel, Pixel] | None = None
    """[left, top, right, bottom] in full-resolution columns and rows."""
    side: Literal["right", "left", "both"] | None = None
    severity: Literal["mild", "moderate", "severe"] | None = None

    @model_validator(mode="after")
    def _is_one_of_two(self) -> VerdictGiven:
        if (self.judgement == "missed") != (self.finding_id is None):
            raise ValueError("a missed finding has no finding_id; every other verdict has one")
        if self.judgement == "missed" and self.code not in FINDING_CODES:
            raise ValueError("a missed finding's code is one of the catalogue (GET /api/findings)")
        if self.place is not None and (self.place[2] <= self.place[0] or self.place[3] <= self.place[1]):
            raise ValueError("a place is left, top, right, bottom, each end beyond its beginning")
        if self.place is not None and self.judgement == "missed" and self.instance is None:
            raise ValueError("a place is on an image: name its instance")
        return self


class QualityGiven(_Body):
    """How good the images are for reading."""

    grade: Literal["good", "limited", "insufficient"]
    reasons: Annotated[list[Word], Field(max_length=20)] = []


class VerdictsGiven(_Body):
    """Every verdict of the reader on this case: they take the place of those he gave before."""

    revision: Revision
    verdicts: Annotated[list[VerdictGiven], Field(max_length=200)]
    quality: QualityGiven | None = None
    ai_visible: bool
    """Whether the AI's results were on the screen."""
    seconds: Seconds | None = None

    @model_validator(mode="after")
    def _says_each_once(self) -> VerdictsGiven:
        named = [verdict.finding_id for verdict in self.verdicts if verdict.finding_id is not None]
        if len(named) != len(set(named)):
            raise ValueError("there are two verdicts on one finding")
        return self


class EventGiven(_Body):
    """Something that the reader's page did."""

    kind: Literal["opened", "closed", "overlay_on", "overlay_off"]
    at: Annotated[float, Field(ge=0, lt=1e11, allow_inf_nan=False)]
    detail: Annotated[dict[Word, bool | Number | Word], Field(max_length=8)] = {}
    """Numbers and words of ours: no free text."""


class EventsGiven(_Body):
    """Some events, oldest first."""

    events: Annotated[list[EventGiven], Field(min_length=1, max_length=100)]
