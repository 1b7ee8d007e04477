"""Signing in, and proving once more who one is: one-time links, passwords, codes."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from service import audit
from service.access import account_records, passwords, records, totp, tries
from service.access.account_records import Account
from service.access.accounts import fold_login
from service.access.callers import Caller
from service.access.seal import Seal
from service.access.secrets import fingerprint
from service.database import Database
from service.errors import Forbidden, NotSignedIn
from service.settings import Settings

WRONG = "Login, password or code is not right."
"""The one answer to whatever was wrong, for logins that exist and for those that do not."""
CODE_MISSING = "This account also asks for a one-time code."


@dataclass(frozen=True, slots=True)
class Proof:
    """What somebody shows to prove who they are, and from where."""

    password: str
    code: str | None
    address: str


class SignIn:
    """Opens sessions. Every one has a token of its own: what a browser brought with it is never taken over.

    Args:
        database: Accounts, links and sessions.
        settings: How long sessions last.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, database: Database, settings: Settings, clock: Callable[[], float]) -> None:
        self._database = database
        self._longest_s = settings.session_hours * 3600.0
        self._clock = clock
        self._seal = Seal(settings.seal_file)

    def by_link(self, token: str, *, code: str | None = None, address: str = "") -> str | None:
        """Change a one-time link's token into a session's; None when the link is unknown, used or too old.

        Raises:
            NotSignedIn: The account has one-time codes and none, or a wrong one, was given; the link stays.
            TooManyTries: Too many codes were guessed.
        """
        now = self._clock()
        link_sha256 = fingerprint(token)
        with self._database.reading() as rx:  # a stranger's guess must not take the write lock
            account_id = records.open_link(rx, link_sha256, now=now)
            person = account_records.get_account(rx, account_id) if account_id is not None else None
        if person is None or person.disabled_at is not None:
            return None
        if person.has_totp:
            self._check_code(person, code, address)
        with self._database.transaction() as tx:
            if not records.use_link(tx, link_sha256, now=now):
                return None
            return self.open_session(tx, person, how="link", is_proof=False)

    def by_password(self, login: str, proof: Proof) -> str:
        """Return a session's token.

        Raises:
            NotSignedIn: Something of it is wrong; code `totp_required` when only the one-time code is missing.
            TooManyTries: Too many guesses for this login, which may not exist, or from this address.
        """
        folded = fold_login(login)
        person = self._proven(folded, proof)
        with self._database.transaction() as tx:
            return self.open_session(tx, person, how="password", is_proof=True)

    def confirm(self, who: Caller, proof: Proof) -> None:
        """Note in the session that its person proved again who they are. Raises Forbidden and TooManyTries."""
        self.prove(who, proof)
        with self._database.transaction() as tx:
            assert who.session_id is not None  # noqa: S101 - a person; narrows for mypy
            records.confirm_session(tx, who.session_id, now=self._clock())
            audit.note(tx, who, "confirmed", now=self._clock(), object_type="account", object_id=who.name)

    def prove(self, who: Caller, proof: Proof) -> None:
        """Check the password, and the code where the account has them, of who is signed in.

        Raises:
            Forbidden: `wrong_password` or `totp_required`: the session itself goes on.
            TooManyTries: Too many guesses.
        """
        with self._database.reading() as rx:
            login = account_records.get_account(rx, who.account_id or 0).login
        try:
            self._proven(login, proof)
        except NotSignedIn as refusal:
            code = refusal.code if refusal.code == "totp_required" else "wrong_password"
            raise Forbidden(refusal.message, code=code) from None

    def note_sign_out(self, who: Caller) -> None:
        """Note that a person ends a session; a program has none."""
        if who.is_person:
            with self._database.transaction() as tx:
                now = self._clock()
                audit.note(tx, who, "sign_out", now=now, site_id=who.site_id, object_type="account", object_id=who.name)

    def open_session(self, tx: Connection, person: Account, *, how: str, is_proof: bool) -> str:
        """Add a session of an account and return its token; `is_proof` lets its person sign reports with it."""
        now = self._clock()
        fresh = secrets.token_urlsafe(32)
        new = records.NewSession(
            person.id, fingerprint(fresh), now, now + self._longest_s, confirmed_at=now if is_proof else None
        )
        records.add_session(tx, new)
        self._note(tx, person, "sign_in", how=how)
        return fresh

    def _proven(self, login: str, proof: Proof) -> Account:
        now = self._clock()
        with self._database.transaction() as tx:
            number = tries.begin_try(tx, login=login, address=proof.address, now=now)
        with self._database.reading() as rx:
            person = account_records.find_login(rx, login)
        kept = person.password_hash if person and person.disabled_at is None else None
        is_right = passwords.is_password(kept, proof.password)
        with self._database.transaction() as tx:
            problem = self._problem(tx, person if is_right else None, proof.code)
            if problem is None or problem.code == "totp_required":
                tries.end_try(tx, number)
            else:
                self._note(tx, person, "sign_in_refused", outcome="refused", how="code" if is_right else "password")
        if problem is not None or person is None:
            raise problem or NotSignedIn(WRONG)
        return person

    def _problem(self, tx: Connection, person: Account | None, code: str | None) -> NotSignedIn | None:
        """Return what still keeps somebody out whose password was right; None as a person is a wrong password."""
        if person is None:
            return NotSignedIn(WRONG)
        if not person.has_totp:
            return None
        if code is None:
            return NotSignedIn(CODE_MISSING, code="totp_required")
        return None if self._use_code(tx, person, code) else NotSignedIn(WRONG)

    def _check_code(self, person: Account, code: str | None, address: str) -> None:
        if code is None:
            raise NotSignedIn(CODE_MISSING, code="totp_required")
        now = self._clock()
        with self._database.transaction() as tx:
            number = tries.begin_try(tx, login=person.login, address=address, now=now)
        with self._database.transaction() as tx:
            is_right = self._use_code(tx, person, code)
            if is_right:
                tries.end_try(tx, number)
            else:
                self._note(tx, person, "sign_in_refused", outcome="refused", how="code")
        if not is_right:
            raise NotSignedIn(WRONG)

    def _use_code(self, tx: Connection, person: Account, code: str) -> bool:
        """Take a code, once: of two at the same time one is taken."""
        if person.totp_secret is None:
            return False
        now = self._clock()
        step = totp.step_of(self._seal.open(person.totp_secret), code, now=now, after=person.totp_last_step)
        return step is not None and account_records.use_totp_step(tx, person.id, step)

    def _note(self, tx: Connection, person: Account | None, action: str, *, how: str, outcome: str = "success") -> None:
        who = Caller(person.public_id, person.site_id, person.role, person.id) if person else audit.STRANGER
        audit.note(
            tx,
            who,
            action,
            now=self._clock(),
            site_id=person.site_id if person else None,
            object_type="account" if person else None,
            object_id=person.public_id if person else None,
            detail={"how": how},
            outcome=outcome,
        )
