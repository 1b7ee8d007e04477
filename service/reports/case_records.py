"""The SQL of what a report is made of: the study, its images and models, the question, the reader's verdicts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, select, true

from service.access import Caller
from service.catalogue import Language
from service.reading.case_records import list_priors
from service.reports.content import Facts, Model, Question
from service.results.visibility import Sight, impression_revision, reported_revision
from service.tables import (
    account,
    clinical_question,
    finding,
    first_impression,
    image_quality,
    instance,
    revision,
    run,
    series,
    site,
    study,
    verdict,
)

Row = RowMapping
RADIOGRAPHS = ("CR", "DX", "RG")


@dataclass(frozen=True, slots=True)
class Case:
    """A study that is being reported."""

    study_id: int
    site_id: int
    public_id: str
    revision: int
    patient_id: str | None
    patient_birth_date: str | None
    age_years: float | None
    modalities: tuple[str, ...]
    site_language: Language


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, as it stands on the report."""

    account_id: int
    name: str
    licence: str | None
    language: Language


def _seen_by(caller: Caller, column: Any) -> ColumnElement[bool]:
    return true() if caller.site_id is None else column == caller.site_id


def find_case(rx: Connection, caller: Caller, public_id: str) -> Case | None:
    """Return a study that the caller may see."""
    row = rx.execute(
        select(study, site.c.language.label("site_language"))
        .join(site, site.c.id == study.c.site_id)
        .where(study.c.public_id == public_id, _seen_by(caller, study.c.site_id))
    ).first()
    if row is None:
        return None
    return Case(
        study_id=row.id,
        site_id=row.site_id,
        public_id=row.public_id,
        revision=row.revision,
        patient_id=row.patient_id,
        patient_birth_date=row.patient_birth_date,
        age_years=row.age_years,
        modalities=tuple(word for word in row.modalities.split("\\") if word),
        site_language=row.site_language,
    )


def facts_of(rx: Connection, case: Case, sight: Sight) -> Facts:
    """Return what stands beside the author's words: identity, center, images, models, the center's question.

    The models are told to who may know what they found in the images as they are now, and to nobody else.
    """
    row = rx.execute(
        select(study, site.c.name.label("site_name"), site.c.time_zone)
        .join(site, site.c.id == study.c.site_id)
        .where(study.c.id == case.study_id)
    ).one()
    headers = image_headers(rx, case.study_id)
    return Facts(
        study_date=row.study_date,
        patient=row.patient_id or "",
        sex=row.patient_sex,
        age_years=row.age_years,
        accession_number=row.accession_number,
        site_name=row.site_name,
        time_zone=row.time_zone,
        images=len(headers),
        is_radiograph=bool(headers) and all(header["modality"] in RADIOGRAPHS for header in headers),
        is_lossy=any(header.get("lossy_image_compression") == "01" for header in headers),
        models=_models(rx, case) if known_revision(rx, sight, case.study_id) >= case.revision else None,
        question=_question(rx, case.site_id, row.study_instance_uid),
    )


def image_headers(rx: Connection, study_id: int) -> list[dict[str, Any]]:
    """Return the stored headers of a study's received images, their series' modality among them."""
    rows = rx.execute(
        select(instance.c.header, series.c.modality)
        .join(series, series.c.id == instance.c.series_id)
        .where(instance.c.study_id == study_id, ~instance.c.is_result)
        .order_by(instance.c.id)
    )
    headers = [{"modality": row.modality, **row.header, **_known(row.modality)} for row in rows]
    return [header for header in headers if header.get("has_pixel_data", True)]


def _known(modality: str | None) -> dict[str, str]:
    return {"modality": modality} if modality else {}


def known_revision(rx: Connection, sight: Sight, study_id: int) -> int:
    """Return the newest revision of a study whose images a reader has judged alone, or a final report covers; or 0."""
    s = study.c.id
    row = rx.execute(select(impression_revision(sight, s), reported_revision(s)).where(s == study_id)).one()
    return max(row[0] or 0, row[1] or 0)


