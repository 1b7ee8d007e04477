"""WADO-RS over HTTP: files, metadata, frames, bulk values, pictures; who gets them and in which form."""

from __future__ import annotations

import base64
import io
import json
from email import message_from_bytes
from email.message import Message
from typing import Any
from xml.etree import ElementTree as Xml

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
)
from sqlalchemy import select, update

from service import tables
from service.media_types import default_transfer_syntax
from service.results.publish import publish_revision
from service.workspace import Workspace
from tests.factories import Parts, keep, make_ct_slice, make_radiograph, part10, phantom
from tests.service.results.dicomweb.conftest import Web
from tests.service.results.makers import add_scored_study, make_package

FRAGMENTS = [b"\xff\xd8first\xff\xd9", b"\xff\xd8second frame\xff\xd9"]


def parts_of(answer: httpx.Response) -> list[Message]:
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    return list(message_from_bytes(head + answer.content).get_payload())


def bytes_of(part: Message) -> bytes:
    content = part.get_payload(decode=True)
    assert isinstance(content, bytes)
    return content


def address(dataset: Dataset) -> str:
    return f"/studies/{dataset.StudyInstanceUID}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"


def stored_as(dataset: Dataset, transfer_syntax_uid: str) -> Dataset:
    """Return the data set as it is when it is sent in another transfer syntax."""
    dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
    if transfer_syntax_uid == ExplicitVRBigEndian:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").byteswap().tobytes()
        dataset["PixelData"].VR = "OW"
    return dataset


def compressed(**attributes: Any) -> Dataset:
    """Return a radiograph of two made-up compressed frames: nobody here decodes them."""
    dataset = make_radiograph(NumberOfFrames=2, **attributes)
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    dataset.PixelData = encapsulate(FRAGMENTS)
    dataset["PixelData"].is_undefined_length = True
    return dataset


@pytest.fixture(scope="module")
def film(web: Web) -> Dataset:
    return web.send(make_radiograph(PatientName="김^민준", seed=1))


@pytest.fixture(scope="module")
def packed(web: Web) -> Dataset:
    return web.send(compressed())


def get(web: Web, path: str, accept: str | None = None, code: str = "north") -> httpx.Response:
    with web.client(code) as client:
        return client.get(path, headers={} if accept is None else {"Accept": accept})


def test_an_instance_is_given_as_it_was_sent(web: Web, film: Dataset) -> None:
    answer = get(web, address(film))

    [part] = parts_of(answer)
    assert answer.status_code == 200
    assert part["Content-Type"] == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    assert part["Content-Location"] == f"{web.address}/dicomweb{address(film)}"
    given = bytes_of(part)
    assert given[:132] == bytes(128) + b"DICM"
    assert dcmread(io.BytesIO(given)) == film


def test_a_single_file_is_an_attachment(web: Web, film: Dataset) -> None:
    answer = get(web, address(film), "application/dicom")

    assert answer.headers["Content-Disposition"].startswith("attachment")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert dcmread(io.BytesIO(answer.content)) == film


def test_a_study_is_given_whole(web: Web) -> None:
    first, second = make_ct_slice(seed=1), make_ct_slice(seed=2)
    second.StudyInstanceUID = first.StudyInstanceUID
    for dataset in (first, second):
        web.send(dataset)

    study = parts_of(get(web, f"/studies/{first.StudyInstanceUID}"))
    series = parts_of(get(web, f"/studies/{first.StudyInstanceUID}/series/{second.SeriesInstanceUID}"))

    assert [dcmread(io.BytesIO(bytes_of(p))).SOPInstanceUID for p in study] == [
        first.SOPInstanceUID,
        second.SOPInstanceUID,
    ]
    assert [dcmread(io.BytesIO(bytes_of(p))).SOPInstanceUID for p in series] == [second.SOPInstanceUID]


