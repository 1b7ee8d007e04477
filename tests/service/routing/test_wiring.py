"""What rules decide reaches the settle timer, the worklist and the plan of a study, and says by which rule."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import RowMapping, select
from sqlalchemy.exc import IntegrityError, OperationalError

from service import tables
from service.intake.settling import settle_due
from service.receiving import make_intake
from service.routing import Decision
from service.routing.records import RuleBook, RulesChanged, list_revisions, newest_revision, route_images, set_rules
from service.routing.text import RulesRefused
from service.worklist.records import set_center_priority, update_item
from tests.factories import Clock, Parts, make_radiograph, open_parts
from tests.service.routing.makers import put, rule


@pytest.fixture
def room(tmp_path: Path, clock: Clock) -> Iterator[Parts]:
    """A service whose intake tells the worklist, as the real doors do."""
    with open_parts(tmp_path, clock) as made:
        made.intake.stop()
        made.intake = make_intake(made.settings, made.database, made.archive, made.clock)
        made.intake.start()
        yield made


def study(room: Parts) -> RowMapping:
    with room.database.reading() as rx:
        return rx.execute(select(tables.study)).mappings().one()


def item(room: Parts) -> RowMapping:
    with room.database.reading() as rx:
        return rx.execute(select(tables.worklist_item)).mappings().one()


def send(room: Parts, **attributes: Any) -> None:
    assert room.send(make_radiograph(StudyInstanceUID="1.2.3", **attributes)).is_kept


def test_without_rules_everything_is_as_before(room: Parts, clock: Clock) -> None:
    send(room)

    row = study(room)
    assert (row["settle_at"], row["routing"], row["rule_priority"]) == (clock() + 60, None, None)
    assert item(room)["priority_class"] == 3


def test_a_rule_sets_the_waiting_times_and_the_study_says_which(room: Parts, clock: Clock) -> None:
    revision = put(room.database, rule("quiet_s = 7, partial_after_s = 20", 'modality = ["CR", "DX"]', "quick")).number
    send(room)
    for _ in range(4):
        clock.advance(6)
        send(room)

    row = study(room)
    assert (row["settle_at"], row["settle_by"]) == (clock() - 24 + 20, "limit")
    assert {one["effect"]: (one["rule"], one["revision"]) for one in row["routing"]} == {
        "quiet_s": ("quick", revision), "partial_after_s": ("quick", revision),
    }  # fmt: skip


def test_a_rule_raises_the_class_in_the_transaction_of_the_image(room: Parts, clock: Clock) -> None:
    put(room.database, rule("priority = 'urgent', due_minutes = { urgent = 30 }", 'study_description = "*trauma*"'))
    send(room)
    assert (item(room)["priority_class"], item(room)["due_at"]) == (3, clock() + 1440 * 60)

    send(room, StudyDescription="Thorax, trauma")

    row = item(room)
    assert (row["priority_class"], row["ai_priority"]) == (2, None)
    assert row["due_at"] == row["center_due_at"] == clock() + 30 * 60


@pytest.mark.parametrize(("center", "said", "expected"), [(1, "urgent", 1), (2, "routine", 2), (3, "stat", 1)])
def test_a_rule_never_lowers_what_the_center_asked(room: Parts, center: int, said: str, expected: int) -> None:
    put(room.database, rule(f"priority = '{said}'"))
    send(room)

    with room.database.transaction() as tx:
        number = tx.execute(select(tables.study.c.id)).scalar_one()
        set_center_priority(tx, number, center)
        update_item(tx, study_id=number, now=room.clock(), settings=room.settings)

    assert item(room)["priority_class"] == expected


def test_the_ai_raises_above_a_rule_and_never_lowers_it(room: Parts) -> None:
    put(room.database, rule("priority = 'urgent'"))
    send(room)

    classes = []
    for ai in (3, 1, 3):
        with room.database.transaction() as tx:
            number = tx.execute(select(tables.study.c.id)).scalar_one()
            update_item(tx, study_id=number, now=room.clock(), settings=room.settings, ai_priority=ai)
        classes.append(item(room)["priority_class"])

    assert classes == [2, 1, 1]


def test_when_the_center_asks_for_more_the_rules_are_asked_again(room: Parts) -> None:
    put(room.database, rule("priority = 'stat'", 'requested_priority = "urgent"', "hurry"))
    send(room)
    assert study(room)["rule_priority"] is None

    with room.database.transaction() as tx:
        set_center_priority(tx, study(room)["id"], 2)

    assert study(room)["rule_priority"] == 1
    assert study(room)["routing"][0]["rule"] == "hurry"


def test_new_rules_hold_from_the_next_image_on(room: Parts) -> None:
    put(room.database, rule("priority = 'urgent'", name="first"))
    send(room)
    put(room.database, "")
    send(room)
    assert study(room)["routing"][0]["rule"] == "first"

    second = put(room.database, rule("priority = 'stat'", name="second")).number
    send(room)

    assert study(room)["routing"] == [Decision("priority", "stat", "second", second).to_json()]


def test_the_sender_is_kept_for_the_plan(room: Parts) -> None:
    put(room.database, rule("packages = []", 'sender = "TEST*"'))
    send(room)

    with room.database.reading() as rx:
        routed = route_images(rx, study(room)["id"], 1, RuleBook().current(rx))

    assert [list(decisions) for decisions in routed.values()] == [["packages"]]


def test_a_study_settles_when_its_rule_says(room: Parts, clock: Clock) -> None:
    put(room.database, rule("quiet_s = 5"))
    send(room)
    clock.advance(5)

    with room.database.transaction() as tx:
        assert [one.by for one in settle_due(tx, clock())] == ["quiet"]


def test_rules_are_versioned_and_a_stale_change_is_refused(room: Parts) -> None:
    first = put(room.database, rule("quiet_s = 5"), now=10.0)
    second = put(room.database, "# none", now=20.0)

    with room.database.transaction() as tx, pytest.raises(RulesChanged):
        set_rules(tx, "", base=first.number, changed_by="system", now=30.0, note="")

    with room.database.reading() as rx:
        assert [(one.number, one.rules) for one in list_revisions(rx)] == [(second.number, 0), (first.number, 1)]
        assert newest_revision(rx) == second.number


def test_a_bad_file_changes_nothing(room: Parts) -> None:
    put(room.database, rule("quiet_s = 5"))

    for text in (rule("quiet_s = 0"), rule("packages = ['nothing']"), rule("quiet_s = 5", 'site = "nowhere"')):
        with pytest.raises(RulesRefused):
            put(room.database, text)

    with room.database.reading() as rx:
        assert len(list_revisions(rx)) == 1


@pytest.mark.parametrize("change", ["UPDATE rule_set SET text = ''", "DELETE FROM rule_set"])
def test_the_database_keeps_every_revision(room: Parts, change: str) -> None:
    put(room.database, rule("quiet_s = 5"))

    with pytest.raises((IntegrityError, OperationalError)), room.database.transaction() as tx:
        tx.exec_driver_sql(change)
