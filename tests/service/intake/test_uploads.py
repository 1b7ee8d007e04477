"""Web upload of files and zips, a sender's done, arrivals and problems."""

from __future__ import annotations

import io
import stat
import struct
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from pydicom.uid import generate_uid

from service.intake import uploads, zips
from tests.factories import Clock, Parts, add_site, make_radiograph, open_parts, part10
from tests.service.intake.doors import Door, open_door


@pytest.fixture
def door(parts: Parts) -> Iterator[Door]:
    with open_door(parts) as door:
        yield door


def film(seed: int = 0, **attributes: Any) -> bytes:
    return part10(make_radiograph(seed=seed, **attributes))


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return packed.getvalue()


def outcomes(answer: httpx.Response) -> dict[str, str]:
    return {file["name"]: file["reason"] or file["outcome"] for file in answer.json()["files"]}


def test_one_file_is_kept_and_named_as_the_sender_named_it(door: Door) -> None:
    answer = door.upload(film(), quote("흉부/사진 1.dcm"))

    [row] = door.rows("instance")
    assert answer.status_code == 200
    assert answer.json()["totals"] == {"files": 1, "stored": 1, "duplicate": 0, "held": 0, "refused": 0}
    assert outcomes(answer) == {"흉부/사진 1.dcm": "stored"}
    assert answer.json()["files"][0]["sop_instance_uid"] == row["sop_instance_uid"]
    assert row["door"] == "upload"


def test_a_name_is_never_kept(door: Door) -> None:
    door.upload(b"%PDF-1.4", quote("Kim^Minsu.pdf"))
    door.upload(zipped({"Kim^Minsu.txt": b"hello"}), "Kim^Minsu.zip")

    everything = repr([door.rows(table) for table in ("problem", "instance", "study", "series")])
    assert len(door.rows("problem")) == 2
    assert "Minsu" not in everything
    assert not any("Minsu" in str(path) for path in door.parts.settings.data_folder.rglob("*"))


@pytest.mark.parametrize(
    ("content", "reason", "words"),
    [
        (b"%PDF-1.4", "not_dicom", "PDF"),
        (b"", "not_dicom", "empty"),
        (b"hello", "not_dicom", "text"),
        (film()[:200], "truncated", "early"),
        (film(SOPClassUID="1.2.3"), "class_not_supported", "SOP Class"),
        (
            film(SOPInstanceUID="1.2.3.4.5.6.7.89").replace(b"1.2.3.4.5.6.7.89", b"../../etc/passwd"),
            "invalid_uid",
            "UID",
        ),
    ],
)
def test_what_cannot_be_kept_is_409_with_words_and_a_row(door: Door, content: bytes, reason: str, words: str) -> None:
    answer = door.upload(content)

    assert answer.status_code == 409
    assert outcomes(answer) == {"film.dcm": reason}
    assert words in answer.json()["files"][0]["message"]
    assert [row["reason"] for row in door.rows("problem")] == [reason]
    assert door.spool_files() == []


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_of_a_folder_ends_in_one_outcome_for_each_file(door: Door, method: int) -> None:
    study = generate_uid()
    files = {f"CD/IMG{i:04}": film(i, StudyInstanceUID=study) for i in range(12)}
    extras = {
        "CD/": b"",
        "CD/readme.txt": b"read me",
        "CD/viewer.exe": b"MZ" + bytes(300),
        "again": files["CD/IMG0003"],
    }

    answer = door.upload(zipped({**files, **extras}, method), "cd.zip")

    assert answer.status_code == 202
    assert outcomes(answer) == {
        **dict.fromkeys(files, "stored"),
        "CD/readme.txt": "not_dicom",
        "CD/viewer.exe": "not_dicom",
        "again": "duplicate",
    }
    assert len(door.rows("instance")) == 12
    assert door.spool_files() == []


def test_names_in_a_zip_lead_nowhere(door: Door, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))

    answer = door.upload(zipped({"../../../evil.dcm": film(1), "/etc/evil.dcm": film(2), "C:\\evil.dcm": film(3)}))

    assert answer.json()["totals"]["stored"] == 3
    assert not any("evil" in path.name for path in set(tmp_path.rglob("*")) - before)


