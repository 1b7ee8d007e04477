"""STOW-RS of metadata with bulk values (DWB-1): what is kept is the instance that the sender described."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx
import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.encaps import generate_frames

from service.intake import metadata_parts
from service.native_model import to_xml
from tests.factories import Parts, make_radiograph, open_parts
from tests.service.intake.doors import Door, first_values, open_door, values

RETRIEVE_URL, REFERENCED, FAILED, OTHER = "00081190", "00081199", "00081198", "0008119A"
FAILURE_REASON, SOP_INSTANCE = "00081197", "00081155"
JSON, XML, OCTETS = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
PIXELS = "7FE00010"
JPEG = b"\xff\xd8\xff\xc3\x00\x0b\x10\x00\x02\x00\x02\x01\x01\x11\x00" + b"\x00" * 9 + b"\xff\xd9"

Part = tuple[str, str, bytes]
"""Content-Type, Content-Location, content."""


@pytest.fixture
def door(parts: Parts) -> Iterator[Door]:
    with open_door(parts) as door:
        yield door


def described(film: Dataset, **pixels: Any) -> dict[str, Any]:
    """Return a film's metadata with its pixels by address."""
    item: dict[str, Any] = json.loads(film.to_json(bulk_data_threshold=1 << 30, suppress_invalid_tags=True))
    item[PIXELS] = {"vr": "OW", "BulkDataURI": "pixels/1", **pixels}
    return {tag: element for tag, element in item.items() if not tag.startswith("0002")}


def send(door: Door, root: str, parts: Sequence[Part], study: str | None = None) -> httpx.Response:
    body = b"".join(
        f"--b\r\nContent-Type: {kind}\r\n".encode()
        + (f"Content-Location: {location}\r\n".encode() if location else b"")
        + b"\r\n"
        + content
        + b"\r\n"
        for kind, location, content in parts
    )
    address = "/dicomweb/studies" + (f"/{study}" if study else "")
    headers = {"Content-Type": f'multipart/related; type="{root}"; boundary=b'}
    return door.client.post(address, content=body + b"--b--\r\n", headers=headers)


def stored(door: Door) -> Dataset:
    [row] = door.rows("instance")
    return dcmread(door.parts.archive.path(row["site_id"], row["content_sha256"]))


@pytest.mark.parametrize("root", [JSON, XML])
@pytest.mark.parametrize("pixels_first", [False, True])
def test_an_instance_described_is_the_instance_kept(door: Door, root: str, pixels_first: bool) -> None:
    film = make_radiograph(PatientName="Kim^Minjun=김^민준", StudyDescription="흉부", SeriesNumber=3)
    item = described(film)
    metadata = json.dumps([item]).encode() if root == JSON else to_xml(item)
    parts = [(root, "", metadata), (OCTETS, "pixels/1", film.PixelData)]

    answer = send(door, root, parts[::-1] if pixels_first else parts)

    kept = stored(door)
    assert answer.status_code == 200, answer.text
    assert values(answer.json(), RETRIEVE_URL) == [f"{door.address}/dicomweb/studies/{film.StudyInstanceUID}"]
    assert np.array_equal(kept.pixel_array, film.pixel_array)
    assert (kept.PatientName, kept.StudyDescription, kept.SeriesNumber) == ("Kim^Minjun=김^민준", "흉부", 3)
    assert {element.tag for element in film} <= {element.tag for element in kept}
    assert all(kept[e.tag] == e for e in film if e.keyword not in ("SpecificCharacterSet", "PixelData"))
    assert door.spool_files() == []


def test_a_private_value_of_unknown_kind_comes_as_bulk(door: Door) -> None:
    film = make_radiograph()
    item = {**described(film), "00291010": {"vr": "UN", "BulkDataURI": "private/1"}}
    parts = [(JSON, "", json.dumps([item]).encode()), (OCTETS, "pixels/1", film.PixelData)]

    answer = send(door, JSON, [*parts, (OCTETS, "private/1", b"\x01\x02" * 3_000)])

    assert answer.status_code == 200, answer.text
    assert stored(door)[0x0029, 0x1010].value == b"\x01\x02" * 3_000


def test_compressed_frames_come_as_a_part_each(door: Door) -> None:
    film = make_radiograph(NumberOfFrames=2)
    frames = [(f"image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.{n}", "pixels/1", JPEG) for n in (57, 57)]

    answer = send(door, JSON, [(JSON, "", json.dumps([described(film)]).encode()), *frames])

    kept = stored(door)
    assert answer.status_code == 200, answer.text
    assert kept.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.57"
    assert [frame.rstrip(b"\0") for frame in generate_frames(kept.PixelData, number_of_frames=2)] == [JPEG, JPEG]


def test_many_instances_are_each_answered(door: Door) -> None:
    films = [make_radiograph(seed=n) for n in range(12)]
    items = [described(film, BulkDataURI=f"pixels/{n}") for n, film in enumerate(films)]
    bulk = [(OCTETS, f"pixels/{n}", film.PixelData) for n, film in enumerate(films) if n != 5]

    answer = send(door, JSON, [(JSON, "", json.dumps(items).encode()), *bulk])

    kept = [film.SOPInstanceUID for n, film in enumerate(films) if n != 5]
    assert answer.status_code == 202
    assert first_values(values(answer.json(), REFERENCED), SOP_INSTANCE) == kept
    assert first_values(values(answer.json(), FAILED), SOP_INSTANCE) == [films[5].SOPInstanceUID]
    assert {row["sop_instance_uid"] for row in door.rows("instance")} == set(kept)
    assert [row["detail"] for row in door.rows("problem")] == [
        "a bulk value that the metadata name is not in the request"
    ]


