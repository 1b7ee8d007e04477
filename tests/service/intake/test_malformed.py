"""What becomes of every odd file of the shared films at the upload door: one word each, and no surprise."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.factories import open_parts
from tests.service.intake.doors import Door, open_door

pytestmark = pytest.mark.films

MALFORMED = {
    "CTImageStorage_bad_meta.dcm": "stored",
    "ExplVR_BigEndNoMeta.dcm": "not_dicom",
    "ExplVR_LitEndNoMeta.dcm": "not_dicom",
    "GH1146.dcm": "stored",
    "GH1301.dcm": "stored",
    "GH1339.dcm": "truncated",
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_ELE_undefinded_length.dcm": "stored",
    "GH177_D_CLUNIE_CT1_IVRLE_BigEndian_undefined_length.dcm": "truncated",
    "GH178.dcm": "stored",
    "GH179A.dcm": "truncated",
    "GH220.dcm": "missing_uid",
    "GH223.dcm": "missing_uid",
    "GH227.dcm": "stored",
    "GH340.dcm": "not_dicom",
    "GH487.dcm": "missing_uid",
    "GH626.dcm": "truncated",
    "Issue1097_FailToOpenDeflatedFileWithSQ.dcm": "class_not_supported",
    "JPEG2000-embedded-sequence-delimiter.dcm": "stored",
    "MR_truncated.dcm": "truncated",
    "UN_sequence.dcm": "missing_uid",
    "badVR.dcm": "stored",
    "bad_sequence.dcm": "invalid_uid",  # its UIDs are hashes in hex: no UID may hold letters
    "empty_charset_LEI.dcm": "missing_uid",
    "emri_small_jpeg_2k_lossless_too_short.dcm": "truncated",
    "explicit_VR-UN.dcm": "stored",
    "meta_missing_tsyntax.dcm": "transfer_syntax",
    "multiframe.dcm": "no_study",
    "nested_priv_SQ.dcm": "missing_uid",
    "no-pixel-data.dcm": "stored",
    "no_meta.dcm": "not_dicom",
    "no_meta_group_length.dcm": "missing_uid",
    "priv_SQ.dcm": "missing_uid",
    "rtplan_truncated.dcm": "truncated",
}

WITHOUT_STUDY = {"other/JPEGLSNearLossless_16.dcm", "us/HTJ2KLossless_08_RGB.dcm", "us/HTJ2K_08_RGB.dcm"}
"""Test vectors whose pixels decode but which name no study and no series: they are held for an operator."""


def index(shared_data: Path) -> list[dict[str, str]]:
    with (shared_data / "dicom" / "index.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.fixture
def films(shared_data: Path) -> Path:
    return shared_data / "dicom"


@pytest.fixture
def door(tmp_path: Path) -> Iterator[Door]:
    with open_parts(tmp_path) as parts, open_door(parts) as door:
        yield door


def outcome(door: Door, path: Path) -> str:
    [file] = door.upload(path.read_bytes(), "x").json()["files"]
    assert file["outcome"] != "refused" or file["message"]
    return str(file["reason"] or file["outcome"])


def test_every_malformed_file_ends_as_the_table_says(door: Door, films: Path) -> None:
    ends = {path.name: outcome(door, path) for path in sorted((films / "malformed").iterdir())}

    refused = [word for word in MALFORMED.values() if word != "stored"]
    assert ends == MALFORMED
    assert sorted(row["reason"] for row in door.rows("problem")) == sorted(refused)
    assert len(door.rows("instance")) == len(MALFORMED) - len(refused)
    assert door.spool_files() == []


def test_every_dicomdir_is_refused_as_one(door: Door, films: Path) -> None:
    paths = [path for path in (films / "dicomdir_media").rglob("DICOMDIR*") if path.is_file()]

    assert len(paths) == 8
    assert {outcome(door, path) for path in paths} == {"dicomdir"}


def test_no_readable_file_is_refused(door: Door, films: Path, shared_data: Path) -> None:
    readable = [
        row["file"]
        for row in index(shared_data)
        if row["pydicom_3_0_decode"].startswith("ok") and not row["file"].startswith("malformed/")
    ]

    ends = {name: outcome(door, films / name) for name in readable}

    assert len(readable) > 130
    assert {name for name, end in ends.items() if end == "no_study"} == WITHOUT_STUDY
    assert set(ends.values()) <= {"stored", "duplicate", "conflict", "no_study"}


def test_images_of_a_medium_are_stored_beside_their_dicomdir(door: Door, films: Path) -> None:
    paths = [path for path in (films / "dicomdir_media").glob("[79]*/*/*") if path.is_file()]

    assert len(paths) > 20
    assert {outcome(door, path) for path in paths} == {"stored"}
