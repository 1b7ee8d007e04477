"""Messages over real sockets: what is kept, what is answered, and what an association that breaks off leaves."""

from __future__ import annotations

import hashlib
import resource
import shutil
import socket
import struct
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import select, update

from service import tables
from service.intake.dimse.pdus import AbortReason
from service.intake.outcomes import IntakeReason
from tests.driver import wait_until
from tests.factories import dataset_bytes, make_ct_slice, make_radiograph, phantom
from tests.service.intake.dimse.conftest import LOOPS, Listening, LoopFactory, OpenListener
from tests.service.intake.dimse.sender import (
    ABORT,
    COMMAND,
    CR,
    CR_ID,
    CT_ID,
    ECHO_ID,
    IMPLICIT,
    LAST,
    RELEASE_RQ,
    RawSender,
    accepted,
    associate_rq,
    data_pdu,
    echo_command,
    pdv,
    store_command,
    store_pdus,
)
from tests.service.intake.waiting import add_waiting


def stored_file(listening: Listening, dataset: Dataset) -> Path:
    with listening.parts.database.reading() as tx:
        digest = tx.execute(
            select(tables.instance.c.content_sha256).where(tables.instance.c.sop_instance_uid == dataset.SOPInstanceUID)
        ).scalar_one()
    return listening.parts.archive.path(listening.parts.site_id, digest)


def assert_stored_as_sent(listening: Listening, dataset: Dataset) -> None:
    path = stored_file(listening, dataset)
    assert path.read_bytes().endswith(dataset_bytes(dataset))
    assert dcmread(path).SOPInstanceUID == dataset.SOPInstanceUID


def test_an_echo_is_answered_on_any_accepted_context(listening: Listening) -> None:
    with listening.call() as sender:
        sender.associate()
        for context_id in (ECHO_ID, CR_ID):
            sender.send(data_pdu(pdv(context_id, COMMAND | LAST, echo_command(context_id))))
            answer = sender.answer()
            assert (answer.Status, answer.MessageIDBeingRespondedTo) == (0x0000, context_id)
        sender.release()


def test_an_instance_is_stored_byte_for_byte_before_it_is_answered(listening: Listening) -> None:
    dataset = make_radiograph()

    with listening.call() as sender:
        sender.associate()
        answer = sender.store(dataset, message_id=77)
        assert_stored_as_sent(listening, dataset)
        sender.release()

    assert (answer.Status, answer.MessageIDBeingRespondedTo, answer.CommandField) == (0x0000, 77, 0x8001)
    assert (answer.AffectedSOPClassUID, answer.AffectedSOPInstanceUID) == (CR, dataset.SOPInstanceUID)
    assert "ErrorComment" not in answer
    assert listening.spool_files() == []


def test_the_same_instance_again_is_a_success_and_other_content_is_held(listening: Listening) -> None:
    dataset = make_radiograph()
    other = make_radiograph(seed=1, SOPInstanceUID=dataset.SOPInstanceUID)

    with listening.call() as sender:
        sender.associate()
        answers = [sender.store(each) for each in (dataset, dataset, other)]
        sender.release()

    assert [answer.Status for answer in answers] == [0x0000, 0x0000, 0x0111]
    assert answers[2].ErrorComment == IntakeReason.CONFLICT.comment
    assert listening.stored_uids() == {dataset.SOPInstanceUID}


@pytest.mark.parametrize("piece", [7, 1_000, 131_066, 262_138])
def test_any_fragmentation_gives_the_same_bytes(listening: Listening, piece: int) -> None:
    small = make_radiograph(phantom(24, 24))
    dataset = small if piece == 7 else make_radiograph(phantom(600, 600))

    with listening.call() as sender:
        sender.associate()
        assert sender.store(dataset, piece=piece).Status == 0x0000
        sender.release()

    assert_stored_as_sent(listening, dataset)


def test_command_and_data_in_one_pdu_in_odd_pieces_and_a_last_piece_of_nothing(listening: Listening) -> None:
    dataset = make_radiograph(phantom(20, 20))
    command, data = store_command(CR, dataset.SOPInstanceUID), dataset_bytes(dataset)
    values = [pdv(CR_ID, COMMAND, command[:11]), pdv(CR_ID, COMMAND, b""), pdv(CR_ID, COMMAND, command[11:])]
    values += [pdv(CR_ID, COMMAND | LAST, b""), pdv(CR_ID, 0, data[:333]), pdv(CR_ID, 0, data[333:])]

    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(*values, pdv(CR_ID, LAST, b"")))
        assert sender.answer().Status == 0x0000
        sender.release()

    assert_stored_as_sent(listening, dataset)