@pytest.mark.parametrize("stored", [ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_native_instances_are_given_in_explicit_little_endian(web: Web, stored: str) -> None:
    pixels = phantom(seed=9)
    dataset = web.send(stored_as(make_radiograph(pixels, PatientName="Иванова^Анна"), stored))

    [default] = parts_of(get(web, address(dataset)))
    [asked] = parts_of(get(web, address(dataset), f'multipart/related; type="application/dicom"; transfer-syntax={ExplicitVRLittleEndian}'))  # fmt: skip  # noqa: E501
    [own] = parts_of(get(web, address(dataset), 'multipart/related; type="application/dicom"; transfer-syntax=*'))

    assert default["Content-Type"].endswith(ExplicitVRLittleEndian)
    assert bytes_of(default) == bytes_of(asked)
    given = dcmread(io.BytesIO(bytes_of(default)))
    assert given.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert given.PatientName == "Иванова^Анна"
    np.testing.assert_array_equal(given.pixel_array, pixels)
    assert own["Content-Type"].endswith(stored)
    assert dcmread(io.BytesIO(bytes_of(own))).file_meta.TransferSyntaxUID == stored


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ('multipart/related; type="application/dicom"', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=*', 200),
        (f"multipart/related; type=application/dicom; transfer-syntax={JPEGLSLossless}", 200),
        (f'multipart/related; type="application/dicom"; transfer-syntax={ExplicitVRLittleEndian}', 200),
        ('multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.4.50', 406),
        ('multipart/related; type="application/dicom+json"', 406),
        ("text/html", 406),
        ('text/html, multipart/related; type="application/dicom"; q=0.1', 200),
        ("application/dicom; q=0", 406),
        ("application/dicom; transfer-syntax=*", 200),
        (';;;,,,"', 406),
    ],
)
def test_instances_that_cannot_be_unpacked_are_given_as_they_are_or_not_at_all(
    web: Web, packed: Dataset, accept: str | None, status: int
) -> None:
    answer = get(web, address(packed), accept)

    assert answer.status_code == status
    if status == 200:
        assert JPEGLSLossless.encode() in answer.content[:300] + answer.headers["Content-Type"].encode()


def test_a_study_is_never_a_single_file(web: Web, film: Dataset) -> None:
    study = f"/studies/{film.StudyInstanceUID}"

    assert get(web, study, "application/dicom").status_code == 406
    assert len(parts_of(get(web, study, "application/dicom, multipart/related; type=application/dicom; q=0.2"))) == 1


def test_some_of_a_study_is_206(web: Web, film: Dataset) -> None:
    native, other = make_radiograph(seed=5), compressed()
    other.StudyInstanceUID = native.StudyInstanceUID
    for dataset in (native, other):
        web.send(dataset)

    answer = get(
        web,
        f"/studies/{native.StudyInstanceUID}",
        f'multipart/related; type="application/dicom"; transfer-syntax={JPEGLSLossless}',
    )

    assert answer.status_code == 206
    assert len(parts_of(answer)) == 1


@pytest.mark.parametrize("suffix", ["", "/metadata", "/frames/1", "/rendered", "/bulkdata/7FE00010"])
def test_another_sites_instance_does_not_exist(web: Web, film: Dataset, suffix: str) -> None:
    other = get(web, address(film) + suffix, code="south")
    unknown = get(web, "/studies/1.2/series/1.3/instances/1.4" + suffix, code="south")

    assert other.status_code == unknown.status_code == 404
    assert other.json() == unknown.json()


@pytest.mark.parametrize(
    "path",
    [
        "/studies/../../etc/passwd",
        "/studies/%00",
        "/studies/%2e%2e%2f%2e%2e%2fetc",
        "/studies/1.2'%20OR%201=1--",
        f"/studies/{'9' * 4000}",
        "/studies/%ED%A0%80/metadata",
    ],
)
def test_an_address_that_names_nothing_is_404(web: Web, path: str) -> None:
    assert get(web, path).status_code == 404


def test_a_study_of_two_sites_asks_a_person_which(web: Web) -> None:
    north = make_radiograph(PatientName="North^Patient")
    south = make_radiograph(PatientName="South^Patient")
    south.StudyInstanceUID = north.StudyInstanceUID
    web.send(north, "north")
    web.send(south, "south")

    with web.person() as client:
        unsaid = client.get(f"/studies/{north.StudyInstanceUID}")
        said = client.get(f"/studies/{north.StudyInstanceUID}?site=south")

    assert unsaid.status_code == 400
    assert [dcmread(io.BytesIO(bytes_of(p))).PatientName for p in parts_of(said)] == ["South^Patient"]


def test_a_missing_file_is_never_a_smaller_study(web: Web) -> None:
    dataset = web.send(make_radiograph(seed=77))
    with web.database.reading() as rx:
        row = rx.execute(
            select(tables.instance).where(tables.instance.c.sop_instance_uid == dataset.SOPInstanceUID)
        ).one()
    web.archive.path(row.site_id, row.content_sha256).unlink()

    assert get(web, f"/studies/{dataset.StudyInstanceUID}").status_code == 500


def test_metadata_are_the_attributes_without_pixels(web: Web, film: Dataset) -> None:
    answer = get(web, f"{address(film)}/metadata", "application/dicom+json")

    [metadata] = answer.json()
    assert answer.headers["Content-Type"] == "application/dicom+json"
    assert metadata["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "김^민준"}]}
    assert metadata["00280010"] == {"vr": "US", "Value": [96]}
    assert metadata["00080008"] == {"vr": "CS", "Value": ["ORIGINAL", "PRIMARY"]}
    assert metadata["00080005"]["Value"] == ["ISO_IR 192"]
    assert metadata["7FE00010"] == {
        "vr": "OW",
        "BulkDataURI": f"{web.address}/dicomweb{address(film)}/bulkdata/7FE00010",
    }
    assert not [tag for tag in metadata if tag.startswith("0002")]


@pytest.mark.parametrize("accept", [None, "application/dicom+json", 'multipart/related; type="application/dicom+xml"'])
def test_metadata_of_a_series_and_a_study_are_those_of_their_instances(web: Web, accept: str | None) -> None:
    first, second, other = make_ct_slice(seed=1), make_ct_slice(seed=2), make_ct_slice(seed=3)
    second.SeriesInstanceUID = first.SeriesInstanceUID
    for dataset in (first, second, other):
        dataset.StudyInstanceUID = first.StudyInstanceUID
        web.send(dataset)

    study = f"/studies/{first.StudyInstanceUID}"
    series, whole = (
        told(get(web, f"{place}/metadata", accept)) for place in (f"{study}/series/{first.SeriesInstanceUID}", study)
    )
    each = [told(get(web, f"{address(dataset)}/metadata", accept))[0] for dataset in (first, second, other)]

    assert first.SOPInstanceUID in each[0]
    assert len(set(each)) == 3
    assert series == each[:2]
    assert whole == each


def told(answer: httpx.Response) -> list[str]:
    """Return the data sets of an answer in metadata, each as text."""
    assert answer.status_code == 200
    if answer.headers["Content-Type"] == "application/dicom+json":
        return [json.dumps(item) for item in answer.json()]
    return [bytes_of(part).decode() for part in parts_of(answer)]


def test_metadata_are_told_in_xml_when_asked(web: Web, film: Dataset) -> None:
    accept = 'multipart/related; type="application/dicom+xml"'

    [part] = parts_of(get(web, f"{address(film)}/metadata", accept))

    document = Xml.fromstring(bytes_of(part))
    by_keyword = {node.get("keyword"): node for node in document}
    assert by_keyword["Rows"].findtext("Value") == "96"
    assert by_keyword["PixelData"].find("BulkData") is not None


def test_metadata_agree_with_pydicoms(web: Web) -> None:
    dataset = make_ct_slice(WindowCenter=[40.0, -600.0], WindowWidth=[400.0, 1500.0], Exposure="12")
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "T-D3000", "SRT", "Chest"
    dataset.AnatomicRegionSequence = [item]
    dataset.add_new(0x00091001, "UN", b"short")
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    web.send(dataset)

    [metadata] = get(web, f"{address(dataset)}/metadata").json()

    expected = dataset.to_json_dict()
    expected["7FE00010"] = metadata["7FE00010"]
    assert metadata == expected


def test_long_binary_values_have_their_own_address(web: Web) -> None:
    dataset = make_radiograph()
    item = Dataset()
    item.add_new(0x00282000, "OB", b"icc profile" * 200)
    dataset.OpticalPathSequence = [item]
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    dataset.add_new(0x00091001, "OB", b"private" * 1000)
    web.send(dataset)

    [metadata] = get(web, f"{address(dataset)}/metadata").json()
    nested = metadata["00480105"]["Value"][0]["00282000"]["BulkDataURI"]
    with web.client() as client:
        private = client.get(metadata["00091001"]["BulkDataURI"], headers={"Accept": "application/octet-stream"})
        profile = client.get(nested)

    assert private.content == b"private" * 1000
    assert bytes_of(parts_of(profile)[0]) == b"icc profile" * 200


@pytest.mark.parametrize("stored", [ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian])
def test_binary_values_come_in_little_endian_and_a_long_one_in_pieces(web: Web, stored: str) -> None:
    words = np.arange(1_500_000, dtype="<u2")
    as_written = words.byteswap() if stored == ExplicitVRBigEndian else words
    dataset = stored_as(make_radiograph(), stored)
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    dataset.add_new(0x00091001, "OW", as_written[:100].tobytes())
    dataset.add_new(0x00091002, "OW", as_written.tobytes())
    web.send(dataset)

    [metadata] = get(web, f"{address(dataset)}/metadata").json()
    octets = {"Accept": "application/octet-stream"}
    with web.client() as client:
        long = client.get(metadata["00091002"]["BulkDataURI"], headers=octets)
        part = client.get(metadata["00091002"]["BulkDataURI"], headers={**octets, "Range": "bytes=2097150-2097153"})

    assert base64.b64decode(metadata["00091001"]["InlineBinary"]) == words[:100].tobytes()
    assert long.content == words.tobytes()
    assert part.content == words[1_048_575:1_048_577].tobytes()


@pytest.mark.parametrize("size_bytes", [100, 4_000, 3_000_000])
def test_a_binary_value_in_fragments_is_not_given(web: Web, size_bytes: int) -> None:
    icon = Dataset()
    icon.add_new(0x7FE00010, "OB", encapsulate([bytes(size_bytes)]))
    dataset = make_radiograph(IconImageSequence=[icon])
    dataset.add_new(0x00090010, "LO", "PRIVATE")
    dataset.add_new(0x00091010, "OB", encapsulate([bytes(size_bytes)]))
    for value in (icon[0x7FE00010], dataset[0x00091010]):
        value.is_undefined_length = True
    web.send(dataset)

    [metadata] = get(web, f"{address(dataset)}/metadata").json()

    assert "00091010" not in metadata
    for path in ("00091010", "00880200/0/7FE00010"):
        assert get(web, f"{address(dataset)}/bulkdata/{path}").status_code == 404


@pytest.mark.parametrize(
    "path", ["00091001", "x", "", "7FE00008", "00080008", "00480105/9/00282000", "00480105/0", "9" * 99]
)
def test_a_bulk_address_that_names_nothing_is_404(web: Web, film: Dataset, path: str) -> None:
    assert get(web, f"{address(film)}/bulkdata/{path}").status_code == 404


def test_metadata_of_a_mislabelled_name_are_as_the_worklist_has_them(web: Web) -> None:
    dataset = make_radiograph()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.PatientName = "Ким^Анна"
    raw = part10(dataset).replace(b"ISO_IR 192", b"ISO_IR 100")
    wrong = dcmread(io.BytesIO(raw))
    web.send(wrong)

    [metadata] = get(web, f"{address(dataset)}/metadata").json()

    assert metadata["00100010"]["Value"] == [{"Alphabetic": "Ким^Анна"}]


@pytest.mark.parametrize(
    "stored", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
def test_native_frames_are_little_endian_bytes(web: Web, stored: str) -> None:
    pixels = np.concatenate([phantom(seed=1), phantom(seed=2)])
    dataset = make_radiograph(pixels, NumberOfFrames=2)
    dataset.Rows = 96
    web.send(stored_as(dataset, stored))

    answer = get(web, f"{address(dataset)}/frames/2,1")

    second, first = (bytes_of(part) for part in parts_of(answer))
    assert parts_of(answer)[0]["Content-Type"] == f"application/octet-stream; transfer-syntax={ExplicitVRLittleEndian}"
    assert first + second == pixels.tobytes()


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (None, f"image/jls; transfer-syntax={JPEGLSLossless}"),
        ('multipart/related; type="image/jls"', f"image/jls; transfer-syntax={JPEGLSLossless}"),
        ('multipart/related; type="image/*"; transfer-syntax=*', f"image/jls; transfer-syntax={JPEGLSLossless}"),
        (
            "multipart/related; type=application/octet-stream; transfer-syntax=*",
            f"application/octet-stream; transfer-syntax={JPEGLSLossless}",
        ),
    ],
)
def test_compressed_frames_are_given_in_their_own_type(
    web: Web, packed: Dataset, accept: str | None, content_type: str
) -> None:
    answer = get(web, f"{address(packed)}/frames/1,2", accept)

    assert [bytes_of(part).rstrip(b"\0") for part in parts_of(answer)] == FRAGMENTS
    assert {part["Content-Type"] for part in parts_of(answer)} == {content_type}


JPEG, RLE, JLS, JP2 = "image/jpeg", "image/dicom-rle", "image/jls", "image/jp2"
JPX, HTJ2K, JXL = "image/jpx", "image/jphc", "image/jxl"


@pytest.mark.parametrize(
    ("stored", "media_type", "is_default"),
    [
        ("1.2.840.10008.1.2.4.70", JPEG, True),
        ("1.2.840.10008.1.2.4.50", JPEG, False),
        ("1.2.840.10008.1.2.4.51", JPEG, False),
        ("1.2.840.10008.1.2.4.57", JPEG, False),
        ("1.2.840.10008.1.2.5", RLE, True),
        ("1.2.840.10008.1.2.4.80", JLS, True),
        ("1.2.840.10008.1.2.4.81", JLS, False),
        ("1.2.840.10008.1.2.4.90", JP2, True),
        ("1.2.840.10008.1.2.4.91", JP2, False),
        ("1.2.840.10008.1.2.4.92", JPX, True),
        ("1.2.840.10008.1.2.4.93", JPX, False),
        ("1.2.840.10008.1.2.4.201", HTJ2K, True),
        ("1.2.840.10008.1.2.4.202", HTJ2K, False),
        ("1.2.840.10008.1.2.4.203", HTJ2K, False),
        ("1.2.840.10008.1.2.4.110", JXL, True),
        ("1.2.840.10008.1.2.4.111", JXL, False),
        ("1.2.840.10008.1.2.4.112", JXL, False),
    ],
)
def test_frames_come_in_the_media_type_of_their_transfer_syntax(
    web: Web, stored: str, media_type: str, is_default: bool
) -> None:
    """PS3.18 table 8.7.3-5; what a media type means without a parameter is its default."""
    dataset = compressed()
    dataset.file_meta.TransferSyntaxUID = stored
    web.send(dataset)
    frames, related = f"{address(dataset)}/frames", f'multipart/related; type="{media_type}"'
    another = next(each for each in (JPEG, RLE, JP2) if each != media_type)

    several = [get(web, f"{frames}/2,1", accept) for accept in (None, related, f"{related}; transfer-syntax={stored}")]
    one = get(web, f"{frames}/2", media_type)

    content_type = f"{media_type}; transfer-syntax={stored}"
    for answer in several:
        assert answer.headers["Content-Type"].startswith(f'multipart/related; type="{media_type}"')
        assert [part["Content-Type"] for part in parts_of(answer)] == [content_type] * 2
        assert [bytes_of(part).rstrip(b"\0") for part in parts_of(answer)] == FRAGMENTS[::-1]
    assert one.headers["Content-Type"] == content_type
    assert one.content.rstrip(b"\0") == FRAGMENTS[1]
    assert get(web, f"{frames}/1", f'multipart/related; type="{another}"').status_code == 406
    assert (default_transfer_syntax(media_type) == stored) is is_default


def test_one_frame_is_given_without_a_multipart_when_asked(web: Web, packed: Dataset) -> None:
    answer = get(web, f"{address(packed)}/frames/2", "image/jls")

    assert answer.headers["Content-Type"].startswith("image/jls")
    assert answer.content.rstrip(b"\0") == FRAGMENTS[1]


@pytest.mark.parametrize(
    "accept", ["application/octet-stream", 'multipart/related; type="image/jpeg"', "image/png", "application/dicom"]
)
def test_frames_that_nobody_can_decode_are_406(web: Web, packed: Dataset, accept: str) -> None:
    assert get(web, f"{address(packed)}/frames/1", accept).status_code == 406


@pytest.mark.parametrize(
    ("numbers", "status"),
    [
        ("0", 404),
        ("3", 404),
        ("1,3", 404),
        ("x", 400),
        ("1,,2", 400),
        ("1,2,1", 400),
        ("-1", 400),
        ("1.5", 400),
        ("9" * 20, 400),
        ("²", 400),
    ],
)
def test_frames_that_are_not_there(web: Web, packed: Dataset, numbers: str, status: int) -> None:
    assert get(web, f"{address(packed)}/frames/{numbers}").status_code == status


def test_frames_of_several_fragments_are_told_apart_by_their_offsets(web: Web) -> None:
    dataset = make_radiograph(NumberOfFrames=2)
    dataset.file_meta.TransferSyntaxUID = JPEGLSLossless
    dataset.PixelData = encapsulate([b"a" * 600, b"b" * 400], fragments_per_frame=2, has_bot=True)
    dataset["PixelData"].is_undefined_length = True
    web.send(dataset)

    frames = [bytes_of(part) for part in parts_of(get(web, f"{address(dataset)}/frames/1,2"))]

    assert frames == [b"a" * 600, b"b" * 400]


def test_an_instance_without_pixels_has_no_frames(web: Web) -> None:
    dataset = make_radiograph()
    del dataset.PixelData
    web.send(dataset)

    assert get(web, f"{address(dataset)}/frames/1").status_code == 404
    assert get(web, f"{address(dataset)}/bulkdata/7FE00010").status_code == 404
    assert "7FE00010" not in get(web, f"{address(dataset)}/metadata").json()[0]


@pytest.fixture(scope="module")
def published(web: Web) -> dict[str, Any]:
    """Return the overlay's and the report's rows of a scored study of the site in the north."""
    package = make_package()
    app = web.app.state
    parts = Parts(app.settings, app.database, app.archive, app.intake, web.sites["north"], app.clock)
    study_id = add_scored_study(parts, package, PatientID="SCORED")
    publish_revision(
        app.database, app.archive, {package.name: package}, study_id=study_id, revision=1,
        workspace=Workspace(app.settings.work_folder), clock=app.clock,
    )  # fmt: skip
    with web.client() as client:
        found = client.get("/instances?PatientID=SCORED").json()
    rows = {item["00080060"]["Value"][0]: item["00081190"]["Value"][0] for item in found}
    with app.database.reading() as rx:
        run_id = rx.execute(select(tables.run.c.id).where(tables.run.c.study_id == study_id)).scalar_one()
    return {**rows, "run_id": run_id}


def test_results_are_found_and_retrieved_beside_the_study(web: Web, published: dict[str, Any]) -> None:
    with web.client() as client:
        [study] = client.get("/studies?PatientID=SCORED").json()
        report = client.get(published["SR"], headers={"Accept": "application/dicom"})

    assert study["00080061"]["Value"] == ["CR", "OT", "SR"]
    assert study["00201208"]["Value"] == [3]
    assert dcmread(io.BytesIO(report.content)).PreliminaryFlag == "PRELIMINARY"


@pytest.mark.parametrize(
    ("query", "media_type", "size"),
    [
        ("", "image/jpeg", (1376, 768)),
        ("?viewport=688,688", "image/jpeg", (688, 384)),
        ("?viewport=100,100,0,0,896,768&quality=50", "image/jpeg", (100, 86)),
        ("?viewport=100,100,,,-896,-768", "image/png", (100, 86)),
        ("?window=40,400,linear", "image/png", (1376, 768)),
    ],
)
def test_an_overlay_is_rendered(
    web: Web, published: dict[str, Any], query: str, media_type: str, size: tuple[int, int]
) -> None:
    with web.client() as client:
        answer = client.get(f"{published['OT']}/rendered{query}", headers={"Accept": media_type})

    assert answer.headers["Content-Type"] == media_type
    assert Image.open(io.BytesIO(answer.content)).size == size


@pytest.mark.parametrize(
    "query",
    ["viewport=0,0", "viewport=1", "viewport=9999,9999", "viewport=a,b", "viewport=1,2,3", "viewport=9,9,-1,0,5,5",
     "viewport=9,9,-1,,,", "viewport=9,9,,,0,", "viewport=9,9,,,,9999",
     "quality=0", "quality=101", "quality=x", "window=1,2", "window=1,2,cubic", "viewport=5,5,0,0,0,0"],
)  # fmt: skip
def test_a_picture_that_cannot_be_asked_for_is_400(web: Web, published: dict[str, Any], query: str) -> None:
    with web.client() as client:
        assert client.get(f"{published['OT']}/rendered?{query}").status_code == 400


def test_what_is_no_image_is_not_rendered(web: Web, published: dict[str, Any]) -> None:
    with web.client() as client:
        assert client.get(f"{published['SR']}/rendered").status_code == 406
        assert client.get(f"{published['OT']}/rendered", headers={"Accept": "image/webp"}).status_code == 406


def test_a_heat_map_is_a_transparent_picture(web: Web, published: dict[str, Any]) -> None:
    path = f"{web.address}/api/runs/{published['run_id']}/heat-maps/0"
    with web.client() as client, web.client("south") as stranger:
        picture = Image.open(io.BytesIO(client.get(path).content))
        others = stranger.get(path)
        missing = [client.get(p).status_code for p in (path + "9", path.replace("/0", "/-1"), f"{path[:-11]}{2**70}")]

    assert (picture.mode, picture.size) == ("RGBA", (896, 768))
    assert others.status_code == 404
    assert missing[:2] == [404, 404]


def test_a_heat_map_of_what_readers_do_not_see_is_kept_from_them(web: Web, published: dict[str, Any]) -> None:
    path = f"{web.address}/api/runs/{published['run_id']}/heat-maps/1"
    this = (tables.finding.c.run_id == published["run_id"], tables.finding.c.channel == 1)

    with web.client() as client:
        with web.database.transaction() as tx:
            tx.execute(update(tables.finding).where(*this).values(shown=False))
        hidden = client.get(path).status_code
        with web.database.transaction() as tx:
            tx.execute(update(tables.finding).where(*this).values(shown=True))

        assert (hidden, client.get(path).status_code) == (404, 200)


def client_of(web: Web) -> DICOMwebClient:
    return DICOMwebClient(url=f"{web.address}/dicomweb", headers={"Authorization": f"Bearer {web.keys['north']}"})


def test_dicomweb_client_searches_and_retrieves(web: Web, film: Dataset) -> None:
    client = client_of(web)

    studies = client.search_for_studies(search_filters={"StudyInstanceUID": film.StudyInstanceUID})
    [instance] = client.search_for_instances(study_instance_uid=film.StudyInstanceUID, fields=["ImageType"])
    [whole] = client.retrieve_study(film.StudyInstanceUID)
    single = client.retrieve_instance(film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID)
    [metadata] = client.retrieve_study_metadata(film.StudyInstanceUID)
    [frame] = client.retrieve_instance_frames(
        film.StudyInstanceUID, film.SeriesInstanceUID, film.SOPInstanceUID, frame_numbers=[1]
    )

    assert Dataset.from_json(studies[0]).PatientName == "김^민준"
    assert instance["00080008"]["Value"] == ["ORIGINAL", "PRIMARY"]
    assert whole == film
    assert single == film
    assert Dataset.from_json({k: v for k, v in metadata.items() if k != "7FE00010"}).Rows == 96
    assert frame == film.PixelData


def test_dicomweb_client_pages_through_studies(web: Web, film: Dataset) -> None:
    for seed in range(3):
        web.send(make_radiograph(seed=seed, PatientID="PAGED"))

    found = client_of(web).search_for_studies(search_filters={"PatientID": "PAGED"}, limit=1, get_remaining=True)

    assert len(found) == 3


def test_dicomweb_client_retrieves_a_rendered_overlay_and_series(web: Web, published: dict[str, Any]) -> None:
    client = client_of(web)
    _, study, _, series, _, instance = published["OT"].split("/")[-6:]

    picture = client.retrieve_instance_rendered(study, series, instance, media_types=("image/png",))
    [overlay] = client.retrieve_series(study, series)
    [report] = client.search_for_series(study, search_filters={"Modality": "SR"})

    assert Image.open(io.BytesIO(picture)).size == (1376, 768)
    assert overlay.Modality == "OT"
    assert report["0008103E"]["Value"] == ["AI result - not a report - chest_radiograph 1.2.0"]


@pytest.mark.films
@pytest.mark.filterwarnings("ignore")  # pydicom warns of real films' small faults
def test_every_stored_film_is_given_back(web: Web, shared_data: Any) -> None:
    seen: set[str] = set()
    not_given = []
    for path in sorted((shared_data / "dicom").rglob("*.dcm")):
        stored = _store(web, path, seen) if path.stat().st_size < 20 << 20 else None
        if stored is not None and not _is_given_back(web, stored):
            not_given.append(path.name)

    assert len(seen) > 50
    assert not_given == []


def _is_given_back(web: Web, stored: str) -> bool:
    as_stored = get(web, stored, 'multipart/related; type="application/dicom"; transfer-syntax=*')
    default = get(web, stored)
    [metadata] = get(web, f"{stored}/metadata").json()
    frame = get(web, f"{stored}/frames/1")
    has_pixels = any(tag.startswith("7FE0") for tag in metadata)
    return (
        (as_stored.status_code, default.status_code) == (200, 200)
        and metadata["00080018"]["Value"] == [stored.rsplit("/", 1)[1]]
        and frame.status_code == (200 if has_pixels else 404)
    )


def _store(web: Web, path: Any, seen: set[str]) -> str | None:
    """Store a film with the bytes that it has; None when the intake does not take it or its UID was there before."""
    from preprocessing.elements import find_data_set
    from preprocessing.windows import HeaderRefused
    from service.intake.outcomes import Door, Kind, Sender

    with path.open("rb") as file:
        try:
            syntax, offset = find_data_set(file)
        except HeaderRefused:
            return None
        file.seek(offset)
        content = file.read()
    intake = web.app.state.intake
    spooled = intake.open(Sender(web.sites["north"], Door.STOW, "test"), transfer_syntax_uid=syntax or "")
    spooled.write(content)
    outcome = keep(intake, spooled, sop_class_uid=None, sop_instance_uid=None)
    if outcome.kind is not Kind.STORED or outcome.sop_instance_uid is None or outcome.sop_instance_uid in seen:
        return None
    seen.add(outcome.sop_instance_uid)
    with web.client() as client:
        [found] = client.get(f"/instances?SOPInstanceUID={outcome.sop_instance_uid}").json()
    return str(found["00081190"]["Value"][0])
