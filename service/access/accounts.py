"""What an account is, and what one may not be."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from service.roles import KOREAN_SIDE, READERS, Role
from service.sites import LANGUAGES

ReadingPolicy = Literal["triage", "blind"]
MAX_LOGIN = 128
MAX_NAME = 200
MAX_LICENCE = 64
ADMIN_LOGIN = "admin"
"""The account that `pandok sign-in` and the first start use when nobody is named."""


class AccountRefused(ValueError):
    """Something about an account that cannot be, in words for the person who typed it."""


def fold_login(text: str) -> str:
    """Return a login as it is kept and looked up: no two differ by case or by how a letter is composed."""
    return unicodedata.normalize("NFKC", text).strip().casefold()


@dataclass(frozen=True, slots=True)
class NewAccount:
    """A checked account that has no row yet. Raises AccountRefused for what cannot be."""

    login: str
    name: str
    role: Role
    site_id: int | None
    language: str
    time_zone: str
    licence_number: str | None = None
    reading_policy: str | None = None

    def __post_init__(self) -> None:
        if self.login != fold_login(self.login):
            raise AccountRefused("a login is written in small letters, without spaces around it")
        if not 1 <= len(self.login) <= MAX_LOGIN or any(not c.isprintable() or c.isspace() for c in self.login):
            raise AccountRefused(f"a login is 1 to {MAX_LOGIN} characters without spaces, such as an e-mail address")
        check_name(self.name)
        check_language(self.language)
        check_time_zone(self.time_zone)
        check_licence(self.licence_number)
        check_place(self.role, self.site_id, self.reading_policy)


def check_place(role: Role, site_id: int | None, reading_policy: str | None) -> None:
    """Refuse a role that people do not have, one without the site it needs, or a policy for who does not read."""
    if role is Role.GATEWAY:
        raise AccountRefused("a gateway signs in with a site's key: `pandok keys add` makes one")
    if site_id is None and role not in KOREAN_SIDE:
        raise AccountRefused(f"a {role} belongs to a site: name it")
    if reading_policy is not None and (role not in READERS or reading_policy not in get_args(ReadingPolicy)):
        raise AccountRefused("a reading policy is `triage` or `blind`, and only those who read have one")


def check_name(name: str) -> None:
    """Refuse a name that cannot stand on a report."""
    if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
        raise AccountRefused(f"a person's name is 1 to {MAX_NAME} printable characters, as it stands on a report")


def check_language(language: str) -> None:
    """Refuse a language that the pages do not speak."""
    if language not in LANGUAGES:
        raise AccountRefused(f"a person's language is one of {', '.join(LANGUAGES)}")


def check_time_zone(name: str) -> None:
    """Refuse what is no IANA time zone."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise AccountRefused("a time zone is its IANA name, such as Asia/Seoul or Asia/Vladivostok") from None


def check_licence(number: str | None) -> None:
    """Refuse a licence number that cannot stand on a report."""
    if number is not None and (not number.strip() or len(number) > MAX_LICENCE or not number.isprintable()):
        raise AccountRefused(f"a licence number is 1 to {MAX_LICENCE} printable characters")
