"""The center's tools against the running service over TLS: DCMTK, pynetdicom and dicomweb-client, unchanged."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from dicomweb_client.session_utils import add_certs_to_session, create_session
from pydicom import Dataset

from tests.driver import CALLING_AE, Service, free_port, running
from tests.factories import make_radiograph, part10, phantom
from tests.service.intake.dimse.authority import Authority, Certificate

TLS_AE = "TLS_MODALITY"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def client(authority: Authority) -> Certificate:
    return authority.issue("client")


@pytest.fixture(scope="module")
def tls_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def service(
    authority: Authority, client: Certificate, tls_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Service]:
    server = authority.issue("server")
    settings = {
        "PANDOK_WEB_CERTIFICATE": server.path,
        "PANDOK_WEB_KEY": server.key,
        "PANDOK_DICOM_TLS_PORT": tls_port,
        "PANDOK_DICOM_TLS_CERTIFICATE": server.path,
        "PANDOK_DICOM_TLS_KEY": server.key,
        "PANDOK_DICOM_TLS_CLIENT_CA": authority.path,
    }
    folder = tmp_path_factory.mktemp("tls")
    with running(folder, authority=authority.path, **{k: str(v) for k, v in settings.items()}) as service:
        service.pandok("peers", "add", "test", TLS_AE, "--certificate", str(client.path))
        yield service


@pytest.fixture
def film() -> Dataset:
    return make_radiograph(phantom(400, 400))


@pytest.mark.peers
@pytest.mark.parametrize("sender", ["storescu", "dcmsend"])
def test_film_of_a_dcmtk_sender_is_listed(
    service: Service, film: Dataset, sender: str, tls_port: int, authority: Authority, client: Certificate,
    dcmtk: Callable[[str], str], tmp_path: Path,
) -> None:  # fmt: skip
    film.AccessionNumber = sender
    (tmp_path / "film.dcm").write_bytes(part10(film))
    # DCMTK 3.6.7's dcmsend knows no TLS: it goes to the plain port of the same service
    tls = ["+tls", client.key, client.path, "+cf", authority.path] if sender == "storescu" else []
    port = tls_port if sender == "storescu" else service.dicom_port

    names = ["-aet", TLS_AE if tls else CALLING_AE, "-aec", "PANDOK", "127.0.0.1", str(port)]
    done = subprocess.run(
        [dcmtk(sender), *map(str, tls), *names, str(tmp_path / "film.dcm")],
        env={**os.environ, "TCP_NODELAY": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert done.returncode == 0, done.stderr
    assert sender in {row["accession_number"] for row in service.worklist()}


def test_dicomweb_client_stores_finds_and_retrieves_over_https(
    service: Service, film: Dataset, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):  # requests lets them win over the session's own authority
        monkeypatch.delenv(name, raising=False)
    session = add_certs_to_session(create_session(), ca_bundle=str(authority.path))
    headers = {"Authorization": f"Bearer {service.add_key()}"}
    client = DICOMwebClient(f"{service.address}/dicomweb", session=session, headers=headers)

    client.store_instances([film])
    [found] = client.search_for_instances(search_filters={"SOPInstanceUID": film.SOPInstanceUID})
    [given] = client.retrieve_series(film.StudyInstanceUID, film.SeriesInstanceUID)

    assert found["0020000D"]["Value"] == [film.StudyInstanceUID]
    assert given.PixelData == film.PixelData
