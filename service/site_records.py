"""The rows of sites, DICOM peers and releases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

from sqlalchemy import ColumnElement, Connection, insert, select, update

from models.package import ModelPackage
from service.sites import NewPeer, NewSite, Peer, Site, SitePolicy, SiteRefused, policy_from_json
from service.tables import dicom_peer, release
from service.tables import site as site_table


@dataclass(frozen=True, slots=True)
class Release:
    """A package version that serves a site, as an operator sees it."""

    site: str
    package: str
    package_version: str
    package_sha256: str
    since: float
    shows: tuple[str, ...]
    """Experimental findings that readers see."""


def add_site(tx: Connection, new: NewSite, *, now: float) -> Site:
    """Add a site. Raises SiteRefused when its code is taken."""
    if find_site(tx, new.code) is not None:
        raise SiteRefused(f"there is a site {new.code} already; `pandok sites list` shows it")
    values = {
        "code": new.code,
        "name": new.name,
        "country": new.country,
        "language": new.language,
        "time_zone": new.time_zone,
        "policy": new.policy.to_json(),
        "created_at": now,
    }
    tx.execute(insert(site_table).values(values))
    return get_site(tx, new.code)


def find_site(rx: Connection, code: str) -> Site | None:
    """Return the site with this code, or None."""
    return _find(rx, site_table.c.code == code)


def find_site_by_id(rx: Connection, site_id: int) -> Site | None:
    """Return the site of a row number, or None."""
    return _find(rx, site_table.c.id == site_id)


def _find(rx: Connection, which: ColumnElement[bool]) -> Site | None:
    row = rx.execute(select(site_table).where(which)).mappings().first()
    if row is None:
        return None
    return Site(
        id=row["id"],
        code=row["code"],
        name=row["name"],
        country=row["country"],
        language=row["language"],
        time_zone=row["time_zone"],
        policy=policy_from_json(row["policy"]),
    )


def get_site(rx: Connection, code: str) -> Site:
    """Return the site with this code. Raises SiteRefused when there is none."""
    site = find_site(rx, code)
    if site is None:
        raise SiteRefused("there is no such site; `pandok sites list` shows all, `pandok sites add` makes one")
    return site


def list_sites(rx: Connection) -> list[Site]:
    """Return every site by code."""
    codes = rx.execute(select(site_table.c.code).order_by(site_table.c.code)).scalars().all()
    return [get_site(rx, code) for code in codes]


def set_policy(tx: Connection, site_id: int, policy: SitePolicy) -> None:
    """Replace a site's policy."""
    tx.execute(update(site_table).where(site_table.c.id == site_id).values(policy=policy.to_json()))


def add_peer(tx: Connection, site_id: int, new: NewPeer, *, now: float) -> None:
    """Add a DICOM peer, or bring a disabled one back. Raises SiteRefused when another site has it."""
    row = tx.execute(
        select(dicom_peer.c.id, dicom_peer.c.site_id, dicom_peer.c.disabled_at).where(
            dicom_peer.c.ae_title == new.ae_title, dicom_peer.c.network == new.network
        )
    ).first()
    if row is None:
        tx.execute(insert(dicom_peer).values(site_id=site_id, created_at=now, **asdict(new)))
        return
    if row.disabled_at is None or row.site_id != site_id:
        raise SiteRefused(f"{new.ae_title} from {new.network} is a peer already; `pandok peers list` shows it")
    change_peer(tx, row.id, new)


def change_peer(tx: Connection, peer_id: int, entry: NewPeer) -> None:
    """Enter a peer anew, enabled; what it asked for before stays its own."""
    tx.execute(update(dicom_peer).where(dicom_peer.c.id == peer_id).values(disabled_at=None, **asdict(entry)))


def list_peers(rx: Connection) -> list[Peer]:
    """Return every peer, by site and title."""
    p = dicom_peer.c
    entered = [p[field.name] for field in fields(NewPeer)]
    rows = rx.execute(
        select(p.id, site_table.c.code, p.disabled_at, *entered)
        .join(site_table, site_table.c.id == p.site_id)
        .order_by(site_table.c.code, p.ae_title, p.network)
    )
    return [Peer(row.id, row.code, NewPeer(*row[3:]), row.disabled_at) for row in rows]


def disable_peer(tx: Connection, site_id: int, ae_title: str, *, now: float) -> int:
    """Refuse a site's peer from now on; returns how many rows that was."""
    done = tx.execute(
        update(dicom_peer)
        .where(
            dicom_peer.c.site_id == site_id,
            dicom_peer.c.ae_title == ae_title,
            dicom_peer.c.disabled_at.is_(None),
        )
        .values(disabled_at=now)
    )
    return done.rowcount


def release_package(
    tx: Connection,
    site_id: int,
    package: ModelPackage,
    *,
    shows: Sequence[str] | None,
    now: float,
    released_by: str,
) -> bool:
    """Let a package serve a site from now on, ending what it was served by; nothing is overwritten.

    Args:
        tx: The caller's transaction.
        site_id: The site.
        package: The version that is to serve.
        shows: Experimental findings that readers see. None: as before, and none of a version that is new to the site.
        now: Seconds since 1970 UTC.
        released_by: The command that asked for it.

    Returns:
        Whether anything changed.
    """
    of_site = _serving(site_id, package.name)
    before = [(row.package_sha256, row.shows) for row in tx.execute(select(release).where(*of_site))]
    kept: list[str] = next((known for sha256, known in before if sha256 == package.sha256), [])
    wanted = kept if shows is None else list(shows)
    if before == [(package.sha256, wanted)]:
        return False
    tx.execute(update(release).where(*of_site).values(until=now))
    values = {
        "package": package.name,
        "package_version": package.version,
        "package_sha256": package.sha256,
        "released_by": released_by,
        "shows": wanted,
    }
    tx.execute(insert(release).values(site_id=site_id, since=now, **values))
    return True


def end_release(tx: Connection, site_id: int, package: str, *, now: float) -> bool:
    """Let a package serve a site no longer; returns whether it did."""
    return bool(tx.execute(update(release).where(*_serving(site_id, package)).values(until=now)).rowcount)


def list_releases(rx: Connection) -> list[Release]:
    """Return every release that still serves, by site and package."""
    r = release.c
    rows = rx.execute(
        select(site_table.c.code, r.package, r.package_version, r.package_sha256, r.since, r.shows)
        .join(site_table, site_table.c.id == r.site_id)
        .where(r.until.is_(None))
        .order_by(site_table.c.code, r.package)
    )
    return [Release(*row[:-1], shows=tuple(row.shows)) for row in rows]


def find_release(rx: Connection, site: Site, package: str) -> Release | None:
    """Return the release by which a package serves a site, or None."""
    return next((one for one in list_releases(rx) if (one.site, one.package) == (site.code, package)), None)


def _serving(site_id: int, package: str) -> tuple[ColumnElement[bool], ...]:
    return (release.c.site_id == site_id, release.c.package == package, release.c.until.is_(None))
