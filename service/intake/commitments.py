"""Storage commitment (PS3.4 annex J): looks at what is really stored, and tells the peer who asked, until it hears."""

from __future__ import annotations

import logging
import random
import ssl
import threading
from collections.abc import Callable, Sequence
from enum import IntEnum

from pydicom import Dataset
from sqlalchemy.exc import SQLAlchemyError

from service.archive import Archive
from service.database import Database
from service.intake import commitment_records as records
from service.intake.commitment_records import Address, Commitment, Failure, Known, Reference
from service.intake.verify import storage_classes
from service.settings import Settings

log = logging.getLogger("pandok.commitment")

PUSH_MODEL = "1.2.840.10008.1.20.1"
PUSH_MODEL_INSTANCE = "1.2.840.10008.1.20.1.1"
ALL_COMMITTED, SOME_FAILED = 1, 2
"""Event types of PS3.4 section J.3.3.1."""

ASKER_S = 30.0
"""How long what was found is kept for a requester that has not left its association, before another one is opened."""
LEASE_S = 900.0
"""How long one worker may look at and tell of one request before another takes it for dead."""
LONGEST_WAIT_S = 3_600.0
GIVE_UP_AFTER_S = 86_400.0
LOOK_S = 0.5
CONNECT_S, ANSWER_S = 10.0, 60.0


class Reason(IntEnum):
    """Failure reasons of PS3.3 section C.14.1.1.

    "No such object instance" is defined there as "was not available", whatever our tables say: so is told of a file
    that is missing too. A file that is there and damaged, or cannot be read, is a processing failure. To the sender
    both mean that it must keep its copy and send it again.
    """

    PROCESSING_FAILURE = 0x0110
    NO_SUCH_INSTANCE = 0x0112
    CLASS_INSTANCE_CONFLICT = 0x0119
    CLASS_NOT_SUPPORTED = 0x0122
    DUPLICATE_TRANSACTION = records.DUPLICATE_TRANSACTION


class NotTold(Exception):
    """The peer did not take the answer; the text says why, without its address."""