def nested(depth: int) -> dict[str, Any]:
    item: dict[str, Any] = {}
    for _ in range(depth):
        item = {"00400275": {"vr": "SQ", "Value": [item]}}
    return item


FILM = make_radiograph()
ITEM = described(FILM)
METADATA = (JSON, "", json.dumps([ITEM]).encode())
BULK = (OCTETS, "pixels/1", FILM.PixelData)
BOMB = b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bb">]><NativeDicomModel>&b;</NativeDicomModel>'


@pytest.mark.parametrize(
    ("root", "sent"),
    [
        pytest.param(JSON, [(JSON, "", b"[{"), BULK], id="no json"),
        pytest.param(JSON, [(JSON, "", b"[1]"), BULK], id="no data set"),
        pytest.param(JSON, [(JSON, "", b"[" * 100_000 + b"]" * 100_000)], id="deep json"),
        pytest.param(JSON, [(JSON, "", json.dumps([ITEM | nested(70)]).encode()), BULK], id="deep sequences"),
        pytest.param(JSON, [(JSON, "", b"[" + b"{}," * 500_000 + b"{}]")], id="a million objects"),
        pytest.param(JSON, [(JSON, "", json.dumps([ITEM | {"00100020": {"vr": "ZZ"}}]).encode()), BULK], id="vr"),
        pytest.param(JSON, [(JSON, "", json.dumps([ITEM | {"PatientID": {"vr": "LO"}}]).encode()), BULK], id="tag"),
        pytest.param(
            JSON, [(JSON, "", json.dumps([ITEM | {"00280010": {"vr": "US", "Value": ["x"]}}]).encode()), BULK],
            id="text",
        ),
        pytest.param(
            JSON, [(JSON, "", json.dumps([ITEM | {"00280010": {"vr": "US", "Value": [1 << 40]}}]).encode()), BULK],
            id="too large a number",
        ),
        pytest.param(
            JSON, [(JSON, "", json.dumps([described(FILM, BulkDataURI="file:///etc/passwd")]).encode())], id="a file"
        ),
        pytest.param(JSON, [METADATA, ("image/jpeg", "pixels/1", b"\xff\xd8\xff\xc0" + bytes(20))], id="other process"),
        pytest.param(JSON, [METADATA, ("image/jls; transfer-syntax=1.2.3", "pixels/1", b"x")], id="type and syntax"),
        pytest.param(JSON, [METADATA, (OCTETS, "", b"x")], id="bulk without address"),
        pytest.param(JSON, [BULK], id="no metadata"),
        pytest.param(XML, [(XML, "", BOMB)], id="entities"),
        pytest.param(XML, [(XML, "", b"<a")], id="no xml"),
    ],
)  # fmt: skip
def test_what_makes_no_instance_is_refused_and_told(door: Door, root: str, sent: Sequence[Part]) -> None:
    answer = send(door, root, sent)

    assert answer.status_code == 400, answer.text
    assert {**answer.json().get(OTHER, {}), **answer.json().get(FAILED, {})}
    assert door.rows("instance") == []
    assert door.rows("problem") != []
    assert door.spool_files() == []
    assert FILM.PatientID not in json.dumps([row["detail"] for row in door.rows("problem")])


def test_metadata_longer_than_is_parsed_are_413(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_parts, "MAX_METADATA_BYTES", 1_000)

    answer = send(door, JSON, [METADATA, BULK])

    assert answer.status_code == 413
    assert door.rows("instance") == []


def test_a_bulk_part_that_nothing_names_is_told_beside_what_was_kept(door: Door) -> None:
    answer = send(door, JSON, [METADATA, BULK, (OCTETS, "pixels/9", b"lost")])

    assert answer.status_code == 202
    assert len(values(answer.json(), REFERENCED)) == len(values(answer.json(), OTHER)) == 1


@pytest.mark.parametrize("room_for", [1, 2, 3])
def test_a_disk_that_fills_up_meanwhile_is_507(door: Door, monkeypatch: pytest.MonkeyPatch, room_for: int) -> None:
    """Once for the request, then for each piece and for the file that is composed."""
    film, looks = make_radiograph(), itertools.count()
    monkeypatch.setattr(door.parts.intake, "has_room", lambda: next(looks) < room_for)

    answer = send(
        door, JSON, [(JSON, "", json.dumps([described(film)]).encode()), (OCTETS, "pixels/1", film.PixelData)]
    )

    assert answer.status_code == 507
    assert door.rows("instance") == []
    assert door.spool_files() == []


def test_a_body_that_ends_early_keeps_nothing(door: Door) -> None:
    body = b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + METADATA[2]
    headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary=b'}

    answer = door.client.post("/dicomweb/studies", content=body, headers=headers)

    assert answer.status_code == 400
    assert door.rows("instance") == []


def test_another_study_than_the_address_is_refused(door: Door) -> None:
    answer = send(door, JSON, [METADATA, BULK], study="1.2.3")

    assert answer.status_code == 409
    assert first_values(values(answer.json(), FAILED), FAILURE_REASON) == [0xA901]


def test_the_same_instance_again_is_success(tmp_path: Any) -> None:
    with open_parts(tmp_path) as parts, open_door(parts) as door:
        answers = [send(door, JSON, [METADATA, BULK]) for _ in range(2)]

        assert [answer.status_code for answer in answers] == [200, 200]
        assert len(door.rows("instance")) == 1
