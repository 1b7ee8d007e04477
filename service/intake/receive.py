"""The one intake behind every door: answers only what no loss of power takes any more (service.intake.commit)."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from pydicom.uid import DeflatedExplicitVRLittleEndian
from sqlalchemy.exc import SQLAlchemyError

from preprocessing.elements import Bounds, HeaderRefused
from preprocessing.found import EVERYTHING
from preprocessing.header import InstanceHeader, read_header
from service.archive import Archive, make_durable_folder
from service.database import Database
from service.errors import Busy, StorageFull
from service.intake import records
from service.intake.barometer import FRESH_S, Barometer
from service.intake.commit import FULL, Committer, Ending
from service.intake.outcomes import Door, IntakeReason, Kind, NoRoom, Outcome, Sender
from service.intake.pressure import Level, Pressure
from service.intake.problem_records import note_problem
from service.intake.recovery import recover
from service.intake.spool import DATASET_OFFSET, Spooled, prepare_spool
from service.intake.verify import verify
from service.metrics import INSTANCES_TOTAL, INTAKE_SECONDS
from service.routing.records import RuleBook
from service.settings import Settings

log = logging.getLogger("pandok.intake")

HEADER_REASONS = {
    "damaged": IntakeReason.DAMAGED_HEADER,
    "truncated": IntakeReason.TRUNCATED,
    "limit": IntakeReason.LIMIT_EXCEEDED,
}

BUSY_S = 60
"""When a sender may try again while too much waits."""

_QUICK = Bounds(elements=2_000, wanted_bytes=2_048)
"""A header of so much is read at once, in about 5 ms; a longer one would keep a door's other senders waiting."""


