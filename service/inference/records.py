"""The inference room's SQL: what to score, runs, what killed its decoder, and problems for the operator."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, insert, or_, select, update

from preprocessing.errors import Reason
from service import tables
from service.inference.revision_records import Revision
from service.routing import Decision

_I = tables.instance.c
_STORED = select(
    _I.id, _I.site_id, _I.sop_instance_uid, _I.content_sha256, _I.transfer_syntax_uid, _I.header, _I.series_id
)

QUARANTINE_DEATHS = 2
"""So many deaths of a decoder by the same bytes are no accident."""


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One received instance of a study, as the pipeline needs it."""

    id: int
    site_id: int
    sop_instance_uid: str
    content_sha256: str
    transfer_syntax_uid: str
    header: dict[str, object]
    series_id: int = 0


@dataclass(frozen=True, slots=True)
class Release:
    """A package version that serves a site."""

    package: str
    package_version: str
    package_sha256: str
    shows: tuple[str, ...] = ()
    """Experimental findings that readers of the site see; the others are scored for the record alone."""


@dataclass(frozen=True, slots=True)
class Run:
    """One package on one instance and how it ended; without a package: why nothing applied.

    A run on a series as one volume names its middle slice.
    """

    instance_id: int
    package: str | None
    package_version: str | None
    package_sha256: str | None
    recipe: str | None
    outcome: str
    reason: Reason | None
    detail: str | None
    view: str | None
    view_source: str | None
    notes: tuple[str, ...]
    decoder: str | None
    provider: str | None
    tensor_sha256: str | None
    heat_map_sha256: str | None
    shown: tuple[str, ...] | None
    """The findings that readers see; empty: the run is for the record alone. None: all that there are."""
    started_at: float
    finished_at: float
    routing: tuple[Decision, ...] = ()
    """The routing rule that chose the package or left it out."""

    @property
    def is_shown(self) -> bool:
        """Readers see this run, and what it says of the study counts."""
        return self.shown != ()


def list_instances(tx: Connection, study_id: int, number: int) -> list[StoredInstance]:
    """Return the received instances that a revision covers, in the order in which they came."""
    t = tables.instance
    rows = tx.execute(
        _STORED.where(t.c.study_id == study_id, t.c.revision <= number, t.c.is_result.is_(False)).order_by(t.c.id)
    )
    return [StoredInstance(*row) for row in rows]


def list_series(tx: Connection, series_id: int, number: int) -> list[StoredInstance]:
    """Return the received instances of a series that a revision covers, in the order in which they came."""
    t = tables.instance
    rows = tx.execute(
        _STORED.where(t.c.series_id == series_id, t.c.revision <= number, t.c.is_result.is_(False)).order_by(t.c.id)
    )
    return [StoredInstance(*row) for row in rows]


def find_instance(tx: Connection, instance_id: int) -> StoredInstance:
    """Return one instance; it is there because nothing deletes instances."""
    return StoredInstance(*tx.execute(_STORED.where(tables.instance.c.id == instance_id)).one())


def list_releases(tx: Connection, site_id: int, now: float) -> list[Release]:
    """Return what serves a site now; of two releases of a package the later one counts."""
    t = tables.release
    rows = tx.execute(
        select(t.c.package, t.c.package_version, t.c.package_sha256, t.c.shows)
        .where(t.c.site_id == site_id, t.c.since <= now, or_(t.c.until.is_(None), t.c.until > now))
        .order_by(t.c.since, t.c.id)
    )
    newest = {
        row.package: Release(row.package, row.package_version, row.package_sha256, tuple(row.shows)) for row in rows
    }
    return sorted(newest.values(), key=lambda release: release.package)


def list_released(tx: Connection, now: float) -> list[Release]:
    """Return every package version that serves any site now."""
    sites = tx.execute(select(tables.site.c.id)).scalars().all()
    return sorted(
        {release for site_id in sites for release in list_releases(tx, site_id, now)},
        key=lambda release: (release.package, release.package_sha256),
    )


def save_geometry(
    tx: Connection, series_id: int, geometry: Mapping[str, object], faults: Mapping[str, int] | None
) -> None:
    """Write what a revision's headers say of a series' slices, over what an earlier one said."""
    values = {"geometry": dict(geometry), "slice_faults": None if faults is None else dict(faults)}
    tx.execute(update(tables.series).where(tables.series.c.id == series_id).values(values))


def site_policy(tx: Connection, site_id: int) -> Mapping[str, object]:
    """Return a site's policy."""
    policy: Mapping[str, object] = tx.execute(
        select(tables.site.c.policy).where(tables.site.c.id == site_id)
    ).scalar_one()
    return policy


