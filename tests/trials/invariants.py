"""What must hold after every trial, read from the tables and the folders themselves (RELIABILITY section 6)."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from sqlalchemy import Connection, Table, func, select

from service import tables
from service.archive import INCOMING, Archive
from service.audit.verify import Broken, verify
from service.database import Database
from service.intake.spool import clear_spool
from service.reports.documents import Documents
from service.reports.versions import verify_reports
from service.rounds import KEEP_WORK_S
from service.settings import Settings
from service.workspace import Workspace

NEVER = (
    "lost", "unreadable", "doubled", "cases_without_item", "miscounted", "runs_without_model", "broken_chains",
    "damaged_documents", "crossed_sites",
)  # fmt: skip
"""Names of the counts of `audit` that must be 0."""

LATER_S = 7_200.0
"""By then every half-done file must have gone: what is swept is swept each hour or sooner."""


def audit(settings: Settings, acknowledged: Mapping[str, str]) -> Counter[str]:
    """Compare what was acknowledged (SOP Instance UID → SHA-256 of its data set) with what stands, and count faults.

    `lost`: no row, or a row of other content. `unreadable`: a row whose file is not what was stored.
    """
    counts: Counter[str] = Counter(dict.fromkeys(NEVER, 0))
    database, archive = Database(settings.sqlalchemy_url), Archive(settings.archive_folder)
    i = tables.instance.c
    try:
        with database.reading() as rx:
            rows = rx.execute(select(i.sop_instance_uid, i.site_id, i.content_sha256)).all()
            stored = {row.sop_instance_uid: row for row in rows}
            counts["doubled"] += len(rows) - len(stored)
            counts["lost"] += sum(
                uid not in stored or stored[uid].content_sha256 != sha256 for uid, sha256 in acknowledged.items()
            )
            counts["unreadable"] += sum(not archive.is_intact(row.site_id, row.content_sha256) for row in rows)
            counts.update(_studies(rx))
            counts.update(_records(rx))
            counts.update(_reports(rx, Documents(settings.documents_folder)))
            counts["unreferenced"] = len(_unreferenced(rx, archive.folder))
    finally:
        database.close()
    return counts


def temporaries(settings: Settings) -> tuple[int, int]:
    """Return how many files of half-done work a service that was stopped has left, and how many stay for ever.

    They are made two hours older, and the service's own sweeps are done. A store's sweep goes by a time of the file
    system's that nobody can set back: of its files is only asked that they stand where it looks.
    """
    left = list(settings.data_folder.rglob("*.part"))
    for path in left:
        os.utime(path, (path.stat().st_atime, path.stat().st_mtime - LATER_S))
    clear_spool(settings.spool_folder)
    Workspace(settings.work_folder).sweep(now=time.time(), max_age_s=KEEP_WORK_S)
    swept_later = {store / INCOMING for store in (settings.archive_folder, settings.documents_folder)}
    return len(left), sum(path.exists() and path.parent not in swept_later for path in left)


def _studies(rx: Connection) -> Counter[str]:
    """Each study once, with one item, and with as many images as its rows say."""
    counts: Counter[str] = Counter()
    study, instance, item = tables.study, tables.instance, tables.worklist_item
    counts["doubled"] += _repeated(rx, study, "site_id", "study_instance_uid") + _repeated(rx, item, "study_id")
    with_item = select(item.c.study_id)
    counts["cases_without_item"] = _count(rx, select(func.count()).where(study.c.id.not_in(with_item)))
    said = dict(rx.execute(select(study.c.id, study.c.instance_count)).tuples().all())
    held = dict(
        rx.execute(
            select(instance.c.study_id, func.count())
            .where(instance.c.is_result.is_(False))
            .group_by(instance.c.study_id)
        )
        .tuples()
        .all()
    )
    counts["miscounted"] = sum(held.get(study_id, 0) != number for study_id, number in said.items())
    return counts


def _records(rx: Connection) -> Counter[str]:
    """No result without its model, no row of one site under another's, and an audit that verifies."""
    run, study, instance = tables.run, tables.study, tables.instance
    without = select(func.count()).where(run.c.outcome == "done", run.c.package_sha256.is_(None))
    crossed = (
        select(func.count())
        .select_from(instance.join(study, study.c.id == instance.c.study_id))
        .where(instance.c.site_id != study.c.site_id)
    )
    return Counter(
        runs_without_model=_count(rx, without),
        crossed_sites=_count(rx, crossed),
        broken_chains=int(isinstance(verify(rx), Broken)) + len(verify_reports(rx)),
    )


def _reports(rx: Connection, documents: Documents) -> Counter[str]:
    """A signed report has its pages, whole; its case waits for nobody."""
    document, version, report, item = (
        tables.report_document, tables.report_version, tables.report, tables.worklist_item,
    )  # fmt: skip
    counts: Counter[str] = Counter()
    for row in rx.execute(select(document.c.site_id, document.c.pdf_sha256)):
        counts["damaged_documents"] += not _is_whole(documents, row.site_id, row.pdf_sha256)
    pages = dict(
        rx.execute(select(document.c.report_version_id, func.count()).group_by(document.c.report_version_id))
        .tuples()
        .all()
    )
    counts["damaged_documents"] += sum(pages.get(one, 0) != 4 for one in rx.execute(select(version.c.id)).scalars())
    open_ones = (
        select(func.count())
        .select_from(version.join(report).join(item, item.c.study_id == report.c.study_id))
        .where(version.c.status == "final", item.c.state != "completed")
    )
    counts["damaged_documents"] += _count(rx, open_ones)
    return counts


def _is_whole(documents: Documents, site_id: int, sha256: str) -> bool:
    try:
        return bool(documents.get(site_id, sha256))
    except Exception:  # noqa: BLE001 - whatever stands in the way, the pages cannot be read
        return False


def _unreferenced(rx: Connection, folder: Path) -> list[Path]:
    i, p = tables.instance.c, tables.problem.c
    known = set(rx.execute(select(i.content_sha256)).scalars()) | set(rx.execute(select(p.content_sha256)).scalars())
    return [path for path in _files(folder) if path.stem not in known]


def _files(folder: Path) -> Iterator[Path]:
    return folder.rglob("*.dcm")


def _repeated(rx: Connection, table: Table, *names: str) -> int:
    columns: Iterable[object] = [table.c[name] for name in names]
    return len(rx.execute(select(*columns).group_by(*columns).having(func.count() > 1)).all())  # type: ignore[call-overload]


def _count(rx: Connection, query: object) -> int:
    return int(rx.execute(query).scalar_one())  # type: ignore[call-overload]
