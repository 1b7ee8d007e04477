"""Frozen versions: what they hash, what they leave out, and every way in which they can stop being what they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preprocessing.recipes import RECIPES
from tests.training.made_manifests import case_row, dicom, encoded, texture, write_manifest_files, write_tar
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.cases import ManifestRefused
from training.datasets import joined
from training.manifest import read_manifest
from training.public_sets import read_public
from training.room_freeze import freeze, open_dataset, open_frozen, problems

RECIPE = RECIPES["chest_radiograph/1"]
IMAGES = {
    "1.png": encoded(texture(1)),
    "2.jpg": encoded(texture(2), "JPEG", quality=90),
    "3.dcm": dicom(texture(3)),
    "4.dcm": dicom(texture(4), ViewPosition="LL"),
}
ROWS = [
    case_row("1.png", "p1", split="train"),
    case_row("2.jpg", "p2", split="val"),
    case_row("3.dcm", "p3", split="test"),
    case_row("4.dcm", "p4", split="train"),
    case_row("films.tar", "p5", split="train", member="5.png"),
    case_row("films.tar", "p1", split="train", member="6.dcm"),
]


def show(line: str) -> None:
    """Nobody listens."""


@pytest.fixture
def frozen(tmp_path: Path) -> Path:
    """Return the folder of a frozen version; its films of every kind lie in tmp_path/export."""
    write_tar(tmp_path / "export/films.tar", {"5.png": encoded(texture(5)), "6.dcm": dicom(texture(6))})
    export = write_manifest_files(tmp_path / "export", ROWS, images=IMAGES)
    freeze(joined("chest", "2026.1", [read_manifest(export)]), tmp_path / "frozen", RECIPE, show)
    return tmp_path / "frozen"


def test_a_frozen_version_is_what_it_was(frozen: Path) -> None:
    dataset = open_frozen(frozen)

    assert problems(frozen) == []
    assert dataset.record() == {
        "name": "chest",
        "version": "2026.1",
        "sha256": json.loads((frozen / "manifest.json").read_text())["sha256"],
        "films": {"train": 3, "val": 1, "test": 1, "external": 0},
    }


def test_a_film_that_the_recipe_refuses_stays_in_the_manifest_as_left_out(frozen: Path) -> None:
    assert [(entry.case.file_name, entry.left_out) for entry in open_frozen(frozen).entries if entry.left_out] == [
        ("4.dcm", "the recipe refuses it: lateral_view")
    ]


@pytest.mark.parametrize("name", ["1.png", "2.jpg", "3.dcm"])
def test_a_changed_film_is_noticed(frozen: Path, name: str) -> None:
    film = frozen.parent / "export" / name
    film.write_bytes(film.read_bytes()[:-1] + b"\x07")

    assert problems(frozen) == [f"hanoi-1: {name} is no longer the file that was hashed"]
    with pytest.raises(ManifestRefused, match=f"{name}.*1 problem"):
        open_frozen(frozen)


def test_a_changed_member_of_a_tar_is_noticed_alone(frozen: Path) -> None:
    write_tar(
        frozen.parent / "export/films.tar",
        {"0.png": encoded(texture(9)), "5.png": encoded(texture(5)), "6.dcm": dicom(texture(7))},
    )

    assert problems(frozen) == ["hanoi-1: 6.dcm is no longer the file that was hashed"]


def test_missing_films_are_all_named(frozen: Path) -> None:
    (frozen.parent / "export/1.png").unlink()
    (frozen.parent / "export/films.tar").unlink()

    assert [problem.split(" is ")[0] for problem in problems(frozen)] == [
        "hanoi-1: 1.png", "hanoi-1: 5.png", "hanoi-1: 6.dcm",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("was", "now", "why"),
    [
        ('"any_finding":"absent"', '"any_finding":"present"', "changed since it was frozen"),
        ('"patient":"p2"', '"patient":"p9"', "changed since it was frozen"),
        ('"patient":"p2"', '"patient":"p1"', "two splits"),
        ('"split":"test"', '"split":"train"', "changed since it was frozen"),
    ],
)
def test_a_changed_manifest_is_noticed(frozen: Path, was: str, now: str, why: str) -> None:
    rows = frozen / "cases.jsonl"
    rows.write_text(rows.read_text().replace(was, now, 1))

    assert [why in problem for problem in problems(frozen)] == [True]


def test_a_manifest_that_nobody_froze_is_not_taken_for_one(frozen: Path) -> None:
    assert problems(frozen.parent / "export") == ["the manifest is not frozen: it has no hash"]


def test_a_damaged_film_or_one_unlike_its_stated_hash_is_not_frozen(tmp_path: Path) -> None:
    damaged = write_manifest_files(tmp_path / "a", ROWS[:1], images={"1.png": b"no film"})
    other = write_manifest_files(tmp_path / "b", [ROWS[0] | {"sha256": "0" * 64}], images=IMAGES)

    for export, why in ((damaged, r"1\.png is missing or damaged"), (other, r"1\.png is no longer")):
        with pytest.raises(ManifestRefused, match=why):
            freeze(read_manifest(export), tmp_path / "frozen", RECIPE, show)
    assert not (tmp_path / "frozen").exists()


def test_a_version_is_never_written_over(frozen: Path) -> None:
    with pytest.raises(ManifestRefused, match="a new version needs a new folder"):
        freeze(open_frozen(frozen), frozen, RECIPE, show)


def test_public_sets_and_exports_freeze_into_one(tmp_path: Path) -> None:
    sets = write_sets(
        tmp_path / "data",
        children=[kermany_row("k.png", "1", "train", 1)],
        adults=[nih_row("a.png", "nih-1", "train", "no_finding")],
        more_adults=[nih_row("m.png", "nih-2", "val", "mass")],
    )
    export = write_manifest_files(tmp_path / "export", ROWS[:1], images=IMAGES)
    both = joined("chest", "2", [read_public(sets), read_manifest(export)])

    freeze(both, tmp_path / "frozen", RECIPE, show)

    assert [case.data_set for case in open_frozen(tmp_path / "frozen").cases()] == [
        "kermany_pneumonia", "nih_cxr14_subset", "nih_cxr14_more", "hanoi-1",
    ]  # fmt: skip


def test_sets_that_are_not_frozen_are_named_by_their_hash_as_well(tmp_path: Path) -> None:
    sets = write_sets(
        tmp_path,
        children=[kermany_row("k.png", "1", "train", 1)],
        adults=[nih_row("a.png", "nih-1", "train", "no_finding")],
        more_adults=[nih_row("m.png", "nih-2", "val", "mass")],
    )
    before = open_dataset(None, sets).sha256

    (sets / "nih_cxr14_more/images/m.png").write_bytes(encoded(texture(1)))

    assert before is not None
    assert open_dataset(None, sets).sha256 != before


@pytest.mark.films
def test_the_default_sets_can_be_hashed(shared_data: Path) -> None:
    dataset = open_dataset(None, shared_data)

    assert dataset.sha256 is not None
    assert all(entry.sha256 for entry in dataset.entries)