def test_a_film_with_a_zip_s_first_bytes_in_its_preamble_is_a_film(door: Door) -> None:
    content = film()

    answer = door.upload(b"PK\x03\x04".ljust(128, b"\0") + content[128:])

    assert outcomes(answer) == {"film.dcm": "stored"}
    [row] = door.rows("instance")
    stored = door.parts.archive.path(row["site_id"], row["content_sha256"]).read_bytes()
    assert stored[:132] == bytes(128) + b"DICM"


def test_zip_is_known_by_its_bytes_or_its_declared_type(door: Door) -> None:
    by_bytes = door.upload(zipped({"a": film()}), **{"Content-Type": "application/octet-stream"})
    by_type = door.upload(b"not a zip at all", **{"Content-Type": "application/zip"})

    assert by_bytes.json()["files"][0]["name"] == "a"
    assert (by_type.status_code, outcomes(by_type)) == (409, {"film.dcm": "truncated"})
    assert "zip" in by_type.json()["files"][0]["message"]


def test_links_passwords_odd_methods_and_nested_zips_are_refused_one_by_one(door: Door) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("nested.zip", zipped({"a": film(1)}))
        archive.writestr("odd", film(2), compress_type=zipfile.ZIP_BZIP2)
        archive.writestr("locked", film(3))
        archive.writestr("good", film(4))
    content = bytearray(packed.getvalue())
    for magic, name_at, flags_at in ((b"PK\x03\x04", 30, 6), (b"PK\x01\x02", 46, 8)):
        at = -1
        while (at := content.find(magic, at + 1)) >= 0:
            if content[at + name_at :].startswith(b"locked"):
                content[at + flags_at] |= 1

    answer = door.upload(bytes(content))

    messages = {file["name"]: file["message"] for file in answer.json()["files"]}
    assert answer.status_code == 202
    assert outcomes(answer) == {
        "link": "not_dicom",
        "nested.zip": "not_dicom",
        "odd": "not_dicom",
        "locked": "not_dicom",
        "good": "stored",
    }
    assert "link" in messages["link"]
    assert "zip" in messages["nested.zip"]
    assert "plain zip" in messages["odd"]
    assert "password" in messages["locked"]
    assert len(door.rows("problem")) == 4


def test_a_damaged_file_in_a_zip_spares_the_others(door: Door) -> None:
    content = bytearray(zipped({"a": film(1), "b": film(2)}, zipfile.ZIP_STORED))
    content[content.find(b"PK\x03\x04") + 5_000] ^= 0xFF

    answer = door.upload(bytes(content))

    assert outcomes(answer) == {"a": "truncated", "b": "stored"}
    assert len(door.rows("instance")) == 1


@pytest.mark.parametrize("cut", [30, 2_000, 40_000])
def test_a_zip_cut_short_is_refused_with_words(door: Door, cut: int) -> None:
    answer = door.upload(zipped({str(i): film(i) for i in range(3)}, zipfile.ZIP_STORED)[:-cut], "cd.zip")

    assert (answer.status_code, outcomes(answer)) == (409, {"cd.zip": "truncated"})
    assert "send it again" in answer.json()["files"][0]["message"]


def test_a_bomb_is_given_up_while_it_unpacks(tmp_path: Path) -> None:
    bomb = zipped({"good": film(), "bomb": bytes(64 << 20), "after": film(1)})
    with open_parts(tmp_path) as parts, open_door(parts) as door:
        answer = door.upload(bomb, "cd.zip")

        assert answer.status_code == 202
        assert outcomes(answer) == {"good": "stored", "cd.zip": "limit_exceeded"}
        assert "2 files" in answer.json()["files"][1]["message"]
        assert door.spool_files() == []


def test_too_many_files_in_a_zip_are_refused_before_any_is_read(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_zip_entries=5) as parts, open_door(parts) as door:
        answer = door.upload(zipped({str(i): film() for i in range(6)}), "cd.zip")

        assert (answer.status_code, outcomes(answer)) == (409, {"cd.zip": "limit_exceeded"})
        assert door.rows("instance") == []


