"""The inference room's SQL: revisions on their way, runs, what killed its decoder, and the workers themselves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import ColumnElement, Connection, delete, func, insert, literal_column, or_, select, update

from preprocessing.errors import Reason
from service import tables

QUARANTINE_DEATHS = 2
"""So many deaths of a decoder by the same bytes are no accident."""


@dataclass(frozen=True, slots=True)
class Revision:
    """A study revision that the pipeline has in hand."""

    id: int
    site_id: int
    study_id: int
    number: int
    attempt: int
    state: str
    is_newest: bool
    """No later revision of the study has settled."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A settled revision that has not been given to the engine."""

    study_id: int
    number: int
    attempt: int
    center_priority: int
    settled_by: str


@dataclass(frozen=True, slots=True)
class StoredInstance:
    """One received instance of a study, as the pipeline needs it."""

    id: int
    site_id: int
    sop_instance_uid: str
    content_sha256: str
    transfer_syntax_uid: str
    header: dict[str, object]


@dataclass(frozen=True, slots=True)
class Release:
    """A package version that serves a site."""

    package: str
    package_version: str
    package_sha256: str


@dataclass(frozen=True, slots=True)
class Run:
    """One package on one instance and how it ended; without a package: why nothing applied."""

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
    started_at: float
    finished_at: float


# ---------------------------------------------------------------------------------------------- revisions


def find_revision(tx: Connection, study_id: int, number: int) -> Revision | None:
    """Return a revision, or None when there is none."""
    t = tables.revision
    newest = select(func.max(t.c.number)).where(t.c.study_id == study_id).scalar_subquery()
    row = tx.execute(
        select(t.c.id, t.c.site_id, t.c.attempt, t.c.state, (newest == t.c.number).label("is_newest")).where(
            t.c.study_id == study_id, t.c.number == number
        )
    ).one_or_none()
    if row is None:
        return None
    return Revision(row.id, row.site_id, study_id, number, row.attempt, row.state, bool(row.is_newest))


def is_any_due(tx: Connection, now: float) -> bool:
    """Tell whether a study's time to settle has come; asked before a writing transaction is opened for it."""
    t = tables.study
    return tx.execute(select(t.c.id).where(t.c.settle_at <= now).limit(1)).first() is not None


def list_waiting(tx: Connection, limit: int = 200) -> list[Waiting]:
    """Return settled revisions that the engine has not been told of, the most urgent first."""
    t, s = tables.revision, tables.study
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt, s.c.center_priority, t.c.settled_by)
        .join(s, s.c.id == t.c.study_id)
        .where(t.c.state == "settled", t.c.queued_at.is_(None))
        .order_by(s.c.center_priority, t.c.settled_at)
        .limit(limit)
    )
    return [Waiting(*row) for row in rows]


def mark_queued(tx: Connection, waiting: Sequence[Waiting], now: float) -> None:
    """Note that the engine has them."""
    t = tables.revision
    for one in waiting:
        tx.execute(
            update(t)
            .where(t.c.study_id == one.study_id, t.c.number == one.number, t.c.attempt == one.attempt)
            .values(queued_at=now)
        )


def list_unfinished(tx: Connection, *, queued_before: float, limit: int = 200) -> list[tuple[int, int, int]]:
    """Return (study_id, number, attempt) of revisions that the engine has had for long, the oldest first."""
    t = tables.revision
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt)
        .where(t.c.state.in_(["settled", "running"]), t.c.queued_at < queued_before)
        .order_by(t.c.queued_at)
        .limit(limit)
    )
    return [(row.study_id, row.number, row.attempt) for row in rows]


def count_unfinished(tx: Connection) -> int:
    """Return how many revisions wait for a worker or are with one."""
    t = tables.revision
    return tx.execute(select(func.count()).where(t.c.state.in_(["settled", "running"]))).scalar_one()


def queue_again(tx: Connection, study_id: int, number: int, attempt: int) -> None:
    """Give a revision to the engine once more, which does not know it."""
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.study_id == study_id, t.c.number == number, t.c.attempt == attempt)
        .values(queued_at=None, state="settled")
    )


