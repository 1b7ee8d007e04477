"""The tables of a simulation: made once, copied for each life, and read past the service's own code."""

from __future__ import annotations

import functools
import sqlite3
import tempfile
from pathlib import Path
from typing import Any

from sqlalchemy import event

from service.database import Database
from service.settings import Settings
from tests.trials.simulated_images import QUIET_S


class Tables:
    """A life's tables in a folder in memory, where there is such a thing.

    Attributes:
        here: The service under test.
        elsewhere: Another process on the same tables.
    """

    def __init__(self, folder: Path) -> None:
        (folder / "pandok.db").write_bytes(_made())
        self.settings = Settings(data_folder=folder, min_free_bytes=0, quiet_s=QUIET_S)
        self.here = _hurried(Database(self.settings.sqlalchemy_url))
        self.elsewhere = _hurried(Database(self.settings.sqlalchemy_url))
        self._eyes = sqlite3.connect(folder / "pandok.db", isolation_level=None)
        self._eyes.row_factory = sqlite3.Row

    def rows(self, query: str, *values: object) -> list[Any]:
        """Return rows; a tenth of the time that the service's own way of reading takes."""
        return self._eyes.execute(query, values).fetchall()

    def close(self) -> None:
        """Close every connection."""
        self._eyes.close()
        self.elsewhere.close()
        self.here.close()


def in_memory() -> str | None:
    """Return a folder whose files never reach a disk, or None."""
    return "/dev/shm" if Path("/dev/shm").is_dir() else None


@functools.cache
def _made() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/pandok.db")
        database.migrate()
        database.close()
        return (Path(folder) / "pandok.db").read_bytes()


def _hurried(database: Database) -> Database:
    """Let the fake disk be fast: power does not fail in a simulation."""

    @event.listens_for(database.engine, "connect")
    def hurry(connection: Any, _record: object) -> None:
        connection.cursor().execute("PRAGMA synchronous=OFF")

    return database
