"""Tells who stands behind a request: sessions and sites' keys, and requests that another site's page may have sent."""

from __future__ import annotations

import dataclasses
import hmac
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, cookie_parser

from service.access import records
from service.access.callers import Caller
from service.access.secrets import fingerprint, public_address
from service.database import Database
from service.errors import Forbidden
from service.roles import Role
from service.settings import Settings

SEEN_EVERY_S = 60.0
"""A session's last use is written at most this often: a row written for every request would queue with the intake."""
BACKGROUND_HEADER = "x-pandok-background"
"""A page sends it with what it asks by itself, so that a page left open does not keep a session alive."""
CUSTOM_HEADER = "x-pandok"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
MONITOR = Caller("monitor", None, Role.ML_ENGINEER)
"""Who shows the settings' token: a program that sees numbers and nothing of a patient."""


class Access:
    """Tells who stands behind a request, from the tables and nothing else: ending a session or key acts at once."""

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float]) -> None:
        self._database = database
        self._clock = clock
        self._idle_s = settings.session_idle_minutes * 60.0
        self._totp_roles = settings.totp_roles
        self._address_header = settings.proxy_address_header
        token = settings.metrics_token.get_secret_value() if settings.metrics_token else ""
        self._metrics_token = token or None
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
            return self._with_key(key)
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
            return self._with_key(key) is not None
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

    def sign_out(self, headers: Headers) -> None:
        """End the session of a request."""
        token = self._token(headers)
        if token:
            with self._database.transaction() as tx:
                records.end_session(tx, fingerprint(token), now=self._clock())

    def address(self, request: HTTPConnection) -> str:
        """Return the network address that a request comes from, as the proxy before us tells it where there is one."""
        told = request.headers.get(self._address_header, "") if self._address_header else ""
        last = told.rpartition(",")[2].strip()
        return (last or (request.client.host if request.client else "unknown"))[:64]

    def _token(self, headers: Headers) -> str | None:
        return cookie_parser(headers.get("cookie", "")).get(self.cookie_name)

    def _session(self, token: str, *, touch: bool) -> Caller | None:
        now = self._clock()
        token_sha256 = fingerprint(token)
        with self._database.reading() as rx:
            found = records.live_session(rx, token_sha256, now=now, seen_after=now - self._idle_s)
        if found is None:
            return None
        if touch and now - found.seen_at >= SEEN_EVERY_S:
            with self._database.transaction() as tx:
                records.see_session(tx, token_sha256, now=now)
        return dataclasses.replace(found.caller, must=self._duties(found))

    def _duties(self, found: records.LiveSession) -> tuple[str, ...]:
        """Say what the person has to do first: somebody whom the hospital's provider signs in has neither to set."""
        if found.has_oidc:
            return ()
        needs_totp = found.caller.role in self._totp_roles and not found.has_totp
        duties = {"set_password": not found.has_password, "set_totp": needs_totp}
        return tuple(duty for duty, is_due in duties.items() if is_due)

    def _with_key(self, key: str) -> Caller | None:
        token = self._metrics_token
        if token is not None and hmac.compare_digest(key.encode("utf-8", "surrogateescape"), token.encode()):
            return MONITOR
        with self._database.reading() as rx:
            found = records.live_key(rx, fingerprint(key))
        return Caller(found.prefix, found.site_id, Role.GATEWAY) if found else None


def _key(headers: Headers) -> str | None:
    """Return the key that a request shows; an empty or odd one is still a key, and a wrong one."""
    scheme, _, credentials = headers.get("authorization", "").partition(" ")
    if scheme:
        return credentials.strip() if scheme.lower() == "bearer" else ""
    return headers.get("x-api-key")


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}".lower()
