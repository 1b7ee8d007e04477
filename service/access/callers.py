"""The caller of a request, and the permission that every route asks for."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from service.errors import Forbidden, NotSignedIn
from service.roles import PERMISSIONS, Permission, Role
from service.settings import Settings


@dataclass(frozen=True, slots=True)
class Caller:
    """An authenticated caller: a signed-in person or a site's key."""

    name: str
    """The account's public id or the key's prefix: for logs, problem rows and the audit."""
    site_id: int | None
    """The only site whose rows exist for this caller; None is a person of the installation, who sees all."""
    role: Role
    account_id: int | None = None
    """None is a program."""
    reading_policy: str | None = None
    """The person's own; None is the site's."""
    confirmed_at: float | None = None
    """When the person last proved in this session who they are."""
    session_id: int | None = None
    must: tuple[str, ...] = ()
    """What the person has to do before anything else: `set_password`, `set_totp`."""

    def may_see(self, site_id: int) -> bool:
        """Tell whether rows of the site exist for this caller."""
        return self.site_id is None or self.site_id == site_id

    def can(self, permission: Permission) -> bool:
        """Tell whether the caller's role has the permission."""
        return permission in PERMISSIONS[self.role]

    @property
    def is_person(self) -> bool:
        """Signed in, and not a site's key."""
        return self.account_id is not None


async def caller(request: Request) -> Caller:
    """Return who calls, as the gate before every route found out. Routes depend on this through `may`.

    Nothing here waits; as a coroutine it costs no change of threads, which FastAPI makes for a plain function.

    Raises:
        NotSignedIn: Nobody we know. The gate answers strangers before any route; this holds when a route is open
            there by mistake.
    """
    found = getattr(request.state, "caller", None)
    if not isinstance(found, Caller):
        raise NotSignedIn
    return found


_FIRST = {
    "set_password": ("set_password_first", "Choose a password before anything else: PUT /api/me/password."),
    "set_totp": ("set_totp_first", "Set up one-time codes before anything else: POST /api/me/totp."),
}


def may(*permissions: Permission, even_before: tuple[str, ...] = ()) -> Callable[[Caller], Awaitable[Caller]]:
    """Return the dependency of a route that needs one of these permissions; it gives the caller.

    Args:
        permissions: Any one of them is enough.
        even_before: What of `Caller.must` this route does not wait for.
    """

    async def allowed(who: Annotated[Caller, Depends(caller)]) -> Caller:
        is_own = permissions == (Permission.OWN_ACCOUNT,)
        if (is_own and not who.is_person) or not any(who.can(permission) for permission in permissions):
            raise Forbidden("Your role may not do this.")
        for duty in who.must:
            if duty not in even_before:
                code, words = _FIRST[duty]
                raise Forbidden(words, code=code)
        return who

    return allowed


def confirmed_until(who: Caller, settings: Settings) -> float | None:
    """Return until when the person's last proof of who they are counts; None where there was none."""
    return None if who.confirmed_at is None else who.confirmed_at + settings.sign_confirm_minutes * 60.0


def require_confirmed(who: Caller, now: float, settings: Settings) -> None:
    """Refuse what needs a fresh proof of who somebody is, such as a signature. Raises Forbidden `confirm_first`."""
    until = confirmed_until(who, settings)
    if until is None or now >= until:
        raise Forbidden("Show once more that it is you: POST /api/me/confirm.", code="confirm_first")