def list_canceled(tx: Connection) -> list[tuple[int, int, int]]:
    """Return (study_id, number, attempt) of canceled revisions of which the engine has not been told."""
    t = tables.revision
    rows = tx.execute(
        select(t.c.study_id, t.c.number, t.c.attempt).where(t.c.state == "canceled", t.c.finished_at.is_(None))
    )
    return [(row.study_id, row.number, row.attempt) for row in rows]


def start_revision(tx: Connection, revision_id: int, now: float) -> None:
    """Mark a revision as running; its first start is kept."""
    t = tables.revision
    tx.execute(
        update(t).where(t.c.id == revision_id).values(state="running", started_at=func.coalesce(t.c.started_at, now))
    )


def end_revision(
    tx: Connection, revision_id: int, *, state: str, reason: Reason | None, detail: str | None, now: float | None
) -> None:
    """Write how a revision ended."""
    tx.execute(
        update(tables.revision)
        .where(tables.revision.c.id == revision_id)
        .values(state=state, reason=reason.value if reason else None, detail=detail, finished_at=now)
    )


def end_canceled(tx: Connection, study_id: int, number: int, now: float) -> None:
    """Note that the engine has been told of a cancelation."""
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.study_id == study_id, t.c.number == number, t.c.state == "canceled")
        .values(finished_at=now)
    )


def set_study_state(tx: Connection, revision: Revision, *, state: str, reason: Reason | None, now: float) -> None:
    """Write a study's state, unless images of a later revision are arriving: that revision will write it."""
    t = tables.study
    values: dict[str, object] = {"state": state, "reason": reason.value if reason else None}
    if state == "scored":
        values["scored_at"] = now
    tx.execute(
        update(t)
        .where(t.c.id == revision.study_id, t.c.revision == revision.number, t.c.state != "arriving")
        .values(**values)
    )


def begin_attempt(tx: Connection, revision: Revision) -> None:
    """Make a revision wait again, as its next attempt; what killed decoders before gets another chance."""
    t = tables.revision
    tx.execute(
        update(t)
        .where(t.c.id == revision.id)
        .values(
            state="settled",
            reason=None,
            detail=None,
            attempt=revision.attempt + 1,
            queued_at=None,
            started_at=None,
            finished_at=None,
        )
    )
    hashes = select(tables.instance.c.content_sha256).where(tables.instance.c.study_id == revision.study_id)
    tx.execute(
        delete(tables.poison).where(
            tables.poison.c.site_id == revision.site_id, tables.poison.c.content_sha256.in_(hashes)
        )
    )


def find_study(tx: Connection, public_id: str) -> tuple[int, int, str] | None:
    """Return (study_id, newest settled revision's number or 0, state)."""
    s, t = tables.study, tables.revision
    newest = select(func.coalesce(func.max(t.c.number), 0)).where(t.c.study_id == s.c.id).scalar_subquery()
    row = tx.execute(select(s.c.id, newest.label("number"), s.c.state).where(s.c.public_id == public_id)).one_or_none()
    return (row.id, row.number, row.state) if row else None


# ---------------------------------------------------------------------------------------------- what to score


def list_instances(tx: Connection, study_id: int, number: int) -> list[StoredInstance]:
    """Return the received instances that a revision covers, in the order in which they came."""
    t = tables.instance
    rows = tx.execute(
        select(t.c.id, t.c.site_id, t.c.sop_instance_uid, t.c.content_sha256, t.c.transfer_syntax_uid, t.c.header)
        .where(t.c.study_id == study_id, t.c.revision <= number, t.c.is_result.is_(False))
        .order_by(t.c.id)
    )
    return [StoredInstance(*row) for row in rows]


def find_instance(tx: Connection, instance_id: int) -> StoredInstance:
    """Return one instance; it is there because nothing deletes instances."""
    t = tables.instance
    row = tx.execute(
        select(
            t.c.id, t.c.site_id, t.c.sop_instance_uid, t.c.content_sha256, t.c.transfer_syntax_uid, t.c.header
        ).where(t.c.id == instance_id)
    ).one()
    return StoredInstance(*row)


def list_releases(tx: Connection, site_id: int, now: float) -> list[Release]:
    """Return what serves a site now; of two releases of a package the later one counts."""
    t = tables.release
    rows = tx.execute(
        select(t.c.package, t.c.package_version, t.c.package_sha256)
        .where(t.c.site_id == site_id, t.c.since <= now, or_(t.c.until.is_(None), t.c.until > now))
        .order_by(t.c.since, t.c.id)
    )
    newest = {row.package: Release(*row) for row in rows}
    return sorted(newest.values(), key=lambda release: release.package)