class Intake:
    """Receive, verify, store. Each process that has a door holds one; they share tables and archive.

    Args:
        database: Our tables, migrated.
        archive: Where the files go.
        settings: Limits, quiet times and folders.
        tell_list: Called in the transaction that first sees a study, or in which a rule makes it more urgent.
        clock: Seconds since 1970 UTC.
    """

    def __init__(
        self,
        *,
        database: Database,
        archive: Archive,
        settings: Settings,
        tell_list: records.TellList | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._rules = records.Rules(
            settings.quiet_s, settings.partial_after_s, settings.max_instances_per_study, tell_list, RuleBook()
        )
        self._archive = archive
        self._committer = Committer(
            database, archive, spool_folder=settings.spool_folder, rules=self._rules, clock=clock
        )
        self._barometer = Barometer(settings, database, clock)

    def start(self) -> None:
        """Make the folders, store again what a loss of power left half stored, and begin to take instances."""
        spool_folder = self._settings.spool_folder
        prepare_spool(spool_folder)
        make_durable_folder(self._settings.archive_folder)
        kept = recover(self._database, self._archive, spool_folder=spool_folder, rules=self._rules, clock=self._clock)
        self._committer.let_go(kept)
        self._committer.start()

    def stop(self) -> None:
        """Finish what was handed in, then end."""
        self._committer.stop()

    def pressure(self, *, fresh_s: float = FRESH_S) -> Pressure:
        """Return how hard the service is pressed, measured at most so long ago."""
        return self._barometer.read(fresh_s=fresh_s)

    def has_room(self) -> bool:
        """Tell whether there is room for an instance: enough free space, and a disk that did not refuse a sync."""
        return not self._committer.is_suspect and self.pressure().level < Level.FULL

    def check_room(self) -> None:
        """Let a sender begin. Raises StorageFull or Busy while nothing new may come in."""
        if not self.has_room():
            raise StorageFull
        if self.pressure().level >= Level.OVERLOADED:
            raise Busy("Too much waits to be scored; keep the images and send again later.", retry_after_s=BUSY_S)

    def open(self, sender: Sender, *, transfer_syntax_uid: str) -> Spooled:
        """Open a spool file for one data set. Raises NoRoom past a hard mark, OSError when the disk refuses.

        Asked for every data set: one request may bring thousands, a zip unpacks to many times its size, and an
        association lasts for hours. A data set that has begun is taken to its end.
        """
        if not self.has_room():
            raise NoRoom(IntakeReason.OUT_OF_RESOURCES)
        if self.pressure().level >= Level.OVERLOADED:
            raise NoRoom(IntakeReason.OVERLOADED)
        return Spooled(
            self._settings.spool_folder,
            sender=sender,
            transfer_syntax_uid=transfer_syntax_uid,
            max_bytes=self._settings.max_dataset_bytes,
        )

    async def keep(
        self,
        spooled: Spooled,
        *,
        sop_class_uid: str | None,
        sop_instance_uid: str | None,
        study_instance_uid: str | None = None,
    ) -> Outcome:
        """Verify and store what was spooled; the given UIDs are what the command or the address declared.

        Bad data and a full disk are outcomes, never exceptions; the spool file is consumed.
        """
        declared = (sop_class_uid, sop_instance_uid, study_instance_uid)
        started = time.monotonic()
        checked = None
        if spooled.transfer_syntax_uid != DeflatedExplicitVRLittleEndian:  # inflating may take a while
            checked = self._check(spooled, declared, _QUICK)
        if checked is None:
            checked = await asyncio.to_thread(self._check, spooled, declared, EVERYTHING)
            assert checked is not None  # noqa: S101 - only a quick look ends without an answer
        if isinstance(checked, Outcome):
            return await asyncio.to_thread(self._refused, spooled, checked)
        ending = await self._submitted(spooled, checked)
        return await self._answered(spooled, checked, ending, started)

    def refuse(
        self,
        sender: Sender | None,
        reason: IntakeReason,
        *,
        door: Door,
        name: str,
        detail: str = "",
        sop_class_uid: str | None = None,
        sop_instance_uid: str | None = None,
        study_instance_uid: str | None = None,
    ) -> Outcome:
        """Note a refusal where an operator sees it, and return it. Never raises: a full disk only loses the row."""
        kind = "aborted" if reason is IntakeReason.ABORTED else "refused"
        INSTANCES_TOTAL.labels(door=door.value, outcome=reason.word).inc()
        log.warning("instance refused", extra={"reason": reason.word, "door": door.value})
        try:
            with self._database.transaction() as tx:
                note_problem(
                    tx,
                    kind=kind,
                    reason=reason,
                    site_id=sender.site_id if sender else None,
                    door=door,
                    sender=name,
                    detail=detail,
                    study_instance_uid=study_instance_uid,
                    sop_instance_uid=sop_instance_uid,
                    now=self._clock(),
                )
        except (SQLAlchemyError, OSError) as failure:
            # The sender's answer stands without the row; a trace would carry its values.
            log.error("problem not noted", extra={"error": type(failure).__name__})  # noqa: TRY400
        return Outcome(Kind.REFUSED, reason, sop_class_uid, sop_instance_uid, study_instance_uid)

    def aborted(self, sender: Sender, *, detail: str = "") -> None:
        """Note a connection that ended inside an instance; what was answered before stays."""
        self.refuse(sender, IntakeReason.ABORTED, door=sender.door, name=sender.name, detail=detail)

    def _check(
        self, spooled: Spooled, declared: tuple[str | None, str | None, str | None], bounds: Bounds
    ) -> InstanceHeader | Outcome | None:
        """Read the header and say whether the instance may be kept; None when a quick look does not tell."""
        sop_class_uid, sop_instance_uid, study_instance_uid = declared
        header: InstanceHeader | None = None
        try:
            header = read_spooled(spooled, bounds)
            reason = verify(
                header,
                sop_class_uid=sop_class_uid,
                sop_instance_uid=sop_instance_uid,
                study_instance_uid=study_instance_uid,
            )
            if reason is None:
                spooled.finish(sop_class_uid=str(header.sop_class_uid), sop_instance_uid=str(header.sop_instance_uid))
                return header
        except HeaderRefused as refusal:
            if refusal.kind == "limit" and bounds is _QUICK:
                return None
            reason = HEADER_REASONS[refusal.kind]
        except OSError:
            reason = IntakeReason.OUT_OF_RESOURCES
        return Outcome(
            Kind.REFUSED,
            reason,
            header.sop_class_uid if header else sop_class_uid,
            header.sop_instance_uid if header else sop_instance_uid,
            header.study_instance_uid if header else study_instance_uid,
        )

    def _refused(self, spooled: Spooled, outcome: Outcome) -> Outcome:
        spooled.abandon()
        return self._noted(spooled.sender, outcome)

    def _noted(self, sender: Sender, outcome: Outcome) -> Outcome:
        return self.refuse(
            sender,
            outcome.reason or IntakeReason.PROCESSING_FAILURE,
            door=sender.door,
            name=sender.name,
            sop_class_uid=outcome.sop_class_uid,
            sop_instance_uid=outcome.sop_instance_uid,
            study_instance_uid=outcome.study_instance_uid,
        )

    async def _submitted(self, spooled: Spooled, header: InstanceHeader) -> Ending:
        if self._committer.is_suspect:
            spooled.abandon()
            return FULL
        loop = asyncio.get_running_loop()
        told: asyncio.Future[Ending] = loop.create_future()
        arrival = records.Arrival(spooled.sender, header, spooled.content_sha256, spooled.size_bytes)
        # A sender that goes away meanwhile cancels only its own wait.
        self._committer.submit(spooled, arrival, lambda ending: loop.call_soon_threadsafe(_tell, told, ending))
        return await told

    async def _answered(self, spooled: Spooled, header: InstanceHeader, ending: Ending, started: float) -> Outcome:
        if ending[0] is Kind.REFUSED:
            return await asyncio.to_thread(self._answer, spooled, header, ending, started)
        return self._answer(spooled, header, ending, started)

    def _answer(self, spooled: Spooled, header: InstanceHeader, ending: Ending, started: float) -> Outcome:
        kind, reason = ending
        sender = spooled.sender
        outcome = Outcome(
            kind,
            reason,
            header.sop_class_uid,
            header.sop_instance_uid,
            header.study_instance_uid,
            header.series_instance_uid,
        )
        INTAKE_SECONDS.labels(door=sender.door.value).observe(time.monotonic() - started)
        if kind is Kind.REFUSED:
            return self._noted(sender, outcome)
        INSTANCES_TOTAL.labels(door=sender.door.value, outcome=kind.value).inc()
        return outcome


def _tell(told: asyncio.Future[Ending], ending: Ending) -> None:
    if not told.done():
        told.set_result(ending)


def read_spooled(spooled: Spooled, bounds: Bounds = EVERYTHING) -> InstanceHeader:
    """Return the header of what was spooled. Raises HeaderRefused, OSError."""
    with os.fdopen(os.dup(spooled.descriptor), "rb") as file:
        return read_header(
            file,
            transfer_syntax_uid=spooled.transfer_syntax_uid,
            offset=DATASET_OFFSET,
            length=spooled.size_bytes,
            bounds=bounds,
        )