def test_an_exchange_sent_byte_by_byte_is_understood(listening: Listening) -> None:
    dataset = make_radiograph(phantom(8, 8))
    exchange = b"".join([associate_rq(), *store_pdus(dataset), RELEASE_RQ])

    with listening.call() as sender:
        for place in range(len(exchange)):
            sender.send(exchange[place : place + 1])
        assert [sender.pdu()[0] for _ in range(4)] == [2, 4, 6, 0]

    assert_stored_as_sent(listening, dataset)


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_messages_sent_without_waiting_are_answered_in_their_order(
    open_listener: OpenListener, loop_factory: LoopFactory
) -> None:
    listening = open_listener(loop_factory=loop_factory)
    slices = [make_ct_slice(seed=seed) for seed in range(12)]
    echo = data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command(99)))
    messages = b"".join(b"".join(store_pdus(s, CT_ID, message_id=n)) for n, s in enumerate(slices))

    with listening.call() as sender:
        sender.send(associate_rq() + messages + echo + RELEASE_RQ)
        assert sender.pdu()[0] == 2
        answers = [sender.answer() for _ in range(13)]
        assert sender.pdu()[0] == 6

    assert [answer.MessageIDBeingRespondedTo for answer in answers] == [*range(12), 99]
    assert {answer.Status for answer in answers} == {0x0000}
    assert listening.stored_uids() == {each.SOPInstanceUID for each in slices}


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_large_instance_goes_through_the_bounded_buffer(
    open_listener: OpenListener, loop_factory: LoopFactory
) -> None:
    listening = open_listener(loop_factory=loop_factory)
    dataset = make_radiograph(np.random.default_rng(0).integers(0, 4096, (2000, 2000)).astype(np.uint16))

    with listening.call() as sender:
        sender.associate()
        assert sender.store(dataset, piece=131_066).Status == 0x0000
        sender.release()

    stored = stored_file(listening, dataset).read_bytes()
    assert hashlib.sha256(stored[-8_000_000:]).digest() == hashlib.sha256(dataset.PixelData).digest()


def test_a_response_fits_the_smallest_pdu_that_a_peer_takes(listening: Listening) -> None:
    dataset = make_radiograph()

    with listening.call() as sender:
        sender.associate(max_pdu_bytes=32)
        answer = sender.store(dataset)
        sender.release()

    assert (answer.Status, answer.AffectedSOPInstanceUID) == (0x0000, dataset.SOPInstanceUID)


# What is answered with a status, after which the association goes on


def refused_then_stored(listening: Listening, *pdus: bytes) -> Dataset:
    """Send what is to be refused, then a good instance on the same association; return the first answer."""
    good = make_radiograph()
    with listening.call() as sender:
        sender.associate()
        sender.send(*pdus)
        refusal = sender.answer()
        assert sender.store(good).Status == 0x0000
        sender.release()
    assert listening.stored_uids() == {good.SOPInstanceUID}
    assert listening.spool_files() == []
    return refusal


def test_a_data_set_that_contradicts_its_command_is_refused(listening: Listening) -> None:
    dataset = make_radiograph()
    _, *data = store_pdus(dataset)
    command = data_pdu(pdv(CR_ID, COMMAND | LAST, store_command(CR, "1.2.3")))

    answer = refused_then_stored(listening, command, *data)

    assert (answer.Status, answer.ErrorComment) == (0xA900, IntakeReason.UID_MISMATCH.comment)


def test_a_class_in_the_context_of_another_is_refused(listening: Listening) -> None:
    answer = refused_then_stored(listening, *store_pdus(make_ct_slice(), CR_ID))

    assert (answer.Status, answer.ErrorComment) == (0xA900, IntakeReason.UID_MISMATCH.comment)


