"""The case manifest: what it says is read as said, what it does not know is refused."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.training.made_manifests import HEAD, case_row, write_manifest_files
from training.cases import FindingBox, ManifestRefused
from training.manifest import CaseRow, manifest_sha256, read_manifest, write_manifest

FULL = case_row(
    "films/1.dcm",
    "hanoi-7f3a",
    split="test",
    labels={"any_finding": "present", "pneumothorax": "unknown"},
    age_years=64,
    sex="F",
    view="AP",
    era_matched=False,
    boxes=[["any_finding", 1, 2.5, 30, 40]],
    sha256="0" * 64,
    left_out="a copy",
    original_size=[3000, 2000],
)


def test_a_row_is_read_as_it_says(tmp_path: Path) -> None:
    dataset = read_manifest(write_manifest_files(tmp_path, [FULL]))

    entry = dataset.entries[0]
    case = entry.case
    assert (case.image, case.member, case.data_set) == (tmp_path / "films/1.dcm", None, "hanoi-1")
    assert (case.patient_id, case.split, case.sex, case.view) == ("hanoi-7f3a", "test", "F", "AP")
    assert (case.age_years, case.age_band, case.era_matched) == (64, "adult", False)
    assert (case.labels[0], math.isnan(case.labels[1])) == (1.0, True)
    assert case.boxes == (FindingBox("any_finding", 1, 2.5, 30, 40),)
    assert (entry.sha256, entry.left_out, entry.original_size) == ("0" * 64, "a copy", (3000, 2000))


def test_what_is_written_is_read_back_wherever_it_was_written(tmp_path: Path) -> None:
    dataset = read_manifest(write_manifest_files(tmp_path / "a", [FULL, case_row("2.png", "p2", age_band="1-5 years")]))

    write_manifest(dataset, tmp_path / "b/c")

    again = read_manifest(tmp_path / "b/c")
    assert repr(again) == repr(dataset)  # NaN is not equal to itself
    assert again.entries[0].case.image == tmp_path / "a/films/1.dcm"


def test_rows_without_a_split_follow_their_patient(tmp_path: Path) -> None:
    rows = [case_row(f"{n}.png", f"p{n // 2}") for n in range(200)]
    rows[7]["split"] = "external"

    cases = [entry.case for entry in read_manifest(write_manifest_files(tmp_path / "a", rows)).entries]

    assert cases[6].split == "external"
    assert {case.split for case in cases} == {"train", "val", "test", "external"}
    moved = write_manifest_files(tmp_path / "b", rows[100:], name="a later export", split={"key": "export"})
    assert [entry.case.split for entry in read_manifest(moved).entries] == [case.split for case in cases[100:]]


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (case_row("1.png", "p1", patient_name="A^B"), "Extra inputs"),
        (case_row("1.png", "NGUYEN^VAN"), "patient: String should match"),
        (case_row("1.png", "nguyen van"), "patient: String should match"),
        (case_row("1.png", "p1", set="seoul"), "seoul is not one of the sets"),
        (case_row("1.png", "p1", labels={"fracture": "present"}), "fracture is not one of the findings"),
        (case_row("1.png", "p1", labels={"any_finding": "maybe"}), "labels.any_finding"),
        (case_row("1.png", "p1", boxes=[["mass", 1, 1, 1, 1]]), "mass is not one of the findings"),
        (case_row("../1.png", "p1"), "in the folder of its set"),
        (case_row("/1.png", "p1"), "in the folder of its set"),
        (case_row("1.png", "p1", split="sealed"), "split"),
        (case_row("1.png", "p1", age_years=-1), "age_years"),
        (case_row("1.png", "p1", sha256="abc"), "sha256"),
        ({"set": "hanoi-1", "image": "1.png"}, "patient: Field required"),
    ],
)
def test_a_row_that_says_more_or_less_is_refused_with_its_line(tmp_path: Path, row: dict[str, Any], why: str) -> None:
    folder = write_manifest_files(tmp_path, [case_row("0.png", "p0"), row])

    with pytest.raises(ManifestRefused, match=why) as refused:
        read_manifest(folder)

    assert "line 2" in str(refused.value)
    assert "NGUYEN" not in str(refused.value)
    assert "A^B" not in str(refused.value)


@pytest.mark.parametrize(
    ("head", "why"),
    [
        ({"format": "pandok-cases/2"}, "format"),
        ({"department": "Radiology"}, "department: Extra inputs"),
        ({"split": {"key": "k", "shares": {"train": 0.5, "val": 0.1}}}, "add up to 1"),
        ({"sets": [HEAD["sets"][0] | {"uses": ["resale"]}]}, "uses"),
    ],
)
def test_a_head_that_the_format_does_not_know_is_refused(tmp_path: Path, head: dict[str, Any], why: str) -> None:
    with pytest.raises(ManifestRefused, match=why):
        read_manifest(write_manifest_files(tmp_path, [case_row("0.png", "p0")], **head))


def test_a_folder_without_manifest_and_a_line_that_is_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestRefused, match=r"manifest\.json"):
        read_manifest(tmp_path)
    folder = write_manifest_files(tmp_path / "a", [])
    (folder / "cases.jsonl").write_text("{not json\n")
    with pytest.raises(ManifestRefused, match="line 1"):
        read_manifest(folder)


def test_the_hash_hangs_on_what_is_said_and_not_on_where_files_lie(tmp_path: Path) -> None:
    row = case_row("1.png", "p1", sha256="1" * 64, split="train")
    here = read_manifest(write_manifest_files(tmp_path / "a", [row]))
    there = read_manifest(write_manifest_files(tmp_path / "b/c", [row]))
    relabelled = read_manifest(write_manifest_files(tmp_path / "d", [row | {"labels": {"any_finding": "present"}}]))
    other_terms = replace(here, sets=(replace(here.sets[0], uses=("training",)),))

    assert manifest_sha256(here) == manifest_sha256(there)
    assert len({manifest_sha256(each) for each in (here, relabelled, other_terms, replace(here, version="2"))}) == 4
    with pytest.raises(ManifestRefused, match="no hash"):
        manifest_sha256(read_manifest(write_manifest_files(tmp_path / "e", [case_row("1.png", "p1")])))


def test_an_export_says_which_format_it_is_in(tmp_path: Path) -> None:
    write_manifest(read_manifest(write_manifest_files(tmp_path / "a", [FULL])), tmp_path / "b")

    assert json.loads((tmp_path / "b/manifest.json").read_text())["format"] == "pandok-cases/1"


def test_the_examples_of_the_documentation_are_a_manifest(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs/manifest.md").read_text()
    head, row = re.findall(r"```json\n(.*?)```", text, re.DOTALL)
    (tmp_path / "manifest.json").write_text(head)
    (tmp_path / "cases.jsonl").write_text(row)

    dataset = read_manifest(tmp_path)

    assert (dataset.name, dataset.sets[0].site, dataset.sets[0].folder) == ("hanoi-2026-07", "hanoi", tmp_path)
    assert [entry.case.patient_id for entry in dataset.entries] == ["hanoi-7f3a91"]
    assert all(f"`{key}`" in text for key in CaseRow.model_fields)
