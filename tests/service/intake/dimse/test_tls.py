"""TLS beside the plain port: versions, client certificates, and peers that never shake hands."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from service.intake.dimse.tls import tls_context
from service.settings import Settings
from tests.driver import wait_until
from tests.factories import make_radiograph, phantom
from tests.service.intake.dimse.authority import Authority, Certificate
from tests.service.intake.dimse.conftest import LOOPS, Listening, LoopFactory, OpenListener
from tests.service.intake.dimse.sender import (
    COMMAND,
    ECHO_ID,
    LAST,
    RawSender,
    associate_rq,
    data_pdu,
    echo_command,
    pdv,
)

T = TypeVar("T")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.issue("server")


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.issue("client")


@pytest.fixture
def open_tls(open_listener: OpenListener, server: Certificate) -> OpenListener:
    def opened(**settings: object) -> Listening:
        return open_listener(dicom_tls_port=0, dicom_tls_certificate=server.path, dicom_tls_key=server.key, **settings)

    return opened


def client_context(authority: Authority, certificate: Certificate | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(authority.path)
    context.check_hostname = False
    if certificate is not None:
        context.load_cert_chain(certificate.path, certificate.key)
    return context


def echo(listening: Listening, context: ssl.SSLContext) -> None:
    with RawSender(listening.tls_port, tls=context) as sender:
        sender.associate()
        sender.send(data_pdu(pdv(ECHO_ID, COMMAND | LAST, echo_command())))
        assert sender.answer().Status == 0x0000
        sender.release()


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_an_instance_comes_in_over_tls(open_tls: OpenListener, authority: Authority, loop_factory: LoopFactory) -> None:
    listening = open_tls(loop_factory=loop_factory)
    dataset = make_radiograph(phantom(900, 900))

    with RawSender(listening.tls_port, tls=client_context(authority)) as sender:
        sender.associate()
        assert sender.store(dataset, piece=131_066).Status == 0x0000
        sender.release()

    assert listening.stored_uids() == {dataset.SOPInstanceUID}


def test_the_plain_port_can_be_left_out(open_tls: OpenListener, authority: Authority) -> None:
    listening = open_tls(dicom_plain=False)

    echo(listening, client_context(authority))
    assert listening.ports is not None
    assert listening.ports.plain is None


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_newer_versions_are_spoken(open_tls: OpenListener, authority: Authority, version: ssl.TLSVersion) -> None:
    context = client_context(authority)
    context.minimum_version = context.maximum_version = version

    echo(open_tls(), context)


def test_nothing_older_than_tls_1_2_is_spoken(server: Certificate) -> None:
    context = tls_context(Settings(dicom_tls_certificate=server.path, dicom_tls_key=server.key))

    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


def test_silent_peers_do_not_keep_others_from_shaking_hands(open_tls: OpenListener, authority: Authority) -> None:
    listening = open_tls(max_connections_per_address=256, tls_handshake_timeout_s=30)
    silent = [socket.create_connection(("127.0.0.1", listening.tls_port)) for _ in range(100)]

    started = time.monotonic()
    echo(listening, client_context(authority))
    took_s = time.monotonic() - started

    assert took_s < 2
    for each in silent:
        each.close()


@pytest.mark.parametrize("loop_factory", LOOPS)
def test_a_peer_that_never_shakes_hands_is_cut_off(
    open_tls: OpenListener, authority: Authority, loop_factory: LoopFactory
) -> None:
    listening = open_tls(loop_factory=loop_factory, tls_handshake_timeout_s=0.3, max_connections_per_address=1)

    for first in (b"", b"\x16\x03\x01", associate_rq()):
        with socket.create_connection(("127.0.0.1", listening.tls_port), timeout=10) as peer:
            assert _is_hung_up(peer, first)

        _until_seated(lambda: echo(listening, client_context(authority)))


def _is_hung_up(peer: socket.socket, first: bytes = b"") -> bool:
    try:
        peer.sendall(first)
        while peer.recv(1_000):
            pass
    except ConnectionError:
        pass
    return True


def test_connections_that_shake_hands_count_for_the_cap(open_tls: OpenListener) -> None:
    listening = open_tls(max_connections_per_address=2)
    silent = [socket.create_connection(("127.0.0.1", listening.tls_port), timeout=10) for _ in range(2)]

    with socket.create_connection(("127.0.0.1", listening.tls_port), timeout=10) as third:
        assert _is_hung_up(third)

    for each in silent:
        each.close()


def test_after_the_handshake_the_first_pdu_has_its_own_deadline(open_tls: OpenListener, authority: Authority) -> None:
    listening = open_tls(first_pdu_timeout_s=0.3)

    with RawSender(listening.tls_port, tls=client_context(authority)) as sender:
        assert sender.ends()[0] in (0, 7)


def test_a_peer_that_vanishes_from_tls_leaves_nothing(open_tls: OpenListener, authority: Authority) -> None:
    listening = open_tls(max_connections_per_address=1)
    context = client_context(authority)

    for half in (associate_rq(), associate_rq()[:50], b""):
        with _until_seated(lambda: RawSender(listening.tls_port, tls=context)) as sender:
            sender.send(half)

        _until_seated(lambda: echo(listening, context))


def _until_seated(call: Callable[[], T]) -> T:
    """Call until the seat of the one before was given back."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            return call()
        except (ConnectionError, ssl.SSLError):
            continue
    raise AssertionError("the seat was never given back")