def test_a_damaged_data_set_is_refused(listening: Listening) -> None:
    dataset = make_radiograph()
    command, *_ = store_pdus(dataset)

    answer = refused_then_stored(listening, command, data_pdu(pdv(CR_ID, LAST, b"\xff" * 1_000)))

    assert answer.Status >> 12 == 0xC
    assert answer.ErrorComment


def test_a_store_without_a_data_set_is_refused(listening: Listening) -> None:
    command = store_command(CR, "1.2.3", has_data_set=False)

    answer = refused_then_stored(listening, data_pdu(pdv(CR_ID, COMMAND | LAST, command)))

    assert (answer.Status, answer.ErrorComment) == (0xC003, IntakeReason.TRUNCATED.comment)


def test_a_data_set_past_the_limit_is_read_to_its_end_and_refused(open_listener: OpenListener) -> None:
    listening = open_listener(max_dataset_bytes=100_000)
    large = make_radiograph(phantom(250, 250))

    answer = refused_then_stored(listening, *store_pdus(large))

    assert (answer.Status, answer.ErrorComment) == (0xA700, IntakeReason.TOO_LARGE.comment)
    assert [row.reason for row in listening.problems()] == ["too_large"]


def test_a_data_set_far_past_the_limit_ends_the_association(open_listener: OpenListener) -> None:
    listening = open_listener(max_dataset_bytes=50_000)

    with listening.call() as sender:
        sender.associate()
        sender.send(*store_pdus(make_radiograph(phantom(300, 300))))
        assert sender.ends()[0] in (7, 0)

    wait_until("the problem row", lambda: [row.kind for row in listening.problems()] == ["aborted"])
    assert listening.spool_files() == []


@pytest.mark.parametrize(
    ("settings", "waiting"),
    [({"min_free_bytes": 2**60, "min_free_share": 1.0}, None), ({"max_waiting_s": 60.0}, 61.0)],
    ids=["full", "overloaded"],
)
def test_at_the_hard_mark_a_known_peer_is_asked_to_come_back(
    open_listener: OpenListener, settings: dict[str, float], waiting: float | None
) -> None:
    listening = open_listener(**settings)
    if waiting is not None:
        add_waiting(listening.parts, waiting)

    with listening.call() as sender:
        sender.send(associate_rq())
        assert sender.ends() == (3, bytes((0, 2, 3, 2)))


def test_past_the_hard_mark_an_association_that_stands_is_refused_its_further_images(listening: Listening) -> None:
    before, after, back = (make_radiograph(seed=seed) for seed in range(3))

    with listening.call() as sender:
        sender.associate()
        assert sender.store(before).Status == 0x0000
        add_waiting(listening.parts, listening.parts.settings.max_waiting_s + 1)
        refused = sender.store(after)
        with listening.parts.database.transaction() as tx:
            tx.execute(update(tables.revision).values(state="scored"))
        listening.parts.intake.pressure(fresh_s=0.0)
        stored = sender.store(back)
        sender.release()

    assert (refused.Status, refused.ErrorComment) == (0xA700, IntakeReason.OVERLOADED.comment)
    assert stored.Status == 0x0000
    assert str(after.SOPInstanceUID) not in listening.stored_uids()


def test_a_full_disk_is_answered_and_nothing_is_kept(
    open_listener: OpenListener, monkeypatch: pytest.MonkeyPatch
) -> None:
    listening = open_listener(min_free_bytes=1)

    with listening.call() as sender:
        sender.associate()
        monkeypatch.setattr("shutil.disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 0))
        wait_until("the disk is full", lambda: not listening.parts.intake.has_room())
        answers = [sender.store(make_radiograph(phantom(600, 600))) for _ in range(2)]
        sender.send(data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())))
        assert sender.answer().Status == 0x0000
        sender.release()

    assert [(a.Status, a.ErrorComment) for a in answers] == [(0xA700, IntakeReason.OUT_OF_RESOURCES.comment)] * 2
    assert listening.stored_uids() == set()
    assert listening.spool_files() == []


def test_a_disk_that_fills_up_inside_a_data_set_is_answered(listening: Listening) -> None:
    large = make_radiograph(np.zeros((2000, 2000), dtype=np.uint16))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    with listening.call() as sender:
        sender.associate()
        resource.setrlimit(resource.RLIMIT_FSIZE, (4_000_000, before[1]))
        try:
            refused = sender.store(large)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        stored = sender.store(large)
        sender.release()

    assert (refused.Status, refused.ErrorComment) == (0xA700, IntakeReason.OUT_OF_RESOURCES.comment)
    assert stored.Status == 0x0000
    assert listening.spool_files() == []


