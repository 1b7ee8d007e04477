"""The command `gate`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pytest

from models.package import SHIPPED
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.export import ExportRefused
from training.scope_command import add_commands


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    add_commands(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def test_the_shipped_gate_is_what_it_makes_unless_told_otherwise() -> None:
    arguments = parsed("gate", "--run", "run")

    assert arguments.package == SHIPPED / "chest_scope"
    assert not arguments.trained


def test_a_gate_trained_with_another_recipe_is_not_exported(tmp_path: Path) -> None:
    data = write_sets(
        tmp_path / "sets",
        children=[kermany_row("a.jpeg", "a", "val", 1)],
        adults=[nih_row("b.png", "b", "val", "no_finding")],
        more_adults=[nih_row("c.png", "c", "val", "mass")],
    )
    (tmp_path / "gate.json").write_text(json.dumps({"recipe_sha256": "another"}))
    package = tmp_path / "package"
    arguments = parsed("--data", str(data), "gate", "--run", str(tmp_path), "--package", str(package), "--trained")

    with pytest.raises(ExportRefused, match="train again"):
        arguments.act(arguments)

    assert not package.exists()
