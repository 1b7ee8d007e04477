"""DWB-27 over HTTP: capabilities, entity tags, ranges of values, packed JSON; and no door for other origins' pages."""

from __future__ import annotations

from xml.etree import ElementTree as Xml

import httpx
import pytest
from pydicom import Dataset

from tests.factories import make_radiograph
from tests.service.results.dicomweb.conftest import Web

NS = "{http://wadl.dev.java.net/2009/02}"
OCTETS = {"Accept": "application/octet-stream"}


@pytest.fixture(scope="module")
def film(web: Web) -> Dataset:
    return web.send(make_radiograph(seed=77))


def address(film: Dataset) -> str:
    return f"/studies/{film.StudyInstanceUID}/series/{film.SeriesInstanceUID}/instances/{film.SOPInstanceUID}"


@pytest.mark.parametrize(
    ("asked", "status", "begin", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=5-", 206, 5, None),
        ("bytes=-7", 206, -7, None),
        ("bytes=10-99999999", 206, 10, None),
        ("bytes=0-0", 206, 0, 1),
        ("bytes=9-3", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("lines=0-1", 200, 0, None),
        ("bytes=-", 200, 0, None),
        ("bytes=99999999-", 416, 0, 0),
        ("bytes=-0", 416, 0, 0),
    ],
)
@pytest.mark.parametrize("place", ["/frames/1", "/bulkdata/7FE00010"])
def test_a_range_of_a_value(
    web: Web, film: Dataset, place: str, asked: str, status: int, begin: int, end: int | None
) -> None:
    with web.client() as client:
        answer = client.get(address(film) + place, headers={**OCTETS, "Range": asked})

    whole: bytes = film.PixelData
    assert answer.status_code == status
    assert answer.content == whole[begin:end]
    if status == 206:
        first = begin % len(whole)
        expected = f"bytes {first}-{first + len(answer.content) - 1}/{len(whole)}"
        assert answer.headers["content-range"] == expected
    if status == 416:
        assert answer.headers["content-range"] == f"bytes */{len(whole)}"


@pytest.mark.parametrize(
    ("place", "accept"),
    [
        ("", "application/dicom"),
        ("", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
        ("/frames/1", "application/octet-stream"),
        ("/frames/1", 'multipart/related; type="application/octet-stream"'),
        ("/bulkdata/7FE00010", "application/octet-stream"),
    ],
)
def test_who_has_it_already_is_not_sent_it_again(web: Web, film: Dataset, place: str, accept: str) -> None:
    with web.client() as client:
        first = client.get(address(film) + place, headers={"Accept": accept})
        tag = first.headers["etag"]
        again = client.get(address(film) + place, headers={"Accept": accept, "If-None-Match": f'"x", {tag}'})
        other = client.get(address(film) + place, headers={"Accept": accept, "If-None-Match": '"x"'})

    assert (first.status_code, again.status_code, other.status_code) == (200, 304, 200)
    assert (again.content, again.headers["etag"]) == (b"", tag)


def test_a_stranger_with_the_tag_is_told_nothing(web: Web, film: Dataset) -> None:
    with web.client("south") as client:
        answer = client.get(address(film), headers={"If-None-Match": "*"})

    assert answer.status_code == 404


def test_long_json_is_packed_where_that_is_taken(web: Web) -> None:
    films = [web.send(make_radiograph(seed=n, StudyInstanceUID="1.2.77")) for n in range(12)]

    with web.client() as client:
        long = {
            coding: client.get("/studies/1.2.77/metadata", headers={"Accept-Encoding": coding})
            for coding in ("identity", "gzip", "gzip;q=0", "br")
        }
        short = client.get(f"{address(films[0])}/metadata", headers={"Accept-Encoding": "gzip"})
        found = client.get("/studies/1.2.77/instances", headers={"Accept-Encoding": "gzip"})

    assert {coding: answer.headers.get("content-encoding") for coding, answer in long.items()} == {
        "identity": None, "gzip": "gzip", "gzip;q=0": None, "br": None,
    }  # fmt: skip
    assert long["gzip"].json() == long["identity"].json()
    assert len(long["gzip"].json()) == len(found.json()) == 12
    assert "content-encoding" not in short.headers
    assert "Accept-Encoding" in short.headers["vary"]


def test_capabilities_name_every_address(web: Web) -> None:
    with web.client() as client:
        answer = client.options("/")
        refused = client.options("/", headers={"Accept": "text/html"})

    root = Xml.fromstring(answer.content)
    told = {
        (resource.get("path"), method.get("name"))
        for resource in root.iter(f"{NS}resource")
        for method in resource.iter(f"{NS}method")
    }
    parameters = {one.get("name") for one in root.iter(f"{NS}param")}
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    assert {("studies", "POST"), ("studies", "GET"), ("studies/{study_instance_uid}/metadata", "GET")} <= told
    assert {"PatientID", "includefield", "limit", "window", "viewport", "quality"} <= parameters
    assert refused.status_code == 406


def test_pages_of_other_origins_get_nothing(web: Web) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    with web.client() as client, httpx.Client() as stranger:
        asked = client.get("/studies", headers=headers)
        preflight = stranger.options(
            f"{web.address}/dicomweb/studies", headers={**headers, "Access-Control-Request-Method": "GET"}
        )

    assert preflight.status_code == 401
    for answer in (asked, preflight):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