def test_a_spool_that_cannot_be_written_is_answered(listening: Listening) -> None:
    folder = listening.parts.settings.spool_folder
    folder.rmdir()

    with listening.call() as sender:
        sender.associate()
        refused = sender.store(make_radiograph())
        folder.mkdir()
        stored = sender.store(make_radiograph())
        sender.release()

    assert (refused.Status, stored.Status) == (0xA700, 0x0000)


def test_an_operation_that_we_do_not_know_is_answered_so(listening: Listening) -> None:
    n_get = echo_command().replace(
        struct.pack("<HHLH", 0, 0x0100, 2, 0x0030), struct.pack("<HHLH", 0, 0x0100, 2, 0x0110)
    )

    answer = refused_then_stored(listening, data_pdu(pdv(CR_ID, COMMAND | LAST, n_get)))

    assert (answer.Status, answer.CommandField) == (0x0211, 0x8110)


# What breaks the protocol, and what an association that breaks off leaves

COMMAND_PDU, *DATA_PDUS = store_pdus(make_radiograph())
IN_MESSAGE = [COMMAND_PDU, data_pdu(pdv(CR_ID, 0, b"data"))]


@pytest.mark.parametrize(
    ("pdus", "reason"),
    [
        ([data_pdu(pdv(CR_ID, LAST, b"data"))], AbortReason.UNEXPECTED_PARAMETER),
        ([data_pdu(pdv(99, COMMAND | LAST, echo_command()))], AbortReason.INVALID_PARAMETER),
        ([data_pdu(pdv(CR_ID, COMMAND | LAST, b"no command"))], AbortReason.INVALID_PARAMETER),
        ([data_pdu(pdv(CR_ID, COMMAND, bytes(60_000)))] * 2, AbortReason.INVALID_PARAMETER),
        ([data_pdu(pdv(CR_ID, COMMAND, b"\0"), pdv(ECHO_ID, COMMAND, b"\0"))], AbortReason.INVALID_PARAMETER),
        ([*IN_MESSAGE, COMMAND_PDU], AbortReason.UNEXPECTED_PARAMETER),
        ([*IN_MESSAGE, data_pdu(pdv(CT_ID, 0, b"data"))], AbortReason.UNEXPECTED_PARAMETER),
        ([*IN_MESSAGE, RELEASE_RQ], AbortReason.UNEXPECTED_PDU),
        ([associate_rq()], AbortReason.UNEXPECTED_PDU),
        ([struct.pack(">BxL", 0x02, 4) + bytes(4)], AbortReason.UNEXPECTED_PDU),
        ([struct.pack(">BxL", 0x47, 4) + bytes(4)], AbortReason.UNRECOGNIZED_PDU),
        ([struct.pack(">BxL", 0x04, 0)], AbortReason.INVALID_PARAMETER),
        ([struct.pack(">BxL", 0x04, 262_145)], AbortReason.INVALID_PARAMETER),
        ([struct.pack(">BxL", 0x05, 5)], AbortReason.INVALID_PARAMETER),
        ([COMMAND_PDU, data_pdu(*[pdv(CR_ID, 0, b"x")] * 257)], AbortReason.INVALID_PARAMETER),
    ],
    ids=[
        "data without a command", "unknown context", "no command set", "endless command", "two contexts in a command",
        "command in a data set", "other context in a data set", "release in a message", "second request",
        "an acceptance", "unknown PDU", "empty P-DATA", "P-DATA too long", "release too long",
        "many values in a PDU",
    ],
)  # fmt: skip
def test_a_broken_rule_ends_the_association_with_its_reason(
    listening: Listening, pdus: list[bytes], reason: AbortReason
) -> None:
    with listening.call() as sender:
        sender.associate()
        sender.send(*pdus)
        assert sender.ends() == (7, bytes((0, 0, 2, reason)))

    assert listening.stored_uids() == set()
    wait_until("an empty spool", lambda: not listening.spool_files())
    with listening.call() as sender:
        sender.associate()
        sender.release()