def save_run(tx: Connection, revision: Revision, run: Run) -> int:
    """Write a run, over the one of an earlier attempt; its id stays, for published results point to it."""
    t = tables.run
    values = asdict(run) | {
        "reason": run.reason.value if run.reason else None,
        "notes": list(run.notes),
        "shown": None if run.shown is None else list(run.shown),
        "routing": [decision.to_json() for decision in run.routing] or None,
    }
    known = tx.execute(
        select(t.c.id).where(
            t.c.revision_id == revision.id,
            t.c.instance_id == run.instance_id,
            t.c.package.is_(None) if run.package is None else t.c.package == run.package,
        )
    ).scalar_one_or_none()
    if known is not None:
        tx.execute(update(t).where(t.c.id == known).values(**values))
        return int(known)
    result = tx.execute(
        insert(t).values(site_id=revision.site_id, study_id=revision.study_id, revision_id=revision.id, **values)
    )
    key = result.inserted_primary_key
    return int(key[0]) if key else 0


def drop_runs(tx: Connection, revision: Revision, *, but: Collection[tuple[int, str | None]]) -> None:
    """Remove the runs of an earlier attempt that no longer apply: all but those of (instance, package)."""
    t = tables.run
    rows = tx.execute(select(t.c.id, t.c.instance_id, t.c.package).where(t.c.revision_id == revision.id)).all()
    stale = [row.id for row in rows if (row.instance_id, row.package) not in but]
    if not stale:
        return
    tx.execute(delete(tables.finding).where(tables.finding.c.run_id.in_(stale)))
    tx.execute(update(tables.instance).where(tables.instance.c.run_id.in_(stale)).values(run_id=None))
    tx.execute(delete(t).where(t.c.id.in_(stale)))


def list_runs(tx: Connection, revision_id: int) -> list[tuple[int, Run]]:
    """Return the runs of a revision with their ids."""
    t = tables.run
    rows = tx.execute(select(t).where(t.c.revision_id == revision_id).order_by(t.c.id)).mappings()
    runs = []
    for row in rows:
        values = {name: row[name] for name in Run.__dataclass_fields__}
        values |= {
            "reason": Reason(row["reason"]) if row["reason"] else None,
            "notes": tuple(row["notes"]),
            "shown": None if row["shown"] is None else tuple(row["shown"]),
            "routing": tuple(Decision.from_json(one) for one in row["routing"] or ()),
        }
        runs.append((int(row["id"]), Run(**values)))
    return runs


def find_quarantine(tx: Connection, site_id: int, content_sha256: str, *, decoders: str) -> Reason | None:
    """Return why these decoders never meet these bytes again, or None when they may."""
    t = tables.poison
    row = tx.execute(
        select(t.c.last_reason).where(
            t.c.site_id == site_id,
            t.c.content_sha256 == content_sha256,
            t.c.decoders == decoders,
            t.c.quarantined_at.is_not(None),
        )
    ).one_or_none()
    return Reason(row.last_reason) if row else None


def note_death(
    tx: Connection,
    *,
    site_id: int,
    content_sha256: str,
    reason: Reason,
    is_limit: bool,
    decoders: str,
    now: float,
) -> bool:
    """Count a death of these decoders; returns whether the bytes are in quarantine from now on."""
    t = tables.poison
    key = (t.c.site_id == site_id, t.c.content_sha256 == content_sha256)
    known = tx.execute(select(t.c.deaths, t.c.decoders).where(*key)).one_or_none()
    deaths = known.deaths + 1 if known and known.decoders == decoders else 1
    is_quarantined = is_limit or deaths >= QUARANTINE_DEATHS
    values = {
        "deaths": deaths,
        "decoders": decoders,
        "last_reason": reason.value,
        "last_at": now,
        "quarantined_at": now if is_quarantined else None,
    }
    if known is None:
        tx.execute(insert(t).values(site_id=site_id, content_sha256=content_sha256, **values))
    else:
        tx.execute(update(t).where(*key).values(**values))
    return is_quarantined


def note_problem(
    tx: Connection,
    *,
    kind: str,
    reason: Reason,
    detail: str,
    site_id: int,
    study_id: int,
    now: float,
    instance: StoredInstance | None = None,
) -> None:
    """Write one row that an operator can see; while it is open, the same problem again adds none."""
    t = tables.problem
    study_instance_uid = tx.execute(
        select(tables.study.c.study_instance_uid).where(tables.study.c.id == study_id)
    ).scalar_one()
    values: dict[str, object] = {
        "site_id": site_id,
        "kind": kind,
        "reason": reason.value,
        "study_instance_uid": study_instance_uid,
        "sop_instance_uid": instance.sop_instance_uid if instance else None,
        "content_sha256": instance.content_sha256 if instance else None,
    }
    same = [t.c[name].is_(None) if value is None else t.c[name] == value for name, value in values.items()]
    if tx.execute(select(t.c.id).where(*same, t.c.resolved_at.is_(None))).first() is None:
        tx.execute(insert(t).values(detail=detail, status="", door="", sender="worker", occurred_at=now, **values))
