"""STOW-RS: what is answered (DWB-1 to DWB-5), what is kept, and what a broken request leaves."""

from __future__ import annotations

import http.client
import io
import socket
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import generate_uid

from service.intake.outcomes import IntakeReason, Kind, Outcome
from service.intake.stow import store_status
from tests.driver import wait_until
from tests.factories import Parts, add_site, make_radiograph, open_parts, part10
from tests.service.intake.doors import (
    BOUNDARY,
    STOW_TYPE,
    Door,
    first_values,
    open_door,
    poll,
    related,
    values,
)

RETRIEVE_URL, REFERENCED, FAILED, OTHER = "00081190", "00081199", "00081198", "0008119A"
FAILURE_REASON, WARNING_REASON, SOP_INSTANCE = "00081197", "00081196", "00081155"


@pytest.fixture
def door(parts: Parts) -> Iterator[Door]:
    with open_door(parts) as door:
        yield door


@pytest.mark.parametrize(
    ("accept", "is_xml"),
    [
        ("application/dicom+xml", True),
        ("application/dicom+json;q=0.3, application/dicom+xml", True),
        ("application/dicom+json, application/dicom+xml;q=0.3", False),
        ("*/*", False),
        ("text/html", False),
    ],
)
def test_the_answer_comes_in_the_form_that_is_liked_better(door: Door, accept: str, is_xml: bool) -> None:
    film, other = make_radiograph(), make_radiograph(SOPClassUID="1.2.3")
    body = related(part10(film), part10(other))

    answer = door.client.post("/dicomweb/studies", content=body, headers={"Content-Type": STOW_TYPE, "Accept": accept})

    assert answer.status_code == 202
    if not is_xml:
        assert answer.json()[REFERENCED]["Value"][0][SOP_INSTANCE]["Value"] == [film.SOPInstanceUID]
        return
    assert answer.headers["Content-Type"] == "application/dicom+xml"
    told = {node.get("keyword"): node for node in Xml.fromstring(answer.content)}
    sent = told["ReferencedSOPSequence"].find("Item/DicomAttribute[@keyword='ReferencedSOPInstanceUID']/Value")
    why = told["FailedSOPSequence"].find("Item/DicomAttribute[@keyword='FailureReason']/Value")
    assert sent is not None
    assert sent.text == film.SOPInstanceUID
    assert why is not None
    assert why.text == "290"


