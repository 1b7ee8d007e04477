"""To the hospital's identity provider and back."""

from __future__ import annotations

import logging
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import HTMLResponse, RedirectResponse, Response

from service import audit
from service.access import Access, Caller, account_records, records
from service.access.account_records import Account
from service.access.accounts import fold_login
from service.access.oidc import FRESH_S, ROUND_TRIP_S, Identity, OidcRefused, Provider
from service.access.routes import with_session
from service.access.sign_in import SignIn
from service.errors import NotFound
from service.roles import Role

router = APIRouter(prefix="/api/oidc", tags=["access"])
log = logging.getLogger("pandok.access")


@router.get("/start")
def start(request: Request, *, confirm: Annotated[bool, Query()] = False) -> Response:
    """Send the browser to the provider; with `confirm`, so that who is signed in proves it once more."""
    provider = _provider(request)
    who: Caller | None = request.app.state.access.identify(request.headers, "GET") if confirm else None
    if confirm and (who is None or who.session_id is None):
        return _page("refused=state")
    try:
        address, sealed = provider.leave(confirms=who.session_id if who else None)
    except OidcRefused as refusal:
        return _page(f"refused={refusal.code}")
    answer = RedirectResponse(address, status_code=302)
    answer.set_cookie(
        _cookie(request), sealed, max_age=ROUND_TRIP_S, path="/", secure=_is_secure(request), httponly=True,
        samesite="lax",  # it must come along when the provider sends the browser back
    )  # fmt: skip
    return answer


@router.get("/callback")
def callback(request: Request) -> Response:
    """Sign in, or confirm, who comes back from the provider."""
    provider = _provider(request)
    try:
        trip, identity = provider.come_back(request.cookies.get(_cookie(request)), dict(request.query_params))
        if trip.confirms is not None:
            _confirm(request, identity, trip.confirms)
            answer = _page(None)
        else:
            token = _sign_in(request, identity)
            answer = with_session(_page(None), request.app.state.access, token)
    except OidcRefused as refusal:
        log.warning("sign-in at the provider refused", extra={"code": refusal.code})
        answer = _page(f"refused={refusal.code}")
    answer.delete_cookie(_cookie(request), path="/", secure=_is_secure(request), httponly=True, samesite="lax")
    return answer


def _sign_in(request: Request, identity: Identity) -> str:
    parts = request.app.state
    signing: SignIn = parts.sign_in
    with parts.database.transaction() as tx:
        person = _account(tx, request, identity)
        if person is not None:
            is_proof = _is_fresh(identity, parts.clock())
            return signing.open_session(tx, person, how="provider", is_proof=is_proof)
        audit.note(
            tx, audit.STRANGER, "sign_in_refused", now=parts.clock(), outcome="refused", detail={"how": "provider"}
        )
    raise OidcRefused("unknown")


def _account(tx: Connection, request: Request, identity: Identity) -> Account | None:
    """Return whose identity this is: an account that was tied to it, or one whose login is the verified e-mail."""
    parts = request.app.state
    person = account_records.find_identity(tx, identity.issuer, identity.subject)
    is_new = person is None
    if person is None and identity.login is not None:
        person = account_records.find_login(tx, fold_login(identity.login))
        if person is not None and (person.oidc_subject is not None or person.role is Role.ADMINISTRATOR):
            return None  # tied to somebody else; and who runs the service is tied by hand, never by an e-mail address
    if person is None or person.disabled_at is not None:
        return None
    if parts.settings.oidc_role_claim and person.role not in identity.roles:
        return None
    if is_new:
        account_records.change_account(tx, person.id, oidc_issuer=identity.issuer, oidc_subject=identity.subject)
        audit.note(
            tx, audit.SYSTEM, "oidc_linked", now=parts.clock(), site_id=person.site_id, object_type="account",
            object_id=person.public_id,
        )  # fmt: skip
    return person


def _confirm(request: Request, identity: Identity, session_id: int) -> None:
    parts = request.app.state
    now = parts.clock()
    with parts.database.transaction() as tx:
        person = account_records.find_identity(tx, identity.issuer, identity.subject)
        is_theirs = person is not None and records.session_lives(tx, session_id, person.id, now=now)
        if person is not None and is_theirs and _is_fresh(identity, now):
            records.confirm_session(tx, session_id, now=now)
            who = Caller(person.public_id, person.site_id, person.role, person.id)
            audit.note(tx, who, "confirmed", now=now, object_type="account", object_id=person.public_id)
            return
    raise OidcRefused("not_confirmed")


def _is_fresh(identity: Identity, now: float) -> bool:
    """Tell whether the person showed the provider who they are just now, and not on some other day."""
    return identity.authenticated_at is not None and now - identity.authenticated_at <= FRESH_S


def _page(words: str | None) -> Response:
    """Go on from a page of ours: a redirect out of the provider's page would not bring the strict cookie along."""
    target = f"/sign-in?{words}" if words else "/"
    html = f'<!doctype html><title>Pandok</title><meta http-equiv="refresh" content="0;url={target}">'
    return HTMLResponse(html)


def _provider(request: Request) -> Provider:
    provider: Provider | None = request.app.state.provider
    if provider is None:
        raise NotFound
    return provider


def _is_secure(request: Request) -> bool:
    access: Access = request.app.state.access
    return access.is_secure


def _cookie(request: Request) -> str:
    return "__Host-pandok-trip" if _is_secure(request) else "pandok-trip"