# Client certificates


def test_with_an_authority_for_clients_a_peer_without_a_certificate_gets_nowhere(
    open_tls: OpenListener, authority: Authority, client: Certificate, tmp_path: Path
) -> None:
    listening = open_tls(dicom_tls_client_ca=authority.path)
    listening.change_peer("TESTER", certificate_sha256=client.sha256)
    foreign = Authority(tmp_path, "foreign").issue("stranger")

    for certificate in (None, foreign):
        assert not _may_echo(listening, client_context(authority, certificate))
    assert _may_echo(listening, client_context(authority, client))


def _may_echo(listening: Listening, context: ssl.SSLContext) -> bool:
    try:
        echo(listening, context)
    except (ssl.SSLError, ConnectionError, AssertionError):
        return False
    return True


def test_a_pinned_peer_is_let_in_with_its_own_certificate_only(
    open_tls: OpenListener, authority: Authority, client: Certificate
) -> None:
    listening = open_tls(dicom_tls_client_ca=authority.path)
    listening.add_peer("PINNED", certificate_sha256=client.sha256)
    other = authority.issue("other")

    answers = []
    for certificate in (client, other):
        context = client_context(authority, certificate)
        with RawSender(listening.tls_port, tls=context, calling="PINNED") as sender:
            sender.send(associate_rq(calling="PINNED"))
            answers.append(sender.pdu()[0])
    with listening.call("PINNED") as plain:
        plain.send(associate_rq(calling="PINNED"))
        answers.append(plain.pdu()[0])

    assert answers == [2, 3, 3]


def test_a_certificate_that_is_revoked_later_is_turned_away_without_a_restart(
    open_tls: OpenListener, authority: Authority, client: Certificate, tmp_path: Path
) -> None:
    lists = tmp_path / "revoked.pem"
    lists.write_bytes(authority.revocation_list([]))
    listening = open_tls(dicom_tls_client_ca=authority.path, dicom_tls_crl=lists, first_pdu_timeout_s=2.0)
    listening.change_peer("TESTER", certificate_sha256=client.sha256)
    context = client_context(authority, client)
    before = _may_echo(listening, context)

    lists.write_bytes(authority.revocation_list([client]))

    assert before
    wait_until("it is turned away", lambda: not _may_echo(listening, context))
    [problem] = wait_until("the operator sees it", listening.problems)
    assert (problem.reason, problem.status) == ("tls_certificate_revoked", "TLS")


def test_files_that_cannot_be_used_leave_those_before_in_force(
    open_tls: OpenListener, authority: Authority, client: Certificate, tmp_path: Path
) -> None:
    own = tmp_path / "own.pem"
    own.write_bytes(authority.path.read_bytes())
    listening = open_tls(dicom_tls_client_ca=own, first_pdu_timeout_s=0.8)
    listening.change_peer("TESTER", certificate_sha256=client.sha256)

    own.write_text("not a certificate")
    threading.Event().wait(0.6)

    assert _may_echo(listening, client_context(authority, client))


# Start


def test_a_tls_port_needs_certificate_and_key(tmp_path: Path, server: Certificate) -> None:
    with pytest.raises(ValueError, match="needs"):
        tls_context(Settings(dicom_tls_certificate=server.path))
    with pytest.raises(ValueError, match="no such file"):
        tls_context(Settings(dicom_tls_certificate=server.path, dicom_tls_key=tmp_path / "none.key"))
