"""Who may call: AE title, network and certificate; and what an operator sees of those who may not."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from service import tables
from service.database import Database
from service.intake.dimse import records
from service.intake.dimse.records import Peer, Stranger, find_peer, note_stranger
from service.sites import PeerCertificate
from tests.driver import wait_until
from tests.factories import add_site
from tests.service.intake.dimse.conftest import Listening
from tests.service.intake.dimse.sender import associate_rq

CERTIFICATE = "ab" * 32
SUBJECT, ISSUER = "CN=hanoi,O=Hospital", "CN=Hospital CA"
PINNED, OTHER = PeerCertificate(CERTIFICATE, "CN=pinned", ISSUER), PeerCertificate("cd" * 32, SUBJECT, ISSUER)
RENEWED = PeerCertificate("ef" * 32, SUBJECT, ISSUER)
FORGED = PeerCertificate("ef" * 32, SUBJECT, "CN=Other CA")


@pytest.fixture
def database(tmp_path: Path) -> Database:
    database = Database(f"sqlite:///{tmp_path / 'pandok.db'}")
    database.migrate()
    near, far = add_site(database, "near"), add_site(database, "far")
    rows = [
        (near, "PACS", "10.1.0.0/16", None, None),
        (far, "PACS", "10.1.2.3/32", None, None),
        (far, "PINNED", "10.0.0.0/8", CERTIFICATE.upper(), None),
        (far, "NAMED", "10.0.0.0/8", None, SUBJECT),
        (near, "SIX", "fd00::/8", None, None),
    ]
    with database.transaction() as tx:
        for site_id, ae_title, network, certificate, subject in rows:
            tx.execute(
                insert(tables.dicom_peer).values(
                    site_id=site_id,
                    ae_title=ae_title,
                    network=network,
                    certificate_sha256=certificate,
                    certificate_subject=subject,
                    certificate_issuer=ISSUER if subject else None,
                    created_at=0.0,
                )
            )
    yield database
    database.close()


def find(database: Database, ae_title: str, address: str, shown: PeerCertificate | None = None) -> Peer | Stranger:
    with database.reading() as tx:
        return find_peer(tx, ae_title=ae_title, address=address, certificate=shown)


@pytest.mark.parametrize(
    ("ae_title", "address", "site_id"),
    [
        ("PACS", "10.1.9.9", 1),
        ("PACS", "10.1.2.3", 2),
        ("PACS", "::ffff:10.1.9.9", 1),
        ("SIX", "fd00::1", 1),
        ("SIX", "fd00::1%eth0", 1),
    ],
)
def test_a_known_peer_belongs_to_the_site_of_its_narrowest_network(
    database: Database, ae_title: str, address: str, site_id: int
) -> None:
    found = find(database, ae_title, address)

    assert isinstance(found, Peer)
    assert (found.ae_title, found.site_id) == (ae_title, site_id)


@pytest.mark.parametrize(
    ("ae_title", "address", "certificate", "why"),
    [
        ("NOBODY", "10.1.2.3", None, Stranger.AE_TITLE),
        ("pacs", "10.1.2.3", None, Stranger.AE_TITLE),
        ("", "10.1.2.3", None, Stranger.AE_TITLE),
        ("PACS", "10.2.0.1", None, Stranger.NETWORK),
        ("PACS", "fd00::1", None, Stranger.NETWORK),
        ("PACS", "", None, Stranger.NETWORK),
        ("PINNED", "10.1.2.3", None, Stranger.CERTIFICATE),
        ("PINNED", "10.1.2.3", OTHER, Stranger.CERTIFICATE),
        ("NAMED", "10.1.2.3", None, Stranger.CERTIFICATE),
        ("NAMED", "10.1.2.3", PINNED, Stranger.CERTIFICATE),
        ("NAMED", "10.1.2.3", FORGED, Stranger.CERTIFICATE),
        ("PACS", "10.1.2.3", OTHER, Stranger.CERTIFICATE_NOT_ENTERED),
    ],
)
def test_everybody_else_is_a_stranger(
    database: Database, ae_title: str, address: str, certificate: PeerCertificate | None, why: Stranger
) -> None:
    assert find(database, ae_title, address, certificate) is why


def test_a_pinned_peer_is_known_by_its_certificate(database: Database) -> None:
    assert isinstance(find(database, "PINNED", "10.1.2.3", PINNED), Peer)


@pytest.mark.parametrize("shown", [OTHER, RENEWED])
def test_a_named_peer_is_known_by_any_certificate_of_its_name_and_authority(
    database: Database, shown: PeerCertificate
) -> None:
    assert isinstance(find(database, "NAMED", "10.1.2.3", shown), Peer)


def test_a_disabled_peer_is_a_stranger(database: Database) -> None:
    with database.transaction() as tx:
        tx.execute(update(tables.dicom_peer).values(disabled_at=1.0))

    assert find(database, "PACS", "10.1.2.3") is Stranger.AE_TITLE


def note(database: Database, ae_title: str, *, address: str = "10.9.9.9", times: int = 1, now: float = 1.0) -> None:
    with database.transaction() as tx:
        note_stranger(
            tx, ae_title=ae_title, address=address, reason=Stranger.AE_TITLE, status="RJ 1/1/3", times=times, now=now
        )


def problems(database: Database) -> list[tuple[str, str, int, float]]:
    t = tables.problem
    with database.reading() as tx:
        return [tuple(row) for row in tx.execute(select(t.c.sender, t.c.detail, t.c.count, t.c.occurred_at))]


def test_a_stranger_that_calls_again_is_one_row_with_a_count(database: Database) -> None:
    note(database, "NOBODY", now=1.0)
    note(database, "NOBODY", times=4, now=2.0)
    note(database, "NOBODY", address="10.8.8.8", now=3.0)

    assert [(count, at) for _, _, count, at in problems(database)] == [(5, 2.0), (1, 3.0)]


def test_a_stranger_after_the_operator_resolved_the_row_is_a_new_row(database: Database) -> None:
    note(database, "NOBODY")
    with database.transaction() as tx:
        tx.execute(update(tables.problem).values(resolved_at=1.0))

    note(database, "NOBODY")

    assert len(problems(database)) == 2


def test_strangers_without_number_do_not_fill_the_tables(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAX_STRANGERS", 3)

    for number in range(9):
        note(database, f"SCAN{number}", now=float(number))

    senders = [sender for sender, *_ in problems(database)]
    assert senders == ["SCAN0", "SCAN1", "SCAN2", "(others)"]
    assert problems(database)[-1][2:] == (6, 8.0)


@pytest.mark.parametrize(
    ("calling", "called", "reason", "word"),
    [("NOBODY", "PANDOK", 3, "calling_ae_title"), ("TESTER", "OTHER", 7, "called_ae_title")],
)
def test_a_stranger_is_turned_away_for_good_and_shown_to_the_operator(
    listening: Listening, calling: str, called: str, reason: int, word: str
) -> None:
    for _ in range(3):
        with listening.call(calling, called=called) as sender:
            sender.send(associate_rq(calling=calling, called=called))
            assert sender.ends() == (3, bytes((0, 1, 1, reason)))

    [problem] = wait_until(
        "the problem row", lambda: [row for row in listening.problems() if row.count == 3], timeout_s=10
    )
    assert (problem.kind, problem.reason, problem.sender, problem.door) == ("refused", word, calling, "dimse")
    assert (problem.status, problem.site_id) == (f"RJ 1/1/{reason}", None)
    assert "127.0.0.1" in problem.detail


def test_a_known_title_from_another_network_is_a_stranger(listening: Listening) -> None:
    listening.add_peer("AWAY", "10.0.0.0/8")

    with listening.call("AWAY") as sender:
        sender.send(associate_rq(calling="AWAY"))
        assert sender.ends() == (3, bytes((0, 1, 1, 3)))


def test_a_peer_that_is_added_may_call_at_once(listening: Listening) -> None:
    listening.add_peer("NEW")

    with listening.call("NEW") as sender:
        sender.associate()
        sender.release()


@pytest.mark.parametrize(
    ("place", "value", "answer"),
    [(7, 0x02, bytes((0, 1, 2, 2))), (78, ord("9"), bytes((0, 1, 1, 2)))],
    ids=["protocol version", "application context"],
)
def test_another_protocol_is_turned_away(listening: Listening, place: int, value: int, answer: bytes) -> None:
    pdu = bytearray(associate_rq())
    pdu[place] = value

    with listening.call() as sender:
        sender.send(bytes(pdu))
        assert sender.ends() == (3, answer)
