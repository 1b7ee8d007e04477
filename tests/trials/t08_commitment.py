"""Trial 08: storage commitment for many images of which some are damaged or gone, told to a peer that refuses first."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom import AE, evt
from sqlalchemy import select

from service import tables
from service.intake.commitments import PUSH_MODEL, PUSH_MODEL_INSTANCE, Commitments, Reason
from tests.factories import Parts, dataset_bytes, make_ct_slice
from tests.service.intake.dimse.conftest import listening_on
from tests.trials.trial import Counts, Trial

IMAGES, SPOILED = 500, 25
REFUSALS = 5
TOLD_S = 120.0


class Requester:
    """A peer that turns the first associations away, refuses a report, and then takes it."""

    def __init__(self) -> None:
        self.heard: list[tuple[int, Dataset]] = []
        self.calls = 0
        ae = AE("TESTER")
        ae.add_supported_context(PUSH_MODEL, scu_role=False, scp_role=True)
        handlers = [(evt.EVT_REQUESTED, self._requested), (evt.EVT_N_EVENT_REPORT, self._hear)]
        self._server = ae.start_server(("127.0.0.1", 0), block=False, evt_handlers=handlers)
        self.port = self._server.socket.getsockname()[1]

    def _requested(self, event: Any) -> None:
        self.calls += 1
        if self.calls < REFUSALS:
            event.assoc.acse.send_reject(2, 3, 2)
            event.assoc.kill()

    def _hear(self, event: Any) -> tuple[int, None]:
        if self.calls <= REFUSALS:
            return 0x0110, None
        self.heard.append((event.event_type, event.event_information))
        return 0x0000, None

    def close(self) -> None:
        self._server.shutdown()


def store(parts: Parts, count: int) -> list[str]:
    """Store slices through the intake and return their UIDs."""
    dataset = make_ct_slice(rows=16)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    waiting = []
    for number in range(count):
        dataset.SOPInstanceUID, dataset.InstanceNumber = generate_uid(), number
        spooled = parts.intake.open(parts.sender(), transfer_syntax_uid=syntax)
        spooled.write(dataset_bytes(dataset))
        waiting.append((str(dataset.SOPInstanceUID), spooled))

    async def keep() -> None:
        kept = (parts.intake.keep(each, sop_class_uid=None, sop_instance_uid=None) for _, each in waiting)
        assert all(outcome.is_kept for outcome in await asyncio.gather(*kept))

    asyncio.run(keep())
    return [uid for uid, _ in waiting]


def spoil(parts: Parts, chance: random.Random) -> dict[str, int]:
    """Flip a bit in, cut short, or remove stored files; return which instances that are, by what must be told."""
    i = tables.instance.c
    with parts.database.reading() as rx:
        rows = list(rx.execute(select(i.sop_instance_uid, i.content_sha256).order_by(i.id)))
    told = {}
    for row in chance.sample(rows, SPOILED):
        path = parts.archive.path(parts.site_id, row.content_sha256)
        reason = Reason.PROCESSING_FAILURE
        match chance.randrange(3):
            case 0:
                path.unlink()
                reason = Reason.NO_SUCH_INSTANCE
            case 1:
                path.write_bytes(path.read_bytes()[: -chance.randrange(1, 200)])
            case _:
                data = bytearray(path.read_bytes())
                data[chance.randrange(700, len(data))] ^= 1 << chance.randrange(8)
                path.write_bytes(data)
        told[row.sop_instance_uid] = int(reason)
    return told


def ask(port: int, references: list[tuple[str, str]]) -> int:
    """Ask for commitment; return the status."""
    told = Dataset()
    told.TransactionUID = generate_uid()
    told.ReferencedSOPSequence = []
    for sop_class, sop_instance in references:
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
        told.ReferencedSOPSequence.append(item)
    ae = AE("TESTER")
    ae.add_requested_context(PUSH_MODEL)
    association = ae.associate("127.0.0.1", port, ae_title="PANDOK")
    answer, _ = association.send_n_action(told, 1, PUSH_MODEL, PUSH_MODEL_INSTANCE)
    association.release()
    return int(answer.Status)


def run(seed: int, folder: Path) -> Counts:
    """Ask for five hundred images of which some are spoiled; the worker that answers is begun anew each second."""
    chance = random.Random(f"08/{seed}")
    with closing(Requester()) as requester, listening_on(folder) as listening:
        parts = listening.parts
        listening.change_peer("TESTER", answer_host="127.0.0.1", answer_port=requester.port)
        uids = store(parts, IMAGES)
        spoiled = spoil(parts, chance)
        never = {generate_uid(): int(Reason.NO_SUCH_INSTANCE) for _ in range(5)}
        sop_class = str(make_ct_slice(rows=8).SOPClassUID)
        status = ask(listening.port, [(sop_class, uid) for uid in [*uids, *never]])
        _answer(parts, requester)
        good, bad = told(requester)
        wanted = {**spoiled, **never}
        return {
            "asked": len(uids) + len(never),
            "images": len(uids),
            "request_refused": status != 0x0000,
            "reports_beyond_one": len(requester.heard) - 1,
            "calls_refused": requester.calls - 1,
            "told_twice": sum(count - 1 for count in (Counter(good) + Counter(uid for uid, _ in bad)).values()),
            "wrongly_committed": len(set(good) & wanted.keys()),
            "wrongly_failed": len({uid for uid, _ in bad} - wanted.keys()),
            "wrong_reason": sum(wanted.get(uid) != reason for uid, reason in bad),
            "not_told": len({*uids, *never} - set(good) - {uid for uid, _ in bad}),
            "committed": len(good),
            "failed": len(bad),
        }


def _answer(parts: Parts, requester: Requester) -> None:
    """Let workers answer, each for a second only, until the peer has heard."""
    settings = parts.settings.model_copy(update={"answer_retry_s": 0.2})
    deadline = time.monotonic() + TOLD_S
    while not requester.heard and time.monotonic() < deadline:
        stop = threading.Event()
        worker = threading.Thread(
            target=Commitments(settings, parts.database, parts.archive, time.time).go, args=(stop,)
        )
        worker.start()
        stop.wait(1.0)
        stop.set()
        worker.join()


def told(requester: Requester) -> tuple[list[str], list[tuple[str, int]]]:
    """Return what every report said: committed UIDs, failed ones with their reasons."""
    good, bad = [], []
    for _, report in requester.heard:
        good += [str(item.ReferencedSOPInstanceUID) for item in report.get("ReferencedSOPSequence", [])]
        bad += [
            (str(item.ReferencedSOPInstanceUID), int(item.FailureReason))
            for item in report.get("FailedSOPSequence", [])
        ]
    return good, bad


TRIAL = Trial(
    "08",
    "storage commitment with damaged and missing files, told to a peer that refuses five times",
    run,
    "images",
    2_000,
    ("request_refused", "reports_beyond_one", "told_twice", "wrongly_committed", "wrongly_failed", "wrong_reason",
     "not_told"),
    at_least={"calls_refused": REFUSALS},
)  # fmt: skip
