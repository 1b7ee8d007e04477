"""Trial 15: broken PDUs and messages, and an association that is cut at every byte."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydicom import Dataset
from pydicom.uid import generate_uid
from pynetdicom.dsutils import decode, encode

from tests.factories import make_ct_slice
from tests.service.intake.dimse.sender import (
    COMMAND,
    CR,
    CT,
    ECHO_ID,
    EXPLICIT,
    IMPLICIT,
    LAST,
    PUSH_MODEL,
    RELEASE_RQ,
    VERIFICATION,
    action_command,
    associate_rq,
    data_pdu,
    echo_command,
    pdv,
    store_pdus,
)  # fmt: skip
from tests.trials.attacked import MIB, Attacked, attacked, can_echo
from tests.trials.trial import Counts, Trial

EXCHANGES = 1_000
"""A seed's: seven tenths mutants, the rest one association cut at bytes that no other seed cuts at."""
CUTS = 300
POOL = 16
AT_ONCE = 32
ADDRESSES = [f"127.0.1.{number}" for number in range(1, 33)]
"""More than one: a single one may have 16 connections."""
END_S = 15.0
CONTEXTS = ((VERIFICATION, (IMPLICIT,)), (CR, (EXPLICIT, IMPLICIT)), (CT, (EXPLICIT,)), (PUSH_MODEL, (IMPLICIT,)))
CT_ID, COMMITMENT_ID = 5, 7
NASTY = (0, 1, 2, 4, 0x7F, 0x80, 0xFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


@dataclass
class Seen:
    """What the exchanges came to."""

    exchanges: int = 0
    unended: int = 0
    acknowledged: set[str] = field(default_factory=set)


def association(sent: list[Dataset], *, piece: int) -> list[bytes]:
    """Return the PDUs of a valid association: an echo, the images, a request for their commitment, the release."""
    pdus = [associate_rq(CONTEXTS), data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command()))]
    for number, dataset in enumerate(sent):
        pdus += store_pdus(dataset, CT_ID, piece=piece, message_id=number + 1)
    return [*pdus, *commit_pdus(sent, piece=piece), RELEASE_RQ]


def commit_pdus(sent: list[Dataset], *, piece: int) -> list[bytes]:
    """Return the question whether images are kept for good."""
    asked = Dataset()
    asked.TransactionUID = generate_uid(entropy_srcs=["commitment", *(dataset.SOPInstanceUID for dataset in sent)])
    asked.ReferencedSOPSequence = [_reference(dataset) for dataset in sent]
    data = encode(asked, True, True)
    assert data is not None
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    values = [pdv(COMMITMENT_ID, LAST if data is pieces[-1] else 0, data) for data in pieces]
    command = data_pdu(pdv(COMMITMENT_ID, COMMAND | LAST, action_command(len(sent) + 1)))
    return [command, *(data_pdu(value) for value in values)]


def _reference(dataset: Dataset) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = dataset.SOPClassUID, dataset.SOPInstanceUID
    return item


def images(chance: random.Random, count: int) -> list[Dataset]:
    """Return small slices whose UIDs follow from the seed."""
    made = []
    for number in range(count):
        dataset = make_ct_slice(rows=8, seed=number)
        for keyword in ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"):
            setattr(dataset, keyword, generate_uid(entropy_srcs=[keyword, str(chance.random())]))
        made.append(dataset)
    return made


def pool(chance: random.Random) -> list[list[bytes]]:
    """Return valid associations, to be spoiled: making them costs more than sending them."""
    pieces = (64, 700, 16_000, 16_000)
    return [association(images(chance, 1 + number % 3), piece=pieces[number % 4]) for number in range(POOL)]


def mutant(chance: random.Random, valid: Sequence[list[bytes]]) -> bytes:
    """Return the bytes of an association with one to six faults in it."""
    pdus = list(chance.choice(valid))
    for _ in range(chance.randint(1, 6)):
        at = chance.randrange(len(pdus))
        match chance.randrange(8):
            case 0:
                pdus[at] = _with_byte(pdus[at], chance)
            case 1:  # a length, of a PDU or of what is in it
                where = chance.choice((2, 6, 12)) if len(pdus[at]) > 20 else 2
                pdus[at] = _with(pdus[at], where, struct.pack(">L", chance.choice(NASTY)))
            case 2:
                pdus[at] = pdus[at][: chance.randrange(len(pdus[at]) + 1)]
            case 3:
                pdus.insert(at, pdus[chance.randrange(len(pdus))])
            case 4:
                del pdus[at]
            case 5:
                pdus[at] = bytes((chance.randrange(256),)) + pdus[at][1:]
            case 6:
                pdus.insert(at, chance.randbytes(chance.randrange(1, 400)))
            case _:  # a length inside a command set or an item, little or big endian
                if len(pdus[at]) > 24:
                    value = struct.pack(chance.choice("<>") + "L", chance.choice(NASTY))
                    pdus[at] = _with(pdus[at], chance.randrange(10, len(pdus[at]) - 4), value)
        if not pdus:
            pdus = [chance.randbytes(chance.randrange(1, 100))]
    return b"".join(pdus)


