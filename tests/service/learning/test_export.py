"""`pandok cases export` → training's own reader: labels, pseudonyms, and the very tensor that was served."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from preprocessing.header import from_json
from preprocessing.recipes import RECIPES
from service import cli, tables
from service.archive import Archive
from tests.service.reading.room import Reader, Room
from training.cases import ImageFiles
from training.manifest import read_manifest

SECRET = {
    "PatientName": "Nguyen^Van^An", "PatientID": "REAL-NUMBER-77", "PatientBirthDate": "19311224",
    "AccessionNumber": "ACC-4711", "ReferringPhysicianName": "Tran^Doctor", "InstitutionName": "Benh vien Hanoi",
    "StudyDescription": "seen by Dr Tran", "SeriesDescription": "chest of Nguyen", "StationName": "ROOM-9",
    "StudyDate": "20260607", "ContentDate": "20260607", "ImageComments": "call 0912 345 678",
}  # fmt: skip


def export(room: Room, monkeypatch: pytest.MonkeyPatch, to: Path, *options: str) -> int:
    monkeypatch.setenv("PANDOK_DATA_FOLDER", str(room.house.settings.data_folder))
    return cli.main(["cases", "export", "--to", str(to), *options])


def read_and_sign(room: Room, reader: Reader, public_id: str, said: str, *judgements: str, **more: Any) -> None:
    """Read a case to its end: impression, a verdict on each finding in turn, a final report."""
    token = reader.has_read(public_id, said)
    found = [f for run in reader.case(public_id)["ai"]["runs"] for f in run["shown_findings"]]
    verdicts = [
        {"finding_id": finding["finding_id"], "code": finding["code"], "judgement": judgement}
        for finding, judgement in zip(found, judgements, strict=False)
    ]
    assert reader.verdicts(public_id, token, *verdicts, *more.get("missed", [])).status_code == 200
    room.sign(public_id, reader.account_id, content={"content": more.get("content", {})})


def test_training_reads_what_was_signed(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = room.reader()
    with_ai = room.scored(**SECRET, seed=1)
    unaided = room.scored(PatientID="OTHER", seed=2, ViewPosition="AP", PatientAge="097Y")
    unsigned = room.scored(PatientID="THIRD", seed=3)
    read_and_sign(room, reader, with_ai, "abnormal", "confirmed", "rejected")
    read_and_sign(room, reader, unaided, "normal")
    reader.has_read(unsigned)

    done = export(room, monkeypatch, tmp_path / "out", "--dataset-use", "training", "evaluation")

    assert done == 0
    dataset = read_manifest(tmp_path / "out")
    assert [each.name for each in dataset.sets] == ["one-unaided", "one-with-ai"]
    assert {each.uses for each in dataset.sets} == {("training", "evaluation")}
    assert "saw what the AI had found" in dataset.sets[1].labels_from
    assert dataset.findings == ("any_finding", "finding_0", "finding_1")
    told = {entry.case.data_set: entry.case for entry in dataset.entries}
    assert told["one-with-ai"].labels == (1.0, 1.0, 1.0)  # the second was called absent, and the reader rejected that
    assert told["one-unaided"].labels[0] == 0.0
    assert all(math.isnan(label) for label in told["one-unaided"].labels[1:])
    assert (told["one-unaided"].age_years, told["one-unaided"].view, told["one-unaided"].sex) == (90.0, "AP", "F")


def test_an_exported_film_gives_the_tensor_that_was_served(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    window = {"WindowCenter": "1800", "WindowWidth": "2600", "RescaleSlope": "1", "RescaleIntercept": "0"}
    inverted = {"photometric_interpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    reader = room.reader()
    for number, more in enumerate([window, inverted, {}]):
        public_id = room.scored(seed=number, PatientID=f"P{number}", **more)
        read_and_sign(room, reader, public_id, "normal")
    export(room, monkeypatch, tmp_path / "out")
    recipe = RECIPES["chest_radiograph/1"]

    with ImageFiles() as files:
        learned = [files.tensor(entry.case, recipe) for entry in read_manifest(tmp_path / "out").entries]

    served = []
    for row in room.rows(tables.instance):
        if not row["is_result"]:
            path = Archive(room.house.settings.archive_folder).path(row["site_id"], row["content_sha256"])
            served.append(recipe.prepare(path, from_json(row["header"])).tensor)
    assert len(served) == 3
    assert all(np.array_equal(one, other) for one, other in zip(learned, served, strict=True))


def test_nothing_of_the_patient_leaves(room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = room.reader()
    public_id, film = room.send(**SECRET)
    room.score("findings")
    read_and_sign(room, reader, public_id, "abnormal", "confirmed")
    study = room.rows(tables.study)[0]
    before = {str(film.SOPInstanceUID), str(film.SeriesInstanceUID), str(film.StudyInstanceUID), public_id}

    export(room, monkeypatch, tmp_path / "out")

    secret = before | {part for value in SECRET.values() for part in value.replace("^", " ").split() if len(part) > 3}
    for path in (tmp_path / "out").rglob("*"):
        content = path.name.encode() + (path.read_bytes() if path.is_file() else b"")
        assert [word for word in secret if word.encode() in content] == []
    [exported] = [dcmread(path) for path in (tmp_path / "out").rglob("*.dcm")]
    assert keywords(exported) <= {*KEPT_KEYWORDS}
    assert study["patient_id"] == "REAL-NUMBER-77"
    [noted] = [row for row in room.rows(tables.audit_event) if row["action"] == "cases_exported"]
    assert noted["detail"] == {"films": 1, "uses": ["evaluation"]}


KEPT_KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "Modality", "PatientName", "PatientID",
    "PatientIdentityRemoved", "DeidentificationMethod", "BodyPartExamined", "ViewPosition", "StudyInstanceUID",
    "SeriesInstanceUID", "PatientOrientation", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "PixelData",
)  # fmt: skip


def keywords(dataset: Dataset) -> set[str]:
    return {element.keyword for element in dataset}


def test_what_may_not_be_learned_from_stands_in_no_training_split(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = room.reader()
    for number in range(6):
        public_id = room.scored(seed=number, PatientID=f"P{number}")
        read_and_sign(room, reader, public_id, "normal")

    export(room, monkeypatch, tmp_path / "out")

    assert {entry.case.split for entry in read_manifest(tmp_path / "out").entries} == {"test"}


def test_a_retracted_report_labels_nothing_and_since_is_kept_to(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    reader = room.reader()
    public_id = room.scored()
    read_and_sign(room, reader, public_id, "normal")

    later = export(room, monkeypatch, tmp_path / "later", "--since", "2030-01-01")
    other = export(room, monkeypatch, tmp_path / "other", "--site", "two")
    kept = export(room, monkeypatch, tmp_path / "kept", "--site", "one", "--since", "2020-01-01")
    again = export(room, monkeypatch, tmp_path / "kept")
    room.sign(public_id, reader.account_id, status="cancelled")
    retracted = export(room, monkeypatch, tmp_path / "retracted")

    assert (later, other, kept, again, retracted) == (1, 1, 0, 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "data") == ["kept"]
    assert "never written over" in capsys.readouterr().err


def test_a_verdict_that_the_signed_text_takes_back_labels_nothing(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = {"findings": [{"code": "nodule", "presence": "present"}, {"code": "mass", "presence": "absent"}]}
    missed = [{"code": code, "judgement": "missed"} for code in ("nodule", "mass", "effusion")]
    read_and_sign(room, room.reader(), room.scored(), "abnormal", content=content, missed=missed)

    export(room, monkeypatch, tmp_path / "out")

    assert json.loads((tmp_path / "out" / "cases.jsonl").read_text())["labels"] == {
        "any_finding": "present", "nodule": "present",
    }  # fmt: skip


def test_a_label_is_of_what_was_judged_whatever_a_later_run_says(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_and_sign(room, room.reader(), room.scored(), "abnormal", "confirmed")
    [kept] = room.rows(tables.verdict)
    judged = room.rows(tables.finding)[0]
    with room.house.database.transaction() as tx:
        tx.execute(tables.finding.update().values(presence="absent", probability=0.01))

    export(room, monkeypatch, tmp_path / "out")

    names = ("presence", "probability", "threshold")
    assert [kept[name] for name in names] == [judged[name] for name in names]
    labels = json.loads((tmp_path / "out" / "cases.jsonl").read_text())["labels"]
    assert labels == {"any_finding": "present", "finding_0": "present"}


def test_a_finding_that_only_the_report_names_leaves_no_film_normal(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = room.reader()
    public_id = room.scored()
    content = {"findings": [{"code": "nodule", "presence": "present"}, {"code": "mass", "presence": "absent"}]}
    read_and_sign(room, reader, public_id, "normal", content=content)

    export(room, monkeypatch, tmp_path / "out")

    [entry] = read_manifest(tmp_path / "out").entries
    assert json.loads((tmp_path / "out" / "cases.jsonl").read_text())["labels"] == {
        "any_finding": "present", "nodule": "present",
    }  # fmt: skip
    assert entry.case.data_set == "one-with-ai"
