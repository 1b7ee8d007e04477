"""Every real film through every door of the running service: received, and scored or unscored with the right reason."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from dicomweb_client import DICOMwebClient
from pydicom import Dataset, dcmread

from tests.driver import Service, c_store, running
from tests.factories import part10, with_fresh_uids

pytestmark = [pytest.mark.slow, pytest.mark.films, pytest.mark.timeout(600)]

NOT_SCORED = {
    "chest/dx_image.dcm": {"not_a_chest"},  # a dog under a perfect chest header
    "chest/nih_udacity_test5.dcm": {"contradictory_header", "wrong_modality"},  # a film that says CT
    "radiography_other/CR-ModalitySequenceLUT.dcm": {"not_a_chest"},
    "radiography_other/RG2_JLSL.dcm": {"not_a_chest"},
    "radiography_other/RG2_JPLY_fixed.dcm": {"not_a_chest"},
    "radiography_other/RG3_J2KI.dcm": {"not_a_chest"},
    "radiography_other/OutOfBoundsOverlay.dcm": {"wrong_modality"},
    "radiography_other/XA1_J2KR.dcm": {"wrong_modality"},
    "radiography_other/HasFragmentSequence.dcm": {"wrong_modality"},
    "ct/CT1_RLE.dcm": {"no_volume_package"},
}
TWINS = ("chest/gdcm-CR-MONO1-10-chest.dcm", "chest_derived/chest_monochrome2_twin.dcm")


def film_names(shared_data: Path) -> list[str]:
    """Return the chest films of the index and a few of other kinds."""
    with (shared_data / "dicom" / "index.csv").open() as index:
        chest = [row["file"] for row in csv.DictReader(index) if row["file"].startswith("chest")]
    return [*chest, *(name for name in NOT_SCORED if name not in chest)]


def with_own_number(path: Path, number: int) -> Dataset:
    """Read a film as a study of its own, found again by its accession number."""
    dataset = with_fresh_uids(dcmread(path))
    dataset.AccessionNumber = f"FILM-{number}"
    return dataset


def by_dicom(service: Service, films: Sequence[Dataset]) -> None:
    assert set(c_store(service.dicom_port, films)) == {0x0000}


def by_stow(service: Service, films: Sequence[Dataset]) -> None:
    client = DICOMwebClient(f"{service.address}/dicomweb", headers={"Authorization": f"Bearer {service.add_key()}"})
    answer = client.store_instances(list(films))
    assert len(answer.ReferencedSOPSequence) == len(films)
    assert not answer.get("FailedSOPSequence")


def by_upload(service: Service, films: Sequence[Dataset]) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, film in enumerate(films):
            archive.writestr(f"folder/IM{number:04}", part10(film))
    assert service.client is not None
    answer = service.client.post(
        "/api/uploads?site=test", content=packed.getvalue(), headers={"Content-Type": "application/zip"}, timeout=120
    )
    assert answer.status_code == 200, answer.text


@pytest.fixture(scope="module", params=[by_dicom, by_stow, by_upload], ids=lambda door: door.__name__)
def worklist(
    request: pytest.FixtureRequest, shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, dict[str, Any]]]:
    """Send every film through one door into a fresh service; film name → row of the worklist."""
    door: Callable[[Service, Sequence[Dataset]], None] = request.param
    names = film_names(shared_data)
    films = [with_own_number(shared_data / "dicom" / name, number) for number, name in enumerate(names)]
    with running(tmp_path_factory.mktemp(door.__name__)) as service:
        door(service, films)
        rows = service.wait_scored(len(films), timeout_s=300)
        by_number = {row["accession_number"]: row for row in rows}
        details = {
            name: {
                **by_number[f"FILM-{number}"],
                "detail": service.get(f"/api/worklist/{by_number[f'FILM-{number}']['public_id']}"),
            }
            for number, name in enumerate(names)
        }
        yield details


@pytest.mark.filterwarnings("ignore")
def test_every_real_chest_film_is_scored(worklist: dict[str, dict[str, Any]]) -> None:
    states = {name: (row["state"], row["reason"]) for name, row in worklist.items() if name not in NOT_SCORED}

    assert set(states.values()) == {("scored", None)}, states


@pytest.mark.filterwarnings("ignore")
def test_everything_else_is_listed_as_unscored_with_its_reason(worklist: dict[str, dict[str, Any]]) -> None:
    wrong = {
        name: (worklist[name]["state"], worklist[name]["reason"])
        for name, reasons in NOT_SCORED.items()
        if worklist[name]["state"] != "unscored" or worklist[name]["reason"] not in reasons
    }

    assert wrong == {}


@pytest.mark.filterwarnings("ignore")
def test_twins_of_opposite_photometry_get_the_same_score(worklist: dict[str, dict[str, Any]]) -> None:
    def scores(name: str) -> list[float]:
        runs = worklist[name]["detail"]["runs"]
        return [f["probability"] for run in runs for f in run["findings"] if f["probability"] is not None]

    mine, other = (scores(name) for name in TWINS)

    assert mine
    assert mine == pytest.approx(other, abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_every_score_tells_which_provider_and_decoder_made_it(worklist: dict[str, dict[str, Any]]) -> None:
    runs = [run for row in worklist.values() for run in row["detail"]["runs"] if run["outcome"] == "done"]

    assert {run["provider"] for run in runs} == {"CPUExecutionProvider"}
    assert all(run["decoder"] and run["package_sha256"] for run in runs)
