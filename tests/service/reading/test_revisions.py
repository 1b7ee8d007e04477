"""What is said of a study is of the images and findings that were there when it was said."""

from __future__ import annotations

import pytest

from service import cli, tables
from service.roles import Role
from tests.service.reading.room import CASES, LIST, Room, shown


def test_what_a_page_says_of_images_that_it_does_not_have_is_refused(room: Room) -> None:
    public_id, film = room.send()
    room.score("findings")
    reader = room.reader()
    seen = reader.revision(public_id)
    room.send(study=film, seed=3)
    room.score("findings")
    token = reader.claim(public_id)

    blind = reader.impression(public_id, token, "normal", revision=seen)
    reader.impression(public_id, token)
    late = reader.verdicts(public_id, token, revision=seen)
    unsaid = reader.client.post(f"{CASES}/{public_id}/impression", json={"impression": "normal"}, headers=shown(token))

    assert [(answer.status_code, answer.json()["error"]) for answer in (blind, late)] == [(409, "new_images")] * 2
    assert unsaid.status_code == 400
    assert [row["revision"] for row in room.rows(tables.first_impression)] == [2]
    assert room.rows(tables.verdict) == []


def test_what_readers_have_judged_is_not_scored_again(
    room: Room, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    public_id = room.scored()
    reader, administrator = room.reader(), room.reader(role=Role.ADMINISTRATOR)
    token = reader.has_read(public_id)
    found = reader.case(public_id)["ai"]["runs"][0]["shown_findings"][0]
    said = {"finding_id": found["finding_id"], "code": found["code"], "judgement": "confirmed"}
    assert reader.verdicts(public_id, token, said).status_code == 200

    refused = administrator.client.post(f"{LIST}/{public_id}/restart")
    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(room.house.settings.data_folder))
    done = cli.main(["studies", "restart", public_id])

    assert (refused.status_code, refused.json()["error"]) == (409, "has_verdicts")
    assert (done, "judged" in capsys.readouterr().err) == (1, True)
    assert [row["attempt"] for row in room.rows(tables.revision)] == [1]
