"""The SQL of uploads that go on after a break: how large each will be, and how much of it stands on the disk."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, update

from service import tables

_c = tables.resumable_upload.c
_EVERYTHING = select(
    _c.public_id, _c.site_id, _c.sender, _c.size_bytes, _c.offset_bytes, _c.content_sha256, _c.expires_at, _c.taken_at
)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """One upload on its way in."""

    public_id: str
    site_id: int
    sender: str
    size_bytes: int
    offset_bytes: int
    """So much of it stands on the disk; what the file has beyond was not synced."""
    content_sha256: str | None
    """What the sender says of the whole file, in hex."""
    expires_at: float
    taken_at: float | None = None
    """When its files were taken: from then on it is kept only so that its sender can ask again."""


def add(tx: Connection, one: Unfinished, *, now: float) -> None:
    """Write down that an upload begins."""
    tx.execute(
        insert(tables.resumable_upload).values(
            public_id=one.public_id,
            site_id=one.site_id,
            sender=one.sender,
            size_bytes=one.size_bytes,
            offset_bytes=one.offset_bytes,
            content_sha256=one.content_sha256,
            created_at=now,
            expires_at=one.expires_at,
        )
    )


def count(rx: Connection, site_id: int) -> int:
    """Return how many uploads of a site are open."""
    return int(rx.execute(select(func.count()).where(_c.site_id == site_id)).scalar_one())


def promised_bytes(rx: Connection) -> int:
    """Return how many bytes open uploads may still bring."""
    return int(rx.execute(select(func.coalesce(func.sum(_c.size_bytes - _c.offset_bytes), 0))).scalar_one())


def find(rx: Connection, public_id: str) -> Unfinished | None:
    """Return an upload, None when there is no such one."""
    row = rx.execute(_EVERYTHING.where(_c.public_id == public_id)).one_or_none()
    return None if row is None else Unfinished(*row)


def list_expired(rx: Connection, now: float) -> list[Unfinished]:
    """Return the uploads whose time is over."""
    return [Unfinished(*row) for row in rx.execute(_EVERYTHING.where(_c.expires_at < now))]


def list_open(rx: Connection, site_id: int | None) -> list[Unfinished]:
    """Return the uploads of a site, or of every site, that were not taken, the one that began first at the top."""
    open_ones = _EVERYTHING.where(_c.taken_at.is_(None)).order_by(_c.created_at, _c.public_id)
    if site_id is not None:
        open_ones = open_ones.where(_c.site_id == site_id)
    return [Unfinished(*row) for row in rx.execute(open_ones)]


def advance(tx: Connection, public_id: str, *, offset_bytes: int, expires_at: float) -> None:
    """Note how much of an upload stands on the disk now."""
    tx.execute(
        update(tables.resumable_upload)
        .where(_c.public_id == public_id)
        .values(offset_bytes=offset_bytes, expires_at=expires_at)
    )


def mark_taken(tx: Connection, public_id: str, *, now: float, expires_at: float) -> None:
    """Note that the files of an upload were taken."""
    tx.execute(
        update(tables.resumable_upload).where(_c.public_id == public_id).values(taken_at=now, expires_at=expires_at)
    )


def remove(tx: Connection, public_id: str) -> bool:
    """Forget an upload; False when there is no such one."""
    return bool(tx.execute(delete(tables.resumable_upload).where(_c.public_id == public_id)).rowcount)


def remove_expired(tx: Connection, public_id: str, *, now: float) -> bool:
    """Forget an upload whose time is over; False when somebody has gone on with it, or was quicker."""
    t = tables.resumable_upload
    return bool(tx.execute(delete(t).where(_c.public_id == public_id, _c.expires_at < now)).rowcount)
