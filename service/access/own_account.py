"""What people see and change of their own account."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict
from sqlalchemy import Connection

from service import audit, site_records
from service.access import passwords, totp, tries
from service.access.account_records import change_account, end_sessions, get_account
from service.access.accounts import AccountRefused, check_time_zone
from service.access.callers import Caller, confirmed_until, require_confirmed
from service.access.seal import Seal
from service.access.sign_in import WRONG, Proof, SignIn
from service.database import Database
from service.errors import Conflict, Forbidden, Invalid
from service.roles import PERMISSIONS
from service.settings import Settings
from service.sites import Site

MAX_PREFERENCES = 32_768


class SiteOfMe(BaseModel):
    """The site that a person belongs to."""

    model_config = ConfigDict(frozen=True)

    code: str
    name: str
    country: str
    language: str
    time_zone: str


class Me(BaseModel):
    """Who is signed in."""

    model_config = ConfigDict(frozen=True)

    public_id: str
    login: str
    name: str
    role: str
    permissions: list[str]
    site: SiteOfMe | None
    language: str
    time_zone: str
    licence_number: str | None
    reading_policy: str | None
    preferences: dict[str, Any]
    has_password: bool
    has_totp: bool
    must: list[str]
    confirmed_until: float | None
    sign_in: dict[str, bool]
    now: float


class OwnAccount:
    """Reads and changes the account of who is signed in.

    Args:
        database: Holds the accounts.
        settings: How long a proof counts, and whether a provider signs people in.
        clock: Seconds since 1970 UTC.
        signing: Checks passwords and opens sessions.
    """

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float], signing: SignIn) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._signing = signing
        self._seal = Seal(settings.seal_file)

    def me(self, who: Caller) -> Me:
        """Return who is signed in."""
        with self._database.reading() as rx:
            person = get_account(rx, who.account_id or 0)
            site = site_records.find_site_by_id(rx, person.site_id) if person.site_id is not None else None
        return Me(
            public_id=person.public_id,
            login=person.login,
            name=person.name,
            role=person.role,
            permissions=sorted(PERMISSIONS[person.role]),
            site=_site(site) if site else None,
            language=person.language,
            time_zone=person.time_zone,
            licence_number=person.licence_number,
            reading_policy=person.reading_policy,
            preferences=person.preferences,
            has_password=person.password_hash is not None,
            has_totp=person.has_totp,
            must=list(who.must),
            confirmed_until=confirmed_until(who, self._settings),
            sign_in={"password": person.password_hash is not None, "oidc": self._settings.oidc_issuer is not None},
            now=self._clock(),
        )

    def set_password(self, who: Caller, chosen: str, proof: Proof | None) -> str:
        """Take a new password, end every session of the account and return the token of a fresh one.

        Raises:
            Forbidden: The account has a password, and its proof is missing or wrong.
            Invalid: `weak_password`: others would guess it first.
        """
        with self._database.reading() as rx:
            person = get_account(rx, who.account_id or 0)
        if person.password_hash is not None:
            if proof is None:
                raise Forbidden("Give the current password too.", code="wrong_password")
            self._signing.prove(who, proof)
        try:
            passwords.check_choice(chosen, own_words=(person.login, person.name))
        except passwords.PasswordRefused as why:
            raise Invalid(str(why), code="weak_password") from None
        kept = passwords.hash_password(chosen)
        now = self._clock()
        with self._database.transaction() as tx:
            change_account(tx, person.id, password_hash=kept, password_set_at=now)
            end_sessions(tx, person.id, now=now)
            self._note(tx, who, "password_set")
            return self._signing.open_session(tx, person, how="new password", is_proof=True)

    def enrol_totp(self, who: Caller) -> dict[str, str]:
        """Keep a fresh secret that does not count yet. Raises Conflict when codes are on, and Forbidden."""
        require_confirmed(who, self._clock(), self._settings)
        secret = totp.new_secret()
        with self._database.transaction() as tx:
            person = get_account(tx, who.account_id or 0)
            if person.has_totp:
                raise Conflict("One-time codes are on; remove them first.", code="totp_on")
            change_account(tx, person.id, totp_secret=self._seal.close(secret), totp_last_step=None)
        uri = totp.enrolment_uri(secret, person.login)
        return {"secret": secret, "uri": uri, "qr_svg": totp.qr_svg(uri)}

    def confirm_totp(self, who: Caller, code: str, address: str) -> None:
        """Let codes count from now on. Raises Forbidden for a wrong one, Conflict and TooManyTries."""
        now = self._clock()
        with self._database.transaction() as tx:
            person = get_account(tx, who.account_id or 0)
            if person.totp_secret is None or person.has_totp:
                raise Conflict("There is no secret that waits for its first code.", code="totp_not_begun")
            number = tries.begin_try(tx, login=person.login, address=address, now=now)
        step = totp.step_of(self._seal.open(person.totp_secret), code, now=now, after=person.totp_last_step)
        if step is None:
            raise Forbidden(WRONG, code="wrong_code")
        with self._database.transaction() as tx:
            tries.end_try(tx, number)
            change_account(tx, person.id, totp_confirmed_at=now, totp_last_step=step)
            end_sessions(tx, person.id, now=now, but=who.session_id)
            self._note(tx, who, "totp_set")

    def remove_totp(self, who: Caller, proof: Proof) -> None:
        """Do without codes. Raises Forbidden when it is not proven who asks."""
        self._signing.prove(who, proof)
        with self._database.transaction() as tx:
            change_account(tx, who.account_id or 0, totp_secret=None, totp_confirmed_at=None, totp_last_step=None)
            self._note(tx, who, "totp_removed")

    def set_preferences(self, who: Caller, wanted: dict[str, Any]) -> None:
        """Keep what a person set for themselves. Raises Invalid."""
        if len(json.dumps(wanted.get("preferences", {}))) > MAX_PREFERENCES:
            raise Invalid("Preferences take at most 32 KiB.")
        try:
            check_time_zone(wanted.get("time_zone", "UTC"))
        except AccountRefused as why:
            raise Invalid(str(why)) from None
        if wanted:
            with self._database.transaction() as tx:
                change_account(tx, who.account_id or 0, **wanted)

    def _note(self, tx: Connection, who: Caller, action: str) -> None:
        audit.note(tx, who, action, now=self._clock(), site_id=who.site_id, object_type="account", object_id=who.name)


def _site(site: Site) -> SiteOfMe:
    return SiteOfMe(
        code=site.code, name=site.name, country=site.country, language=site.language, time_zone=site.time_zone
    )
