"""Turns: who sends crumbs gives way to the others, and who sends as senders do never waits."""

from __future__ import annotations

import asyncio

import pytest

from service.intake.dimse import turns
from service.intake.dimse.connection import Connection, End, Ended, Patience
from service.intake.dimse.pdus import AbortReason
from service.intake.dimse.turns import CRUMB_BYTES, CRUMBS_REST_S, TURN_VALUES
from service.intake.outcomes import IntakeReason
from service.intake.spool import Spooled
from tests.driver import wait_until
from tests.factories import dataset_bytes, make_radiograph, phantom
from tests.service.intake.dimse.conftest import Listening, OpenListener
from tests.service.intake.dimse.sender import COMMAND, CR, CR_ID, LAST, data_pdu, pdv, store_command

ABORT = 7


@pytest.fixture
def rests(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return what is noted whenever an association gives way."""
    noted: list[float] = []
    rest = Connection.rest

    async def noting(connection: Connection, seconds: float) -> None:
        noted.append(seconds)
        await rest(connection, seconds)

    monkeypatch.setattr(Connection, "rest", noting)
    return noted


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return what is noted whenever bytes go to the spool."""
    noted: list[int] = []
    write = Spooled.write

    def noting(spooled: Spooled, data: bytes | bytearray | memoryview) -> None:
        noted.append(len(data))
        write(spooled, data)

    monkeypatch.setattr(Spooled, "write", noting)
    return noted


def crumbs(data: bytes, *, values: int) -> list[bytes]:
    """Return PDUs with so many values of seven bytes each; the last value of all is empty."""
    pieces = [pdv(CR_ID, 0, data[start : start + 7]) for start in range(0, len(data), 7)]
    pieces.append(pdv(CR_ID, LAST, b""))
    return [data_pdu(*pieces[start : start + values]) for start in range(0, len(pieces), values)]


@pytest.mark.parametrize("values", [1, 256])
def test_crumbs_are_written_together_and_their_sender_waits(
    listening: Listening, rests: list[float], writes: list[int], values: int
) -> None:
    dataset = make_radiograph(phantom(60, 60))
    data = dataset_bytes(dataset)
    assert len(data) > 7_000

    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(pdv(CR_ID, COMMAND | LAST, store_command(CR, dataset.SOPInstanceUID))))
        sender.send(*crumbs(data, values=values))
        assert sender.answer().Status == 0x0000
        sender.release()

    assert sum(writes) == len(data)
    assert len(writes) <= 2
    sent = 1 + -(-len(data) // 7) + 1
    assert rests == [CRUMBS_REST_S] * (sent // TURN_VALUES)


def test_an_association_of_nothing_but_crumbs_is_ended(listening: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "MAX_CRUMB_TURNS", 3)

    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(pdv(CR_ID, COMMAND | LAST, store_command(CR, "1.2.3"))))
        sender.send(*crumbs(bytes(7_000), values=1))
        assert sender.ends() == (ABORT, bytes((0, 0, 2, AbortReason.NOT_SPECIFIED)))

    wait_until("an empty spool", lambda: not listening.spool_files())


def test_a_usual_sender_gives_way_and_never_waits(listening: Listening, rests: list[float], writes: list[int]) -> None:
    dataset = make_radiograph(phantom(600, 600))
    size_bytes = len(dataset_bytes(dataset))

    with listening.call() as sender:
        sender.associate()
        assert sender.store(dataset, piece=16_000).Status == 0x0000
        sender.release()

    assert set(rests) == {0.0}
    assert len(writes) == -(-size_bytes // 16_000)


def test_small_messages_are_no_crumbs(listening: Listening, rests: list[float]) -> None:
    small = [make_radiograph(phantom(8, 8), seed=seed) for seed in range(20)]

    with listening.call() as sender:
        sender.associate()
        for dataset in small:
            assert sender.store(dataset, piece=CRUMB_BYTES).Status == 0x0000
        sender.release()

    assert rests
    assert set(rests) == {0.0}


@pytest.mark.parametrize("too_many_bytes", [1, 3_000])
def test_a_limit_holds_for_gathered_crumbs(open_listener: OpenListener, too_many_bytes: int) -> None:
    dataset = make_radiograph(phantom(60, 60))
    data = dataset_bytes(dataset)
    listening = open_listener(max_dataset_bytes=len(data) - too_many_bytes)

    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(pdv(CR_ID, COMMAND | LAST, store_command(CR, dataset.SOPInstanceUID))))
        sender.send(*crumbs(data, values=200))
        answer = sender.answer()
        sender.release()

    assert (answer.Status, answer.ErrorComment) == (0xA700, IntakeReason.TOO_LARGE.comment)
    assert listening.spool_files() == []


@pytest.mark.parametrize(
    ("end", "seconds", "goes_on"),
    [(End.STOPPING, 0.0, False), (End.IDLE, 0.0, False), (End.CLOSED, 0.0, True), (End.CLOSED, 0.001, False)],
)
def test_a_rest_ends_with_the_association_and_a_wait_with_its_sender_too(
    end: End, seconds: float, goes_on: bool
) -> None:
    async def rest() -> End | None:
        connection = Connection("127.0.0.1", Patience(1.0, 1.0, 1.0, 1), buffer_bytes=64)
        connection.cut(end)
        try:
            await connection.rest(seconds)
        except Ended as ended:
            return End(str(ended))
        return None

    assert asyncio.run(rest()) is (None if goes_on else end)


def test_an_association_of_crumbs_ends_with_a_word_when_the_service_must_stop(open_listener: OpenListener) -> None:
    listening = open_listener(shutdown_s=0.2)
    data = dataset_bytes(make_radiograph(phantom(60, 60)))

    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(pdv(CR_ID, COMMAND | LAST, store_command(CR, "1.2.3"))))
        sender.send(*(30 * crumbs(data, values=1)[:-1]))
        wait_until("crumbs on their way", listening.spool_files)
        listening.begin_stop()
        listening.join()
        assert sender.ends()[0] == ABORT

    assert listening.spool_files() == []
