"""A DICOM peer sends to its own site, whatever its images name, and can do nothing else (RELIABILITY T-19)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop
from pydicom import Dataset
from sqlalchemy import select

from service import tables
from service.roles import Role
from tests.factories import Parts, make_radiograph
from tests.service.house import House, open_house
from tests.service.intake.dimse.conftest import Listening, start
from tests.service.intake.dimse.sender import accepted, associate_rq

FIND = "1.2.840.10008.5.1.4.1.2.2.1"
"""Study Root Query/Retrieve - FIND; .2 is MOVE and .3 is GET."""


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, dicom_port=0, shutdown_s=5.0) as house:
        yield house


@pytest.fixture
def listening(house: House) -> Iterator[Listening]:
    """A listener of the house: ONE may call for the first site and TWO for the other one."""
    state = house.app.state
    own, other = (
        Listening(Parts(house.settings, house.database, state.archive, state.intake, site_id, house.clock))
        for site_id in (house.site_id, house.other_site_id)
    )
    own.add_peer("ONE")
    other.add_peer("TWO")
    other.add_peer("FAR", "192.0.2.0/24")
    start(own, uvloop.new_event_loop)
    try:
        yield own
    finally:
        own.begin_stop()
        own.join()


def sent(listening: Listening, calling: str, film: Dataset) -> int:
    with listening.call(calling) as sender:
        sender.associate()
        return int(sender.store(film).Status)


def test_what_a_peer_sends_is_its_own_sites_and_nobody_elses(house: House, listening: Listening) -> None:
    film = make_radiograph(InstitutionName="two", StationName="TWO")

    statuses = [sent(listening, "ONE", film), sent(listening, "TWO", film)]

    assert statuses == [0, 0]
    with house.database.reading() as rx:
        t = tables.study
        kept = rx.execute(select(t.c.site_id, t.c.instance_count, t.c.public_id).order_by(t.c.site_id)).all()
    assert [(row.site_id, row.instance_count) for row in kept] == [(house.site_id, 1), (house.other_site_id, 1)]
    for site_id, own, foreign in ((kept[0].site_id, kept[0], kept[1]), (kept[1].site_id, kept[1], kept[0])):
        center = house.signed_in(Role.SITE_PHYSICIAN, site_id=site_id)
        listed = center.get("/api/center/studies").json()["items"]
        assert [study["public_id"] for study in listed] == [own.public_id]
        assert center.get(f"/api/center/studies/{foreign.public_id}").status_code == 404


@pytest.mark.parametrize("calling", ["FAR", "NOBODY", "one"])
def test_a_title_from_another_address_or_a_strangers_opens_nothing(listening: Listening, calling: str) -> None:
    with listening.call(calling) as sender:
        sender.send(associate_rq(calling=calling))
        kind, body = sender.pdu()

    assert (kind, body[1:4] if kind == 3 else b"") in ((3, b"\x01\x01\x03"), (7, b""), (0, b""))
    assert listening.stored_uids() == set()


@pytest.mark.parametrize("operation", ["1", "2", "3"])
def test_a_peer_asks_for_nothing(listening: Listening, operation: str) -> None:
    wanted = FIND[:-1] + operation
    with listening.call("ONE") as sender:
        acceptance = sender.associate([(wanted, ("1.2.840.10008.1.2",))])

    assert accepted(acceptance)[1][0] == 3  # abstract syntax not supported
