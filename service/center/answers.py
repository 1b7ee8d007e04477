"""What the center's routes answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import BaseModel
from sqlalchemy import RowMapping

from service.catalogue import Language
from service.center.stages import Stage

PRIORITIES: dict[int, Literal["stat", "urgent", "routine"]] = {1: "stat", 2: "urgent", 3: "routine"}


class Attention(BaseModel):
    """One thing that somebody at the center should know of or put right."""

    code: Literal["refused", "held", "damaged", "images_missing", "images_after_report", "repeat_advised",
                  "slices_missing", "slices_conflict", "slices_unplaced"]  # fmt: skip
    reason: str | None
    """Why objects were refused or are held: a word of the intake."""
    count: int


class CenterPatient(BaseModel):
    """The person, as the center named them to us."""

    id: str | None
    name: str | None
    sex: str | None
    age_years: float | None


class CenterQuestion(BaseModel):
    """What the center asked."""

    question: str
    history: str
    language: Language
    by: str | None
    made_at: float


class CenterReport(BaseModel):
    """The newest version of the study's report."""

    public_id: str
    version: int
    status: str
    signed_at: float
    signer: str
    critical_category: int | None
    is_read: bool
    """The caller was shown this version."""


class CenterStudy(BaseModel):
    """One study and where it stands."""

    public_id: str
    study_instance_uid: str
    stage: Stage
    attention: list[Attention]
    patient: CenterPatient
    study_date: str | None
    description: str | None
    accession_number: str | None
    modalities: list[str]
    series: int
    images: int
    expected_images: int | None
    priority: Literal["stat", "urgent", "routine"]
    due_at: float | None
    first_image_at: float
    last_image_at: float
    complete_at: float | None
    question: CenterQuestion | None
    report: CenterReport | None


class CenterPage(BaseModel):
    """One page of a center's studies, the newest first."""

    now: float
    counts: dict[str, int]
    items: list[CenterStudy]
    next_cursor: str | None


def study_answer(
    row: RowMapping,
    *,
    problems: Sequence[RowMapping],
    question: RowMapping | None,
    read: set[int],
    faults: Mapping[str, int],
) -> CenterStudy:
    """Return one study's answer from its columns and what belongs to it."""
    return CenterStudy(
        public_id=row["public_id"],
        study_instance_uid=row["study_instance_uid"],
        stage=Stage(row["stage"]),
        attention=_attention(row, problems, faults),
        patient=CenterPatient(
            id=row["patient_id"], name=row["patient_name"], sex=row["patient_sex"], age_years=row["age_years"]
        ),
        study_date=row["study_date"],
        description=row["study_description"],
        accession_number=row["accession_number"],
        modalities=[word for word in row["modalities"].split("\\") if word],
        series=row["series_count"],
        images=row["instance_count"],
        expected_images=row["expected_instances"],
        priority=PRIORITIES[row["center_priority"]],
        due_at=row["center_due_at"],
        first_image_at=row["first_image_at"],
        last_image_at=row["last_instance_at"],
        complete_at=row["settled_at"],
        question=_question(question) if question else None,
        report=_report(row, read) if row["version_id"] is not None else None,
    )


_SLICES: Mapping[str, Literal["slices_missing", "slices_conflict"]] = {
    "slices_missing": "slices_missing",
    "duplicates_differ": "slices_conflict",
}
"""What a fault of a CT or MR series asks of its center; all others: positions that are absent or make no sense."""


def _attention(row: RowMapping, problems: Sequence[RowMapping], faults: Mapping[str, int]) -> list[Attention]:
    found = [Attention(code=p["kind"], reason=p["reason"], count=p["count"]) for p in problems]
    slices = Counter[Literal["slices_missing", "slices_conflict", "slices_unplaced"]]()
    for code, count in faults.items():
        slices[_SLICES.get(code, "slices_unplaced")] += count
    found += [Attention(code=code, reason=None, count=count) for code, count in slices.items()]
    missing = (row["expected_instances"] or 0) - row["instance_count"]
    if missing > 0 and row["state"] != "arriving":
        found.append(Attention(code="images_missing", reason=None, count=missing))
    stands = row["version_id"] is not None and row["version_status"] != "cancelled"
    if stands and row["revision"] > row["version_revision"]:
        found.append(Attention(code="images_after_report", reason=None, count=1))
    if stands and row["quality"] == "insufficient":
        found.append(Attention(code="repeat_advised", reason=None, count=1))
    return found


def _question(row: RowMapping) -> CenterQuestion:
    return CenterQuestion(
        question=row["question"],
        history=row["history"],
        language=row["language"],
        by=row["name"],
        made_at=row["made_at"],
    )


def _report(row: RowMapping, read: set[int]) -> CenterReport:
    return CenterReport(
        public_id=row["report_public_id"],
        version=row["version_number"],
        status=row["version_status"],
        signed_at=row["signed_at"],
        signer=row["signer"],
        critical_category=row["critical"],
        is_read=row["version_id"] in read,
    )
