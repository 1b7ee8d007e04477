"""Changes of who may send, ask and be served by what: each one is noted in the audit with its rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection

from models.package import ModelPackage
from service import audit, site_records
from service.access import Caller, NewKey, new_key
from service.access.records import revoke_key as revoke
from service.sites import NewPeer, NewSite, Peer, Site, SitePolicy, SiteRefused

By = Caller | str
"""Who changes something; `audit.SYSTEM` at the machine's command line."""


def add_site(tx: Connection, by: By, new: NewSite, *, now: float) -> Site:
    """Add a site. Raises SiteRefused when its code is taken."""
    site = site_records.add_site(tx, new, now=now)
    told = {"country": site.country, "language": site.language, "time_zone": site.time_zone, **site.policy.to_json()}
    _note(tx, by, "site_added", site, ("site", site.code), told, now=now)
    return site


def set_policy(tx: Connection, by: By, site: Site, policy: SitePolicy, *, now: float) -> None:
    """Replace a site's policy; what it was stands beside what it is."""
    before, after = site.policy.to_json(), policy.to_json()
    changed = {
        name: {"from": before.get(name), "to": value} for name, value in after.items() if before.get(name) != value
    }
    if changed:
        site_records.set_policy(tx, site.id, policy)
        _note(tx, by, "site_changed", site, ("site", site.code), changed, now=now)


def add_peer(tx: Connection, by: By, site: Site, new: NewPeer, *, now: float) -> None:
    """Let a DICOM peer send for a site. Raises SiteRefused when another site has it."""
    site_records.add_peer(tx, site.id, new, now=now)
    _note(tx, by, "peer_added", site, ("peer", new.ae_title), asdict(new), now=now)


def change_peer(tx: Connection, by: By, site: Site, peer: Peer, entry: NewPeer, *, now: float) -> None:
    """Enter a peer anew; what it was stands beside what it is."""
    before, after = asdict(peer.entry), asdict(entry)
    changed = {name: {"from": before[name], "to": value} for name, value in after.items() if before[name] != value}
    if changed:
        site_records.change_peer(tx, peer.id, entry)
        _note(tx, by, "peer_changed", site, ("peer", entry.ae_title), changed, now=now)


def disable_peer(tx: Connection, by: By, site: Site, ae_title: str, *, now: float) -> None:
    """Refuse a site's peer from now on. Raises SiteRefused when there is no such peer."""
    if not site_records.disable_peer(tx, site.id, ae_title, now=now):
        raise SiteRefused(f"{site.code} has no enabled peer {ae_title}")
    _note(tx, by, "peer_disabled", site, ("peer", ae_title), {}, now=now)


def add_key(tx: Connection, by: By, site: Site, name: str, *, now: float) -> NewKey:
    """Make a key of a site."""
    key = new_key(tx, site_id=site.id, name=name, now=now)
    _note(tx, by, "key_added", site, ("key", key.prefix), {}, now=now)
    return key


def revoke_key(tx: Connection, by: By, prefix: str, *, now: float) -> None:
    """End a key. Raises SiteRefused when there is no live one of this prefix."""
    site_id = revoke(tx, prefix, now=now)
    if site_id is None:
        raise SiteRefused(f"there is no live key {prefix}; `pandok keys list` shows all")
    site = site_records.find_site_by_id(tx, site_id)
    _note(tx, by, "key_revoked", site, ("key", prefix), {}, now=now)


def release_packages(
    tx: Connection, by: By, site: Site, packages: Iterable[ModelPackage], *, now: float, command: str
) -> list[ModelPackage]:
    """Let these packages serve a site from now on, ending other versions of them; returns the newly released ones."""
    return [
        package for package in packages if release_package(tx, by, site, package, shows=None, now=now, command=command)
    ]


def release_package(
    tx: Connection,
    by: By,
    site: Site,
    package: ModelPackage,
    *,
    shows: Sequence[str] | None,
    now: float,
    command: str,
) -> bool:
    """Let a package serve a site as `site_records.release_package` does; returns whether anything changed."""
    if not site_records.release_package(tx, site.id, package, shows=shows, now=now, released_by=command):
        return False
    serving = site_records.find_release(tx, site, package.name)
    shown = list(serving.shows) if serving else []
    told = {"version": package.version, "sha256": package.sha256, "shows": shown, "command": command}
    _note(tx, by, "package_released", site, ("package", package.name), told, now=now)
    return True


def end_release(tx: Connection, by: By, site: Site, package: str, *, now: float) -> bool:
    """Let a package serve a site no longer; returns whether it did."""
    if not site_records.end_release(tx, site.id, package, now=now):
        return False
    _note(tx, by, "release_ended", site, ("package", package), {}, now=now)
    return True


def _note(
    tx: Connection,
    by: By,
    action: str,
    site: Site | None,
    of: tuple[str, str],
    detail: Mapping[str, Any],
    *,
    now: float,
) -> None:
    audit.note(
        tx, by, action, now=now, site_id=site.id if site else None, object_type=of[0], object_id=of[1], detail=detail
    )
