"""The intake as every process with a door has it: a study stands in the worklist with its first image."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection

from service.archive import Archive
from service.database import Database
from service.intake.receive import Intake
from service.settings import Settings
from service.worklist.records import update_item


def make_intake(settings: Settings, database: Database, archive: Archive, clock: Callable[[], float]) -> Intake:
    """Return an intake that tells the worklist of every new or more urgent study, in the transaction that sees it."""

    def tell_list(tx: Connection, study_id: int, now: float) -> None:
        update_item(tx, study_id=study_id, now=now, settings=settings)

    return Intake(database=database, archive=archive, settings=settings, tell_list=tell_list, clock=clock)
