"""The results' SQL: findings of runs, and the objects that were published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from pydicom.uid import Comprehensive3DSRStorage
from sqlalchemy import Connection, RowMapping, delete, insert, select, update

from models.package import Evidence
from preprocessing.errors import Reason
from preprocessing.header import InstanceHeader, from_json, to_json
from service import tables
from service.inference.records import find_instance, list_series
from service.inference.volumes import members
from service.results.dicom_object import Predecessor
from service.results.findings import Finding, Presence
from service.results.visibility import Scope, sees


@dataclass(frozen=True, slots=True)
class RunResult:
    """One package on one image, and what it found; a run that is not done has no findings."""

    run_id: int
    instance_id: int
    package: str | None
    package_version: str | None
    package_sha256: str | None
    outcome: str
    reason: Reason | None
    provider: str | None
    tensor_sha256: str | None
    heat_map_sha256: str | None
    shown: tuple[str, ...] | None
    """The findings that readers see; empty: the run is for the record alone. None: all that there are."""
    finished_at: float
    header: InstanceHeader
    findings: tuple[Finding, ...]

    @property
    def is_shown(self) -> bool:
        """Readers see this run."""
        return self.shown != ()


@dataclass(frozen=True, slots=True)
class PublishedFor:
    """The study revision that results belong to."""

    study_id: int
    site_id: int
    public_id: str
    time_zone: str
    revision: int
    attempt: int


@dataclass(frozen=True, slots=True)
class NewResult:
    """One object of ours whose file stands in the archive."""

    header: InstanceHeader
    content_sha256: str
    size_bytes: int
    run_id: int | None
    """None: not a run's, such as a signed report."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a run's network saw and where it looked, by their names in the workspace."""

    site_id: int
    tensor_sha256: str
    heat_map_sha256: str


def save_findings(tx: Connection, *, run_id: int, findings: Sequence[Finding]) -> None:
    """Write the findings of a run, over those of an earlier attempt; known rows keep their ids."""
    t = tables.finding
    run = tx.execute(
        select(tables.run.c.site_id, tables.run.c.study_id, tables.run.c.revision_id).where(tables.run.c.id == run_id)
    ).one()
    tx.execute(delete(t).where(t.c.run_id == run_id, t.c.channel.not_in([finding.channel for finding in findings])))
    known = set(tx.execute(select(t.c.channel).where(t.c.run_id == run_id)).scalars())
    for finding in findings:
        if finding.channel in known:
            this = (t.c.run_id == run_id, t.c.channel == finding.channel)
            tx.execute(update(t).where(*this).values(_finding_values(finding)))
    fresh = [finding for finding in findings if finding.channel not in known]
    if fresh:
        tx.execute(insert(t), [{"run_id": run_id, **run._mapping, **_finding_values(finding)} for finding in fresh])


def findings_of(tx: Connection, study_id: int, revision: int) -> list[RunResult]:
    """Return every run of a study revision with its findings, in the order of the images."""
    run, instance, rev = tables.run, tables.instance, tables.revision
    runs = (
        tx.execute(
            select(
                run.c.id, run.c.instance_id, run.c.package, run.c.package_version, run.c.package_sha256, run.c.outcome,
                run.c.reason, run.c.provider, run.c.tensor_sha256, run.c.heat_map_sha256, run.c.shown,
                run.c.finished_at, instance.c.header,
            )
            .join(rev, rev.c.id == run.c.revision_id)
            .join(instance, instance.c.id == run.c.instance_id)
            .where(rev.c.study_id == study_id, rev.c.number == revision)
            .order_by(run.c.instance_id, run.c.id)
        )
        .mappings()
        .all()
    )  # fmt: skip
    found = _findings_by_run(tx, [row["id"] for row in runs])
    return [_run_result(row, found.get(row["id"], ())) for row in runs]


def slices_of(rx: Connection, run: RunResult, revision: int) -> tuple[InstanceHeader, ...]:
    """Return the headers of all that a run read which took its image's series as one volume."""
    series_id = find_instance(rx, run.instance_id).series_id
    return tuple(from_json(one.header) for one in members(list_series(rx, series_id, revision)))


def what_was_seen(rx: Connection, scope: Scope, run_id: int, channel: int) -> Seen | None:
    """Return what a run left in the workspace; None when it left nothing or the caller may not know of it.

    Of a finding that is kept from readers, where the network looked is kept from them too.
    """
    t, f, r = tables.run, tables.finding, tables.revision
    row = rx.execute(
        select(t.c.site_id, t.c.tensor_sha256, t.c.heat_map_sha256)
        .join(f, f.c.run_id == t.c.id)
        .join(r, r.c.id == t.c.revision_id)
        .where(
            t.c.id == run_id,
            t.c.site_id.in_(scope.sites),
            sees(scope.sight, t.c.study_id, r.c.number),
            t.c.tensor_sha256.is_not(None),
            t.c.heat_map_sha256.is_not(None),
            f.c.channel == channel,
            f.c.shown,
        )
    ).first()
    return Seen(*row) if row else None


