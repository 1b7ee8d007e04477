"""The engine's own rules: how long a reading transaction may take."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from sqlalchemy import exc, text

from service.database import Database, TakesTooLong

ENDLESS = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n")


def test_what_reads_too_long_is_broken_off_and_the_connection_serves_on(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'tables.db'}")
    started = time.monotonic()

    with pytest.raises(TakesTooLong), database.reading(longest_s=0.2) as rx:
        rx.execute(ENDLESS)

    assert time.monotonic() - started < 10
    slow = text("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 2000000) SELECT count(*) FROM n")
    with database.reading() as rx:  # the limit was that transaction's alone
        assert rx.execute(slow).scalar_one() == 2_000_000
    with pytest.raises(exc.OperationalError), database.reading(longest_s=5.0) as rx:
        rx.execute(text("SELECT x FROM nowhere"))
    database.close()
