"""The real films as they are: repeated UIDs are held, and without an age nothing is scored by default."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from tests.driver import c_store, running

pytestmark = [
    pytest.mark.slow,
    pytest.mark.films,
    pytest.mark.timeout(300),
    pytest.mark.filterwarnings("ignore"),  # the films break rules that pydicom warns of
]

NO_AGE = {"966_fixed.dcm", "gdcm-CR-MONO1-10-chest.dcm"}
"""Neither an age nor a birth date that is one."""


@dataclass
class Sent:
    """What was answered for each film, and the worklist after that."""

    status: dict[str, int]
    row: dict[str, dict[str, Any]]
    problems: list[dict[str, Any]]


@pytest.fixture(scope="module")
def sent(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sent]:
    """Send every chest film with the UIDs that it has to a site that leaves unknown ages unscored."""
    paths = sorted((shared_data / "dicom").glob("chest*/*.dcm"))
    films = {path.name: dcmread(path) for path in paths}
    numbers = {uid: f"STUDY-{n}" for n, uid in enumerate({film.StudyInstanceUID for film in films.values()})}
    for film in films.values():
        film.AccessionNumber = numbers[film.StudyInstanceUID]  # to find its row again; the UIDs stay
    with running(tmp_path_factory.mktemp("films"), site=False) as service:
        service.add_site(unknown_age="unscored")
        status = dict(zip(films, c_store(service.dicom_port, films.values()), strict=True))
        by_number = {row["accession_number"]: row for row in service.wait_scored(len(numbers))}
        row = {name: by_number[film.AccessionNumber] for name, film in films.items()}
        yield Sent(status, row, service.get("/api/problems")["problems"])


def test_other_content_under_a_known_uid_is_held_and_told(sent: Sent, shared_data: Path) -> None:
    seen: set[str] = set()
    expected = {}
    for path in sorted((shared_data / "dicom").glob("chest*/*.dcm")):
        uid = dcmread(path, stop_before_pixels=True).SOPInstanceUID
        expected[path.name] = 0x0111 if uid in seen else 0x0000
        seen.add(uid)

    assert sent.status == expected
    assert list(expected.values()).count(0x0111) > 5
    assert sum(problem["kind"] == "held" for problem in sent.problems) == list(expected.values()).count(0x0111)


def test_film_without_an_age_stands_unscored_with_that_reason(sent: Sent) -> None:
    assert {(sent.row[name]["state"], sent.row[name]["reason"]) for name in NO_AGE} == {("unscored", "age_unknown")}


def test_film_with_a_birth_date_is_scored(sent: Sent) -> None:
    assert sent.row["RG1_UNCR.dcm"]["state"] == "scored"
