"""Storage commitment: what is asked is written down, looked at on the disk, and told until the peer has heard it."""

from __future__ import annotations

import gc
import json
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from pynetdicom.dsutils import encode
from pynetdicom.sop_class import CTImageStorage, Verification
from sqlalchemy import select

from service import tables
from service.archive import Archive
from service.intake.commitments import ASKER_S, GIVE_UP_AFTER_S, PUSH_MODEL, PUSH_MODEL_INSTANCE, Commitments, Reason
from tests.driver import free_port, wait_until
from tests.factories import Clock, make_ct_slice, part10
from tests.service.intake.dimse.conftest import Listening, OpenListener
from tests.service.intake.dimse.sender import COMMAND, IMPLICIT, LAST, action_command, data_pdu, pdv

# pynetdicom leaves the socket of a refused call to the garbage collector
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

OUR_LIST, FAILED_LIST = "ReferencedSOPSequence", "FailedSOPSequence"


class Requester:
    """A modality: asks over one association and hears the answer at its own port."""

    def __init__(self) -> None:
        self.heard: queue.Queue[tuple[int, Dataset]] = queue.Queue()
        self.status = 0x0000
        ae = AE("TESTER")
        ae.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        self._server = ae.start_server(
            ("127.0.0.1", 0), block=False, evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._hear)]
        )
        self.port = self._server.socket.getsockname()[1]

    def _hear(self, event: Any) -> tuple[int, None]:
        if self.status == 0x0000:
            self.heard.put((event.event_type, event.event_information))
        return self.status, None

    def close(self) -> None:
        self._server.shutdown()
        wait_until("pynetdicom's threads end", lambda: not any(map(_is_pynetdicoms, threading.enumerate())))
        gc.collect()  # what pynetdicom leaves open is found now, in the test whose it is


def _is_pynetdicoms(thread: threading.Thread) -> bool:
    return type(thread).__module__.startswith("pynetdicom")


@pytest.fixture
def requester() -> Iterator[Requester]:
    with closing(Requester()) as requester:
        yield requester


@pytest.fixture
def asked_at(open_listener: OpenListener, requester: Requester) -> Listening:
    listening = open_listener()
    listening.change_peer("TESTER", answer_host="127.0.0.1", answer_port=requester.port)
    return listening


def information(references: list[tuple[str, str]], transaction_uid: str | None = None) -> Dataset:
    dataset = Dataset()
    dataset.TransactionUID = transaction_uid or generate_uid()
    dataset.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        dataset.ReferencedSOPSequence.append(item)
    return dataset


def ask(listening: Listening, told: Dataset, *, action: int = 1, instance: str = PUSH_MODEL_INSTANCE) -> int:
    ae = AE("TESTER")
    ae.add_requested_context(PUSH_MODEL)
    association = ae.associate("127.0.0.1", listening.port, ae_title="PANDOK")
    assert association.is_established
    answer, _ = association.send_n_action(told, action, PUSH_MODEL, instance)
    association.release()
    wait_until("its association is over for the service too", lambda: all(row.last_error for row in rows(listening)))
    return int(answer.Status)


def commitments(listening: Listening, clock: Callable[[], float] = time.time, **settings: Any) -> Commitments:
    parts = listening.parts
    changed = parts.settings.model_copy(update={"answer_retry_s": 0.0, **settings})
    return Commitments(changed, parts.database, parts.archive, clock)


def rows(listening: Listening) -> list[Any]:
    with listening.parts.database.reading() as rx:
        return list(rx.execute(select(tables.commitment).order_by(tables.commitment.c.id)))


def references(datasets: list[Dataset]) -> list[tuple[str, str]]:
    return [(str(dataset.SOPClassUID), str(dataset.SOPInstanceUID)) for dataset in datasets]


def told_uids(told: Dataset, which: str) -> set[str]:
    return {item.ReferencedSOPInstanceUID for item in told.get(which, [])}


def test_what_is_stored_is_committed(asked_at: Listening, requester: Requester) -> None:
    sent = [make_ct_slice(seed=seed) for seed in range(3)]
    for dataset in sent:
        asked_at.parts.send(dataset)
    told = information(references(sent))

    status = ask(asked_at, told)
    commitments(asked_at).answer_one()

    event, heard = requester.heard.get(timeout=10)
    assert (status, event, heard.TransactionUID) == (0x0000, 1, told.TransactionUID)
    assert told_uids(heard, OUR_LIST) == {dataset.SOPInstanceUID for dataset in sent}
    assert FAILED_LIST not in heard
    assert [row.state for row in rows(asked_at)] == ["answered"]