def other_film_of(film: Dataset) -> bytes:
    same_uids = {name: film[name].value for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")}
    return part10(make_radiograph(seed=99, **same_uids))


def test_stored_instances_are_named_with_their_addresses(door: Door) -> None:
    study = generate_uid()
    films = [make_radiograph(seed=i, StudyInstanceUID=study) for i in range(3)]

    answer = door.store(*map(part10, films))

    base = f"{door.address}/dicomweb/studies/{study}"
    module = answer.json()
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    assert answer.headers["content-location"] == answer.headers["location"] == base
    assert values(module, RETRIEVE_URL) == [base]
    assert first_values(values(module, REFERENCED), RETRIEVE_URL) == [
        f"{base}/series/{film.SeriesInstanceUID}/instances/{film.SOPInstanceUID}" for film in films
    ]
    assert {row["sop_instance_uid"] for row in door.rows("instance")} == {film.SOPInstanceUID for film in films}
    assert {row["door"] for row in door.rows("instance")} == {"stow"}


def test_public_address_is_used_where_a_proxy_stands_before_us(tmp_path: Path) -> None:
    with open_parts(tmp_path, public_url="https://pandok.example/read/") as parts, open_door(parts) as door:
        answer = door.store(part10(make_radiograph()))

    assert answer.headers["location"].startswith("https://pandok.example/read/dicomweb/studies/")


def test_instances_of_two_studies_name_no_single_address(door: Door) -> None:
    answer = door.store(part10(make_radiograph(seed=1)), part10(make_radiograph(seed=2)))

    assert answer.status_code == 200
    assert values(answer.json(), RETRIEVE_URL) == []
    assert "location" not in answer.headers


def test_sending_again_is_success_and_stores_nothing_twice(door: Door) -> None:
    film = part10(make_radiograph())

    answers = [door.store(film, film), door.store(film)]

    assert [answer.status_code for answer in answers] == [200, 200]
    assert len(values(answers[0].json(), REFERENCED)) == 2
    assert len(door.rows("instance")) == 1


def test_other_content_under_a_known_uid_is_held_and_answered_409(door: Door) -> None:
    film = make_radiograph()
    door.store(part10(film))

    answer = door.store(other_film_of(film))

    [failed] = values(answer.json(), FAILED)
    assert answer.status_code == 409
    assert values(failed, FAILURE_REASON) == [0x0111]
    assert values(failed, SOP_INSTANCE) == [film.SOPInstanceUID]
    assert [row["kind"] for row in door.rows("problem")] == ["held"]


def test_a_site_may_have_such_content_answered_with_a_warning(tmp_path: Path) -> None:
    with open_parts(tmp_path, policy={"conflict_answer": "warn"}) as parts, open_door(parts) as door:
        film = make_radiograph()
        door.store(part10(film))

        answer = door.store(other_film_of(film))

    [kept] = values(answer.json(), REFERENCED)
    assert answer.status_code == 202
    assert values(kept, WARNING_REASON) == [0xB007]
    assert FAILED not in answer.json()


def test_good_and_bad_parts_are_answered_each_for_itself(door: Door) -> None:
    film = make_radiograph()

    answer = door.store(part10(film), b"%PDF-1.7" + bytes(900), part10(make_radiograph(SOPClassUID="1.2.3")))

    module = answer.json()
    assert answer.status_code == 202
    assert first_values(values(module, REFERENCED), SOP_INSTANCE) == [film.SOPInstanceUID]
    assert first_values(values(module, FAILED), FAILURE_REASON) == [0x0122]
    assert first_values(values(module, OTHER), FAILURE_REASON) == [0xC001]
    assert "PDF" in answer.headers["warning"]
    assert sorted(row["reason"] for row in door.rows("problem")) == ["class_not_supported", "not_dicom"]


def test_instances_of_another_study_than_the_address_are_refused(door: Door) -> None:
    film, stray = make_radiograph(), make_radiograph(seed=1)

    mixed = door.store(part10(film), part10(stray), study=film.StudyInstanceUID)
    only_stray = door.store(part10(stray), study=film.StudyInstanceUID)

    assert (mixed.status_code, only_stray.status_code) == (202, 409)
    assert first_values(values(mixed.json(), FAILED), FAILURE_REASON) == [0xA901]
    assert [row["sop_instance_uid"] for row in door.rows("instance")] == [film.SOPInstanceUID]


def test_an_address_that_is_no_uid_is_refused_before_the_body(door: Door) -> None:
    for uid in ("..%2F..%2Fetc", "1.2.x", "1" * 65, "1..2"):
        assert door.store(part10(make_radiograph()), study=uid).status_code in (400, 404)
    assert door.rows("problem") == []


def test_only_unreadable_parts_are_400_and_each_leaves_a_row(door: Door) -> None:
    answer = door.store(b"no dicom", b"", part10(make_radiograph())[:150])

    assert answer.status_code == 400
    assert first_values(values(answer.json(), OTHER), FAILURE_REASON) == [0xC001, 0xC001, 0xC003]
    assert [row["reason"] for row in door.rows("problem")].count("not_dicom") == 2


def test_a_transfer_syntax_that_nobody_knows_is_told_by_its_reason(door: Door) -> None:
    known = make_radiograph()
    other = make_radiograph(seed=1)
    unknown = part10(other).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.9\0", 1)

    mixed, alone = door.store(part10(known), unknown), door.store(unknown)

    assert (mixed.status_code, alone.status_code) == (202, 409)
    for answer in (mixed, alone):
        [failed] = values(answer.json(), FAILED)
        assert values(failed, FAILURE_REASON) == [49_442]  # C122
        assert values(failed, SOP_INSTANCE) == [other.SOPInstanceUID]
    assert [row["sop_instance_uid"] for row in door.rows("instance")] == [known.SOPInstanceUID]


def test_an_instance_that_the_tables_do_not_take_is_a_processing_failure(door: Door) -> None:
    good, bad = make_radiograph(InstanceNumber=1), make_radiograph(seed=1, InstanceNumber=4_711)
    with door.parts.database.transaction() as tx:
        tx.exec_driver_sql(
            "CREATE TRIGGER broken BEFORE INSERT ON instance WHEN NEW.instance_number = 4711"
            " BEGIN SELECT RAISE(ABORT, 'broken'); END"
        )

    mixed, alone = door.store(part10(good), part10(bad)), door.store(part10(bad))

    assert (mixed.status_code, alone.status_code) == (202, 503)
    assert int(alone.headers["retry-after"]) > 0
    for answer in (mixed, alone):
        [failed] = values(answer.json(), FAILED)
        assert values(failed, FAILURE_REASON) == [272]  # 0110
        assert values(failed, SOP_INSTANCE) == [bad.SOPInstanceUID]
    assert [row["sop_instance_uid"] for row in door.rows("instance")] == [good.SOPInstanceUID]


def test_media_types_that_are_not_taken_are_415(door: Door) -> None:
    film = part10(make_radiograph())
    for content_type in ("application/dicom", 'multipart/related; type="application/pdf"; boundary=b'):
        assert door.store(film, **{"Content-Type": content_type}).status_code == 415
    assert door.store(film, **{"Content-Encoding": "gzip"}).status_code == 415
    assert door.rows("instance") == []


def test_a_request_without_parts_is_400(door: Door) -> None:
    answer = door.client.post("/dicomweb/studies", content=f"--{BOUNDARY}--\r\n", headers={"Content-Type": STOW_TYPE})

    assert (answer.status_code, answer.json()["error"]) == (400, "no_parts")


def test_a_body_that_ends_too_early_keeps_its_whole_parts_and_is_no_success(door: Door) -> None:
    film = make_radiograph()
    whole = related(part10(film), part10(make_radiograph(seed=1)), end=False)

    answer = door.client.post("/dicomweb/studies", content=whole[:-50], headers={"Content-Type": STOW_TYPE})

    assert answer.status_code == 400
    assert first_values(values(answer.json(), REFERENCED), SOP_INSTANCE) == [film.SOPInstanceUID]
    assert first_values(values(answer.json(), OTHER), FAILURE_REASON) == [0xC003]
    assert door.spool_files() == []


def test_more_bytes_than_allowed_are_413(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_stow_bytes=20_000) as parts, open_door(parts) as door:
        films = [part10(make_radiograph(seed=i)) for i in range(2)]

        declared = door.store(*films)
        undeclared = door.client.post(
            "/dicomweb/studies", content=iter([related(*films)]), headers={"Content-Type": STOW_TYPE}
        )

        assert [declared.status_code, undeclared.status_code] == [413, 413]
        assert door.rows("instance") == []
        assert door.spool_files() == []


def test_a_too_large_instance_is_413_when_it_is_all_there_was(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_dataset_bytes=9_000) as parts, open_door(parts) as door:
        answer = door.store(part10(make_radiograph()))

    assert answer.status_code == 413
    assert first_values(values(answer.json(), OTHER) + values(answer.json(), FAILED), FAILURE_REASON) == [0xA700]


def test_too_many_parts_are_413_and_the_allowed_ones_stay(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_stow_parts=2) as parts, open_door(parts) as door:
        answer = door.store(*(part10(make_radiograph(seed=i)) for i in range(3)))

        assert answer.status_code == 413
        assert len(values(answer.json(), REFERENCED)) == len(door.rows("instance")) == 2


def test_full_storage_is_507_before_the_body_is_read(tmp_path: Path) -> None:
    with open_parts(tmp_path, min_free_bytes=1 << 60, min_free_share=1) as parts, open_door(parts) as door:
        answer = door.store(part10(make_radiograph()))

    assert answer.status_code == 507
    assert "full" in answer.json()["message"]


def test_more_senders_than_places_are_503_with_a_time_to_come_back(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_associations=0) as parts, open_door(parts) as door:
        answer = door.store(part10(make_radiograph()))

    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0


def test_one_sender_cannot_keep_all_others_out(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_associations=3, max_associations_per_peer=2) as parts, open_door(parts) as door:
        add_site(parts.database, "second")
        ending = threading.Event()

        def slow() -> Iterator[bytes]:
            yield b"x"
            ending.wait(30)

        def hold() -> int:
            with httpx.Client(base_url=door.address, headers=door.client.headers, timeout=60) as client:
                while (status := client.post("/api/uploads", content=slow()).status_code) == 503:
                    continue  # the one that asks below was here first
                return status

        with ThreadPoolExecutor(2) as pool:
            held = [pool.submit(hold) for _ in range(2)]
            try:
                wait_until("its places are taken", lambda: door.upload(b"not a film").status_code == 503, timeout_s=20)
                own = door.upload(b"not a film")
                another = door.person.post("/api/uploads?site=second", content=b"not a film")
            finally:
                ending.set()
            assert [one.result() for one in held] == [409, 409]

        assert (own.status_code, another.status_code) == (503, 409)
        assert int(own.headers["retry-after"]) > 0
        assert "of yours" in own.json()["message"]


def test_a_stranger_stores_nothing(door: Door) -> None:
    answer = door.stranger.post(
        "/dicomweb/studies", content=related(part10(make_radiograph())), headers={"Content-Type": STOW_TYPE}
    )

    assert answer.status_code == 401
    assert door.rows("instance") == door.rows("problem") == []


def test_a_person_of_the_installation_names_the_site(door: Door) -> None:
    second = add_site(door.parts.database, "second")
    body, headers = related(part10(make_radiograph())), {"Content-Type": STOW_TYPE}

    unnamed = door.person.post("/dicomweb/studies", content=body, headers=headers)
    unknown = door.person.post("/dicomweb/studies?site=nowhere", content=body, headers=headers)
    named = door.person.post("/dicomweb/studies?site=second", content=body, headers=headers)

    assert [unnamed.status_code, unknown.status_code, named.status_code] == [400, 404, 200]
    assert "site" in unnamed.json()["message"]
    assert [row["site_id"] for row in door.rows("instance")] == [second]


def test_a_key_cannot_send_for_another_site(door: Door) -> None:
    add_site(door.parts.database, "second")

    answer = door.client.post(
        "/dicomweb/studies?site=second", content=related(part10(make_radiograph())), headers={"Content-Type": STOW_TYPE}
    )

    assert answer.status_code == 404
    assert door.rows("instance") == []


REASONS = [None, *IntakeReason]


@given(st.lists(st.sampled_from(REASONS), min_size=1, max_size=6))
def test_status_never_claims_more_than_was_kept(reasons: list[IntakeReason | None]) -> None:
    outcomes = [Outcome(Kind.REFUSED if reason else Kind.STORED, reason, None, None, None) for reason in reasons]

    status = store_status(outcomes)

    kept = [outcome.is_kept for outcome in outcomes]
    assert (status == 200) == all(outcome.reason is None for outcome in outcomes)
    assert (status in (200, 202)) == any(kept)


def test_dicomweb_client_stores_unchanged(door: Door) -> None:
    session = create_session()
    session.headers["Authorization"] = f"Bearer {door.key}"
    client = DICOMwebClient(f"{door.address}/dicomweb", session=session, chunk_size=10_000)
    study = generate_uid()
    films = [make_radiograph(seed=i, StudyInstanceUID=study) for i in range(12)]

    answer = client.store_instances(films, study_instance_uid=study)

    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        film.SOPInstanceUID for film in films
    ]
    assert len(door.rows("instance")) == 12