def test_a_table_of_contents_that_would_fill_the_memory_is_not_read(tmp_path: Path) -> None:
    many = zipped({"x" * 200 + str(i): b"" for i in range(12_000)})
    with open_parts(tmp_path, max_zip_entries=5) as parts, open_door(parts) as door:
        answer = door.upload(many, "cd.zip")

        assert (answer.status_code, outcomes(answer)) == (409, {"cd.zip": "truncated"})


@pytest.mark.parametrize("place", range(0, 90, 3))
def test_a_hostile_table_of_contents_is_an_outcome_too(door: Door, place: int) -> None:
    content = bytearray(zipped({"a": film()}))
    at = content.rfind(b"PK\x01\x02") + place
    content[at : at + 4] = struct.pack("<L", 0xFFFFFFF0)

    answer = door.upload(bytes(content), "cd.zip")

    assert answer.status_code in (200, 409)
    assert answer.json()["totals"]["files"] == 1


def test_an_empty_zip_says_so(door: Door) -> None:
    answer = door.upload(zipped({}), "cd.zip")

    assert (answer.status_code, outcomes(answer)) == (409, {"cd.zip": "not_dicom"})


def test_more_bytes_than_allowed_are_413(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_stow_bytes=10_000) as parts, open_door(parts) as door:
        declared = door.upload(film())
        undeclared = door.client.post("/api/uploads", content=iter([film()]))
        undeclared_zip = door.client.post("/api/uploads", content=iter([zipped({"a": film()}, zipfile.ZIP_STORED)]))

        assert [a.status_code for a in (declared, undeclared, undeclared_zip)] == [413, 413, 413]
        assert [row["reason"] for row in door.rows("problem")] == ["too_large", "too_large"]
        assert door.spool_files() == []


def test_a_too_large_instance_is_413(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_dataset_bytes=9_000) as parts, open_door(parts) as door:
        assert door.upload(film()).status_code == 413


def test_full_storage_is_507_with_words(tmp_path: Path) -> None:
    with open_parts(tmp_path, min_free_bytes=1 << 60, min_free_share=1) as parts, open_door(parts) as door:
        answer = door.upload(film())

        assert answer.status_code == 507
        assert "send again later" in answer.json()["message"]


def test_a_disk_that_fills_under_the_files_is_507_for_all_and_202_for_some() -> None:
    from service.intake.batch import Answer
    from service.intake.outcomes import IntakeReason, Kind, Outcome

    full = Answer("", Outcome(Kind.REFUSED, IntakeReason.OUT_OF_RESOURCES, None, None, None), "")
    stored = Answer("", Outcome(Kind.STORED, None, None, None, None), "")

    assert uploads.upload_status([full, full]) == 507
    assert uploads.upload_status([full, stored]) == 202


def test_a_stranger_uploads_nothing(door: Door) -> None:
    assert door.stranger.post("/api/uploads", content=film()).status_code == 401
    assert door.rows("problem") == []


def test_a_page_of_another_site_cannot_upload_in_a_persons_name(door: Door) -> None:
    answer = door.person.post("/api/uploads?site=test", content=film(), headers={"Sec-Fetch-Site": "cross-site"})

    assert answer.status_code == 403


def test_an_unread_zip_leaves_no_name_in_the_spool(door: Door) -> None:
    seen: list[list[str]] = []
    halfway = threading.Event()

    def content() -> Iterator[bytes]:
        packed = zipped({"a": film()}, zipfile.ZIP_STORED)
        yield packed[:20_000]
        halfway.wait(0.2)
        seen.append(door.spool_files())
        yield packed[20_000:]

    answer = door.client.post("/api/uploads", content=content())

    assert answer.status_code == 200
    assert seen == [[]]