def whole_exchange() -> tuple[bytes, int, Dataset]:
    """Return request and two instances; where the second begins; the first."""
    first, second = make_radiograph(phantom(16, 16)), make_radiograph(phantom(16, 16), seed=1)
    head = b"".join([associate_rq(), *store_pdus(first, piece=200)])
    return head + b"".join(store_pdus(second, piece=200)), len(head), first


EXCHANGE, SECOND, FIRST = whole_exchange()


@pytest.mark.parametrize("how", ["abort", "close", "reset"])
@pytest.mark.parametrize("part", [0.0, 0.04, 0.2, 0.5, 0.9, 0.999])
def test_a_break_keeps_what_was_answered_and_leaves_no_spool_file(listening: Listening, how: str, part: float) -> None:
    cut = SECOND + int(part * (len(EXCHANGE) - SECOND))
    if how == "abort":
        cut = min(cut, len(EXCHANGE) - len(ABORT) - 1)  # or its bytes would complete the data set

    with listening.call() as sender:
        sender.send(EXCHANGE[:SECOND])
        assert sender.pdu()[0] == 2
        assert sender.answer().Status == 0x0000
        sender.send(EXCHANGE[SECOND:cut])
        _break(sender, how)

    wait_until("an empty spool", lambda: not listening.spool_files())
    assert listening.stored_uids() == {FIRST.SOPInstanceUID}
    with listening.call() as sender:
        sender.associate()
        sender.release()


def _break(sender: RawSender, how: str) -> None:
    if how == "abort":
        sender.send(ABORT)
    if how == "reset":
        sender.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sender.socket.close()


def test_an_instance_that_did_not_come_whole_is_noted_for_the_operator(listening: Listening) -> None:
    with listening.call() as sender:
        sender.associate()
        sender.send(*IN_MESSAGE, ABORT)
        assert sender.pdu()[0] == 0

    [problem] = wait_until("the problem row", listening.problems)
    assert (problem.kind, problem.reason, problem.sender) == ("aborted", "aborted", "TESTER")
    assert problem.site_id == listening.parts.site_id
    assert problem.detail == "the sender aborted the association, after 4 bytes of an image; send it again"


def test_an_acknowledged_instance_stays_when_its_sender_never_reads_the_answer(listening: Listening) -> None:
    dataset = make_radiograph()

    with listening.call() as sender:
        sender.associate()
        sender.send(*store_pdus(dataset))

    wait_until("the instance", lambda: listening.stored_uids() == {dataset.SOPInstanceUID})
    assert listening.spool_files() == []


def test_implicit_little_endian_is_stored_as_sent(listening: Listening) -> None:
    dataset = make_radiograph()
    dataset.file_meta.TransferSyntaxUID = IMPLICIT

    with listening.call() as sender:
        contexts = accepted(sender.associate([(CR, [IMPLICIT])]))
        assert contexts == {1: (0, IMPLICIT)}
        assert sender.store(dataset, 1).Status == 0x0000
        sender.release()

    assert dcmread(stored_file(listening, dataset)).file_meta.TransferSyntaxUID == IMPLICIT


def test_a_study_does_not_settle_while_its_next_image_is_on_the_wire(open_listener: OpenListener) -> None:
    listening = open_listener(first_pdu_timeout_s=0.4)  # the listener looks four times as often
    first, second = make_radiograph(), make_radiograph(phantom(900, 900), seed=1)
    second.StudyInstanceUID = first.StudyInstanceUID
    pdus = store_pdus(second, piece=16_000)

    def due_at() -> float:
        with listening.parts.database.reading() as rx:
            return float(rx.execute(select(tables.study.c.settle_at)).scalar_one())

    with listening.call() as sender:
        sender.associate()
        sender.store(first)
        soon = time.time() + 1.0
        with listening.parts.database.transaction() as tx:
            tx.execute(update(tables.study).values(settle_at=soon, arriving_since=soon))
        threading.Event().wait(0.5)
        between = due_at()
        sender.send(*pdus[:-1])
        wait_until("the study is put off", lambda: due_at() > soon + 3.0)
        sender.send(pdus[-1])
        assert sender.answer().Status == 0x0000
        sender.release()

    assert between == soon  # an open association that sends nothing holds nothing up
