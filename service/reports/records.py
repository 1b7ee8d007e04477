"""The SQL of a report's life: drafts, versions, documents and who read them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, insert, literal, select, true, update

from service.access import Caller
from service.reports.case_records import Case
from service.reports.content import Content
from service.results.dicom_object import Predecessor
from service.results.visibility import Sight, sees_version
from service.sites import policy_from_json
from service.tables import (
    instance,
    report,
    report_document,
    report_draft,
    report_read,
    report_version,
    series,
    site,
    study,
)


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


def _seen_by(caller: Caller, column: Any) -> ColumnElement[bool]:
    return true() if caller.site_id is None else column == caller.site_id


def draft_of(rx: Connection, case: Case, account_id: int) -> RowMapping | None:
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


def drop_draft(tx: Connection, case: Case, account_id: int) -> None:
    """Forget a draft that was signed."""
    t = report_draft
    tx.execute(delete(t).where(t.c.study_id == case.study_id, t.c.account_id == account_id))


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


def shows_preliminary(rx: Connection, site_id: int) -> bool:
    """Tell whether a center may read reports before they are final."""
    policy = rx.execute(select(site.c.policy).where(site.c.id == site_id)).scalar_one()
    return policy_from_json(policy).preliminary_reports == "shown"


def versions_of(rx: Connection, report_id: int) -> list[Version]:
    """Return every version of a report, the first first."""
    t = report_version
    rows = rx.execute(select(*_VERSION).where(t.c.report_id == report_id).order_by(t.c.number))
    return [Version(*row) for row in rows]


def versions_seen(rx: Connection, sight: Sight, shown: Report) -> list[Version]:
    """Return the versions of a report that the caller may know of, the first first."""
    t = report_version.alias()
    columns = [t.c[name] for name in Version.__dataclass_fields__]
    where = (t.c.report_id == shown.id, sees_version(sight, t, literal(shown.study_id)))
    return [Version(*row) for row in rx.execute(select(*columns).where(*where).order_by(t.c.number))]


_VERSION = [report_version.c[name] for name in Version.__dataclass_fields__]


def all_reports(rx: Connection) -> list[Report]:
    """Return every report, the oldest first."""
    return [Report(*row) for row in rx.execute(_REPORTS.order_by(report.c.id))]


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


def document_of(rx: Connection, version_id: int, language: str) -> RowMapping | None:
    """Return where a version's PDF in one language lies."""
    t = report_document
    query = select(t.c.site_id, t.c.pdf_sha256).where(t.c.report_version_id == version_id, t.c.language == language)
    return rx.execute(query).mappings().first()


def newest_pages(rx: Connection, study_id: int) -> Predecessor | None:
    """Return the object that holds the pages of the newest version of a study's report that is kept in the study."""
    i, t = instance.c, report_document.c
    row = rx.execute(
        select(series.c.series_instance_uid, i.sop_instance_uid, i.sop_class_uid)
        .join_from(report, report_version, report_version.c.report_id == report.c.id)
        .join(report_document, t.report_version_id == report_version.c.id)
        .join(instance, i.id == t.instance_id)
        .join(series, series.c.id == i.series_id)
        .where(report.c.study_id == study_id)
        .order_by(report_version.c.number.desc())
        .limit(1)
    ).first()
    return Predecessor(*row) if row else None


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
