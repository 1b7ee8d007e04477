"""The same files here and in Orthanc: what both say of them must agree (DWB-10 to DWB-24)."""

from __future__ import annotations

import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from dicomweb_client.api import DICOMwebClient
from dicomweb_client.session_utils import create_session
from PIL import Image
from pydicom import Dataset, dcmread
from pydicom.uid import ImplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

from tests.conftest import missing
from tests.driver import free_port, wait_until
from tests.factories import make_ct_slice, make_radiograph
from tests.service.results.dicomweb.conftest import Web
from tests.service.results.dicomweb.test_retrieve import address, bytes_of, parts_of

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
pytestmark = pytest.mark.peers


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a running Orthanc's DICOMweb service."""
    if not Path("/usr/sbin/Orthanc").exists() or not PLUGIN.exists():
        missing("Orthanc with its DICOMweb plugin")
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    configuration = {
        "StorageDirectory": str(folder), "IndexDirectory": str(folder), "HttpPort": port, "DicomServerEnabled": False,
        "AuthenticationEnabled": False, "RemoteAccessAllowed": False, "Plugins": [str(PLUGIN)],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "StudiesMetadata": "Full", "SeriesMetadata": "Full"},
    }  # fmt: skip
    (folder / "orthanc.json").write_text(json.dumps(configuration))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(["/usr/sbin/Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    at = f"http://127.0.0.1:{port}/dicom-web"
    try:
        wait_until("Orthanc answers", lambda: _answers(f"{at}/studies"))
        yield at
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def files() -> list[Dataset]:
    """Return a CT series, radiographs in several transfer syntaxes, and names in several scripts."""
    slices = [make_ct_slice(seed=n, InstanceNumber=n, PatientName="Kim^Minjun", WindowCenter=40, WindowWidth=400)
              for n in range(1, 4)]  # fmt: skip
    for each in slices[1:]:
        each.StudyInstanceUID, each.SeriesInstanceUID = slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID
    films = [
        make_radiograph(seed=4, PatientName="Иванова^Анна", SpecificCharacterSet="ISO_IR 192", WindowCenter=2000,
                        WindowWidth=3000),
        make_radiograph(seed=5, PatientName="Nguyen^Bich", AccessionNumber="A-77", StudyDate="20250101"),
    ]  # fmt: skip
    for syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
        film = make_radiograph(seed=6)
        film.compress(syntax, generate_instance_uid=False)
        films.append(film)
    films[1].file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    return slices + films


@pytest.fixture(scope="module")
def both(web: Web, orthanc: str) -> Iterator[tuple[httpx.Client, httpx.Client, list[Dataset]]]:
    """Yield clients of ours and of Orthanc with the same files in them, stored by dicomweb-client."""
    made = files()
    key = {"Authorization": f"Bearer {web.keys['north']}"}
    for url, headers in ((f"{web.address}/dicomweb", key), (orthanc, {})):
        with create_session() as session:
            stored = DICOMwebClient(url=url, headers=headers, session=session).store_instances(made)
        assert len(stored.ReferencedSOPSequence) == len(made)
    with (
        httpx.Client(base_url=f"{web.address}/dicomweb", headers=key, timeout=30) as ours,
        httpx.Client(base_url=orthanc, timeout=30) as theirs,
    ):
        yield ours, theirs, made


JSON = {"Accept": "application/dicom+json"}
ADDRESSES = {"00081190", "00080056", "00080201", "00083002"}
"""Where a thing is, whether it is at hand, and what is optional: each server's own."""


def told(client: httpx.Client, path: str) -> list[dict[str, Any]]:
    answer = client.get(path, headers=JSON)
    assert answer.status_code in (200, 204), (path, answer.text)
    items = answer.json() if answer.status_code == 200 else []
    return sorted(items, key=lambda item: json.dumps([item.get(t) for t in ("0020000D", "0020000E", "00080018")]))


def values(item: dict[str, Any], tag: str) -> list[str]:
    return [json.dumps(v, ensure_ascii=False, sort_keys=True) for v in item.get(tag, {}).get("Value", [])]


SEARCHES = [
    "/studies?StudyInstanceUID={study}", "/studies?PatientName=Kim*", "/studies?AccessionNumber=A-77",
    "/studies?StudyDate=20240101-20251231", "/studies?ModalitiesInStudy=CT", "/studies?PatientID=nobody",
    "/studies/{study}/series", "/studies/{study}/series?Modality=CT", "/studies/{study}/instances",
    "/studies/{study}/instances?InstanceNumber=2", "/studies/{study}/series/{series}/instances",
    "/series?SeriesInstanceUID={series}", "/instances?SOPInstanceUID={instance}",
]  # fmt: skip


@pytest.mark.parametrize("search", SEARCHES)
def test_searches_find_the_same(both: tuple[httpx.Client, httpx.Client, list[Dataset]], search: str) -> None:
    ours, theirs, made = both
    first = made[0]
    path = search.format(study=first.StudyInstanceUID, series=first.SeriesInstanceUID, instance=first.SOPInstanceUID)

    own, peer = told(ours, path), told(theirs, path)

    assert len(own) == len(peer)
    for mine, other in zip(own, peer, strict=True):
        for tag in set(mine) & set(other) - ADDRESSES:
            assert values(mine, tag) == values(other, tag), tag


@pytest.mark.parametrize("index", range(8))
def test_metadata_say_the_same(both: tuple[httpx.Client, httpx.Client, list[Dataset]], index: int) -> None:
    ours, theirs, made = both
    path = f"{address(made[index])}/metadata"

    [own], [peer] = told(ours, path), told(theirs, path)

    for tag in set(own) | set(peer):
        if tag not in ADDRESSES | {"00080005", "7FE00010"} and not tag.startswith("0002"):
            assert [_plain(v) for v in values(own, tag)] == [_plain(v) for v in values(peer, tag)], tag


def _plain(value: str) -> Any:
    """Orthanc gives some numbers as text."""
    read = json.loads(value)
    try:
        return float(read)
    except (TypeError, ValueError):
        return read


@pytest.mark.parametrize("index", range(8))
def test_files_and_frames_hold_the_same_pixels(
    both: tuple[httpx.Client, httpx.Client, list[Dataset]], index: int
) -> None:
    ours, theirs, made = both
    path = address(made[index])
    stored = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    octets = {"Accept": 'multipart/related; type="application/octet-stream"'}

    pixels = [
        dcmread(io.BytesIO(bytes_of(parts_of(client.get(path, headers=stored))[0])), force=True).pixel_array
        for client in (ours, theirs)
    ]
    # Orthanc decodes JPEG 2000 with a plugin of its own only, which is not here.
    decoders = (ours,) if made[index].file_meta.TransferSyntaxUID == JPEG2000Lossless else (ours, theirs)
    frames = [bytes_of(parts_of(client.get(f"{path}/frames/1", headers=octets))[0]) for client in decoders]

    np.testing.assert_array_equal(*pixels)
    assert {*frames} == {pixels[0].tobytes()}


def test_a_windowed_picture_looks_the_same(both: tuple[httpx.Client, httpx.Client, list[Dataset]]) -> None:
    ours, theirs, made = both
    path = f"{address(made[0])}/rendered?window=40,400,linear"  # Orthanc stretches to the extremes without one

    pictures = [
        np.asarray(Image.open(io.BytesIO(client.get(path, headers={"Accept": "image/png"}).content)).convert("L"))
        for client in (ours, theirs)
    ]

    assert np.abs(pictures[0].astype(int) - pictures[1].astype(int)).max() <= 3


@pytest.mark.parametrize("index", [0, 3, 4])
def test_what_the_peer_describes_can_be_stored_from_its_description(
    web: Web, both: tuple[httpx.Client, httpx.Client, list[Dataset]], index: int
) -> None:
    """Metadata and pixels as Orthanc gives them, stored by STOW for another site, are the instance again."""
    ours, theirs, made = both
    path = address(made[index])
    [item] = told(theirs, f"{path}/metadata")
    item = {tag: element for tag, element in item.items() if tag != "7FE00010"}
    item["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    octets = {"Accept": 'multipart/related; type="application/octet-stream"'}
    pixels = bytes_of(parts_of(theirs.get(f"{path}/frames/1", headers=octets))[0])
    body = (
        b"--b\r\nContent-Type: application/dicom+json\r\n\r\n" + json.dumps([item]).encode()
        + b"\r\n--b\r\nContent-Type: application/octet-stream\r\nContent-Location: pixels\r\n\r\n" + pixels
        + b"\r\n--b--\r\n"
    )  # fmt: skip

    with web.client("south") as south:
        kind = {"Content-Type": 'multipart/related; type="application/dicom+json"; boundary=b'}
        answer = south.post("/studies", content=body, headers=kind)
        assert answer.status_code == 200, answer.text
        [again] = told(south, f"{path}/metadata")
        frame = south.get(f"{path}/frames/1", headers={"Accept": "application/octet-stream"}).content

    [first] = told(ours, f"{path}/metadata")
    assert frame == made[index].PixelData
    for tag in set(first) - {"7FE00010", "00080005"}:
        assert [_plain(v) for v in values(again, tag)] == [_plain(v) for v in values(first, tag)], tag