def _models(rx: Connection, case: Case) -> list[Model]:
    """Return the packages whose findings a reader of the newest scored revision sees."""
    newest = (
        select(revision.c.number)
        .where(revision.c.study_id == case.study_id, revision.c.state == "scored")
        .order_by(revision.c.number.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = rx.execute(
        select(run.c.package, run.c.package_version)
        .join(revision, revision.c.id == run.c.revision_id)
        .join(finding, finding.c.run_id == run.c.id)
        .where(run.c.study_id == case.study_id, revision.c.number == newest, run.c.outcome == "done", finding.c.shown)
        .distinct()
        .order_by(run.c.package)
    )
    return [Model(package=row.package, version=row.package_version) for row in rows if row.package]


def _question(rx: Connection, site_id: int, study_instance_uid: str) -> Question | None:
    t = clinical_question
    row = rx.execute(
        select(t.c.question, t.c.history, t.c.language)
        .where(t.c.site_id == site_id, t.c.study_instance_uid == study_instance_uid)
        .order_by(t.c.id.desc())
        .limit(1)
    ).first()
    return Question(question=row.question, history=row.history, language=row.language) if row else None


def signer_of(rx: Connection, account_id: int) -> Signer:
    """Return how an account signs."""
    row = rx.execute(select(account).where(account.c.id == account_id)).one()
    return Signer(row.id, row.name, row.licence_number, row.language)


def impression_of(rx: Connection, case: Case, account_id: int) -> str | None:
    """Return the reader's first impression of the study as it is now; None: not given."""
    t = first_impression
    return rx.execute(
        select(t.c.impression).where(
            t.c.study_id == case.study_id, t.c.account_id == account_id, t.c.revision == case.revision
        )
    ).scalar_one_or_none()


def verdicts_of(rx: Connection, case: Case, account_id: int) -> list[Row]:
    """Return what the reader holds of each finding of the study as it is now."""
    t = verdict
    rows = rx.execute(
        select(t.c.finding_id, t.c.finding_code, t.c.judgement, t.c.side, t.c.severity, t.c.presence)
        .where(
            t.c.study_id == case.study_id,
            t.c.account_id == account_id,
            t.c.revision == case.revision,
            t.c.replaced_at.is_(None),
        )
        .order_by(t.c.id)
    )
    return list(rows.mappings().all())


def quality_of(rx: Connection, case: Case, account_id: int) -> Row | None:
    """Return the reader's word on the images' quality."""
    t = image_quality
    return (
        rx.execute(
            select(t.c.grade, t.c.reasons)
            .where(
                t.c.study_id == case.study_id,
                t.c.account_id == account_id,
                t.c.revision == case.revision,
                t.c.replaced_at.is_(None),
            )
            .order_by(t.c.id.desc())
            .limit(1)
        )
        .mappings()
        .first()
    )


def shown_positive(rx: Connection, case: Case) -> set[int]:
    """Return the AI's findings that the reader was shown as present in the study's current revision."""
    rows = rx.execute(
        select(finding.c.id)
        .join(revision, revision.c.id == finding.c.revision_id)
        .where(
            finding.c.study_id == case.study_id,
            revision.c.number == case.revision,
            finding.c.shown,
            finding.c.presence == "present",
        )
    ).scalars()
    return set(rows)


def is_prior(rx: Connection, case: Case, public_id: str) -> bool:
    """Tell whether a study is an earlier one of the same person, as the reader's list of priors has them."""
    item = rx.execute(select(study).where(study.c.id == case.study_id)).mappings().one()
    priors = list_priors(rx, {**item, "study_id": case.study_id})
    return any(prior["public_id"] == public_id for prior in priors)


def has_priors(rx: Connection, case: Case) -> bool:
    """Tell whether the center sent another study of the same person."""
    if not case.patient_id:
        return False
    return (
        rx.execute(
            select(study.c.id).where(
                study.c.site_id == case.site_id, study.c.patient_id == case.patient_id, study.c.id != case.study_id
            )
        ).first()
        is not None
    )


def first_header(rx: Connection, study_id: int) -> dict[str, Any] | None:
    """Return the stored header of the study's first received object: its patient and study stand in it."""
    query = (
        select(instance.c.header)
        .where(instance.c.study_id == study_id, ~instance.c.is_result)
        .order_by(instance.c.id)
        .limit(1)
    )
    return rx.execute(query).scalar_one_or_none()


def image_uids(rx: Connection, study_id: int) -> list[tuple[str, str]]:
    """Return SOP Class and SOP Instance UIDs of what was received of a study."""
    query = (
        select(instance.c.sop_class_uid, instance.c.sop_instance_uid)
        .where(instance.c.study_id == study_id, ~instance.c.is_result)
        .order_by(instance.c.id)
    )
    return [(row.sop_class_uid, row.sop_instance_uid) for row in rx.execute(query)]
