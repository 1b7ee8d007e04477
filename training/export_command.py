"""The commands `export` and `reproduce`: an evaluated run → the default package; and films → package in one go."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.package import SHIPPED, Output, OutputsDescription
from preprocessing.recipes import RECIPES
from training.attributions import ATTRIBUTIONS, LICENCE, REFERENCES
from training.calibrate import load_calibration, probabilities_of
from training.card import findings_card
from training.datasets import require_uses
from training.evaluate_command import evaluate_on
from training.evaluate_record import FINAL, ON_VAL, Evaluation, load_evaluation, load_learning_curves
from training.export import PackageText, describe_chest_package, export_package, parity_films, require_recipe
from training.outputs import evidence_of, make_outputs
from training.room_freeze import open_dataset
from training.runs import RECORD
from training.train import TrainingConfig, load_network
from training.train_command import stamped, train_run

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PACKAGE = SHIPPED / "chest_radiograph"
VERSION = "0.2.0"
CHANGELOG = {
    "0.1.0": "first package",
    "0.2.0": "read at four depths from a linear start; the fourteen NIH findings as experimental outputs; a stricter "
    "point for raising a priority",
}
HOW_IT_WORKS = """
A small neural network, EfficientNet-Lite0, that had first learned to tell everyday photographs apart. Its first half
stays as it was. Its second half was trained on chest radiographs: first only a linear reading of what the network sees
at four depths, then the network itself, gently, on films moved, turned, mirrored, brightened, blurred and with blanked
borders. Half of that change is kept, which holds better on films from elsewhere. A heat map shows what the deepest
reading saw in each of forty-nine parts of the film, each with its neighbours: coarse, and a hint at best.
"""


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `export` and `reproduce`."""
    command = commands.add_parser("export", help="make the model package of an evaluated run")
    _add_package(command)
    command.set_defaults(act=_export)
    command = commands.add_parser("reproduce", help="train, evaluate (test films too, logged) and export in one go")
    _add_package(command)
    command.add_argument("--threads", type=int, default=TrainingConfig().threads)
    command.set_defaults(act=_reproduce)


def _add_package(command: argparse.ArgumentParser) -> None:
    command.add_argument("--run", type=Path, required=True, help="folder of the run")
    command.add_argument("--dataset", type=Path, help="a frozen dataset; without it, the public sets as they lie there")
    command.add_argument("--package", type=Path, default=PACKAGE)
    command.add_argument("--package-version", default=VERSION)


def _reproduce(arguments: argparse.Namespace) -> None:
    train_run(replace(TrainingConfig(), threads=arguments.threads), arguments.run, arguments.data, arguments.dataset)
    for final in (False, True):
        evaluate_on(arguments.run, arguments.data, arguments.dataset, final=final)
    _export(arguments)


def _export(arguments: argparse.Namespace) -> None:
    run_folder: Path = arguments.run
    record = json.loads((run_folder / RECORD).read_text(encoding="utf-8"))
    recipe = RECIPES[record["recipe"]]
    require_recipe(record, recipe)
    evaluation, readings = load_evaluation(run_folder / FINAL), load_calibration(run_folder)
    outputs = make_outputs(readings, _lows(run_folder), evidence_of(evaluation.findings))
    dataset = open_dataset(arguments.dataset, arguments.data)
    require_uses(dataset, "training", "published_weights")

    def to_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [probabilities_of(logits[:, i], reading.calibration) for i, reading in enumerate(readings)]
        return np.stack(columns, axis=1)

    package = export_package(
        load_network(run_folder),
        parity_films(dataset.cases(), recipe),
        to_probabilities,
        folder=arguments.package,
        description=describe_chest_package(arguments.package.name, recipe, gate="chest_scope"),
        outputs=OutputsDescription(outputs=outputs, scope_classes=(), scope_threshold=None),
        text=_text(arguments.package_version, run_folder, evaluation, outputs),
    )
    stamped(f"{package.name} {package.version} {package.sha256}")


def _lows(run_folder: Path) -> dict[str, float]:
    """Return the lower end of each finding's AUROC interval on val."""
    return {finding: row.auroc.low for finding, row in load_evaluation(run_folder / ON_VAL).over_all().items()}


def _text(version: str, run_folder: Path, evaluation: Evaluation, outputs: Sequence[Output]) -> PackageText:
    learning = load_learning_curves(run_folder)
    return PackageText(
        version=version,
        task="Chest radiograph: likely abnormal films first",
        description="Pneumonia-like opacity (children, adults), any finding (adults), fourteen experimental findings.",
        intended_use="Sorting a worklist of which a radiologist reads every film. Research use; not a medical device.",
        data_source="Kermany paediatric pneumonia (CC BY 4.0); NIH ChestX-ray14 subsets (NIH Clinical Center)",
        references=REFERENCES,
        changelog=CHANGELOG,
        figures={f"{finding}_test_auroc": round(row.auroc.value, 4) for finding, row in evaluation.over_all().items()},
        card=findings_card(outputs, evaluation, learning, version=version, how_it_works=HOW_IT_WORKS),
        licence=LICENCE.read_text(encoding="utf-8"),
        extra_files={
            "ATTRIBUTIONS.md": ATTRIBUTIONS,
            "docs/evaluation.json": (run_folder / FINAL).read_text(encoding="utf-8"),
            "docs/run.json": (run_folder / RECORD).read_text(encoding="utf-8"),
        },
    )
