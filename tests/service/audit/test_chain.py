"""The audit's chain: what is added holds, and what is changed shows."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from fhir.resources.R4B.auditevent import AuditEvent
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from service import audit
from service.access import Caller
from service.audit.fhir import ACTIONS, export
from service.audit.records import every_event
from service.audit.verify import Broken, Whole, verify
from service.database import Database
from service.roles import Role
from tests.conftest import ROOT
from tests.factories import add_site

READER = Caller("ab" * 16, None, Role.RADIOLOGIST, account_id=1, session_id=7)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path / 'x.db'}")
    made.migrate()
    add_site(made)
    yield made
    made.close()


def note(database: Database, number: int, **values: object) -> None:
    with database.transaction() as tx:
        audit.note(
            tx, READER, "case_opened", now=1_800_000_000.25 + number, site_id=1, object_type="study",
            object_id=f"{number:032x}", detail={"seconds": number / 7, "name": "흉부 Грудь ngực", "list": [1, None]},
        )  # fmt: skip


def judged(database: Database, known_head: str | None = None) -> Whole | Broken:
    with database.reading() as rx:
        return verify(rx, known_head=known_head)


def test_an_empty_chain_is_whole(database: Database) -> None:
    assert judged(database) == Whole(0, "0" * 64)


def test_what_was_added_holds(database: Database) -> None:
    for number in range(5):
        note(database, number)

    found = judged(database)

    assert isinstance(found, Whole)
    assert found.events == 5


@pytest.mark.parametrize("change", ["UPDATE audit_event SET actor = 'x'", "DELETE FROM audit_event"])
def test_the_table_itself_refuses_to_change(database: Database, change: str) -> None:
    note(database, 1)

    with pytest.raises(DatabaseError, match="append-only"), database.transaction() as tx:
        tx.execute(text(change))


def test_every_attack_on_a_row_is_found_at_its_place(database: Database) -> None:
    """Somebody with the file in hand takes the triggers away first."""
    for number in range(40):
        note(database, number)
    with database.transaction() as tx:
        tx.execute(text("DROP TRIGGER audit_event_no_update"))
        tx.execute(text("DROP TRIGGER audit_event_no_delete"))
    head = judged(database)
    assert isinstance(head, Whole)
    chance = random.Random(4)
    changes = {
        "actor": "'somebody'", "role": "NULL", "at": "at + 0.001", "site_id": "NULL", "action": "'report_signed'",
        "outcome": "'refused'", "object_type": "'report'", "object_id": "'1'", "detail": "'{}'", "request_id": "'1'",
        "previous_sha256": "'" + "1" * 64 + "'",
    }  # fmt: skip

    for turn in range(120):
        row = chance.randint(1, 39)
        columns = sorted(changes)
        attacks = [f"UPDATE audit_event SET {c} = {changes[c]} WHERE id = {row}" for c in columns]
        attacks += [
            f"DELETE FROM audit_event WHERE id = {row}",
            f"UPDATE audit_event SET id = id + 1000 WHERE id = {row}",
        ]
        with database.engine.connect() as connection:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            connection.execute(text(attacks[turn % len(attacks)]))
            found = verify(connection, known_head=head.head)
            connection.rollback()

        assert isinstance(found, Broken), attacks[turn % len(attacks)]
        assert found.event_id in (row, row + 1)


def test_cutting_the_end_off_is_found_by_who_kept_the_head(database: Database) -> None:
    for number in range(3):
        note(database, number)
    head = judged(database)
    assert isinstance(head, Whole)
    with database.transaction() as tx:
        tx.execute(text("DROP TRIGGER audit_event_no_delete"))
        tx.execute(text("DELETE FROM audit_event WHERE id = 3"))

    assert isinstance(judged(database), Whole)
    assert judged(database, head.head) == Broken(
        None, "the head that was known is no longer in it: events were cut off"
    )
    note(database, 4)
    assert isinstance(judged(database, head.head), Broken)


def test_many_at_once_make_one_chain(database: Database) -> None:
    threads = [threading.Thread(target=lambda: [note(database, n) for n in range(5)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    found = judged(database)

    assert isinstance(found, Whole)
    assert found.events == 40


def test_what_is_not_committed_is_not_noted(database: Database) -> None:
    def note_and_fail() -> None:
        with database.transaction() as tx:
            audit.note(tx, audit.SYSTEM, "sign_in", now=1.0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        note_and_fail()

    assert judged(database) == Whole(0, "0" * 64)


def test_an_export_is_fhir_as_others_read_it(database: Database) -> None:
    with database.transaction() as tx:
        for action in ACTIONS:
            audit.note(
                tx, READER, action, now=1_800_000_000.5, site_id=1, object_type="study", object_id="1.2.3",
                detail={"revision": 2, "empty": ""},
            )  # fmt: skip
        audit.note(tx, audit.STRANGER, "sign_in_refused", now=1_800_000_001.0, outcome="refused")

    with database.reading() as rx:
        lines = list(export(rx))
        rows = list(every_event(rx))

    assert len(lines) == len(ACTIONS) + 1
    read = [AuditEvent.model_validate(json.loads(line)) for line in lines]
    assert [event.id for event in read] == [row["sha256"] for row in rows]
    assert {event.outcome for event in read} == {"0", "4"}
    assert read[-1].agent[0].who.identifier.value == "stranger"


def test_every_word_of_the_audit_is_used_somewhere() -> None:
    """A word that nobody notes would promise auditors an event that never comes."""
    sources = [path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py") if path.name != "fhir.py"]

    unused = [action for action in ACTIONS if not any(f'"{action}"' in source for source in sources)]

    assert unused == []