@pytest.mark.parametrize("answer", [0x0000, 0x0110], ids=["takes it", "refuses it"])
def test_one_that_waits_on_its_association_is_told_there(
    asked_at: Listening, requester: Requester, answer: int
) -> None:
    dataset = make_ct_slice()
    asked_at.parts.send(dataset)
    told = information(references([dataset]))
    heard: queue.Queue[tuple[int, Dataset]] = queue.Queue()

    def hear(event: Any) -> tuple[int, None]:
        heard.put((event.event_type, event.event_information))
        return answer, None

    ae = AE("TESTER")
    ae.add_requested_context(PUSH_MODEL)
    association = ae.associate(
        "127.0.0.1", asked_at.port, ae_title="PANDOK", evt_handlers=[(evt.EVT_N_EVENT_REPORT, hear)]
    )
    association.send_n_action(told, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    while commitments(asked_at).answer_one():
        continue
    assert requester.heard.empty()
    event, information_heard = heard.get(timeout=20)
    wait_until("its answer is noted", lambda: rows(asked_at)[0].state == "answered" or rows(asked_at)[0].last_error)
    association.release()
    while commitments(asked_at).answer_one():
        continue

    assert (event, information_heard.TransactionUID) == (1, told.TransactionUID)
    assert told_uids(information_heard, OUR_LIST) == {dataset.SOPInstanceUID}
    assert requester.heard.qsize() == (0 if answer == 0x0000 else 1)
    assert [row.state for row in rows(asked_at)] == ["answered"]


def test_one_that_goes_on_sending_is_told_over_another_association(asked_at: Listening, requester: Requester) -> None:
    dataset, clock = make_ct_slice(), Clock(time.time())
    asked_at.parts.send(dataset)
    ae = AE("TESTER")
    ae.add_requested_context(PUSH_MODEL)
    ae.add_requested_context(Verification)
    association = ae.associate("127.0.0.1", asked_at.port, ae_title="PANDOK")
    association.send_n_action(information(references([dataset])), 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    clock.now = time.time()
    assert commitments(asked_at, clock).answer_one()
    until = time.monotonic() + 3
    while time.monotonic() < until:
        assert association.send_c_echo().Status == 0x0000
        time.sleep(0.1)
    clock.advance(ASKER_S + 1)
    assert commitments(asked_at, clock).answer_one()
    association.release()

    assert requester.heard.qsize() == 1
    assert [row.state for row in rows(asked_at)] == ["answered"]


def test_each_reference_stands_in_one_list_with_its_own_reason(asked_at: Listening, requester: Requester) -> None:
    good, damaged, missing, other_class = (make_ct_slice(seed=seed) for seed in range(4))
    for dataset in (good, damaged, missing, other_class):
        asked_at.parts.send(dataset)
    path_of(asked_at, damaged).write_bytes(path_of(asked_at, damaged).read_bytes()[:-1] + b"?")
    path_of(asked_at, missing).unlink()
    never, odd = generate_uid(), generate_uid()
    asked = [
        *references([good, damaged, missing]),
        ("1.2.840.10008.5.1.4.1.1.4", str(other_class.SOPInstanceUID)),
        (str(CTImageStorage), never),
        ("1.2.840.10008.1.1", odd),
        *references([good]),  # twice: still told once
    ]

    ask(asked_at, information(asked))
    commitments(asked_at).answer_one()

    event, heard = requester.heard.get(timeout=10)
    assert event == 2
    assert [item.ReferencedSOPInstanceUID for item in heard.ReferencedSOPSequence] == [good.SOPInstanceUID]
    assert {item.ReferencedSOPInstanceUID: item.FailureReason for item in heard.FailedSOPSequence} == {
        damaged.SOPInstanceUID: Reason.PROCESSING_FAILURE,
        missing.SOPInstanceUID: Reason.NO_SUCH_INSTANCE,
        other_class.SOPInstanceUID: Reason.CLASS_INSTANCE_CONFLICT,
        never: Reason.NO_SUCH_INSTANCE,
        odd: Reason.CLASS_NOT_SUPPORTED,
    }
    assert {p.sop_instance_uid for p in asked_at.problems() if p.kind == "damaged"} == {
        damaged.SOPInstanceUID,
        missing.SOPInstanceUID,
    }


def path_of(listening: Listening, dataset: Dataset) -> Path:
    with listening.parts.database.reading() as rx:
        i = tables.instance.c
        sha = rx.execute(select(i.content_sha256).where(i.sop_instance_uid == dataset.SOPInstanceUID)).scalar_one()
    return Archive(listening.parts.settings.archive_folder).path(listening.parts.site_id, sha)


def test_a_peer_that_refuses_is_told_again_and_once(asked_at: Listening, requester: Requester) -> None:
    dataset = make_ct_slice()
    asked_at.parts.send(dataset)
    ask(asked_at, information(references([dataset])))
    answering = commitments(asked_at)

    requester.status = 0x0110
    for _ in range(3):
        assert answering.answer_one()
    refused = rows(asked_at)
    requester.status = 0x0000
    while answering.answer_one():
        continue

    assert [(row.state, row.attempts, row.last_error) for row in refused] == [
        ("checked", 3, "the peer answered 0x0110")
    ]
    assert requester.heard.qsize() == 1
    assert [(row.state, row.attempts) for row in rows(asked_at)] == [("answered", 4)]


def test_the_wait_grows_and_after_a_day_the_operator_is_told_instead(asked_at: Listening, requester: Requester) -> None:
    clock = Clock(time.time() + 1.0)
    asked_at.change_peer("TESTER", answer_port=free_port())
    ask(asked_at, information([(str(CTImageStorage), generate_uid())]))
    answering = commitments(asked_at, clock, answer_retry_s=30.0)
    began, waits = clock(), []

    while (row := rows(asked_at)[0]).next_try_at is not None:
        if len(waits) == 10:
            clock.advance(GIVE_UP_AFTER_S)
        clock.now = max(clock.now, row.next_try_at)
        assert answering.answer_one()
        following = rows(asked_at)[0].next_try_at
        waits.append(following - clock() if following else None)

    limits = [min(30.0 * 2**number, 3_600.0) for number in range(len(waits))]
    assert all(wait is None or wait <= limit for wait, limit in zip(waits, limits, strict=True))
    assert rows(asked_at)[0].state == "given_up"
    assert clock() - began > GIVE_UP_AFTER_S
    [problem] = [p for p in asked_at.problems() if p.kind == "dead_letter"]
    assert (problem.sender, problem.reason) == ("TESTER", "commitment_not_told")


def test_another_worker_does_not_take_what_is_in_hand(asked_at: Listening, requester: Requester) -> None:
    ask(asked_at, information([(str(CTImageStorage), generate_uid())]))
    first, second = commitments(asked_at), commitments(asked_at)

    assert first.answer_one()
    assert not second.answer_one()
    assert requester.heard.qsize() == 1


def test_the_same_request_again_is_answered_once_and_another_under_its_uid_fails(
    asked_at: Listening, requester: Requester
) -> None:
    dataset = make_ct_slice()
    asked_at.parts.send(dataset)
    told = information(references([dataset]))
    other = information([(str(CTImageStorage), generate_uid())], transaction_uid=told.TransactionUID)

    assert [ask(asked_at, one) for one in (told, told, other)] == [0x0000] * 3
    while commitments(asked_at).answer_one():
        continue

    answers = [requester.heard.get_nowait() for _ in range(requester.heard.qsize())]
    assert [event for event, _ in answers] == [1, 2]
    assert [item.FailureReason for item in answers[1][1].FailedSOPSequence] == [Reason.DUPLICATE_TRANSACTION]


@pytest.mark.parametrize(
    ("action", "instance", "status"),
    [(2, PUSH_MODEL_INSTANCE, 0x0123), (1, "1.2.3", 0x0112)],
    ids=["another action", "another instance"],
)
def test_what_cannot_be_asked_is_refused(asked_at: Listening, action: int, instance: str, status: int) -> None:
    told = information([(str(CTImageStorage), generate_uid())])

    assert ask(asked_at, told, action=action, instance=instance) == status
    assert rows(asked_at) == []


@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.parametrize("spoil", ["no references", "bad uid", "no transaction"])
def test_action_information_that_makes_no_sense_is_refused(asked_at: Listening, spoil: str) -> None:
    told = information([(str(CTImageStorage), generate_uid())])
    if spoil == "no references":
        told.ReferencedSOPSequence = []
    elif spoil == "bad uid":
        told.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.x"
    else:
        del told.TransactionUID

    assert ask(asked_at, told) == 0x0115
    assert rows(asked_at) == []


def test_what_hides_behind_pixels_in_action_information_is_not_read(asked_at: Listening) -> None:
    # A library that read on would go down by recursion, or take seconds and hundreds of megabytes for empty items.
    told = encode(information([(str(CTImageStorage), generate_uid())]), True, True)
    pixels = struct.pack("<HHLH", 0x7FE0, 0x0010, 2, 0)
    nested = struct.pack("<HHLHHL", 0x0008, 0x1115, 0xFFFFFFFF, 0xFFFE, 0xE000, 0xFFFFFFFF) * 3_000
    with asked_at.call() as sender:
        sender.associate([(PUSH_MODEL, (IMPLICIT,))])
        sender.send(data_pdu(pdv(1, COMMAND | LAST, action_command())), data_pdu(pdv(1, LAST, told + pixels + nested)))
        answer = sender.answer()

    assert answer.Status == 0x0000
    assert [len(row.asked) for row in rows(asked_at)] == [1]


def test_more_references_than_a_study_may_have_are_refused(open_listener: OpenListener) -> None:
    listening = open_listener(max_instances_per_study=3)
    listening.change_peer("TESTER", answer_host="127.0.0.1", answer_port=1)

    assert ask(listening, information([(str(CTImageStorage), generate_uid()) for _ in range(4)])) == 0x0213


def test_commitment_is_not_offered_to_a_peer_that_hears_nothing(listening: Listening) -> None:
    ae = AE("TESTER")
    ae.add_requested_context(PUSH_MODEL)
    association = ae.associate("127.0.0.1", listening.port, ae_title="PANDOK")

    assert not association.is_established


def test_a_request_of_one_site_says_nothing_of_another_ones_images(asked_at: Listening, requester: Requester) -> None:
    from service.intake.outcomes import Door, Sender
    from tests.factories import add_site, dataset_bytes, keep

    dataset = make_ct_slice()
    parts = asked_at.parts
    elsewhere = Sender(add_site(parts.database, "elsewhere"), Door.DIMSE, "OTHER")
    spooled = parts.intake.open(elsewhere, transfer_syntax_uid=str(dataset.file_meta.TransferSyntaxUID))
    spooled.write(dataset_bytes(dataset))
    keep(parts.intake, spooled, sop_class_uid=dataset.SOPClassUID, sop_instance_uid=dataset.SOPInstanceUID)

    ask(asked_at, information(references([dataset])))
    commitments(asked_at).answer_one()

    _, heard = requester.heard.get(timeout=10)
    assert [item.FailureReason for item in heard.FailedSOPSequence] == [Reason.NO_SUCH_INSTANCE]


@pytest.mark.peers
def test_orthanc_asks_and_hears(
    open_listener: OpenListener, orthanc: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    listening = open_listener()
    dicom, http = free_port(), free_port()
    configuration = {
        "Name": "TESTER", "DicomAet": "TESTER", "DicomPort": dicom, "HttpPort": http, "RemoteAccessAllowed": False,
        "StorageDirectory": str(tmp_path / "store"), "IndexDirectory": str(tmp_path / "store"),
        "DicomModalities": {"pandok": ["PANDOK", "127.0.0.1", listening.port]},
        "DicomCheckModalityHost": False, "DicomAlwaysAllowStore": True, "AuthenticationEnabled": False,
    }  # fmt: skip
    (tmp_path / "orthanc.json").write_text(json.dumps(configuration))
    listening.change_peer("TESTER", answer_host="127.0.0.1", answer_port=dicom)
    process = subprocess.Popen(orthanc(tmp_path / "orthanc.json"), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    client = httpx.Client(base_url=f"http://127.0.0.1:{http}", timeout=30)
    try:
        wait_until("Orthanc answers", lambda: _answers(http), timeout_s=30)
        stored = make_ct_slice()
        identity = client.post("/instances", content=part10(stored)).json()["ID"]
        client.post("/modalities/pandok/store", content=identity).raise_for_status()
        asked = {"DicomInstances": [list(pair) for pair in (*references([stored]), (str(CTImageStorage), "1.2.3"))]}
        transaction = client.post("/modalities/pandok/storage-commitment", json=asked).json()

        wait_until("the request", lambda: rows(listening), timeout_s=20)
        commitments(listening).answer_one()
        outcome = wait_until("the report", lambda: _report(client, transaction["Path"]), timeout_s=20)
    finally:
        client.close()
        process.terminate()
        process.wait(20)

    assert [row.state for row in rows(listening)] == ["answered"]
    assert outcome["Status"] == "Failure"
    assert [one["SOPInstanceUID"] for one in outcome["Success"]] == [stored.SOPInstanceUID]
    assert [one["SOPInstanceUID"] for one in outcome["Failures"]] == ["1.2.3"]


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        time.sleep(0.1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _report(client: httpx.Client, path: str) -> dict[str, Any] | None:
    found = client.get(path).json()
    return found if found["Status"] != "Pending" else None
