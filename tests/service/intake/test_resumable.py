"""Uploads that go on after a broken connection."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from service import tables
from service.access import new_key
from service.cli import main
from service.intake import part_files, resumable
from service.intake import resumable_records as records
from service.intake.outcomes import IntakeReason, NoRoom
from service.intake.part_files import clear_part_files, folder_in
from service.part import EXIT_REFUSED
from tests.factories import Clock, Parts, add_site, open_parts
from tests.service.intake.doors import Door, open_door, poll
from tests.service.intake.test_uploads import film, zipped

TUS = {"Tus-Resumable": "1.0.0"}
ROOM = "/api/uploads/resumable"


@pytest.fixture
def door(parts: Parts) -> Iterator[Door]:
    with open_door(parts) as door:
        yield door


def begin(door: Door, size_bytes: int, metadata: str = "") -> str:
    told = {**TUS, "Upload-Length": str(size_bytes), **({"Upload-Metadata": metadata} if metadata else {})}
    answer = door.client.post(ROOM, headers=told)
    assert answer.status_code == 201, answer.text
    return answer.headers["Location"]


def go_on(door: Door, place: str, at: int, content: bytes) -> httpx.Response:
    headers = {**TUS, "Upload-Offset": str(at), "Content-Type": resumable_stream()}
    return door.client.patch(place, content=content, headers=headers)


def resumable_stream() -> str:
    return "application/offset+octet-stream"


def offset(door: Door, place: str) -> int:
    answer = door.client.head(place, headers=TUS)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    return int(answer.headers["Upload-Offset"])


def take(door: Door, place: str, **headers: str) -> httpx.Response:
    return door.client.post(f"{place}/take", headers=headers)


def part_file(door: Door, place: str) -> Path:
    return folder_in(door.parts.settings.spool_folder) / f"{place.rpartition('/')[2]}.upload"


def sweep(door: Door, now: float) -> None:
    clear_part_files(door.parts.settings.spool_folder, door.parts.database, now=now)


def broken_off(door: Door, place: str, at: int, content: bytes, size_bytes: int) -> socket.socket:
    """Begin a request that brings only a part of what it says."""
    line = socket.create_connection(("127.0.0.1", door.port))
    head = (
        f"PATCH {place} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.key}\r\nTus-Resumable: 1.0.0\r\n"
        f"Upload-Offset: {at}\r\nContent-Type: {resumable_stream()}\r\nContent-Length: {size_bytes}\r\n\r\n"
    )
    line.sendall(head.encode() + content)
    return line


def test_a_file_comes_in_pieces_and_is_taken_as_one(door: Door) -> None:
    content = film()
    place = begin(door, len(content))

    for first in range(0, len(content), 3_000):
        answer = go_on(door, place, first, content[first : first + 3_000])
        assert answer.status_code == 204
        assert int(answer.headers["Upload-Offset"]) == min(first + 3_000, len(content))
        assert "Upload-Expires" in answer.headers
    taken = take(door, place, **{"X-File-Name": "film.dcm"})

    [row] = door.rows("instance")
    assert taken.status_code == 200
    assert taken.json()["totals"]["stored"] == 1
    assert taken.json()["files"][0]["name"] == "film.dcm"
    assert row["door"] == "upload"


def test_what_came_before_a_break_is_not_sent_again(door: Door) -> None:
    content = film()
    half = len(content) // 2
    place = begin(door, len(content))

    with broken_off(door, place, 0, content[:half], len(content)):
        poll(lambda: part_file(door, place).stat().st_size == half)
    poll(lambda: offset(door, place) == half)

    assert go_on(door, place, half, content[half:]).status_code == 204
    assert take(door, place).json()["totals"]["stored"] == 1


def test_a_slow_file_is_noted_while_it_comes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "NOTE_S", 0.0)
    content = film()
    place = begin(door, len(content))

    with broken_off(door, place, 0, content[:8_000], len(content)):
        poll(lambda: offset(door, place) == 8_000)
        [row] = door.rows("resumable_upload")
        assert row["offset_bytes"] == 8_000


def test_what_was_not_synced_before_a_crash_counts_for_nothing(door: Door) -> None:
    content = film()
    place = begin(door, len(content))
    go_on(door, place, 0, content[:10_000])
    with part_file(door, place).open("ab") as file:
        file.write(bytes(5_000))  # a request that a crash ended: its bytes may be anything

    assert offset(door, place) == 10_000
    assert go_on(door, place, 10_000, content[10_000:]).status_code == 204
    assert take(door, place).json()["totals"]["stored"] == 1


def test_bytes_for_another_place_are_refused_and_change_nothing(door: Door) -> None:
    place = begin(door, 100)
    go_on(door, place, 0, bytes(10))

    assert go_on(door, place, 0, bytes(10)).json()["error"] == "offset"
    assert go_on(door, place, 20, bytes(10)).status_code == 409
    assert offset(door, place) == 10


def test_more_bytes_than_were_told_are_refused(door: Door) -> None:
    place = begin(door, 100)

    assert go_on(door, place, 0, bytes(101)).status_code == 413
    assert offset(door, place) <= 100


def test_one_request_at_a_time(door: Door) -> None:
    content = film()
    place = begin(door, len(content))
    with broken_off(door, place, 0, content[:10], len(content)):
        poll(lambda: part_file(door, place).stat().st_size == 10)

        assert go_on(door, place, 0, b"").status_code == 423
        assert door.client.delete(place, headers=TUS).status_code == 423
        assert take(door, place).status_code == 423
    poll(lambda: go_on(door, place, 10, content[10:]).status_code == 204)
    assert take(door, place).status_code == 200


def test_a_file_is_taken_only_whole(door: Door) -> None:
    place = begin(door, 1_000)
    go_on(door, place, 0, bytes(999))

    assert take(door, place).json()["error"] == "not_whole"


@pytest.mark.parametrize(("is_right", "status"), [(True, 200), (False, 409)])
def test_a_file_is_taken_only_if_it_is_what_its_sender_says(door: Door, is_right: bool, status: int) -> None:
    content = film()
    digest = hashlib.sha256(content if is_right else b"").hexdigest()
    told = base64.b64encode(digest.encode()).decode()
    place = begin(door, len(content), f"filename {told[:8]},sha256 {told}")
    go_on(door, place, 0, content)

    assert take(door, place).status_code == status
    assert len(door.rows("instance")) == int(is_right)


def test_a_lost_answer_may_be_asked_for_again(door: Door) -> None:
    content = zipped({"a.dcm": film(1), "b.txt": b"hello"})
    place = begin(door, len(content))
    go_on(door, place, 0, content)

    first, again = take(door, place, **{"X-File-Name": "cd.zip"}), take(door, place)

    assert first.json()["totals"] == {"files": 2, "stored": 1, "duplicate": 0, "held": 0, "refused": 1}
    assert again.json()["totals"] == {"files": 2, "stored": 0, "duplicate": 1, "held": 0, "refused": 1}
    assert len(door.rows("instance")) == 1
    assert door.client.delete(place, headers=TUS).status_code == 204
    assert door.client.head(place, headers=TUS).status_code == 404
    assert not part_file(door, place).exists()


def test_a_name_is_never_kept(door: Door) -> None:
    content = film()
    name = base64.b64encode(b"Kim^Minsu.dcm").decode()
    place = begin(door, len(content), f"filename {name}")
    go_on(door, place, 0, content)
    take(door, place, **{"X-File-Name": "Kim^Minsu.dcm"})

    assert "Minsu" not in repr([door.rows(table) for table in ("resumable_upload", "instance", "problem")])
    assert name not in repr(door.rows("resumable_upload"))


def test_an_upload_is_its_sites_alone(door: Door) -> None:
    other = add_site(door.parts.database, "second")
    with door.parts.database.transaction() as tx:
        key = new_key(tx, site_id=other, name="tests", now=door.parts.clock()).text
    place = begin(door, 100)
    theirs = {**TUS, "Authorization": f"Bearer {key}"}

    answers = [
        door.stranger.head(place, headers=theirs),
        door.stranger.patch(
            place, content=b"x", headers={**theirs, "Upload-Offset": "0", "Content-Type": resumable_stream()}
        ),
        door.stranger.post(f"{place}/take", headers=theirs),
        door.stranger.delete(place, headers=theirs),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert offset(door, place) == 0


@pytest.mark.parametrize(
    ("method", "changed", "status"),
    [
        ("POST", {"Tus-Resumable": "0.2.2"}, 412),
        ("POST", {"Upload-Length": "0"}, 400),
        ("POST", {"Upload-Length": "-1"}, 400),
        ("POST", {"Upload-Length": str(1 << 50)}, 413),
        ("POST", {"Upload-Metadata": "sha256 !!"}, 400),
        ("POST", {"Upload-Metadata": "sha256"}, 400),
        ("PATCH", {"Content-Type": "application/dicom"}, 415),
        ("PATCH", {"Content-Encoding": "gzip"}, 415),
        ("PATCH", {"Upload-Offset": "x"}, 400),
    ],
)
def test_nonsense_is_refused(door: Door, method: str, changed: dict[str, str], status: int) -> None:
    place = ROOM if method == "POST" else begin(door, 100)
    told = {**TUS, "Upload-Length": "9", "Upload-Offset": "0", "Content-Type": resumable_stream(), **changed}

    answer = door.client.request(method, place, headers=told)

    assert answer.status_code == status
    assert (answer.headers.get("Tus-Version") == "1.0.0") is (status == 412)


def test_a_client_learns_what_is_spoken(door: Door) -> None:
    answer = door.client.options(ROOM)

    assert answer.status_code == 204
    assert answer.headers["Tus-Version"] == "1.0.0"
    assert answer.headers["Tus-Extension"] == "creation,expiration,termination"
    assert answer.headers["Tus-Max-Size"] == str(door.parts.settings.max_stow_bytes)


def test_a_site_has_so_many_at_once(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_resumable_uploads=2) as parts, open_door(parts) as door:
        begin(door, 10), begin(door, 10)
        answer = door.client.post(ROOM, headers={**TUS, "Upload-Length": "10"})

        assert answer.status_code == 503
        assert "Retry-After" in answer.headers
        assert len(list(folder_in(parts.settings.spool_folder).iterdir())) == 2


def test_full_storage_is_507(tmp_path: Path) -> None:
    with open_parts(tmp_path, min_free_bytes=1 << 60, min_free_share=1) as parts, open_door(parts) as door:
        assert door.client.post(ROOM, headers={**TUS, "Upload-Length": "10"}).status_code == 507


def test_what_a_failed_sync_left_out_is_sent_again(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resumable, "NOTE_S", 0.0)
    content = film()
    place = begin(door, len(content))
    go_on(door, place, 0, content[:10_000])
    failing = [True]

    def fails_once(descriptor: int) -> None:
        if failing:  # and says nothing of it the next time, as Linux does
            failing.clear()
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(resumable.os, "fdatasync", fails_once)
    answer = go_on(door, place, 10_000, content[10_000:])

    assert answer.status_code == 507
    assert offset(door, place) == 10_000
    assert go_on(door, place, 10_000, content[10_000:]).status_code == 204
    assert take(door, place).json()["totals"]["stored"] == 1


def test_an_upload_that_nobody_goes_on_with_is_told_and_removed(door: Door, clock: Clock) -> None:
    content = film()
    left, taken, young = begin(door, 100), begin(door, len(content)), begin(door, 100)
    assert go_on(door, left, 0, bytes(60)).status_code == 204
    assert go_on(door, taken, 0, content).status_code == 204
    assert take(door, taken).json()["totals"]["stored"] == 1
    with door.parts.database.transaction() as tx:
        t = tables.resumable_upload
        tx.execute(update(t).where(t.c.public_id == young.rpartition("/")[2]).values(expires_at=clock.now + 1e9))

    sweep(door, clock.now + 73 * 3_600)

    [problem] = [row for row in door.rows("problem") if row["reason"] == "aborted"]
    assert (problem["site_id"], problem["door"]) == (door.parts.site_id, "upload")
    assert "60 of 100 bytes" in problem["detail"]
    assert [row["public_id"] for row in door.rows("resumable_upload")] == [young.rpartition("/")[2]]
    assert list(folder_in(door.parts.settings.spool_folder).iterdir()) == [part_file(door, young)]


def test_an_upload_that_comes_is_never_removed(door: Door, clock: Clock) -> None:
    place = begin(door, 1_000)
    with broken_off(door, place, 0, bytes(10), 1_000):
        poll(lambda: part_file(door, place).stat().st_size == 10)

        sweep(door, clock.now + 1e9)

    poll(lambda: offset(door, place) == 10)


def test_an_upload_that_was_gone_on_with_meanwhile_stays(
    door: Door, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = begin(door, 100)
    with door.parts.database.reading() as rx:
        stale = records.find(rx, place.rpartition("/")[2])
    monkeypatch.setattr(part_files.records, "list_expired", lambda *_: [stale])

    sweep(door, clock.now + 3_600)

    assert offset(door, place) == 0


def test_an_upload_whose_file_is_gone_does_not_stay_for_ever(door: Door, clock: Clock) -> None:
    place = begin(door, 100)
    part_file(door, place).unlink()

    assert door.client.head(place, headers=TUS).status_code == 404
    sweep(door, clock.now + 73 * 3_600)

    assert door.rows("resumable_upload") == []


def test_what_the_service_cannot_take_just_now_stays_to_be_taken(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    content = film()
    place = begin(door, len(content))
    go_on(door, place, 0, content)

    def overloaded(*_: Any, **__: Any) -> None:
        raise NoRoom(IntakeReason.OVERLOADED)

    with monkeypatch.context() as pressed:
        pressed.setattr(door.parts.intake, "open", overloaded)
        refused = take(door, place)

    [row] = door.rows("resumable_upload")
    assert refused.status_code == 503
    assert row["taken_at"] is None
    assert take(door, place).json()["totals"]["stored"] == 1
    assert door.rows("resumable_upload")[0]["taken_at"] is not None


def test_no_more_is_promised_than_there_is_room_for(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    pressure = replace(door.parts.intake.pressure(), spare_bytes=1_000)
    monkeypatch.setattr(door.parts.intake, "pressure", lambda **_: pressure)
    first = begin(door, 600)

    assert door.client.post(ROOM, headers={**TUS, "Upload-Length": "600"}).status_code == 507
    go_on(door, first, 0, bytes(300))
    begin(door, 600)


def test_files_that_belong_to_no_upload_go_after_a_while(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    begin(door, 10)
    stray = folder_in(door.parts.settings.spool_folder) / f"{0:032x}.upload"
    stray.write_bytes(b"x")

    sweep(door, 0)
    assert stray.exists()
    monkeypatch.setattr(part_files, "STRAY_S", 0.0)
    os.utime(stray, (time.time() - 10,) * 2)
    sweep(door, 0)

    assert not stray.exists()
    assert len(list(stray.parent.iterdir())) == 1


def test_many_senders_at_once_lose_nothing(door: Door) -> None:
    failed: list[Any] = []

    def send(seed: int) -> None:
        content = film(seed)
        place = begin(door, len(content))
        for first in range(0, len(content), 2_000):
            go_on(door, place, first, content[first : first + 2_000])
        if take(door, place).status_code != 200:
            failed.append(seed)

    threads = [threading.Thread(target=send, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert failed == []
    assert len(door.rows("instance")) == 6


def test_the_operator_sees_what_is_on_its_way_and_makes_room(
    door: Door, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    content = film()
    place, taken = begin(door, 5_000), begin(door, len(content))
    go_on(door, place, 0, b"x" * 2_000)
    go_on(door, taken, 0, content)
    assert take(door, taken).status_code == 200
    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(door.parts.settings.data_folder))
    public_id = place.rpartition("/")[2]

    assert main(["uploads", "list", "--site", "test"]) == 0
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith(f"{public_id}  test  ")
    assert "  2,000 of 5,000 bytes  until 20" in line

    with broken_off(door, place, 2_000, b"x" * 500, 3_000):
        poll(lambda: part_file(door, place).stat().st_size == 2_500)
        assert main(["uploads", "remove", public_id]) == EXIT_REFUSED
        assert "its sender is at it" in capsys.readouterr().err
    poll(lambda: main(["uploads", "remove", public_id]) == 0)

    assert door.client.head(place, headers=TUS).status_code == 404
    assert not part_file(door, place).exists()
    capsys.readouterr()
    assert main(["uploads", "list"]) == 0
    assert capsys.readouterr().out == ""
    assert main(["uploads", "remove", public_id]) == EXIT_REFUSED
    [problem] = [row for row in door.rows("problem") if row["reason"] == "aborted"]
    assert (
        problem["detail"] == "an upload was removed by the operator before it was finished: 2,500 of 5,000 bytes came"
    )
    assert [row["action"] for row in door.rows("audit_event")].count("upload_removed") == 1
    assert main(["uploads", "remove", taken.rpartition("/")[2]]) == 0
    assert [row for row in door.rows("problem") if row["reason"] == "aborted"] == [problem]  # that one is wholly here
