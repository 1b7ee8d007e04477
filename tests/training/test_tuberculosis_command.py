"""The command `tuberculosis`: its package never lands in the repository by default, and test films need a word."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from models.package import load_package
from tests.training.public_sets import kermany_row, nih_row, write_sets
from tests.training.test_tuberculosis import write_shenzhen
from training.export import ExportRefused
from training.tuberculosis_command import add_commands


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    add_commands(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def write_data(folder: Path) -> Path:
    write_sets(
        folder,
        children=[kermany_row("a.jpeg", "a", "val", 1)],
        adults=[nih_row(f"b{n}.png", f"b{n}", "val", "no_finding") for n in range(3)],
        more_adults=[nih_row("c.png", "c", "val", "mass")],
    )
    return write_shenzhen(folder, each=10)


def test_the_package_has_no_place_unless_one_is_given() -> None:
    with pytest.raises(SystemExit):
        parsed("tuberculosis", "--run", "run")


def test_a_run_with_another_recipe_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"recipe_sha256": "another"}))
    arguments = parsed(
        "--data", str(write_data(tmp_path / "sets")), "tuberculosis", "--run", str(tmp_path),
        "--package", str(tmp_path / "package"), "--trained",
    )  # fmt: skip

    with pytest.raises(ExportRefused, match="train again"):
        arguments.act(arguments)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_a_package_is_made_without_a_look_at_test_films(tmp_path: Path) -> None:
    data = write_data(tmp_path / "sets")
    for path in (data / "shenzhen_tb_128/images").glob("test_*"):
        path.unlink()
    arguments = parsed(
        "--data", str(data), "tuberculosis", "--run", str(tmp_path / "run"),
        "--package", str(tmp_path / "chest_tuberculosis"),
    )  # fmt: skip

    arguments.act(arguments)

    package = load_package(tmp_path / "chest_tuberculosis")
    (output,) = package.outputs
    assert (output.experimental, output.raise_point, output.evidence) == (True, None, None)
    assert package.has_heat_map
    assert "not looked at" in (package.folder / "docs/README.md").read_text(encoding="utf-8")
    assert "Do not pass them on" in (package.folder / "LICENSE").read_text(encoding="utf-8")