class Commitments:
    """Answers requests one after the other.

    Args:
        settings: Our AE title, the TLS files, the first wait after a refusal.
        database: Our tables.
        archive: What is really stored.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, settings: Settings, database: Database, archive: Archive, clock: Callable[[], float]) -> None:
        self._settings = settings
        self._database = database
        self._archive = archive
        self._clock = clock
        self._chance = random.Random()  # noqa: S311 - spreads calls, keeps no secret

    def go(self, stop: threading.Event) -> None:
        """Answer whatever is due until told to stop; an error of one request never ends the round."""
        while not stop.is_set():
            try:
                while not stop.is_set() and self.answer_one():
                    continue
            except SQLAlchemyError as failure:
                log.error("commitment failed", extra={"error": type(failure).__name__})  # noqa: TRY400 - no SQL
            except Exception:
                log.exception("commitment failed")
            stop.wait(LOOK_S)

    def answer_one(self) -> bool:
        """Look at, and tell the answer to, the request that is due; False when none is."""
        now = self._clock()
        with self._database.reading() as rx:
            due = records.find_due(rx, now)
        if due is None:
            return False
        with self._database.transaction() as tx:
            commitment = records.take(tx, due, now=now, lease_s=LEASE_S)
        if commitment is not None:
            self._answer(commitment)
        return True

    def _answer(self, commitment: Commitment) -> None:
        failed = self._check(commitment) if commitment.failed is None else commitment.failed
        if commitment.failed is None and self._is_asker_there(commitment):
            return
        extra = {"instances": len(commitment.asked), "failed": len(failed), "attempt": commitment.attempts}
        if commitment.address is None:
            self._put_off(commitment, "the peer or its address was taken away")
            return
        try:
            tell(self._settings, commitment.address, report(commitment, failed))
        except NotTold as why:
            log.warning("commitment not told", extra={**extra, "reason": str(why)})
            self._put_off(commitment, str(why))
        else:
            log.info("commitment told", extra=extra)
            with self._database.transaction() as tx:
                records.write_answered(tx, commitment.id, self._clock())

    def _is_asker_there(self, commitment: Commitment) -> bool:
        """Leave what was found for a while to the listener, where the peer may wait on the association it asked on."""
        with self._database.transaction() as tx:
            return records.wait_for_asker(tx, commitment.id, until=self._clock() + ASKER_S)

    def _check(self, commitment: Commitment) -> Sequence[Failure]:
        """Read every referenced file again and keep what was found, so that each telling is the same."""
        with self._database.reading() as rx:
            uids = sorted({sop_instance for _, sop_instance in commitment.asked})
            known = records.find_instances(rx, commitment.site_id, uids)
        failed = []
        for sop_class, sop_instance in commitment.asked:
            why_not = self._why_not((sop_class, sop_instance), known, commitment.site_id)
            if why_not is not None:
                failed.append((sop_class, sop_instance, int(why_not)))
        with self._database.transaction() as tx:
            records.write_checked(tx, commitment.id, failed)
            for _, sop_instance, reason in failed:
                if sop_instance in known and reason in (Reason.PROCESSING_FAILURE, Reason.NO_SUCH_INSTANCE):
                    records.note_damaged(tx, commitment, sop_instance, status=f"0x{reason:04X}", now=self._clock())
        return failed

    def _why_not(self, reference: Reference, known: dict[str, Known], site_id: int) -> Reason | None:
        sop_class, sop_instance = reference
        if sop_class not in storage_classes():
            return Reason.CLASS_NOT_SUPPORTED
        instance = known.get(sop_instance)
        if instance is None:
            return Reason.NO_SUCH_INSTANCE
        if instance.sop_class_uid != sop_class:
            return Reason.CLASS_INSTANCE_CONFLICT
        try:
            if self._archive.is_intact(site_id, instance.content_sha256):
                return None
            is_there = self._archive.path(site_id, instance.content_sha256).exists()
        except OSError as failure:
            log.error("stored file not readable", extra={"errno": failure.errno})  # noqa: TRY400 - a trace has its name
            is_there = True
        return Reason.PROCESSING_FAILURE if is_there else Reason.NO_SUCH_INSTANCE

    def _put_off(self, commitment: Commitment, error: str) -> None:
        now = self._clock()
        with self._database.transaction() as tx:
            if now - commitment.asked_at > GIVE_UP_AFTER_S:
                records.give_up(tx, commitment, error=error, now=now)
                return
            longest_s = min(self._settings.answer_retry_s * 2 ** min(commitment.attempts - 1, 16), LONGEST_WAIT_S)
            wait_s = self._chance.uniform(0.0, longest_s)  # full jitter: peers that were away come back together
            records.try_again(tx, commitment.id, at=now + wait_s, error=error)


def report(commitment: Commitment, failed: Sequence[Failure]) -> Dataset:
    """Return the event information: every reference that was asked for stands in exactly one of two lists."""
    without = {(sop_class, sop_instance) for sop_class, sop_instance, _ in failed}
    told = Dataset()
    told.TransactionUID = commitment.transaction_uid
    committed = [_item(*reference) for reference in commitment.asked if reference not in without]
    if committed:
        told.ReferencedSOPSequence = committed
    if failed:
        told.FailedSOPSequence = [_item(sop_class, sop_instance, reason) for sop_class, sop_instance, reason in failed]
    return told


def event_of(told: Dataset) -> int:
    """Return the event type of a report."""
    return SOME_FAILED if "FailedSOPSequence" in told else ALL_COMMITTED


def _item(sop_class: str, sop_instance: str, reason: int | None = None) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
    if reason is not None:
        item.FailureReason = reason
    return item


def tell(settings: Settings, address: Address, told: Dataset) -> None:
    """Send an N-EVENT-REPORT over an association of its own, as the SCP of the class. Raises NotTold."""
    from pynetdicom import AE, build_role  # loads much, which a worker without requests never needs

    ae = AE(settings.dicom_ae_title)
    ae.connection_timeout = ae.acse_timeout = CONNECT_S
    ae.dimse_timeout = ae.network_timeout = ANSWER_S
    ae.add_requested_context(PUSH_MODEL)
    tls = (_client_tls(settings), "") if address.is_tls else None
    role = build_role(PUSH_MODEL, scu_role=False, scp_role=True)
    association = ae.associate(address.host, address.port, ae_title=address.ae_title, ext_neg=[role], tls_args=tls)
    try:
        if not association.is_established:
            raise NotTold("no association: the peer is away, or does not take us")
        answer, _ = association.send_n_event_report(told, event_of(told), PUSH_MODEL, PUSH_MODEL_INSTANCE)
    except ValueError as failure:
        raise NotTold("the peer does not take reports on storage commitment") from failure
    finally:
        if association.is_established:
            association.release()
    status = answer.get("Status")
    if status is None:
        raise NotTold("the peer did not answer")
    if status != 0x0000:
        raise NotTold(f"the peer answered 0x{status:04X}")


def _client_tls(settings: Settings) -> ssl.SSLContext:
    """Return TLS towards a peer that our authority for peers vouches for; its certificate need not name its host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.check_hostname = False
    try:
        if settings.dicom_tls_client_ca is not None:
            context.load_verify_locations(str(settings.dicom_tls_client_ca))
        if settings.dicom_tls_certificate is not None and settings.dicom_tls_key is not None:
            context.load_cert_chain(str(settings.dicom_tls_certificate), str(settings.dicom_tls_key))
    except OSError as failure:
        raise NotTold("the TLS files of the settings cannot be used") from failure
    return context
