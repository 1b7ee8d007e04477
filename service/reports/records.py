"""The reports' SQL: what a report is made of, drafts, versions, documents and who read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, insert, select, true, update

from service.access import Caller
from service.reports.content import Content, Facts, Model, Question
from service.tables import (
    account,
    clinical_question,
    finding,
    first_impression,
    image_quality,
    instance,
    report,
    report_document,
    report_draft,
    report_read,
    report_version,
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
    site_language: str


@dataclass(frozen=True, slots=True)
class Version:
    """One signed version, as it was written."""

    id: int
    number: int
    status: str
    study_revision: int
    content: Mapping[str, Any]
    content_sha256: str
    language: str
    account_id: int
    signer_name: str
    signer_licence: str | None
    reason: str | None
    signed_at: float
    previous_sha256: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Report:
    """A report and the study that it is about."""

    id: int
    public_id: str
    study_id: int
    site_id: int
    study_public_id: str


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, as it stands on the report."""

    account_id: int
    name: str
    licence: str | None
    language: str


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


def facts_of(rx: Connection, case: Case) -> Facts:
    """Return what stands beside the author's words: identity, center, images, models, the center's question."""
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
        models=_models(rx, case),
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
        select(t.c.finding_id, t.c.finding_code, t.c.judgement, t.c.side, t.c.severity)
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


def draft_of(rx: Connection, case: Case, account_id: int) -> Row | None:
    """Return the account's draft with when it was written."""
    t = report_draft
    query = select(t.c.content, t.c.updated_at).where(t.c.study_id == case.study_id, t.c.account_id == account_id)
    return rx.execute(query).mappings().first()


def save_draft(tx: Connection, case: Case, account_id: int, content: Content, now: float) -> None:
    """Write the account's draft over its earlier one."""
    t = report_draft
    values = {"content": content.model_dump(mode="json"), "updated_at": now}
    this = (t.c.study_id == case.study_id, t.c.account_id == account_id)
    if not tx.execute(update(t).where(*this).values(values)).rowcount:
        own = {"site_id": case.site_id, "study_id": case.study_id, "account_id": account_id}
        tx.execute(insert(t).values(**own, **values))


def report_of(rx: Connection, study_id: int) -> Report | None:
    """Return the report of a study."""
    row = rx.execute(_REPORTS.where(report.c.study_id == study_id)).first()
    return Report(*row) if row else None


def find_report(rx: Connection, caller: Caller, public_id: str) -> Report | None:
    """Return a report that the caller may see."""
    row = rx.execute(_REPORTS.where(report.c.public_id == public_id, _seen_by(caller, report.c.site_id))).first()
    return Report(*row) if row else None


_REPORTS = select(report.c.id, report.c.public_id, report.c.study_id, report.c.site_id, study.c.public_id).join(
    study, study.c.id == report.c.study_id
)


def versions_of(rx: Connection, report_id: int) -> list[Version]:
    """Return every version of a report, the first first."""
    t = report_version
    rows = rx.execute(select(*_VERSION).where(t.c.report_id == report_id).order_by(t.c.number))
    return [Version(*row) for row in rows]


_VERSION = [report_version.c[name] for name in Version.__dataclass_fields__]


def all_reports(rx: Connection) -> list[tuple[int, str]]:
    """Return every report by id and public id."""
    return [
        (row.id, row.public_id) for row in rx.execute(select(report.c.id, report.c.public_id).order_by(report.c.id))
    ]


def add_report(tx: Connection, case: Case, public_id: str, now: float) -> int:
    """Make the report of a study and return its id."""
    values = {"site_id": case.site_id, "study_id": case.study_id, "public_id": public_id, "created_at": now}
    return int(tx.execute(insert(report).values(values).returning(report.c.id)).scalar_one())


def add_version(tx: Connection, values: Mapping[str, Any]) -> int:
    """Append a version and return its id."""
    return int(tx.execute(insert(report_version).values(dict(values)).returning(report_version.c.id)).scalar_one())


def add_documents(tx: Connection, documents: Sequence[Mapping[str, Any]]) -> None:
    """Note the pages that a version was printed as."""
    tx.execute(insert(report_document), [dict(document) for document in documents])


def document_of(rx: Connection, version_id: int, language: str) -> Row | None:
    """Return where a version's PDF in one language lies."""
    t = report_document
    query = select(t.c.site_id, t.c.pdf_sha256).where(t.c.report_version_id == version_id, t.c.language == language)
    return rx.execute(query).mappings().first()


def note_read(tx: Connection, shown: Report, version_id: int, *, account_id: int, language: str, now: float) -> bool:
    """Note that an account was shown a version; tell whether it is the first time in this language."""
    t = report_read
    this = (t.c.report_version_id == version_id, t.c.account_id == account_id, t.c.language == language)
    if tx.execute(select(t.c.id).where(*this)).first() is not None:
        return False
    own = {"site_id": shown.site_id, "report_version_id": version_id, "account_id": account_id}
    tx.execute(insert(t).values(**own, language=language, read_at=now))
    return True


def instance_id_of(rx: Connection, site_id: int, sop_instance_uid: str) -> int:
    """Return our id of a stored instance."""
    query = select(instance.c.id).where(instance.c.site_id == site_id, instance.c.sop_instance_uid == sop_instance_uid)
    return int(rx.execute(query).scalar_one())


def first_header(rx: Connection, study_id: int) -> dict[str, Any] | None:
    """Return the stored header of the study's first received object: its patient and study stand in it."""
    query = (
        select(instance.c.header)
        .where(instance.c.study_id == study_id, ~instance.c.is_result)
        .order_by(instance.c.id)
        .limit(1)
    )
    return rx.execute(query).scalar_one_or_none()
