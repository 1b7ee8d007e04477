"""What opens the door once or until it is revoked: sites' keys, one-time links, and how secrets are kept."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import Connection

from service.access import records
from service.settings import Settings

SIGN_IN_LINK_S = 15 * 60
"""How long a one-time link waits to be used."""
KEY_PREFIX = "pdk"


@dataclass(frozen=True, slots=True)
class NewKey:
    """A fresh key. `text` exists only here and with whom it is shown to: the table keeps its hash."""

    prefix: str
    text: str


def fingerprint(token: str) -> str:
    """Return how a secret is kept: SHA-256. Our secrets have 256 random bits, so no slow hash is needed."""
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


def new_key(tx: Connection, *, site_id: int, name: str, now: float) -> NewKey:
    """Make a key for a site."""
    prefix = secrets.token_hex(4)
    key = NewKey(prefix, f"{KEY_PREFIX}_{prefix}_{secrets.token_urlsafe(32)}")
    records.add_key(tx, site_id=site_id, name=name, prefix=prefix, key_sha256=fingerprint(key.text), created_at=now)
    return key


def new_sign_in_link(tx: Connection, settings: Settings, *, account_id: int, now: float) -> str:
    """Make a one-time link of an account. The token stands after `#`: no server, proxy or Referer ever sees it."""
    token = secrets.token_urlsafe(32)
    records.add_link(
        tx, account_id=account_id, token_sha256=fingerprint(token), created_at=now, expires_at=now + SIGN_IN_LINK_S
    )
    return f"{public_address(settings)}/sign-in#token={token}"


def public_address(settings: Settings) -> str:
    """Return the address that people use, without a trailing slash."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    scheme = "https" if settings.web_certificate else "http"
    any_address = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - what is bound is no address to go to
    host = any_address.get(settings.web_host, settings.web_host)
    host = f"[{host}]" if ":" in host else host
    return f"{scheme}://{host}:{settings.web_port}"