def test_done_settles_the_study_now_or_at_the_count(door: Door, clock: Clock) -> None:
    study = generate_uid()
    door.upload(film(1, StudyInstanceUID=study))

    waiting = door.client.post(f"/api/studies/{study}/done", json={"expected_instances": 2})
    [row] = door.rows("study")
    assert waiting.status_code == 200
    assert (waiting.json()["instance_count"], waiting.json()["expected_instances"]) == (1, 2)
    assert row["settle_at"] > clock.now

    door.upload(film(2, StudyInstanceUID=study))
    [row] = door.rows("study")
    assert (row["settle_by"], row["settle_at"]) == ("count", clock.now)


def test_done_without_a_count_settles_now(door: Door, clock: Clock) -> None:
    study = generate_uid()
    door.upload(film(1, StudyInstanceUID=study))

    assert door.client.post(f"/api/studies/{study}/done").status_code == 200
    [row] = door.rows("study")
    assert (row["settle_by"], row["settle_at"]) == ("done", clock.now)


def test_done_for_nothing_or_nonsense_is_refused(door: Door) -> None:
    assert door.client.post("/api/studies/1.2.3/done").status_code == 404
    assert door.client.post("/api/studies/1.2.x/done").status_code == 400
    assert door.client.post("/api/studies/1.2.3/done", json={"expected_instances": 0}).status_code == 400
    assert door.client.post("/api/studies/1.2.3/done", json={"expected": 1}).status_code == 400


def test_arrival_counts_what_is_here_and_names_what_is_wrong(door: Door) -> None:
    study = generate_uid()
    door.upload(film(1, StudyInstanceUID=study))
    same = make_radiograph(seed=2, StudyInstanceUID=study)
    door.upload(part10(same))
    door.upload(film(3, StudyInstanceUID=study, SOPInstanceUID=same.SOPInstanceUID))

    arrival = door.client.get(f"/api/studies/{study}/arrival").json()

    assert (arrival["instance_count"], arrival["state"]) == (2, "arriving")
    assert [one["instance_count"] for one in arrival["series"]] == [1, 1]
    assert [problem["kind"] for problem in arrival["problems"]] == ["held"]
    assert door.client.get("/api/studies/1.2.3/arrival").status_code == 404


def test_problems_are_paged_from_the_newest_and_resolved_by_a_person(door: Door) -> None:
    for i in range(5):
        door.upload(b"%PDF" + bytes([i]))

    first = door.client.get("/api/problems?limit=3").json()["problems"]
    rest = door.client.get(f"/api/problems?limit=3&before={first[-1]['id']}").json()["problems"]
    ids = [problem["id"] for problem in [*first, *rest]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == 5

    by_key = door.client.post(f"/api/problems/{ids[0]}/resolve", json={"resolution": "sent again"})
    by_person = door.person.post(f"/api/problems/{ids[0]}/resolve", json={"resolution": "sent again"})
    twice = door.person.post(f"/api/problems/{ids[0]}/resolve")
    assert [by_key.status_code, by_person.status_code, twice.status_code] == [403, 204, 404]
    assert [p["id"] for p in door.client.get("/api/problems").json()["problems"]] == ids[1:]
    assert [p["resolution"] for p in door.client.get("/api/problems?state=resolved").json()["problems"]] == [
        "sent again"
    ]


def test_a_site_sees_its_own_problems_and_studies_only(door: Door) -> None:
    add_site(door.parts.database, "second")
    study = generate_uid()
    door.person.post("/api/uploads?site=second", content=film(StudyInstanceUID=study))
    door.person.post("/api/uploads?site=second", content=b"%PDF")

    assert door.client.get("/api/problems").json()["problems"] == []
    assert len(door.person.get("/api/problems").json()["problems"]) == 1
    assert door.client.get(f"/api/studies/{study}/arrival").status_code == 404
    assert door.client.post(f"/api/studies/{study}/done").status_code == 404
    assert door.person.get(f"/api/studies/{study}/arrival?site=second").json()["instance_count"] == 1


def test_the_bounds_of_a_zip_reach_every_read() -> None:
    reads = zips._ShortReads(io.BytesIO(bytes(100)), 50)

    assert len(reads.read(50)) == 50
    for size in (51, -1):
        reads.seek(0)
        with pytest.raises(OSError):
            reads.read(size)
