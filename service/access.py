"""Who is calling, and which sites they may see: one-time links, sessions, sites' keys."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Depends
from sqlalchemy import Connection
from starlette.datastructures import Headers
from starlette.requests import Request, cookie_parser

from service import access_records
from service.database import Database
from service.errors import Forbidden, NotSignedIn
from service.settings import Settings

SIGN_IN_LINK_S = 15 * 60
"""How long a one-time link waits to be used."""
SEEN_EVERY_S = 60.0
"""A session's last use is written at most this often: a row written for every request would queue with the intake."""
BACKGROUND_HEADER = "x-pandok-background"
"""A page sends it with what it asks by itself, so that a page left open does not keep a session alive."""
CUSTOM_HEADER = "x-pandok"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
KEY_PREFIX = "pdk"


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: a signed-in person or a site's key."""

    name: str
    """`session` or the key's prefix: for logs and problem rows."""
    site_id: int | None
    """The only site whose rows exist for this caller; None is a person of the installation, who sees all."""

    def may_see(self, site_id: int) -> bool:
        """Tell whether rows of the site exist for this caller."""
        return self.site_id is None or self.site_id == site_id

    @property
    def is_person(self) -> bool:
        """Signed in with a link, not with a site's key."""
        return self.name == "session"


def caller(request: Request) -> Caller:
    """Return who calls, as the gate before every route found out. Routes depend on this.

    Raises:
        NotSignedIn: Nobody we know. The gate answers strangers before any route; this holds when a route is open
            there by mistake.
    """
    found = getattr(request.state, "caller", None)
    if not isinstance(found, Caller):
        raise NotSignedIn
    return found


def person(who: Annotated[Caller, Depends(caller)]) -> Caller:
    """Return who calls, when that is a signed-in person. Raises Forbidden for a site's key."""
    if not who.is_person:
        raise Forbidden("A site's key may not do this; a signed-in person may.")
    return who


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
    access_records.add_key(
        tx, site_id=site_id, name=name, prefix=prefix, key_sha256=fingerprint(key.text), created_at=now
    )
    return key


def new_sign_in_link(tx: Connection, settings: Settings, *, now: float, site_id: int | None = None) -> str:
    """Make a one-time link. The token stands after `#`, so that no server, proxy or Referer ever sees it."""
    token = secrets.token_urlsafe(32)
    access_records.add_link(
        tx, site_id=site_id, token_sha256=fingerprint(token), created_at=now, expires_at=now + SIGN_IN_LINK_S
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


class Access:
    """Tells who stands behind a request, from the tables and nothing else: ending a session or key acts at once."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._idle_s = settings.session_idle_minutes * 60.0
        self._longest_s = settings.session_hours * 3600.0
        self._own_origins = {_origin(public_address(settings))}
        self.is_secure = public_address(settings).startswith("https://")
        self.cookie_name = "__Host-pandok" if self.is_secure else "pandok"
        """The prefix makes a browser insist on https, on our host and on every path; plain loopback cannot have it."""

    def identify(self, headers: Headers, method: str) -> Caller | None:
        """Return who calls; None is a stranger. A wrong key is a stranger even beside a good session.

        Raises:
            Forbidden: A session's unsafe request that may come from another site's page.
        """
        key = _key(headers)
        if key is not None:
            with self._database.reading() as rx:
                found = access_records.live_key(rx, fingerprint(key))
            return Caller(found.prefix, found.site_id) if found else None
        token = self._token(headers)
        if not token:
            return None
        session = self._session(token, touch=BACKGROUND_HEADER not in headers)
        if session is not None and method not in SAFE_METHODS:
            self.check_origin(headers)
        return session

    def is_still(self, headers: Headers) -> bool:
        """Tell whether the caller of an answer that is still being sent is one yet; this is no use of a session."""
        key = _key(headers)
        if key is not None:
            with self._database.reading() as rx:
                return access_records.live_key(rx, fingerprint(key)) is not None
        token = self._token(headers)
        return token is not None and self._session(token, touch=False) is not None

    def check_origin(self, headers: Headers) -> None:
        """Refuse what another site's page may have sent in a person's name (RELIABILITY 4.1).

        Raises:
            Forbidden: The browser names another origin, or nothing shows that the request is from our pages.
        """
        fetched_from = headers.get("sec-fetch-site")
        origin = headers.get("origin")
        if fetched_from is not None:
            ours = fetched_from in ("same-origin", "none")
        elif origin is not None:
            ours = _origin(origin) in self._own_origins or urlsplit(origin).netloc == headers.get("host")
        else:
            ours = headers.get(CUSTOM_HEADER) == "1"
        if not ours:
            raise Forbidden("The request does not come from this service's own pages.", code="cross_site")

    def sign_in(self, token: str) -> str | None:
        """Change a one-time link's token into a session's; None when the link is unknown, used or too old."""
        now = self._clock()
        link_sha256 = fingerprint(token)
        with self._database.reading() as rx:  # a stranger's guess must not take the write lock
            if not access_records.link_is_open(rx, link_sha256, now=now):
                return None
        fresh = secrets.token_urlsafe(32)
        with self._database.transaction() as tx:
            link = access_records.use_link(tx, link_sha256, now=now)
            if link is None:
                return None
            access_records.add_session(
                tx,
                site_id=link.site_id,
                token_sha256=fingerprint(fresh),
                created_at=now,
                expires_at=now + self._longest_s,
            )
        return fresh

    def sign_out(self, headers: Headers) -> None:
        """End the session of a request."""
        token = self._token(headers)
        if token:
            with self._database.transaction() as tx:
                access_records.end_session(tx, fingerprint(token), now=self._clock())

    def _token(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self.cookie_name)

    def _session(self, token: str, *, touch: bool) -> Caller | None:
        now = self._clock()
        token_sha256 = fingerprint(token)
        with self._database.reading() as rx:
            found = access_records.live_session(rx, token_sha256, now=now, seen_after=now - self._idle_s)
        if found is None:
            return None
        if touch and now - found.seen_at >= SEEN_EVERY_S:
            with self._database.transaction() as tx:
                access_records.see_session(tx, token_sha256, now=now)
        return Caller("session", found.site_id)


def _key(headers: Headers) -> str | None:
    """Return the key that a request shows; an empty or odd one is still a key, and a wrong one."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme:
        return credentials.strip() if scheme.lower() == "bearer" else ""
    return headers.get("x-api-key")


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()
