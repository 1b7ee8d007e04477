"""The listener's SQL: who may call, and who tried to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, func, insert, select, update

from service import tables
from service.intake.outcomes import Door

MAX_STRANGERS = 1_000
"""Rows about strangers that wait for an operator; past that, new ones are counted together."""
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Peer:
    """A sender that a site's operator has entered."""

    id: int
    site_id: int
    ae_title: str


class Stranger(StrEnum):
    """Why a caller is none of the known peers."""

    CALLED_AE_TITLE = "called_ae_title"
    AE_TITLE = "calling_ae_title"
    NETWORK = "calling_network"
    CERTIFICATE = "client_certificate"


_WORDS = {
    Stranger.CALLED_AE_TITLE: "called an AE title that is not ours, from {address}",
    Stranger.AE_TITLE: "AE title is not a known peer, calling from {address}",
    Stranger.NETWORK: "known AE title, but not from {address}",
    Stranger.CERTIFICATE: "known AE title, but without its TLS certificate, from {address}",
}


def find_peer(tx: Connection, *, ae_title: str, address: str, certificate_sha256: str | None) -> Peer | Stranger:
    """Return the peer that this caller is, or why it is none.

    Of several networks that hold the address the narrowest counts, so that one machine's entry beats its network's.

    Args:
        tx: A reading transaction.
        ae_title: Calling AE title, stripped.
        address: IP address that the connection comes from.
        certificate_sha256: Of the client's certificate, in hex; None without TLS or without a certificate.
    """
    t = tables.dicom_peer
    rows = tx.execute(
        select(t.c.id, t.c.site_id, t.c.network, t.c.certificate_sha256).where(
            t.c.ae_title == ae_title, t.c.disabled_at.is_(None)
        )
    ).all()
    if not rows:
        return Stranger.AE_TITLE
    ip = _ip(address)
    networks = [(ipaddress.ip_network(row.network, strict=False), row) for row in rows]
    matching = [(network.prefixlen, row) for network, row in networks if ip is not None and ip in network]
    if not matching:
        return Stranger.NETWORK
    _, row = max(matching, key=lambda pair: pair[0])
    if row.certificate_sha256 and row.certificate_sha256.lower() != certificate_sha256:
        return Stranger.CERTIFICATE
    return Peer(row.id, row.site_id, ae_title)


def _ip(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    return (ip.ipv4_mapped or ip) if isinstance(ip, ipaddress.IPv6Address) else ip


def note_stranger(
    tx: Connection, *, ae_title: str, address: str, reason: Stranger, status: str, times: int, now: float
) -> None:
    """Write, or count up, the one row that an operator sees about this stranger.

    Args:
        tx: A writing transaction.
        ae_title: Calling AE title as shown to people.
        address: Where it called from.
        reason: What was wrong.
        status: What it was answered.
        times: How often it tried since the last call.
        now: Seconds since 1970 UTC.
    """
    t = tables.problem
    detail = _WORDS[reason].format(address=address)
    open_strangers = (t.c.kind == "refused", t.c.door == Door.DIMSE.value, t.c.site_id.is_(None))
    unresolved = (*open_strangers, t.c.reason == reason.value, t.c.resolved_at.is_(None))
    counted = {"count": t.c.count + times, "occurred_at": now}
    same = (*unresolved, t.c.sender == ae_title, t.c.detail == detail)
    if tx.execute(update(t).where(*same).values(**counted)).rowcount:
        return
    known = tx.execute(select(func.count()).select_from(t).where(*open_strangers, t.c.resolved_at.is_(None)))
    if known.scalar_one() >= MAX_STRANGERS:
        ae_title, detail = OTHERS, _WORDS[reason].format(address="many addresses")
        if tx.execute(update(t).where(*unresolved, t.c.sender == OTHERS).values(**counted)).rowcount:
            return
    tx.execute(
        insert(t).values(
            kind="refused",
            reason=reason.value,
            detail=detail,
            status=status,
            door=Door.DIMSE.value,
            sender=ae_title,
            occurred_at=now,
            count=times,
        )
    )
