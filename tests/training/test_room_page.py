"""The report: what it counts, what it warns of, and what it must never show."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest

from preprocessing.recipes import RECIPES
from tests.training.made_manifests import case_row, dicom, encoded, texture, write_manifest_files
from training.manifest import read_manifest
from training.room_notes import notes_of
from training.room_page import page, write_page
from training.room_pictures import examples
from training.room_report import Report, make_report

IMAGES = {f"{n}.png": encoded(texture(n)) for n in range(30)} | {
    "30.dcm": dicom(texture(30)),
    "copy.jpg": encoded(texture(3), "JPEG", quality=80),
    "again.png": encoded(texture(4)),
    "side.dcm": dicom(texture(31), ViewPosition="LL"),
}


def label(number: int) -> dict[str, str]:
    return {
        "any_finding": "present" if number % 2 else "absent",
        "pneumothorax": ("absent", "present", "unknown")[number % 3],
    }


ROWS = [
    case_row(
        f"{n}.png", f"p{n}", split=("train", "val", "test")[n % 3], labels=label(n), age_years=10 + 3 * n, view="PA"
    )
    for n in range(30)
] + [
    case_row("30.dcm", "p30", split="train", labels=label(1), boxes=[["any_finding", 10, 20, 30, 40]], sex="F"),
    case_row("copy.jpg", "p31", split="val", labels=label(3)),  # of a film in train
    case_row("again.png", "p4", split="val", labels=label(4)),  # of the same patient, in the same split
    case_row("side.dcm", "p32", split="train", labels=label(0), left_out="the recipe refuses it: lateral_view"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Report:
    folder = write_manifest_files(
        tmp_path_factory.mktemp("export"), ROWS, images=IMAGES, name="<films> & Co", version="7"
    )
    return make_report(read_manifest(folder), RECIPES["chest_radiograph/1"], lambda line: None)


def test_films_and_people_are_counted_without_what_is_left_out(report: Report) -> None:
    summary = report.sets[0]

    assert (report.total.films, report.total.patients) == (33, 32)
    assert {split: (amount.films, amount.patients) for split, amount in report.splits.items()} == {
        "train": (11, 11),
        "val": (12, 11),
        "test": (10, 10),
    }
    assert summary.views == {"PA": 30, "": 3}
    assert summary.sexes == {"": 32, "F": 1}
    assert summary.age_bands == {"6-17 years": 3, "adult": 27, "unknown": 3}
    assert summary.decades == (0, 4, 3, 3, 4, 3, 3, 4, 3, 3)
    assert (summary.boxed, summary.left_out) == (1, {"the recipe refuses it: lateral_view": 1})


def test_labels_are_counted_by_split_and_unknown_is_not_absent(report: Report) -> None:
    any_finding, pneumothorax = report.findings

    train = pneumothorax.splits["train"]
    assert (train.present, train.absent, train.unknown) == (1, 10, 0)
    assert (pneumothorax.splits["test"].prevalence, pneumothorax.splits["test"].unknown) == (None, 10)
    assert any_finding.splits["val"].prevalence == 6 / 12
    assert any_finding.too_few == ("val", "test")
    assert pneumothorax.too_few == ("val",)


def test_findings_that_come_together_are_counted_where_both_are_known(report: Report) -> None:
    assert report.together.findings == ("any_finding", "pneumothorax")
    assert report.together.shares.tolist() == [[1.0, 6 / 12], [6 / 12, 1.0]]  # of 17 and of 12 films


def test_a_copy_in_another_split_is_a_fault_that_stands_first(report: Report) -> None:
    notes = notes_of(report)

    assert [(alike.films, trouble) for alike, trouble in report.alike] == [
        ((3, 31), "stands in train and val"),
        ((4, 32), None),
    ]
    assert (notes[0].level, notes[0].text) == ("bad", "1 film stands in more than one split.")
    assert any(note.text == "Verdicts of Hanoi screening: not for published weights." for note in notes)


def test_examples_are_of_all_splits_but_test(report: Report) -> None:
    rows = examples(report.dataset)

    shown = [picture for row in rows for picture in row.pictures]
    assert {picture.case.split for picture in shown} == {"train", "val"}
    assert [row.finding for row in rows] == [None, "pneumothorax"]
    assert all((picture.address or "").startswith("data:image/jpeg;base64,") for picture in shown)


def test_the_page_holds_everything_and_asks_for_nothing(report: Report, tmp_path: Path) -> None:
    html = write_page(report, tmp_path / "new/folder").read_text()

    assert "&lt;films&gt; &amp; Co" in html
    assert "<films>" not in html
    assert "<script" not in html
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*", html)
    assert "url(" not in html
    assert "stands in train and val" in html
    assert "test film, not shown" not in html


def test_a_test_film_is_never_shown_even_where_it_is_a_copy(tmp_path: Path) -> None:
    rows = [case_row("3.png", "p1", split="test"), case_row("copy.jpg", "p2", split="test")]
    images = {name: IMAGES[name] for name in ("3.png", "copy.jpg")}
    dataset = read_manifest(write_manifest_files(tmp_path, rows, images=images))

    html = page(make_report(dataset, RECIPES["chest_radiograph/1"], lambda line: None))

    assert html.count("test film, not shown") == 2
    assert "data:image" not in html


def test_a_dataset_with_one_film_and_no_label_has_a_page(tmp_path: Path) -> None:
    rows = [case_row("3.png", "p1", split="external", labels={})]
    dataset = read_manifest(write_manifest_files(tmp_path, rows, images={"3.png": IMAGES["3.png"]}))

    report = make_report(dataset, RECIPES["chest_radiograph/1"], lambda line: None)

    assert "1 chest film of 1 patient</b>" in " ".join(page(report).split())
    assert all(math.isnan(label) for label in dataset.entries[0].case.labels)
