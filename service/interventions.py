"""What ends or repeats a study revision from outside its path: an operator's restart and cancel, and a dead letter."""

from __future__ import annotations

import logging

from sqlalchemy import Connection

from preprocessing.errors import Reason
from service.attempt import Attempt
from service.database import Database
from service.errors import Busy, Conflict
from service.inference import records, revision_records
from service.inference.revision_records import UNFINISHED, Revision
from service.intake.pressure import Level, Pressure
from service.metrics import UNSCORED_TOTAL
from service.reading.records import has_verdicts
from service.settings import Settings
from service.worklist.records import update_item

log = logging.getLogger("pandok.pipeline")


def end_as_failed(database: Database, attempt: Attempt, detail: str, *, now: float, settings: Settings) -> bool:
    """End an attempt that the pipeline could not finish: unscored, in the list, with a row for the operator.

    Returns False when the attempt has ended already or is no longer the one that counts.
    """
    with database.transaction() as tx:
        revision = revision_records.find_revision(tx, attempt.study_id, attempt.revision)
        if revision is None or revision.attempt != attempt.number or revision.state not in UNFINISHED:
            return False
        note_dead_letter(tx, revision, detail, now)
        if not revision.is_newest:
            revision_records.supersede(tx, revision, now)
            return True
        reason = Reason.PIPELINE_FAILED
        revision_records.end_revision(tx, revision.id, state="unscored", reason=reason, detail=detail, now=now)
        revision_records.set_study_state(tx, revision, state="unscored", reason=reason, now=now)
        update_item(tx, study_id=revision.study_id, now=now, settings=settings)
    log.error("pipeline gave up", extra={"study_id": attempt.study_id, "revision": attempt.revision})
    UNSCORED_TOTAL.labels(reason.value).inc()
    return True


def note_dead_letter(tx: Connection, revision: Revision, detail: str, now: float) -> None:
    """Write the row that an operator sees of work that was given up."""
    records.note_problem(
        tx,
        kind="dead_letter",
        reason=Reason.PIPELINE_FAILED,
        detail=detail,
        site_id=revision.site_id,
        study_id=revision.study_id,
        now=now,
    )


def restart_study(database: Database, settings: Settings, public_id: str, now: float) -> bool:
    """Score the newest revision of a study again, from the first step, poison included.

    Returns False when there is nothing to restart: no such study, or its images are still arriving.

    Raises:
        Conflict: `has_verdicts`: readers have judged what would be put in another one's place.
    """
    with database.transaction() as tx:
        revision = revision_records.find_newest(tx, public_id)
        if revision is None:
            return False
        if has_verdicts(tx, revision.study_id, revision.number):
            raise Conflict(
                "Readers have judged the findings of these images, and a restart would replace what they judged.",
                code="has_verdicts",
            )
        revision_records.begin_attempt(tx, revision)
        revision_records.set_study_state(tx, revision, state="settled", reason=None, now=now)
        update_item(tx, study_id=revision.study_id, now=now, settings=settings)
    return True


def check_may_score_again(pressure: Pressure) -> None:
    """Raise Busy while the service is pressed: scoring again is work that can wait (RELIABILITY 5.8)."""
    if pressure.level is not Level.NONE:
        raise Busy(f"Not now: the service {pressure.words}.", retry_after_s=60)


def cancel_study(database: Database, settings: Settings, public_id: str, now: float) -> bool:
    """Stop scoring the newest revision of a study, which stays in the list, unscored.

    The engine is told by the worker; the path itself stops before its next step. Returns False when nothing of the
    study waits or runs.
    """
    with database.transaction() as tx:
        revision = revision_records.find_newest(tx, public_id)
        if revision is None or revision.state not in UNFINISHED:
            return False
        reason, detail = Reason.CANCELED, "canceled by an operator"
        revision_records.end_revision(tx, revision.id, state="canceled", reason=reason, detail=detail, now=None)
        revision_records.set_study_state(tx, revision, state="unscored", reason=reason, now=now)
        update_item(tx, study_id=revision.study_id, now=now, settings=settings)
    UNSCORED_TOTAL.labels(reason.value).inc()
    return True
