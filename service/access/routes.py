"""Signing in and out, and what belongs to one's own account."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from anyio import to_thread
from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from starlette.responses import Response

from service.access import Access, Caller, may
from service.access.own_account import Me, OwnAccount
from service.access.sign_in import Proof, SignIn
from service.errors import Invalid, NotSignedIn, ServiceError
from service.roles import Permission
from service.settings import Settings

router = APIRouter(prefix="/api", tags=["access"])

OPEN_PATHS = frozenset({"/api/sign-in", "/api/sign-in/options", "/api/oidc/start", "/api/oidc/callback"})
"""What a stranger needs in order to sign in."""
MAX_SIGN_IN_BYTES = 4_096
Own = Annotated[Caller, Depends(may(Permission.OWN_ACCOUNT))]
OwnAnyway = Annotated[Caller, Depends(may(Permission.OWN_ACCOUNT, even_before=("set_password", "set_totp")))]
OwnWithPassword = Annotated[Caller, Depends(may(Permission.OWN_ACCOUNT, even_before=("set_totp",)))]
_Secret = Annotated[str, Field(min_length=1, max_length=512)]
_Code = Annotated[str, Field(min_length=6, max_length=16)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class LinkSignIn(_Asked):
    """The token of a one-time link, and a code where the account has them."""

    token: _Secret
    code: _Code | None = None


class PasswordSignIn(_Asked):
    """Login and password, and a code where the account has them."""

    login: Annotated[str, Field(min_length=1, max_length=256)]
    password: _Secret
    code: _Code | None = None


_SIGN_IN: TypeAdapter[LinkSignIn | PasswordSignIn] = TypeAdapter(LinkSignIn | PasswordSignIn)
_BODY = {"anyOf": [LinkSignIn.model_json_schema(), PasswordSignIn.model_json_schema()]}
_SCHEMA = {"requestBody": {"required": True, "content": {"application/json": {"schema": _BODY}}}}


class NewPassword(_Asked):
    """A password to take; `current` and `code` where there are such."""

    current: _Secret | None = None
    new: _Secret
    code: _Code | None = None


class Code(_Asked):
    """A one-time code."""

    code: _Code


class Password(_Asked):
    """One's password, and a code where the account has them."""

    password: _Secret
    code: _Code | None = None


class Preferences(_Asked):
    """What a person sets for themselves; what is absent stays."""

    language: Literal["ko", "en", "vi", "ru"] | None = None
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    preferences: dict[str, Any] | None = None


class Enrolment(BaseModel):
    """What a phone's program needs to make one-time codes; shown once."""

    secret: str
    uri: str
    qr_svg: str


@router.get("/sign-in/options")
def sign_in_options(request: Request) -> dict[str, bool]:
    """Tell a stranger's page how people sign in here."""
    return {"oidc": request.app.state.settings.oidc_issuer is not None}


@router.post("/sign-in", status_code=204, openapi_extra=_SCHEMA)
async def sign_in(request: Request) -> Response:
    """Change a one-time link's token, or login and password, into a session's cookie."""
    access: Access = request.app.state.access
    access.check_origin(request.headers)
    asked = _asked(await _small_body(request))
    token = await to_thread.run_sync(_open, request, asked, limiter=request.app.state.sign_in_seats)
    await to_thread.run_sync(access.sign_out, request.headers)  # what the browser came with is not taken over
    return with_session(Response(status_code=204), access, token)


@router.post("/sign-out", status_code=204)
def sign_out(request: Request) -> Response:
    """End the session."""
    access: Access = request.app.state.access
    signing: SignIn = request.app.state.sign_in
    signing.note_sign_out(request.state.caller)
    access.sign_out(request.headers)
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})
    response.delete_cookie(access.cookie_name, path="/", secure=access.is_secure, httponly=True, samesite="strict")
    return response


@router.get("/me")
def get_me(request: Request, who: OwnAnyway) -> Me:
    """Tell who is signed in, what they may do and what they must do first."""
    return _own(request).me(who)


@router.put("/me/password", status_code=204)
def set_password(request: Request, who: OwnAnyway, change: NewPassword) -> Response:
    """Choose a password. Every session of the account ends; this one goes on under a new cookie."""
    proof = None
    if change.current is not None:
        proof = Proof(change.current, change.code, _address(request))
    token = _own(request).set_password(who, change.new, proof)
    return with_session(Response(status_code=204), request.app.state.access, token)


@router.post("/me/totp")
def enrol_totp(request: Request, who: OwnWithPassword) -> Enrolment:
    """Begin to set up one-time codes; they count from the first right one on."""
    return Enrolment(**_own(request).enrol_totp(who))


@router.post("/me/totp/confirm", status_code=204)
def confirm_totp(request: Request, who: OwnWithPassword, typed: Code) -> None:
    """Show a first right code."""
    _own(request).confirm_totp(who, typed.code, _address(request))


@router.delete("/me/totp", status_code=204)
def remove_totp(request: Request, who: OwnWithPassword, shown: Password) -> None:
    """Do without one-time codes again."""
    _own(request).remove_totp(who, Proof(shown.password, shown.code, _address(request)))


@router.put("/me/preferences", status_code=204)
def set_preferences(request: Request, who: Own, wanted: Preferences) -> None:
    """Set language, time zone and what the pages keep for a person."""
    _own(request).set_preferences(who, wanted.model_dump(exclude_none=True))


@router.post("/me/confirm", status_code=204)
def confirm(request: Request, who: OwnWithPassword, shown: Password) -> None:
    """Prove once more who is signed in, as a signature asks for."""
    signing: SignIn = request.app.state.sign_in
    signing.confirm(who, Proof(shown.password, shown.code, _address(request)))


def with_session(response: Response, access: Access, token: str) -> Response:
    """Return the answer with a session's cookie on it."""
    response.set_cookie(access.cookie_name, token, path="/", secure=access.is_secure, httponly=True, samesite="strict")
    return response


def _open(request: Request, asked: LinkSignIn | PasswordSignIn) -> str:
    signing: SignIn = request.app.state.sign_in
    if isinstance(asked, PasswordSignIn):
        return signing.by_password(asked.login, Proof(asked.password, asked.code, _address(request)))
    token = signing.by_link(asked.token, code=asked.code, address=_address(request))
    if token is None:
        raise NotSignedIn("This link was used already or is too old. `pandok sign-in` prints a fresh one.")
    return token


def _asked(body: bytes) -> LinkSignIn | PasswordSignIn:
    try:
        return _SIGN_IN.validate_json(body)
    except ValidationError:
        raise Invalid("A sign-in is a short JSON object: a token, or login and password.") from None


async def _small_body(request: Request) -> bytes:
    """Read a stranger's body, which may be as large as a stranger likes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SIGN_IN_BYTES:
            raise ServiceError(413, "too_large", "A sign-in is a short JSON object.")
    return body


def _address(request: Request) -> str:
    access: Access = request.app.state.access
    return access.address(request)


def _own(request: Request) -> OwnAccount:
    parts = request.app.state
    settings: Settings = parts.settings
    return OwnAccount(parts.database, settings, parts.clock, parts.sign_in)