def test_a_connection_that_breaks_off_keeps_what_was_whole(door: Door) -> None:
    first, second = make_radiograph(seed=1), make_radiograph(seed=2)
    body = related(part10(first), part10(second), end=False)
    connection = http.client.HTTPConnection("127.0.0.1", door.port, timeout=10)
    connection.putrequest("POST", "/dicomweb/studies")
    for name, value in {
        "Authorization": f"Bearer {door.key}",
        "Content-Type": STOW_TYPE,
        "Content-Length": str(len(body) + 1_000),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    connection.send(body[:-2_000])
    poll(lambda: door.spool_files() or door.rows("instance"))
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()

    poll(lambda: door.rows("problem"))
    assert [(row["kind"], row["reason"], row["door"]) for row in door.rows("problem")] == [
        ("aborted", "aborted", "stow")
    ]
    assert [row["sop_instance_uid"] for row in door.rows("instance")] == [first.SOPInstanceUID]
    assert door.spool_files() == []
    assert door.store(part10(second)).status_code == 200


@pytest.mark.parametrize(
    "limits",
    [
        pytest.param({"association_idle_timeout_s": 0.2}, id="silent"),
        pytest.param({"slow_rate_window_s": 0.2, "slow_rate_bytes_per_s": 10**9}, id="slow"),
    ],
)
def test_a_sender_that_drips_is_let_go(tmp_path: Path, limits: dict[str, Any]) -> None:
    with (
        open_parts(tmp_path, **limits) as parts,
        open_door(parts) as door,
        socket.create_connection(("127.0.0.1", door.port), timeout=10) as drip,
    ):
        head = (
            f"POST /dicomweb/studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {door.key}\r\n"
            f"Content-Type: {STOW_TYPE}\r\nContent-Length: 100000\r\n\r\n"
        )
        drip.sendall(head.encode() + related(part10(make_radiograph()))[:1_000])
        drip.settimeout(0.05)
        answer = b""
        for _ in range(200):
            if "slow_rate_window_s" in limits:
                drip.sendall(b"x")
            try:
                answer = drip.recv(4_096)
                break
            except TimeoutError:
                continue

        assert answer.startswith(b"HTTP/1.1 408")
        assert door.spool_files() == []


def test_a_zip_in_a_part_is_not_unpacked(door: Door) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.dcm", part10(make_radiograph()))

    answer = door.store(packed.getvalue())

    assert answer.status_code == 400
    assert "zip" in answer.headers["warning"]
    assert door.rows("instance") == []
