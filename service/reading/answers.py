"""What a reader gets of a case: typed, so that the OpenAPI document says every field."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

from service.reading.requests import Judgement, PointGiven, QualityGiven
from service.worklist.answers import ClaimAnswer, EvidenceAnswer, Item, Presence
from service.worklist.policies import ReadingPolicy


class PatientView(BaseModel):
    """Whose study it is, under the site's pseudonym."""

    name: str | None
    id: str | None
    sex: str | None
    age_years: float | None
    birth_date: str | None


class QuestionView(BaseModel):
    """What the center wants to know; the newest one it gave."""

    question: str
    history: str
    language: str
    by: str | None
    made_at: float


class SpacingView(BaseModel):
    """What a length on an image means."""

    kind: Literal["calibrated", "detector", "none"]
    """mm in the patient (`calibrated`), mm at the detector, where things look larger, or pixels alone (`none`)."""
    row_mm: float | None
    column_mm: float | None


class ImageView(BaseModel):
    """One image as its header describes it."""

    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    instance_number: int | None
    frames: int
    columns: int | None
    rows: int | None
    url: str
    """Where DICOMweb has it."""
    photometric: str | None
    view: Literal["pa", "ap", "frontal", "lateral", "other", "unknown"]
    laterality: str | None
    lossy: bool
    spacing: SpacingView
    burned_in: bool | None
    """Text or marks are part of the pixels; None: the header does not say."""


class NoticeView(BaseModel):
    """Something wrong with a stack of slices that its reader must know."""

    code: str
    """Of the closed list of `preprocessing.stacking`."""
    count: int
    """How many slices it concerns."""
    first: int | None
    last: int | None
    """Numbers of the images before and after a gap."""
    degrees: float | None
    """Of a tilted stack."""


Apartness = Literal["localizer", "other_kind", "derived", "odd", "copy", "unplaced", "not_arranged"] | None


class StackView(BaseModel):
    """Slices that are scrolled through together, in the order of their positions."""

    why: Apartness
    """Why they stand apart; None: a stack."""
    slices: list[tuple[int, int]]
    """Place of the image in the series' `instances`, and frame (from 1; 0: all of them)."""
    notices: list[NoticeView]


class SeriesView(BaseModel):
    """One series of images."""

    series_instance_uid: str
    modality: str | None
    number: int | None
    description: str | None
    body_part: str | None
    instances: list[ImageView]
    stacks: list[StackView]
    """Of CT and MR once the study has settled: what belongs together. Empty: images stand by their numbers."""


class PriorReport(BaseModel):
    """The report of an earlier study, in the newest version that the caller may read; None where there is none."""

    public_id: str
    status: str


class PriorView(BaseModel):
    """An earlier study under the same pseudonym at the same site."""

    public_id: str
    study_date: str | None
    days_before: int | None
    modalities: list[str]
    description: str | None
    same_view: bool
    """It has an image of a view that this study has too: the two can be laid side by side."""
    report: PriorReport | None
    identity_doubt: bool
    """Birth date or sex differ: perhaps another person under the same number."""


class ImpressionView(BaseModel):
    """The reader's own first impression of these images."""

    impression: Literal["normal", "abnormal", "cannot_tell"]
    places: list[PointGiven]
    seconds: float | None
    made_at: float
    revision: int


class VerdictView(BaseModel):
    """One verdict of the reader that stands."""

    finding_id: int | None
    code: str
    judgement: Judgement
    instance: str | None
    place: list[float] | None
    side: str | None
    severity: str | None
    made_at: float


class ReadingView(BaseModel):
    """How far the caller's own reading is."""

    policy: ReadingPolicy
    impression: ImpressionView | None
    needs_impression: bool
    verdicts: list[VerdictView]
    quality: QualityGiven | None
    draft_updated_at: float | None
    claim: ClaimAnswer | None


class UnscoredView(BaseModel):
    """An image that no package gave a result for, and why."""

    reason: str
    instance: str | None
    """None: the study as a whole."""


class NamesView(BaseModel):
    """A finding's name in every language of the service."""

    ko: str
    en: str
    vi: str
    ru: str


class FindingView(BaseModel):
    """One output of one run that readers see."""

    finding_id: int
    code: str
    names: NamesView
    presence: Presence
    probability: float | None
    threshold: float | None
    operating_point: str | None
    experimental: bool
    calibrated: bool
    evidence: EvidenceAnswer | None
    place: list[float] | None
    """[left, top, right, bottom] in full-resolution columns and rows: where the network looked."""
    heat_map_url: str | None


class RunView(BaseModel):
    """What one package said of one image."""

    run_id: int
    package: str
    version: str
    sha256: str
    instance: str
    view: str | None
    """As the run took it."""
    notes: list[str]
    shown_findings: list[FindingView]


class AiView(BaseModel):
    """What the AI found in one revision of the study's images; no runs: nothing is known of them."""

    revision: int
    runs: list[RunView]


class CaseView(BaseModel):
    """One case as its reader may see it now."""

    item: Item
    study_instance_uid: str
    patient: PatientView
    question: QuestionView | None
    series: list[SeriesView]
    priors: list[PriorView]
    reading: ReadingView
    unscored: list[UnscoredView]
    ai: AiView | None
    """None until the caller may know it (DESIGN section 7)."""


class ImpressionStored(BaseModel):
    """The first impression stands; from now on its reader may know what the AI found."""

    ai: AiView | None


class VerdictsStored(BaseModel):
    """The verdicts that stand now."""

    verdicts: list[VerdictView]
    quality: QualityGiven | None