def published_for(tx: Connection, study_id: int, revision: int) -> PublishedFor:
    """Return what the UIDs and times of a revision's results derive from."""
    row = tx.execute(
        select(
            tables.study.c.id, tables.study.c.site_id, tables.study.c.public_id, tables.site.c.time_zone,
            tables.revision.c.number, tables.revision.c.attempt,
        )
        .join(tables.site, tables.site.c.id == tables.study.c.site_id)
        .join(tables.revision, tables.revision.c.study_id == tables.study.c.id)
        .where(tables.study.c.id == study_id, tables.revision.c.number == revision)
    ).one()  # fmt: skip
    return PublishedFor(*row)


def is_known(tx: Connection, site_id: int, sop_instance_uid: str) -> bool:
    """Tell whether the site has an instance of this UID."""
    t = tables.instance
    query = select(t.c.id).where(t.c.site_id == site_id, t.c.sop_instance_uid == sop_instance_uid)
    return tx.execute(query).first() is not None


def latest_report(tx: Connection, published: PublishedFor, package: str) -> Predecessor | None:
    """Return the newest SR that the package already gave for the study, in any of its versions."""
    i, s = tables.instance, tables.series
    row = tx.execute(
        select(s.c.series_instance_uid, i.c.sop_instance_uid, i.c.sop_class_uid)
        .join(s, s.c.id == i.c.series_id)
        .where(
            i.c.study_id == published.study_id,
            i.c.is_result,
            i.c.sop_class_uid == str(Comprehensive3DSRStorage),
            i.c.revision <= published.revision,
            i.c.header["manufacturer_model_name"].as_string() == package,
        )
        .order_by(i.c.id.desc())
        .limit(1)
    ).first()
    return Predecessor(*row) if row else None


def add_results(tx: Connection, published: PublishedFor, results: Sequence[NewResult], now: float) -> None:
    """Write the rows of published objects, their series included; known ones stay as they are."""
    for result in results:
        if is_known(tx, published.site_id, result.header.sop_instance_uid or ""):
            continue
        tx.execute(
            insert(tables.instance).values(
                site_id=published.site_id,
                study_id=published.study_id,
                series_id=_series_id(tx, published, result.header),
                sop_instance_uid=result.header.sop_instance_uid,
                sop_class_uid=result.header.sop_class_uid,
                transfer_syntax_uid=result.header.transfer_syntax_uid,
                instance_number=result.header.instance_number,
                content_sha256=result.content_sha256,
                size_bytes=result.size_bytes,
                header=to_json(result.header),
                revision=published.revision,
                door="result",
                received_at=now,
                is_result=True,
                run_id=result.run_id,
            )
        )


def _series_id(tx: Connection, published: PublishedFor, header: InstanceHeader) -> int:
    """Count the object in its series, which it may open."""
    t = tables.series
    known = tx.execute(
        update(t)
        .where(t.c.study_id == published.study_id, t.c.series_instance_uid == header.series_instance_uid)
        .values(instance_count=t.c.instance_count + 1)
        .returning(t.c.id)
    ).scalar_one_or_none()
    if known is not None:
        return int(known)
    return int(
        tx.execute(
            insert(t)
            .values(
                site_id=published.site_id,
                study_id=published.study_id,
                series_instance_uid=header.series_instance_uid,
                modality=header.modality,
                series_number=header.series_number,
                series_description=header.series_description,
                instance_count=1,
                is_result=True,
            )
            .returning(t.c.id)
        ).scalar_one()
    )


def _findings_by_run(tx: Connection, run_ids: Sequence[int]) -> dict[int, tuple[Finding, ...]]:
    t = tables.finding
    found: dict[int, list[Finding]] = {}
    rows = tx.execute(select(t).where(t.c.run_id.in_(run_ids)).order_by(t.c.run_id, t.c.channel)).mappings()
    for row in rows:
        found.setdefault(row["run_id"], []).append(_finding(row))
    return {run_id: tuple(findings) for run_id, findings in found.items()}


def _finding_values(finding: Finding) -> dict[str, object]:
    return asdict(finding) | {
        "presence": finding.presence.value,
        "reason": finding.reason.value if finding.reason else None,
        "place": list(finding.place) if finding.place else None,
    }


def _finding(row: RowMapping) -> Finding:
    place = row["place"]
    return Finding(
        channel=row["channel"],
        finding=row["finding"],
        presence=Presence(row["presence"]),
        reason=Reason(row["reason"]) if row["reason"] else None,
        probability=row["probability"],
        raw_score=row["raw_score"],
        operating_point=row["operating_point"],
        threshold=row["threshold"],
        raises_priority=row["raises_priority"],
        experimental=row["experimental"],
        shown=row["shown"],
        calibrated=row["calibrated"],
        evidence=Evidence(**row["evidence"]) if row["evidence"] else None,
        place=(place[0], place[1], place[2], place[3]) if place else None,
    )


def _run_result(row: RowMapping, findings: tuple[Finding, ...]) -> RunResult:
    return RunResult(
        run_id=row["id"],
        instance_id=row["instance_id"],
        package=row["package"],
        package_version=row["package_version"],
        package_sha256=row["package_sha256"],
        outcome=row["outcome"],
        reason=Reason(row["reason"]) if row["reason"] else None,
        provider=row["provider"],
        tensor_sha256=row["tensor_sha256"],
        heat_map_sha256=row["heat_map_sha256"],
        shown=None if row["shown"] is None else tuple(row["shown"]),
        finished_at=row["finished_at"],
        header=from_json(row["header"]),
        findings=findings,
    )
