"""Accounts over HTTP, for those who manage them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Connection

from service import site_records
from service.access import SIGN_IN_LINK_S, Caller, may
from service.access import account_records as records
from service.access.accounts import AccountRefused, NewAccount, ReadingPolicy, fold_login
from service.access.manage import add, change, disable, enable, make_link
from service.database import Database
from service.errors import Conflict, NotFound
from service.roles import Permission, Role
from service.sites import Language

router = APIRouter(prefix="/api/accounts", tags=["access"])

MayManage = Annotated[Caller, Depends(may(Permission.MANAGE_ACCOUNTS))]
_Text = Annotated[str, Field(max_length=256)]


class AccountAnswer(BaseModel):
    """An account as who manages accounts sees it."""

    model_config = ConfigDict(frozen=True)

    public_id: str
    login: str
    name: str
    role: str
    site: str | None
    language: str
    time_zone: str
    licence_number: str | None
    reading_policy: str | None
    has_password: bool
    has_totp: bool
    has_oidc: bool
    created_at: float
    disabled_at: float | None
    last_seen_at: float | None


class AccountList(BaseModel):
    """Accounts, by login."""

    accounts: list[AccountAnswer]


class LinkAnswer(BaseModel):
    """A one-time link: it stands here and nowhere else."""

    link: str
    expires_at: float


class AddedAccount(LinkAnswer):
    """A new account and its person's first link."""

    account: AccountAnswer


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AddAccount(_Asked):
    """A person to let in."""

    login: _Text
    name: _Text
    role: Role
    site: _Text | None = None
    language: Language | None = None
    time_zone: _Text | None = None
    licence_number: _Text | None = None
    reading_policy: ReadingPolicy | None = None


class ChangeAccount(_Asked):
    """What is new of an account; what is absent stays."""

    name: _Text | None = None
    role: Role | None = None
    site: _Text | None = None
    language: Language | None = None
    time_zone: _Text | None = None
    licence_number: _Text | None = None
    reading_policy: ReadingPolicy | None = None
    disabled: bool | None = None


class AskLink(_Asked):
    """A link, and whether password and one-time codes are forgotten."""

    reset: bool = False


@router.get("")
def list_accounts(request: Request, who: MayManage) -> AccountList:
    """List the accounts that the caller manages."""
    database: Database = request.app.state.database
    with database.reading() as rx:
        return AccountList(accounts=[_answer(one) for one in records.list_accounts(rx, who)])


@router.post("", status_code=201)
def add_account(request: Request, who: MayManage, new: AddAccount) -> AddedAccount:
    """Add an account and give its first one-time link."""
    parts = request.app.state
    now = parts.clock()
    with _writing(request) as tx:
        site = _site(tx, who, new.site)
        person = add(
            tx,
            who,
            NewAccount(
                login=fold_login(new.login),
                name=new.name.strip(),
                role=new.role,
                site_id=site.id if site else None,
                language=new.language or (site.language if site else "en"),
                time_zone=new.time_zone or (site.time_zone if site else "UTC"),
                licence_number=new.licence_number,
                reading_policy=new.reading_policy,
            ),
            now=now,
        )
        link = make_link(tx, who, person, parts.settings, now=now)
        answer = _one(tx, who, person.public_id)
    return AddedAccount(account=answer, link=link, expires_at=now + SIGN_IN_LINK_S)


@router.patch("/{public_id}")
def change_account(request: Request, public_id: str, who: MayManage, wanted: ChangeAccount) -> AccountAnswer:
    """Change an account. Its sessions end when its role, site or reading policy changes, or when it is disabled."""
    now = request.app.state.clock()
    values: dict[str, Any] = wanted.model_dump(exclude_unset=True, exclude={"site", "disabled"})
    values = {name: value for name, value in values.items() if value is not None or name in _MAY_BE_NONE}
    with _writing(request) as tx:
        person = _person(tx, who, public_id)
        if "site" in wanted.model_fields_set:
            site = _site(tx, who, wanted.site)
            values["site_id"] = site.id if site else None
        change(tx, who, person, values, now=now)
        if wanted.disabled is not None and wanted.disabled != (person.disabled_at is not None):
            (disable if wanted.disabled else enable)(tx, who, person, now=now)
        return _one(tx, who, public_id)


@router.post("/{public_id}/link")
def make_account_link(request: Request, public_id: str, who: MayManage, asked: AskLink | None = None) -> LinkAnswer:
    """Give a one-time link of an account; with `reset`, for who lost password or one-time codes."""
    parts = request.app.state
    now = parts.clock()
    with _writing(request) as tx:
        person = _person(tx, who, public_id)
        link = make_link(tx, who, person, parts.settings, now=now, resets=bool(asked and asked.reset))
    return LinkAnswer(link=link, expires_at=now + SIGN_IN_LINK_S)


_MAY_BE_NONE = frozenset({"licence_number", "reading_policy"})


@contextmanager
def _writing(request: Request) -> Iterator[Connection]:
    """Open a transaction; what cannot be is a conflict in words for the person who asked."""
    database: Database = request.app.state.database
    try:
        with database.transaction() as tx:
            yield tx
    except AccountRefused as why:
        raise Conflict(f"{str(why)[:1].upper()}{str(why)[1:]}.", code="account_refused") from None


def _person(rx: Connection, who: Caller, public_id: str) -> records.Account:
    person = records.find_account(rx, who, public_id)
    if person is None:
        raise NotFound
    return person


def _site(rx: Connection, who: Caller, code: str | None) -> Any:
    """Return the site of a code that the caller may see; for a site's own manager theirs, when none is named."""
    if code is None:
        return site_records.find_site_by_id(rx, who.site_id) if who.site_id is not None else None
    site = site_records.find_site(rx, code)
    if site is None or not who.may_see(site.id):
        raise NotFound("There is no such site.")
    return site


def _one(rx: Connection, who: Caller, public_id: str) -> AccountAnswer:
    return next(_answer(one) for one in records.list_accounts(rx, who) if one.account.public_id == public_id)


def _answer(one: records.ListedAccount) -> AccountAnswer:
    person = one.account
    same = ("public_id", "login", "name", "role", "language", "time_zone", "licence_number", "reading_policy")
    return AccountAnswer(
        **{name: getattr(person, name) for name in (*same, "created_at", "disabled_at")},
        site=one.site,
        has_password=person.password_hash is not None,
        has_totp=person.has_totp,
        has_oidc=person.oidc_subject is not None,
        last_seen_at=one.last_seen_at,
    )