def list_released(tx: Connection, now: float) -> list[Release]:
    """Return every package version that serves any site now."""
    sites = tx.execute(select(tables.site.c.id)).scalars().all()
    return sorted(
        {release for site_id in sites for release in list_releases(tx, site_id, now)},
        key=lambda release: (release.package, release.package_sha256),
    )


def site_policy(tx: Connection, site_id: int) -> Mapping[str, object]:
    """Return a site's policy."""
    policy: Mapping[str, object] = tx.execute(
        select(tables.site.c.policy).where(tables.site.c.id == site_id)
    ).scalar_one()
    return policy


# ---------------------------------------------------------------------------------------------- runs


def save_run(tx: Connection, revision: Revision, run: Run) -> int:
    """Write a run, over the one of an earlier attempt; its id stays, for published results point to it."""
    t = tables.run
    values = asdict(run) | {"reason": run.reason.value if run.reason else None, "notes": list(run.notes)}
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
        values |= {"reason": Reason(row["reason"]) if row["reason"] else None, "notes": tuple(row["notes"])}
        runs.append((int(row["id"]), Run(**values)))
    return runs


# ---------------------------------------------------------------------------------------------- poison, problems


def find_quarantine(tx: Connection, site_id: int, content_sha256: str) -> Reason | None:
    """Return why these bytes are never decoded again, or None when they may be."""
    t = tables.poison
    row = tx.execute(
        select(t.c.last_reason).where(
            t.c.site_id == site_id, t.c.content_sha256 == content_sha256, t.c.quarantined_at.is_not(None)
        )
    ).one_or_none()
    return Reason(row.last_reason) if row else None


def note_death(
    tx: Connection, *, site_id: int, content_sha256: str, reason: Reason, is_limit: bool, now: float
) -> bool:
    """Count a decoder's death; returns whether the bytes are in quarantine from now on."""
    t = tables.poison
    key = (t.c.site_id == site_id, t.c.content_sha256 == content_sha256)
    deaths = 1 + (tx.execute(select(t.c.deaths).where(*key)).scalar_one_or_none() or 0)
    is_quarantined = is_limit or deaths >= QUARANTINE_DEATHS
    values = {
        "deaths": deaths,
        "last_reason": reason.value,
        "last_at": now,
        "quarantined_at": now if is_quarantined else None,
    }
    if deaths == 1:
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


# ---------------------------------------------------------------------------------------------- workers


def beat(tx: Connection, executor_id: str, *, provider: str | None, alarm: str | None) -> None:
    """Say that a worker is alive, by the database's own clock."""
    t = tables.executor
    now = _database_time(tx)
    done = tx.execute(update(t).where(t.c.id == executor_id).values(seen_at=now, provider=provider, alarm=alarm))
    if not done.rowcount:
        tx.execute(insert(t).values(id=executor_id, started_at=now, seen_at=now, provider=provider, alarm=alarm))


def begin_executor(tx: Connection, executor_id: str) -> None:
    """Forget the earlier life of this worker's slot."""
    tx.execute(delete(tables.executor).where(tables.executor.c.id == executor_id))


def list_silent(tx: Connection, *, silent_s: float) -> list[str]:
    """Return the workers that have not been heard of for so long."""
    t = tables.executor
    return list(tx.execute(select(t.c.id).where(t.c.seen_at < _database_time(tx) - silent_s)).scalars())


def forget_executor(tx: Connection, executor_id: str, *, silent_s: float) -> None:
    """Remove a worker that is still silent; one that comes back says so itself."""
    t = tables.executor
    tx.execute(delete(t).where(t.c.id == executor_id, t.c.seen_at < _database_time(tx) - silent_s))


def _database_time(tx: Connection) -> ColumnElement[float]:
    """Seconds since 1970 by the one clock that all workers share."""
    if tx.dialect.name == "sqlite":
        return literal_column("((julianday('now') - 2440587.5) * 86400.0)")
    return literal_column("extract(epoch from clock_timestamp())")
