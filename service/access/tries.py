"""How many guesses somebody has: a few a minute for each login, and more, but not endless, for each address."""

from __future__ import annotations

import hashlib
import math

from sqlalchemy import ColumnElement, Connection, delete, insert, select, update

from service.errors import TooManyTries
from service.tables import sign_in_try

WINDOW_S = 60.0
PER_LOGIN = 5
PER_ADDRESS = 30
KEPT_S = 86_400.0


def begin_try(tx: Connection, *, login: str, address: str, now: float) -> int:
    """Count a guess before it is checked, so that many at once are counted too; returns its number.

    Raises:
        TooManyTries: For this login, which may not exist, or from this address.
    """
    login_sha256 = hashlib.sha256(login.encode("utf-8", "surrogatepass")).hexdigest()
    tx.execute(delete(sign_in_try).where(sign_in_try.c.tried_at < now - KEPT_S))
    for which, most in (
        (sign_in_try.c.login_sha256 == login_sha256, PER_LOGIN),
        (sign_in_try.c.address == address, PER_ADDRESS),
    ):
        _check(tx, which, most, now=now)
    row = {"login_sha256": login_sha256, "address": address, "tried_at": now, "succeeded": False}
    number: int = tx.execute(insert(sign_in_try).values(row).returning(sign_in_try.c.id)).scalar_one()
    return number


def end_try(tx: Connection, number: int) -> None:
    """Note that a guess was none: it counts no longer."""
    tx.execute(update(sign_in_try).where(sign_in_try.c.id == number).values(succeeded=True))


def _check(tx: Connection, which: ColumnElement[bool], most: int, *, now: float) -> None:
    times = tx.execute(
        select(sign_in_try.c.tried_at)
        .where(which, sign_in_try.c.tried_at > now - WINDOW_S, sign_in_try.c.succeeded.is_(False))
        .order_by(sign_in_try.c.tried_at.desc())
        .limit(most)
    ).scalars()
    recent = list(times)
    if len(recent) == most:
        raise TooManyTries(max(1, math.ceil(recent[-1] + WINDOW_S - now)))