def _with(data: bytes, at: int, value: bytes) -> bytes:
    return data[:at] + value + data[at + len(value) :]


def _with_byte(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data)) if data else 0
    return _with(data, at, bytes((chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256))),)))


def cuts(seed: int, total: int) -> Iterator[int]:
    """Yield this seed's places; the seeds together cut at every byte, again and again."""
    for number in range(CUTS):
        yield (seed * CUTS + number) % total


async def exchange(port: int, data: bytes, seen: Seen, *, address: str, reset: bool) -> None:
    """Send the bytes, then end: by closing our half and reading to the end, or by a reset."""
    seen.exchanges += 1
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
        try:
            async with asyncio.timeout(END_S):
                with contextlib.suppress(OSError):
                    writer.write(data)
                    await writer.drain()
                    if reset:
                        linger = struct.pack("ii", 1, 0)
                        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
                        writer.transport.abort()
                        return
                    answers = await reader.read(4_096)
                    while piece := await reader.read(65_536):
                        answers += piece
                    seen.acknowledged |= acknowledged(answers)
        except TimeoutError:
            seen.unended += 1
        finally:
            writer.transport.abort()


def acknowledged(answers: bytes) -> set[str]:
    """Return the SOP Instance UIDs that were answered with success."""
    found, offset = set(), 0
    while offset + 12 <= len(answers):
        kind, length = struct.unpack_from(">BxL", answers, offset)
        if kind == 4 and answers[offset + 11] & COMMAND:
            with contextlib.suppress(Exception):
                command = decode(io.BytesIO(answers[offset + 12 : offset + 6 + length]), True, True)
                if command.get("CommandField") == 0x8001 and command.get("Status") == 0x0000:
                    found.add(str(command.AffectedSOPInstanceUID))
        offset += 6 + length
    return found


async def _attack(port: int, seed: int, seen: Seen) -> None:
    chance = random.Random(f"15/{seed}")
    whole = b"".join(association(images(random.Random("15/whole"), 3), piece=16_000))
    valid = pool(chance)
    work = [(mutant(chance, valid), chance.random() < 0.3) for _ in range(EXCHANGES - CUTS)]
    work += [(whole[:place], number % 2 == 0) for number, place in enumerate(cuts(seed, len(whole)))]
    await _exchange_all(port, work, seen)


async def _exchange_all(port: int, work: Sequence[tuple[bytes, bool]], seen: Seen) -> None:
    seats = asyncio.Semaphore(AT_ONCE)

    async def one(number: int, data: bytes, reset: bool) -> None:
        async with seats:
            await exchange(port, data, seen, address=ADDRESSES[number % len(ADDRESSES)], reset=reset)

    async with asyncio.TaskGroup() as group:
        for number, (data, reset) in enumerate(work):
            group.create_task(one(number, data, reset))


def _warm(listener: Attacked) -> None:
    """Let caches, threads and allocators take what they keep, by valid associations."""
    seen = Seen()
    work = [(b"".join(pdus), False) for pdus in pool(random.Random("15/warm"))] * 6
    asyncio.run(_exchange_all(listener.port, work, seen))
    assert len(seen.acknowledged) >= POOL, "the listener does not take valid images"
    assert len(listener.asked_to_commit()) >= POOL, "the listener does not take valid requests for commitment"


def run(seed: int, folder: Path) -> Counts:
    """Send a thousand broken associations and look at what is left."""
    settings = {"max_associations_per_peer": 64, "association_idle_timeout_s": 3.0}
    with attacked(folder, settings, {"TESTER": {"answer_host": "127.0.0.1", "answer_port": 9}}) as listener:
        _warm(listener)
        listener.settle(listener.ask(), timeout_s=1.0)
        base, seen = listener.ask(), Seen()
        asyncio.run(_attack(listener.port, seed, seen))
        back_s = listener.settle(base, timeout_s=60.0) if listener.is_alive else 60.0
        after = listener.ask() if listener.is_alive else base
        stored = listener.stored()
        return {
            "exchanges": seen.exchanges,
            "acknowledged": len(seen.acknowledged),
            "asked_to_commit": len(listener.asked_to_commit()),
            "deaths": not listener.is_alive,
            "unended": seen.unended,
            "lost": len(seen.acknowledged - stored),
            "left_tasks": max(after["tasks"] - base["tasks"], 0),
            "left_sockets": max(after["sockets"] - base["sockets"], 0),
            "left_spool_files": after["spool"],
            "unexpected_errors": listener.log_count("association failed") + listener.log_count("commit failed"),
            "honest_refused": not can_echo(listener.port),
            "back_to_base_s_max": round(back_s, 1),
            "memory_growth_mib_max": round((after["resident_bytes"] - base["resident_bytes"]) / MIB, 1),
        }


TRIAL = Trial(
    "15",
    "broken PDUs and messages; an association cut at every byte",
    run,
    "exchanges",
    50_000,
    ("deaths", "unended", "lost", "left_tasks", "left_sockets", "left_spool_files", "unexpected_errors",
     "honest_refused"),
    at_most={"back_to_base_s_max": 60.0, "memory_growth_mib_max": 64.0},
    quick=(0, 1, 2),
)  # fmt: skip
