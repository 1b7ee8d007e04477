"""Strangers, silent and slow peers, caps and the orderly stop: none of them may cost another sender anything."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from service.intake.dimse.listener import run_listener
from tests.driver import wait_until
from tests.factories import make_radiograph, open_parts, phantom
from tests.service.intake.dimse.conftest import Listening, OpenListener
from tests.service.intake.dimse.sender import (
    COMMAND,
    ECHO_ID,
    LAST,
    RELEASE_RQ,
    RawSender,
    associate_rq,
    data_pdu,
    echo_command,
    pdv,
    store_pdus,
)

LOCAL_LIMIT, STOPPING = (3, bytes((0, 2, 3, 2))), (3, bytes((0, 2, 3, 1)))


def echo(listening: Listening) -> None:
    with listening.call() as sender:
        sender.associate()
        sender.send(data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())))
        assert sender.answer().Status == 0x0000
        sender.release()


@pytest.mark.parametrize(
    ("first", "answer"),
    [
        (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", (7, bytes((0, 0, 2, 1)))),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", (7, bytes((0, 0, 2, 1)))),
        (data_pdu(pdv(1, 3, echo_command())), (7, bytes((0, 0, 2, 2)))),
        (RELEASE_RQ, (7, bytes((0, 0, 2, 2)))),
        (struct.pack(">BxL", 1, 65_537), (7, bytes((0, 0, 2, 6)))),
        (struct.pack(">BxL", 1, 2**32 - 1), (7, bytes((0, 0, 2, 6)))),
        (struct.pack(">BxL", 1, 67) + bytes(67), (7, bytes((0, 0, 2, 6)))),
    ],
    ids=["HTTP", "TLS", "P-DATA", "release", "64 KiB + 1", "4 GiB", "too short"],
)
def test_a_first_pdu_that_is_no_request_ends_the_connection_at_once(
    listening: Listening, first: bytes, answer: tuple[int, bytes]
) -> None:
    with listening.call() as sender:
        sender.send(first)
        assert sender.ends() in (answer, (0, b""))  # what was not read resets the connection under our last word

    echo(listening)


def test_a_pdu_that_claims_4_gib_is_cut_off_without_the_memory_for_it(listening: Listening) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    zeros = bytes(1_000_000)
    with listening.call() as sender:
        sender.associate()
        sender.send(struct.pack(">BxL", 4, 2**32 - 1))
        pieces = _pieces_taken(sender, zeros, most=200)

    assert pieces < 50
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
    echo(listening)


def test_a_peer_that_never_asks_is_cut_off(open_listener: OpenListener) -> None:
    listening = open_listener(first_pdu_timeout_s=0.4)

    with listening.call() as silent, listening.call() as partial:
        partial.send(associate_rq()[:-1])
        started = time.monotonic()
        assert silent.ends()[0] in (0, 7)
        assert partial.ends()[0] in (0, 7)

    assert time.monotonic() - started < 3
    echo(listening)


def test_a_first_pdu_that_drips_is_late(open_listener: OpenListener) -> None:
    listening = open_listener(first_pdu_timeout_s=0.5, association_idle_timeout_s=10)

    with listening.call() as sender:
        assert _drips(sender, associate_rq(), every_s=0.05) < 60

    echo(listening)


def test_an_association_that_falls_silent_is_ended(open_listener: OpenListener) -> None:
    listening = open_listener(association_idle_timeout_s=0.4)

    with listening.call() as between, listening.call() as inside:
        between.associate()
        inside.associate()
        inside.send(*store_pdus(make_radiograph())[:-1])
        assert between.ends() == (7, bytes((0, 0, 2, 0)))
        assert inside.ends() == (7, bytes((0, 0, 2, 0)))

    [problem] = wait_until("the problem row", listening.problems)
    assert problem.detail.startswith("the sender fell silent, after ")
    assert listening.spool_files() == []


def test_a_message_that_drips_is_ended(open_listener: OpenListener) -> None:
    listening = open_listener(slow_rate_window_s=0.8, association_idle_timeout_s=10)
    command, *data = store_pdus(make_radiograph())

    with listening.call() as sender:
        sender.associate()
        sender.send(command)
        assert _drips(sender, b"".join(data), every_s=0.05) < 100

    [problem] = wait_until("the problem row", listening.problems)
    assert problem.detail.startswith("the sender was too slow, after ")
    assert listening.spool_files() == []


def test_a_slow_sender_above_the_rate_is_served(open_listener: OpenListener) -> None:
    listening = open_listener(slow_rate_window_s=0.4, slow_rate_bytes_per_s=2_000, association_idle_timeout_s=10)
    dataset = make_radiograph(phantom(80, 80))
    data = b"".join(store_pdus(dataset, piece=400))

    with listening.call() as sender:
        sender.associate()
        for start in range(0, len(data), 600):  # about 6,000 bytes a second
            sender.send(data[start : start + 600])
            threading.Event().wait(0.1)
        assert sender.answer().Status == 0x0000
        sender.release()


def _drips(sender: RawSender, data: bytes, *, every_s: float) -> int:
    """Send one byte at a time until the listener hangs up; return how many it took."""
    sender.socket.settimeout(every_s)
    for place in range(len(data)):
        try:
            sender.socket.send(data[place : place + 1])
            sender.socket.recv(64)
        except TimeoutError:
            continue
        except OSError:
            pass
        return place
    raise AssertionError("the listener took it all")


def test_a_peer_that_never_reads_its_answers_is_ended(open_listener: OpenListener) -> None:
    listening = open_listener(association_idle_timeout_s=0.5)
    echoes = data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())) * 2_000

    with RawSender(listening.port, receive_buffer_bytes=4_096) as sender:
        sender.associate()
        assert _pieces_taken(sender, echoes, most=1_000) < 1_000

    echo(listening)


def _pieces_taken(sender: RawSender, piece: bytes, *, most: int) -> int:
    """Send the same bytes until the listener hangs up; return how often it took them."""
    for taken in range(most):
        try:
            sender.send(piece)
        except (BrokenPipeError, ConnectionResetError):
            return taken
    return most


# Caps


def test_connections_of_one_address_are_capped(open_listener: OpenListener) -> None:
    listening = open_listener(max_connections_per_address=3)
    silent = [listening.call() for _ in range(3)]
    wait_until("the cap", lambda: _is_cut(listening))

    silent.pop().socket.close()

    wait_until("a free seat", lambda: not _is_cut(listening))
    for sender in silent:
        sender.socket.close()


def _is_cut(listening: Listening) -> bool:
    with listening.call() as sender:
        try:
            sender.send(associate_rq())
        except OSError:
            return True
        return sender.pdu()[0] == 0


def test_associations_of_one_peer_are_capped(open_listener: OpenListener) -> None:
    listening = open_listener(max_associations_per_peer=2)
    listening.add_peer("OTHER")

    with listening.call() as one, listening.call() as two, listening.call() as three, listening.call("OTHER") as other:
        one.associate()
        two.associate()
        three.send(associate_rq())
        assert three.ends() == LOCAL_LIMIT
        other.associate()
        two.release()

    wait_until("a free seat", lambda: _first_answer(listening)[0] == 2)


def _first_answer(listening: Listening) -> tuple[int, bytes]:
    with listening.call() as sender:
        sender.send(associate_rq())
        return sender.pdu()


def test_associations_in_all_are_capped(open_listener: OpenListener) -> None:
    listening = open_listener(max_associations=2)
    listening.add_peer("OTHER")

    with listening.call() as one, listening.call("OTHER") as two, listening.call("OTHER") as three:
        one.associate()
        two.associate()
        three.send(associate_rq(calling="OTHER"))
        assert three.ends() == LOCAL_LIMIT


def test_hundreds_of_silent_connections_cost_nobody_an_echo(open_listener: OpenListener) -> None:
    listening = open_listener(max_connections_per_address=256, first_pdu_timeout_s=3)
    silent = [listening.call() for _ in range(200)]

    started = time.monotonic()
    echo(listening)
    took_s = time.monotonic() - started

    assert took_s < 1
    for sender in silent:
        sender.socket.close()


# Stop


def test_a_stop_lets_a_sender_finish_and_turns_new_ones_away(open_listener: OpenListener) -> None:
    listening = open_listener()
    first, second = make_radiograph(), make_radiograph()
    begun = store_pdus(first)

    with listening.call() as sender:
        sender.associate()
        sender.send(*begun[:-1])
        listening.begin_stop()
        wait_until("new senders are turned away", lambda: _first_answer(listening) == STOPPING)
        sender.send(begun[-1])
        assert sender.answer().Status == 0x0000
        assert sender.store(second).Status == 0x0000
        sender.release()
        started = time.monotonic()
        listening.join()

    assert time.monotonic() - started < 2
    assert listening.stored_uids() == {first.SOPInstanceUID, second.SOPInstanceUID}


def test_a_stop_ends_an_association_that_sends_nothing(open_listener: OpenListener) -> None:
    listening = open_listener(shutdown_s=20)

    with listening.call() as sender:
        sender.associate()
        listening.begin_stop()
        assert sender.ends() == (7, bytes((0, 0, 2, 0)))

    listening.join(5)


def test_a_stop_does_not_wait_longer_than_it_was_told(open_listener: OpenListener) -> None:
    listening = open_listener(shutdown_s=0.3)

    with listening.call() as sender:
        sender.associate()
        sender.send(*store_pdus(make_radiograph())[:-1])
        listening.begin_stop()
        assert sender.ends() == (7, bytes((0, 0, 2, 0)))

    listening.join(5)
    assert listening.spool_files() == []
    assert [row.kind for row in listening.problems()] == ["aborted"]


def test_after_a_stop_nobody_listens(open_listener: OpenListener) -> None:
    listening = open_listener()
    listening.begin_stop()
    listening.join()

    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", listening.port), timeout=5)


# Start


def test_a_listener_without_any_port_does_not_start(tmp_path: Path) -> None:
    with open_parts(tmp_path, dicom_plain=False) as parts, pytest.raises(ValueError, match="neither"):
        _run(parts.settings, parts.database, parts.intake)


def test_two_listeners_share_a_port_when_told_to(tmp_path: Path) -> None:
    async def both() -> None:
        stop, ports = asyncio.Event(), []
        with open_parts(tmp_path, dicom_port=0) as parts:

            def listen(settings: object) -> asyncio.Task[None]:
                return asyncio.create_task(
                    run_listener(settings, parts.database, parts.intake, ready=ports.append, stop=stop, reuse_port=True)
                )

            first = listen(parts.settings)
            while not ports:
                await asyncio.sleep(0)
            second = listen(parts.settings.model_copy(update={"dicom_port": ports[0].plain}))
            while len(ports) < 2:
                await asyncio.sleep(0)
            stop.set()
            await asyncio.gather(first, second)

    asyncio.run(both())


def _run(settings: object, database: object, intake: object) -> None:
    asyncio.run(run_listener(settings, database, intake, ready=lambda _: None, stop=asyncio.Event()))


def crowd(port: int, addresses: int, each: int) -> list[socket.socket]:
    """Connect from several addresses and say nothing."""
    made = []
    for number in range(addresses * each):
        peer = socket.socket()
        peer.settimeout(10)
        peer.bind((f"127.0.7.{1 + number // each}", 0))
        peer.connect(("127.0.0.1", port))
        made.append(peer)
    return made


def is_cut(peer: socket.socket) -> bool:
    try:
        return peer.recv(64) == b""
    except ConnectionError:
        return True


def test_silent_peers_on_every_seat_make_way_for_one_who_speaks(open_listener: OpenListener) -> None:
    listening = open_listener(max_connections=12, max_connections_per_address=4, first_pdu_timeout_s=60)
    silent = crowd(listening.port, 3, 4)

    echo(listening)
    echo(listening)

    assert is_cut(silent[0])  # who waited longest, of the fullest address
    silent[-1].settimeout(0.2)
    with pytest.raises(TimeoutError):
        silent[-1].recv(1)
    for peer in silent:
        peer.close()


def test_one_who_was_let_in_never_makes_way(open_listener: OpenListener) -> None:
    listening = open_listener(max_connections=4, max_connections_per_address=4, first_pdu_timeout_s=60)

    with listening.call() as sender:
        sender.associate()
        silent = crowd(listening.port, 4, 3)
        assert sender.store(make_radiograph()).Status == 0x0000
        sender.release()

    for peer in silent:
        peer.close()
