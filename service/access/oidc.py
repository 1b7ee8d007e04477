"""Signing in at the hospital's identity provider: OpenID Connect, code flow with PKCE, state and nonce."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.requests_client import OAuth2Session
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from requests import RequestException

from service.access.seal import NotSealedHere, Seal
from service.access.secrets import public_address
from service.settings import Settings, is_https_or_loopback

ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signed with a key that the provider alone has: never `none`, never a secret that both sides know."""
ROUND_TRIP_S = 600
"""How long somebody may take at the provider."""
TIMEOUT_S = 10.0
DISCOVERY_KEPT_S = 3_600.0
LEEWAY_S = 60
FRESH_S = 300.0
"""How old a sign-in at the provider may be that counts as a fresh proof."""


class OidcRefused(Exception):
    """Why somebody is not signed in; `code` is for the page, and nothing of the provider's answer is repeated."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


@dataclass(frozen=True, slots=True)
class Trip:
    """What must be remembered between going to the provider and coming back; a sealed cookie carries it."""

    state: str
    nonce: str
    verifier: str
    confirms: int | None
    """The session whose person proves once more who they are; None is a sign-in."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the provider says it is."""

    issuer: str
    subject: str
    login: str | None
    """The e-mail address, when the provider verified it."""
    roles: frozenset[str]
    authenticated_at: float | None


class Provider:
    """Speaks with the provider.

    Args:
        settings: Its address, and who we are to it.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._issuer = (settings.oidc_issuer or "").rstrip("/")
        self._clock = clock
        self._seal = Seal(settings.seal_file)
        self._known: tuple[float, Mapping[str, Any]] | None = None
        self._lock = threading.Lock()

    def leave(self, *, confirms: int | None) -> tuple[str, str]:
        """Return where to send the browser, and the sealed cookie to give it. Raises OidcRefused."""
        trip = Trip(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            confirms=confirms,
        )
        asked = {"prompt": "login", "max_age": "0"} if confirms is not None else {}
        with self._session() as session:
            address, _ = session.create_authorization_url(
                self._metadata()["authorization_endpoint"],
                state=trip.state,
                nonce=trip.nonce,
                code_verifier=trip.verifier,
                **asked,
            )
        return str(address), self._seal.close(json.dumps(asdict(trip)))

    def come_back(self, sealed: str | None, answer: Mapping[str, str]) -> tuple[Trip, Identity]:
        """Return who the provider says it is, from what the browser brings back. Raises OidcRefused."""
        trip = self._trip(sealed)
        if not secrets.compare_digest(answer.get("state", "").encode(), trip.state.encode()):
            raise OidcRefused("state")
        issuer = answer.get("iss")
        if issuer is not None and issuer.rstrip("/") != self._issuer:  # RFC 9207: another provider's answer
            raise OidcRefused("issuer")
        code = answer.get("code")
        if not code:
            raise OidcRefused("denied")
        try:
            with self._session() as session:
                metadata = self._metadata()
                token = session.fetch_token(
                    metadata["token_endpoint"],
                    grant_type="authorization_code",
                    code=code,
                    code_verifier=trip.verifier,
                    timeout=TIMEOUT_S,
                )
                keys = KeySet.import_key_set(cast("Any", _json(session, metadata["jwks_uri"])))
            return trip, self._identity(token, keys, trip)
        except (AuthlibBaseError, JoseError, RequestException, KeyError, TypeError, ValueError) as error:
            raise OidcRefused("provider") from error

    def _identity(self, token: Mapping[str, Any], keys: KeySet, trip: Trip) -> Identity:
        decoded = jwt.decode(str(token["id_token"]), keys, algorithms=ALGORITHMS)
        client_id = self._settings.oidc_client_id
        claims = CodeIDToken(
            decoded.claims,
            decoded.header,
            options={"iss": {"essential": True, "values": _both(self._issuer)}, "aud": {"value": client_id}},
            params={"nonce": trip.nonce, "client_id": client_id, "access_token": token.get("access_token")},
        )
        claims.validate(now=int(self._clock()), leeway=LEEWAY_S)
        email = claims.get("email") if claims.get("email_verified") is True else None
        told = claims.get(self._settings.oidc_role_claim) if self._settings.oidc_role_claim else None
        at = claims.get("auth_time")
        return Identity(
            issuer=self._issuer,
            subject=str(claims["sub"]),
            login=email if isinstance(email, str) else None,
            roles=frozenset(str(role) for role in (told if isinstance(told, list) else [told] if told else [])),
            authenticated_at=float(at) if isinstance(at, int | float) else None,
        )

    def _trip(self, sealed: str | None) -> Trip:
        try:
            return Trip(**json.loads(self._seal.open(sealed or "", younger_than_s=ROUND_TRIP_S)))
        except (NotSealedHere, TypeError, ValueError):
            raise OidcRefused("state") from None

    def _session(self) -> Any:
        secret = self._settings.oidc_client_secret
        return OAuth2Session(
            self._settings.oidc_client_id,
            secret.get_secret_value() if secret else None,
            token_endpoint_auth_method="client_secret_basic" if secret else "none",
            scope="openid email profile",
            redirect_uri=f"{public_address(self._settings)}/api/oidc/callback",
            code_challenge_method="S256",
        )

    def _metadata(self) -> Mapping[str, Any]:
        """Return the provider's description of itself, kept for an hour. Raises OidcRefused."""
        with self._lock:
            if self._known is not None and self._clock() - self._known[0] < DISCOVERY_KEPT_S:
                return self._known[1]
        try:
            with self._session() as session:
                found = _json(session, f"{self._issuer}/.well-known/openid-configuration")
            addresses = [str(found[name]) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
            is_it = str(found["issuer"]).rstrip("/") == self._issuer
        except (RequestException, KeyError, TypeError, ValueError) as error:
            raise OidcRefused("provider") from error
        if not is_it or not all(is_https_or_loopback(address) for address in addresses):
            raise OidcRefused("provider")
        with self._lock:
            self._known = (self._clock(), found)
        return found


def _both(issuer: str) -> list[str]:
    """An issuer's name with and without a slash at its end, which people type as it comes."""
    return [issuer, f"{issuer}/"]


def _json(session: Any, address: str) -> dict[str, Any]:
    answer = session.get(address, withhold_token=True, timeout=TIMEOUT_S, allow_redirects=False)
    answer.raise_for_status()
    found: dict[str, Any] = answer.json()
    return found
