"""One study's journey through the real processes: C-STORE, arriving, settled, scored, published, listed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread

from tests.driver import Service, c_store, running, wait_until
from tests.factories import with_fresh_uids

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

QUIET_S = 3.0


@pytest.fixture
def film() -> Dataset:
    """A real chest radiograph that a package ships openly."""
    data_store = pytest.importorskip("data_store")
    return with_fresh_uids(dcmread(Path(data_store.__file__).parent / "data" / "RG1_J2KI.dcm"))


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with running(tmp_path, site=False) as service:
        service.add_site(quiet_s=QUIET_S)
        yield service


@pytest.mark.filterwarnings("ignore")
def test_one_study_from_c_store_to_a_flagged_row(service: Service, film: Dataset) -> None:
    sent = time.monotonic()
    assert c_store(service.dicom_port, [film]) == [0x0000]
    stored = time.monotonic()

    [row] = wait_until("the study is listed as arriving", service.worklist, timeout_s=2.0)
    assert row["state"] == "arriving"

    [row] = service.wait_scored(1)
    seconds = time.monotonic() - stored
    detail = service.get(f"/api/worklist/{row['public_id']}")
    [run] = detail["runs"]
    print(f"sent in {stored - sent:.2f} s, scored {seconds:.2f} s after its last image")

    assert (row["state"], row["revision"]) == ("scored", 1)
    assert seconds < 10
    assert run["outcome"] == "done"
    assert {finding["presence"] for finding in run["findings"]} <= {
        "present",
        "absent",
        "undetermined",
        "not_evaluated",
    }
    assert all(0 <= f["probability"] <= 1 for f in run["findings"] if f["presence"] in ("present", "absent"))

    key = service.add_key()
    client = DICOMwebClient(f"{service.address}/dicomweb", headers={"Authorization": f"Bearer {key}"})
    series = client.search_for_series(film.StudyInstanceUID)
    modalities = sorted(s["00080060"]["Value"][0] for s in series)
    assert modalities[0] == "CR"
    assert "SR" in modalities
    [report] = [
        instance
        for s in series
        if s["00080060"]["Value"][0] == "SR"
        for instance in client.retrieve_series(film.StudyInstanceUID, s["0020000E"]["Value"][0])
    ]
    assert report.PreliminaryFlag == "PRELIMINARY"


@pytest.mark.filterwarnings("ignore")
def test_late_image_makes_a_second_revision_that_is_scored_again(service: Service, film: Dataset) -> None:
    c_store(service.dicom_port, [film])
    service.wait_scored(1)
    late = dcmread(film.filename) if film.filename else film
    late = with_fresh_uids(late)
    late.StudyInstanceUID, late.SeriesInstanceUID = film.StudyInstanceUID, film.SeriesInstanceUID

    c_store(service.dicom_port, [late])
    [row] = wait_until(
        "revision 2 is scored",
        lambda: [r for r in service.worklist() if r["revision"] == 2 and r["state"] == "scored"],
    )

    runs = service.get(f"/api/worklist/{row['public_id']}")["runs"]
    assert row["instance_count"] == 2
    assert len([run for run in runs if run["revision"] == 2 and run["outcome"] == "done"]) == 2


def test_service_ends_in_time_when_asked(service: Service) -> None:
    started = time.monotonic()

    code = service.stop()

    assert code == 0
    assert time.monotonic() - started < 35
