"""How long signing in takes: `python -m tests.benchmarks.sign_in [--times 40]`.

Login and password over HTTP, with every commit on the disk, one at a time and two at once, beside the bare check of a
password in the same run. RELIABILITY T-31 asks for a p95 within 400 ms.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPIConnection

from service.access.passwords import AT_ONCE, is_password
from service.roles import Role
from tests.benchmarks.rows import Row, p95_limit, report
from tests.service.house import PASSWORD, House, open_house, password_hash

BUDGET_MS = 400.0


def measure(times: int = 40) -> list[Row]:
    """Return the bare check of a password, and signing in one at a time and some at once."""
    kept = password_hash()
    with tempfile.TemporaryDirectory() as folder, open_house(Path(folder)) as house:
        _as_durable_as_in_service(house)
        for number in range(AT_ONCE):
            house.new_account(Role.RADIOLOGIST, login=f"reader-{number}")
        bare = _took(lambda _: is_password(kept, PASSWORD), times, at_once=1)
        one = _took(lambda _: _sign_in(house, 0), times, at_once=1)
        more = _took(lambda number: _sign_in(house, number), times, at_once=AT_ONCE)
    return [
        p95_limit("bare check of a password", bare, unit="ms", must=None),
        p95_limit("sign-in, one at a time", one, unit="ms", must=BUDGET_MS),
        p95_limit(f"sign-in, {AT_ONCE} at once", more, unit="ms", must=BUDGET_MS),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=40)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("sign-in", lambda: measure(options.times), kept=options.keep)


def _sign_in(house: House, number: int) -> None:
    body = {"login": f"reader-{number % AT_ONCE}", "password": PASSWORD}
    with httpx.Client(base_url=house.address, headers={"X-Pandok": "1"}, timeout=120) as browser:
        assert browser.post("/api/sign-in", json=body).status_code == 204


def _took(act: Callable[[int], object], times: int, *, at_once: int) -> list[float]:
    """Return how many milliseconds each took."""

    def timed(number: int) -> float:
        started = time.perf_counter()
        act(number)
        return (time.perf_counter() - started) * 1_000

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(timed, range(2 * at_once)))
        return list(pool.map(timed, range(times)))


def _as_durable_as_in_service(house: House) -> None:
    """Tests do not wait for the disk; this does."""

    @event.listens_for(house.database.engine, "connect")
    def wait(connection: DBAPIConnection, _record: object) -> None:
        connection.cursor().execute("PRAGMA synchronous=FULL")

    house.database.engine.dispose()


if __name__ == "__main__":
    main()
