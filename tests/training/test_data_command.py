"""The data room's commands, as they are typed."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from tests.training.made_manifests import case_row, encoded, texture, write_manifest_files
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training import data_command

IMAGES = {"1.png": encoded(texture(1)), "2.png": encoded(texture(2))}
ROWS = [case_row("1.png", "p1"), case_row("2.png", "p2", split="val")]


def run(folder: Path, *words: str) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    data_command.add_commands(parser.add_subparsers(required=True))
    arguments = parser.parse_args(["--data", str(folder / "data"), "data", *words])
    arguments.act(arguments)


def test_an_export_is_frozen_checked_and_found_changed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_manifest_files(tmp_path / "export", ROWS, images=IMAGES)
    frozen = str(tmp_path / "frozen")

    run(tmp_path, "freeze", "--manifest", str(tmp_path / "export"), "--name", "x", "--version", "1", "--to", frozen)
    run(tmp_path, "check", frozen)
    (tmp_path / "export/1.png").write_bytes(IMAGES["2.png"])

    with pytest.raises(SystemExit, match="1 problem"):
        run(tmp_path, "check", frozen)
    said = capsys.readouterr().out
    assert "x 1: 2 films" in said
    assert "everything is as it was frozen" in said
    assert "1.png is no longer the file that was hashed" in said


def test_without_a_word_the_default_public_sets_are_frozen(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_sets(
        tmp_path / "data",
        children=[kermany_row("k.png", "1", "train", 1)],
        adults=[nih_row("a.png", "nih-1", "train", "no_finding")],
        more_adults=[nih_row("m.png", "nih-2", "val", "mass")],
    )

    run(tmp_path, "freeze", "--name", "x", "--version", "1", "--to", str(tmp_path / "frozen"))

    assert "x 1: 3 films" in capsys.readouterr().out


def test_what_must_not_be_frozen_is_said_in_a_sentence(tmp_path: Path) -> None:
    write_manifest_files(tmp_path / "export", [*ROWS, case_row("1.png", "p2", split="test")], images=IMAGES)
    words = ["freeze", "--manifest", str(tmp_path / "export"), "--name", "x", "--version", "1"]

    with pytest.raises(SystemExit, match="not frozen: a patient's films stand in two splits"):
        run(tmp_path, *words, "--to", str(tmp_path / "frozen"))


def test_a_report_is_written_where_it_is_wanted_and_never_into_the_repository(tmp_path: Path) -> None:
    export = str(write_manifest_files(tmp_path / "export", ROWS, images=IMAGES))

    run(tmp_path, "report", "--manifest", export, "--to", str(tmp_path / "page"))

    assert "chest film" in (tmp_path / "page/dataset.html").read_text()
    with pytest.raises(SystemExit, match="outside the repository"):
        run(tmp_path, "report", "--manifest", export, "--to", str(data_command.ROOT / "runs/page"))
    (tmp_path / "export/1.png").unlink()
    with pytest.raises(SystemExit, match=r"no report: hanoi-1: 1\.png is missing"):
        run(tmp_path, "report", "--manifest", export, "--to", str(tmp_path / "page"))
