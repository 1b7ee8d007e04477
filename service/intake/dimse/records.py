"""The listener's SQL: who may call, and who tried to."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from service import tables
from service.intake.outcomes import Door
from service.sites import PeerCertificate

MAX_STRANGERS = 1_000
"""Rows about strangers that wait for an operator; past that, new ones are counted together."""
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Peer:
    """A sender that a site's operator has entered."""

    id: int
    site_id: int
    ae_title: str
    has_address: bool
    """It listens where an operator said: it can be told the outcome of a storage commitment."""


class Stranger(StrEnum):
    """Why a caller is none of the known peers."""

    CALLED_AE_TITLE = "called_ae_title"
    AE_TITLE = "calling_ae_title"
    NETWORK = "calling_network"
    CERTIFICATE = "client_certificate"
    CERTIFICATE_NOT_ENTERED = "certificate_not_entered"
    TLS_NO_CERTIFICATE = "tls_no_certificate"
    TLS_EXPIRED = "tls_certificate_expired"
    TLS_REVOKED = "tls_certificate_revoked"
    TLS_REVOCATION_LIST = "tls_revocation_list"
    TLS_AUTHORITY = "tls_unknown_authority"
    TLS_CERTIFICATE = "tls_certificate_invalid"
    TLS_VERSION = "tls_version_or_suite"
    TLS_NOT_SPOKEN = "tls_not_spoken"
    TLS_FAILED = "tls_failed"


_WORDS = {
    Stranger.CALLED_AE_TITLE: "called an AE title that is not ours, from {address}",
    Stranger.AE_TITLE: "AE title is not a known peer, calling from {address}",
    Stranger.NETWORK: "known AE title, but not from {address}",
    Stranger.CERTIFICATE: "known AE title, but without its TLS certificate, from {address}",
    Stranger.CERTIFICATE_NOT_ENTERED: "known AE title, but no certificate is entered for it, from {address}",
    Stranger.TLS_NO_CERTIFICATE: "showed no client certificate on the TLS port, from {address}",
    Stranger.TLS_EXPIRED: "its client certificate is not valid at this time, from {address}",
    Stranger.TLS_REVOKED: "its client certificate is revoked, from {address}",
    Stranger.TLS_REVOCATION_LIST: "its authority's revocation list is missing or out of date, from {address}",
    Stranger.TLS_AUTHORITY: "its client certificate is of an authority that we do not know, from {address}",
    Stranger.TLS_CERTIFICATE: "its client certificate is not valid for this, from {address}",
    Stranger.TLS_VERSION: "offers no TLS version or cipher suite that is safe enough, from {address}",
    Stranger.TLS_NOT_SPOKEN: "does not speak TLS on the TLS port, from {address}",
    Stranger.TLS_FAILED: "broke the TLS handshake, from {address}",
}


def find_peer(tx: Connection, *, ae_title: str, address: str, certificate: PeerCertificate | None) -> Peer | Stranger:
    """Return the peer that this caller is, or why it is none.

    Of several networks that hold the address the narrowest counts, so that one machine's entry beats its network's.
    Who shows a certificate must be entered with it: an AE title alone proves nothing, and a certificate proves only
    its own holder's.

    Args:
        tx: A reading transaction.
        ae_title: Calling AE title, stripped.
        address: IP address that the connection comes from.
        certificate: The client's; None without TLS, or where no authority for clients is set.
    """
    t = tables.dicom_peer
    rows = tx.execute(
        select(
            t.c.id,
            t.c.site_id,
            t.c.network,
            t.c.certificate_sha256,
            t.c.certificate_subject,
            t.c.certificate_issuer,
            t.c.answer_host,
            t.c.answer_port,
        ).where(t.c.ae_title == ae_title, t.c.disabled_at.is_(None))
    ).all()
    if not rows:
        return Stranger.AE_TITLE
    ip = _ip(address)
    networks = [(ipaddress.ip_network(row.network, strict=False), row) for row in rows]
    matching = [(network.prefixlen, row) for network, row in networks if ip is not None and ip in network]
    if not matching:
        return Stranger.NETWORK
    _, row = max(matching, key=lambda pair: pair[0])
    wrong = _wrong_certificate(row, certificate)
    return wrong or Peer(row.id, row.site_id, ae_title, bool(row.answer_host and row.answer_port))


def _wrong_certificate(row: Any, shown: PeerCertificate | None) -> Stranger | None:
    """Say what is wrong with what a peer showed: its entry names one certificate, or any of a name and authority."""
    if row.certificate_sha256:
        is_its_own = shown is not None and row.certificate_sha256.lower() == shown.sha256
        return None if is_its_own else Stranger.CERTIFICATE
    if row.certificate_subject:
        named = (row.certificate_subject, row.certificate_issuer)
        return None if shown is not None and named == (shown.subject, shown.issuer) else Stranger.CERTIFICATE
    return Stranger.CERTIFICATE_NOT_ENTERED if shown is not None else None


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
