"""The command `export`, and the whole way: films → training → evaluation → package → a film scored as in service."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from models.calibration import probability
from models.package import SHIPPED, load_package
from models.session import Session
from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.calibrate import load_calibration, probabilities_of
from training.cases import ANY_FINDING, FINDINGS, of_split
from training.evaluate import LOOKS
from training.evaluate_command import evaluate_on
from training.export import ExportRefused
from training.export_command import add_commands
from training.films import stack_films
from training.network import predict
from training.public_sets import read_cases
from training.train import TrainingConfig, load_network
from training.train_command import train_run

RECIPE = RECIPES["chest_radiograph/1"]
SMALL = TrainingConfig(epochs=1, films_per_epoch=16, batch=8, copies=2, warm_up_steps=1, threads=1)
SPLITS = ("train", "val", "test")


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path)
    add_commands(parser.add_subparsers(required=True))
    return parser.parse_args(words)


def made_films(folder: Path) -> Path:
    """A film with a finding is bright in the middle."""
    return write_sets(
        folder,
        children=[kermany_row(f"{s}{n}.jpeg", f"p{s}{n}", s, n % 2) for s in SPLITS for n in range(8)],
        adults=[
            nih_row(f"{s}{n}.png", f"nih-{s}{n}", s, ("no_finding", "pneumonia")[n % 2])
            for s in SPLITS
            for n in range(8)
        ],
        more_adults=[
            nih_row(f"m{s}{n}.png", f"nih-m{s}{n}", s, ("no_finding", "mass")[n % 2]) for s in SPLITS for n in range(8)
        ],
    )


def test_the_shipped_package_is_what_it_makes_unless_told_otherwise() -> None:
    for command in ("export", "reproduce"):
        assert parsed(command, "--run", "run").package == SHIPPED / "chest_radiograph"


def test_a_run_with_another_recipe_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"recipe": RECIPE.name, "recipe_sha256": "another"}))
    arguments = parsed("export", "--run", str(tmp_path), "--package", str(tmp_path / "package"))

    with pytest.raises(ExportRefused, match="train again"):
        arguments.act(arguments)

    assert not (tmp_path / "package").exists()


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_training_ends_in_a_package_that_serves(tmp_path: Path) -> None:
    data, run, folder = made_films(tmp_path / "sets"), tmp_path / "run", tmp_path / "chest_small"
    train_run(SMALL, run, data, None)
    for final in (False, True):
        evaluate_on(run, data, None, final=final)
    arguments = parsed("--data", str(data), "export", "--run", str(run), "--package", str(folder))

    arguments.act(arguments)

    package = load_package(folder)
    films = stack_films(of_split(read_cases(data), "test"), RECIPE)
    scores = Session(package).run(films.numpy())
    assert scores.heat_map is not None
    assert scores.heat_map.shape == (len(films), len(FINDINGS), 7, 7)
    output = package.outputs[FINDINGS.index(ANY_FINDING)]
    served = [probability(float(raw), output.calibration) for raw in scores.logits[:, output.channel]]
    reading = load_calibration(run)[output.channel]
    trained = probabilities_of(predict(load_network(run), films)[:, output.channel], reading.calibration)
    np.testing.assert_allclose(served, trained, atol=1e-4)
    assert "Not a medical device" in (folder / "docs/README.md").read_text(encoding="utf-8")
    assert len((run / LOOKS).read_text().splitlines()) == 1  # one look at the test films, and it is logged
