"""Who looks is noted once for each session and thing; where nothing can be noted, nobody looks."""

from __future__ import annotations

from service.roles import Role
from tests.service.house import House

STUDIES = "/dicomweb/studies"


def looks(house: House, action: str = "searched") -> int:
    with house.database.reading() as rx:
        query = f"SELECT count(*) FROM audit_event WHERE action = '{action}'"
        return int(rx.exec_driver_sql(query).scalar_one())


def test_a_look_is_noted_once_for_a_session_and_again_after_an_hour(house: House) -> None:
    house.add_scored()
    reader, account_id = house.account(Role.RADIOLOGIST)

    for _ in range(3):
        assert reader.get(STUDIES).status_code == 200
    assert looks(house) == 1
    assert house.browser(account_id).get(STUDIES).status_code == 200
    assert house.with_key().get(STUDIES).status_code == 200
    assert looks(house) == 3
    for _ in range(5):
        house.clock.advance(13 * 60)
        assert reader.get(STUDIES).status_code == 200
    assert looks(house) == 4


def test_every_case_is_noted_by_itself(house: House) -> None:
    house.add_scored()
    house.add_scored()
    reader = house.signed_in(Role.RADIOLOGIST)

    for number in (1, 2, 1, 2):
        assert reader.get(f"/api/cases/{number:032x}").status_code == 200

    assert looks(house, "case_opened") == 2


def test_a_case_that_a_page_fetches_ahead_is_noted_as_that_until_somebody_opens_it(house: House) -> None:
    house.add_scored()
    reader = house.signed_in(Role.RADIOLOGIST)
    case = f"/api/cases/{1:032x}"

    assert reader.get(case, headers={"X-Pandok-Prefetch": "1"}).status_code == 200
    assert (looks(house, "case_prefetched"), looks(house, "case_opened")) == (1, 0)
    assert reader.get(case).status_code == 200

    assert (looks(house, "case_prefetched"), looks(house, "case_opened")) == (1, 1)


def test_what_cannot_be_noted_is_not_shown(house: House) -> None:
    house.add_scored()
    reader = house.signed_in(Role.RADIOLOGIST)
    with house.database.transaction() as tx:
        tx.exec_driver_sql("ALTER TABLE audit_event RENAME TO elsewhere")

    for path in (STUDIES, f"/api/cases/{1:032x}"):
        answer = reader.get(path)
        assert answer.status_code == 500
        assert "TEST" not in answer.text
