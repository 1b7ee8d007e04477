"""Signing: checks, composes, prints, stores; files first, then every row in one transaction, or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection

from preprocessing.header import from_json
from service import audit
from service.access import Caller
from service.archive import Archive
from service.catalogue import LANGUAGES, Language
from service.database import Database
from service.errors import Conflict, NotFound
from service.reports import case_records, records
from service.reports.case_records import Case, Signer
from service.reports.compose import Status
from service.reports.content import Facts
from service.reports.documents import Documents
from service.reports.encapsulated import Printed, build_document, store_document
from service.reports.pages import Signature, print_pages
from service.reports.records import Version
from service.reports.versions import FIRST, Body, canonical_sha256, sealed, standing_of
from service.results.records import NewResult, PublishedFor, add_results


@dataclass(frozen=True, slots=True)
class Desk:
    """What signing needs of the installation."""

    database: Database
    archive: Archive
    documents: Documents
    clock: Callable[[], float]


@dataclass(frozen=True, slots=True)
class Basis:
    """What a new version follows."""

    case: Case
    report_public_id: str
    is_new: bool
    latest: Version | None
    """Its fingerprint is in the new version's."""
    stands: Version | None
    """The newest one that is not preliminary: a preliminary word takes nothing from a final one."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A version whose files stand in the house and whose rows are not written yet."""

    basis: Basis
    values: dict[str, Any]
    pages: dict[Language, tuple[str, int]]
    """SHA-256 and size of each language's PDF."""
    encapsulated: NewResult | None


def basis_of(rx: Connection, case: Case) -> Basis:
    """Return what a new version of a study's report follows."""
    report = records.report_of(rx, case.study_id)
    if report is None:
        return Basis(case, secrets.token_hex(16), is_new=True, latest=None, stands=None)
    versions = records.versions_of(rx, report.id)
    latest, stands = versions[-1] if versions else None, standing_of(versions)
    return Basis(case, report.public_id, is_new=False, latest=latest, stands=stands)


def prepare(
    desk: Desk, basis: Basis, body: Body, signer: Signer, *, status: Status, reason: str | None, study_revision: int
) -> Signed:
    """Compose, hash and print a version, and store its files; no row is written yet."""
    now = desk.clock()
    content = body.model_dump(mode="json")
    latest = basis.latest
    values: dict[str, Any] = {
        "number": latest.number + 1 if latest else 1,
        "status": status,
        "study_revision": study_revision,
        "content": content,
        "content_sha256": canonical_sha256(content),
        "language": body.content.language,
        "account_id": signer.account_id,
        "signer_name": signer.name,
        "signer_licence": signer.licence,
        "reason": reason,
        "signed_at": now,
        "previous_sha256": latest.sha256 if latest else FIRST,
    }
    whose = {"report": basis.report_public_id, "study": basis.case.public_id}
    values["sha256"] = sealed({**values, **whose})
    pdfs = {language: _print(body, values, language) for language in LANGUAGES}
    pages = {language: (desk.documents.put(basis.case.site_id, pdf), len(pdf)) for language, pdf in pdfs.items()}
    stored = None if status == "preliminary" else _encapsulate(desk, basis, body, values, pdfs)
    return Signed(basis, values, pages, stored)


def write(desk: Desk, tx: Connection, signed: Signed, who: Caller, *, action: str) -> int:
    """Write the rows of a prepared version and note it in the audit; returns its number.

    Raises:
        Conflict: `changed`: somebody signed another version meanwhile.
    """
    basis, case, now = signed.basis, signed.basis.case, desk.clock()
    current = basis_of(tx, case)
    if (current.latest and current.latest.sha256) != (basis.latest and basis.latest.sha256):
        raise Conflict("Another version was signed meanwhile. Open the report again.", code="changed")
    report = records.report_of(tx, case.study_id)
    report_id = report.id if report else records.add_report(tx, case, basis.report_public_id, now)
    site = {"site_id": case.site_id}
    version_id = records.add_version(tx, {**signed.values, **site, "report_id": report_id})
    instance_id = None
    if signed.encapsulated is not None:
        published = PublishedFor(case.study_id, case.site_id, case.public_id, "", signed.values["study_revision"], 1)
        add_results(tx, published, [signed.encapsulated], now)
        instance_id = records.instance_id_of(tx, case.site_id, signed.encapsulated.header.sop_instance_uid or "")
    records.add_documents(
        tx,
        [
            {
                **site,
                "report_version_id": version_id,
                "language": language,
                "pdf_sha256": sha256,
                "size_bytes": size,
                "instance_id": instance_id if language == case.site_language else None,
                "made_at": now,
            }
            for language, (sha256, size) in signed.pages.items()
        ],
    )
    _note(tx, signed, who, action, now)
    return int(signed.values["number"])


def find_case(rx: Connection, who: Caller, public_id: str) -> Case:
    """Return a study that the caller may see. Raises NotFound."""
    case = case_records.find_case(rx, who, public_id)
    if case is None:
        raise NotFound
    return case


def _note(tx: Connection, signed: Signed, who: Caller, action: str, now: float) -> None:
    told = ("number", "status", "study_revision", "sha256")
    audit.note(
        tx,
        who,
        action,
        now=now,
        site_id=signed.basis.case.site_id,
        object_type="report",
        object_id=signed.basis.report_public_id,
        detail={"study": signed.basis.case.public_id, **{name: signed.values[name] for name in told}},
    )


def _print(body: Body, values: dict[str, Any], language: Language) -> bytes:
    signature = Signature(
        signer=body.author.name,
        licence=body.author.licence,
        signed_at=values["signed_at"],
        number=values["number"],
        status=values["status"],
        sha256=values["sha256"],
    )
    return print_pages(body.texts[language], body.facts, signature, language)


def _encapsulate(
    desk: Desk, basis: Basis, body: Body, values: dict[str, Any], pdfs: dict[Language, bytes]
) -> NewResult:
    """Put the pages in the center's language beside the images."""
    case = basis.case
    language = case.site_language
    with desk.database.reading() as rx:
        header = case_records.first_header(rx, case.study_id)
        sources = case_records.image_uids(rx, case.study_id)
        predecessor = records.newest_pages(rx, case.study_id)
    if header is None:
        raise Conflict("The study holds no image that a report could be about.", code="no_images")
    printed = Printed(
        report_public_id=basis.report_public_id,
        number=values["number"],
        sha256=values["sha256"],
        title=body.texts[language].title,
        language=language,
        pdf=pdfs[language],
        signed_at=moment_of(values["signed_at"], body.facts),
        predecessor=predecessor,
    )
    return store_document(desk.archive, case.site_id, build_document(from_json(header), printed, sources))


def moment_of(seconds: float, facts: Facts) -> datetime:
    """Return a moment in the center's time."""
    try:
        return datetime.fromtimestamp(int(seconds), ZoneInfo(facts.time_zone))
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.fromtimestamp(int(seconds), UTC)
