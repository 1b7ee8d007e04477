"""Findings of a study revision → SR and overlays in the archive, beside the study they speak about."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from models.package import ModelPackage
from preprocessing.errors import Reason
from preprocessing.header import InstanceHeader, read_header
from service.archive import Archive
from service.database import Database
from service.results import overlay, records
from service.results.dicom_object import ResultKey, part10
from service.results.findings import Finding, not_evaluated
from service.results.records import NewResult, PublishedFor, RunResult
from service.results.structured_report import AnalysedImage, OverlayReference, build_report
from service.workspace import Workspace


class PackageMissing(LookupError):
    """A run was made by a package that this worker does not hold: its results cannot be described."""


def publish_revision(
    database: Database,
    archive: Archive,
    packages: Mapping[str, ModelPackage],
    *,
    study_id: int,
    revision: int,
    workspace: Workspace,
    clock: Callable[[], float],
) -> None:
    """Publish one SR for each package that ran on a study revision, and one overlay for each image with a heat map.

    May be called again at any time: UIDs and bytes derive from the revision, and what stands is left as it is.
    A package whose every run did not apply gives nothing; one that failed gives an SR that says so. What is kept from
    readers is in none of them, and a package that shows them nothing publishes nothing.

    Raises:
        PackageMissing: A run's package is not among `packages`.
        NotInWorkspace: A tensor or heat map is gone; the step before has to be done again.
    """
    with database.reading() as rx:
        published = records.published_for(rx, study_id, revision)
        runs = [run for run in records.findings_of(rx, study_id, revision) if run.is_shown]
    held = {package.sha256: package for package in packages.values()}
    for sha256 in sorted(
        {run.package_sha256 for run in runs if run.package_sha256 and run.outcome != "not_applicable"}
    ):
        package = held.get(sha256)
        if package is None:
            raise PackageMissing(sha256)
        if package.kind == "findings":
            own = [run for run in runs if run.package_sha256 == sha256]
            _publish_package(database, archive, package, published, own, workspace, clock)


def _publish_package(
    database: Database,
    archive: Archive,
    package: ModelPackage,
    published: PublishedFor,
    runs: Sequence[RunResult],
    workspace: Workspace,
    clock: Callable[[], float],
) -> None:
    key = ResultKey(published.public_id, published.revision, published.attempt, package.sha256)
    with database.reading() as rx:
        if records.is_known(rx, published.site_id, key.uid("sr")):
            return
        predecessor = records.latest_report(rx, published, package.name)
        slices = {run.run_id: records.slices_of(rx, run, published.revision) for run in runs if package.reads_series}
    zone = _zone(published.time_zone)
    images, made = [], []
    for number, run in enumerate(runs, start=1):
        picture = _overlay(package, run, key, number, zone, workspace)
        if picture is not None:
            made.append((picture, run.run_id))
        images.append(_analysed(package, run, picture, slices.get(run.run_id, ())))
    report = build_report(
        package,
        images,
        key=key,
        made_at=_moment(max(run.finished_at for run in runs), zone),
        predecessor=predecessor,
    )
    made.append((report, runs[0].run_id))
    # Files first, each durable by itself; rows after, all or none: the SR's row says that the package is published.
    results = [_stored(archive, published.site_id, dataset, run_id) for dataset, run_id in made]
    with database.transaction() as tx:
        records.add_results(tx, published, results, clock())


def _overlay(
    package: ModelPackage, run: RunResult, key: ResultKey, number: int, zone: tzinfo, workspace: Workspace
) -> Dataset | None:
    if run.outcome != "done" or run.heat_map_sha256 is None or run.tensor_sha256 is None:
        return None
    heat_map, placement = workspace.heat_map(run.heat_map_sha256)
    film = overlay.Film(workspace.tensor(run.tensor_sha256), heat_map, placement)
    made_at = _moment(run.finished_at, zone)
    findings = _shown(package, run)
    return overlay.build_overlay(package, run.header, findings, film, key=key, number=number, made_at=made_at)


def _shown(package: ModelPackage, run: RunResult) -> tuple[Finding, ...]:
    """Return what readers see of a run; of one that is not done, that it was not evaluated."""
    findings = run.findings
    if run.outcome != "done":
        findings = not_evaluated(package, run.reason or Reason.MODEL_FAILED, run.shown)
    return tuple(finding for finding in findings if finding.shown)


def _analysed(
    package: ModelPackage, run: RunResult, picture: Dataset | None, slices: tuple[InstanceHeader, ...]
) -> AnalysedImage:
    findings = _shown(package, run)
    drawn = overlay.strongest(findings)
    return AnalysedImage(
        header=run.header,
        findings=findings,
        succeeded=run.outcome == "done",
        provider=run.provider,
        overlay=None
        if picture is None
        else OverlayReference(
            picture.SeriesInstanceUID, picture.SOPInstanceUID, picture.SOPClassUID, drawn.channel if drawn else None
        ),
        volume=slices,
    )


def _stored(archive: Archive, site_id: int, dataset: Dataset, run_id: int) -> NewResult:
    content = part10(dataset)
    file = io.BytesIO(content)
    offset = archive.dataset_offset(file)
    header = read_header(file, transfer_syntax_uid=ExplicitVRLittleEndian, offset=offset, length=len(content) - offset)
    return NewResult(header, archive.put(site_id, content), len(content) - offset, run_id)


def _moment(seconds: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(int(seconds), zone)


def _zone(name: str) -> tzinfo:
    """The site's time zone: Study Time, which we copy, is told in it, and one offset holds for a whole object."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return UTC
