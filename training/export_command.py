"""The commands `export` and `reproduce`: an evaluated run → the default package; and films → package in one go."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from models.package import SHIPPED, AppliesTo, OutputsDescription, PackageDescription
from preprocessing.recipes import RECIPES, Recipe
from training.attributions import ATTRIBUTIONS
from training.calibrate import load_calibration, probabilities_of
from training.card import findings_card
from training.cases import load_tensors, of_split
from training.datasets import require_uses
from training.evaluate_command import evaluate_on
from training.evaluate_record import FINAL, ON_VAL, Evaluation, load_evaluation, load_learning_curves
from training.export import MANUFACTURER, ExportRefused, PackageText, export_package
from training.outputs import evidence_of, make_outputs
from training.room_freeze import open_dataset
from training.runs import RECORD
from training.train import TrainingConfig, load_network
from training.train_command import stamped, train_run

if TYPE_CHECKING:
    from argparse import _SubParsersAction

PARITY_FILMS = 96
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
LICENCE = Path(__file__).parent.parent / "LICENSE"
REFERENCES = (
    "Kermany DS et al. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj.2",
    "Wang X et al. ChestX-ray8. CVPR 2017; NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
)


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
    if record["recipe_sha256"] != recipe.sha256:
        raise ExportRefused(f"the recipe {recipe.name} changed since the run was trained: train again")
    on_val, evaluation = load_evaluation(run_folder / ON_VAL), load_evaluation(run_folder / FINAL)
    readings = load_calibration(run_folder)
    outputs = make_outputs(
        readings, {f: row.auroc.low for f, row in on_val.over_all().items()}, evidence_of(evaluation.findings)
    )

    def to_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [probabilities_of(logits[:, i], reading.calibration) for i, reading in enumerate(readings)]
        return np.stack(columns, axis=1)

    dataset = open_dataset(arguments.dataset, arguments.data)
    require_uses(dataset, "training", "published_weights")
    films = of_split(dataset.cases(), "val")
    films = films[:: max(1, len(films) // PARITY_FILMS)]
    card = findings_card(
        outputs,
        evaluation,
        load_learning_curves(run_folder),
        version=arguments.package_version,
        how_it_works=HOW_IT_WORKS,
    )
    package = export_package(
        load_network(run_folder),
        torch.from_numpy(np.stack(list(load_tensors(films, recipe)))),
        to_probabilities,
        folder=arguments.package,
        description=_description(arguments.package.name, recipe),
        outputs=OutputsDescription(outputs=outputs, scope_classes=(), scope_threshold=None),
        text=_text(arguments.package_version, run_folder, evaluation, card),
    )
    stamped(f"{package.name} {package.version} {package.sha256}")


def _description(name: str, recipe: Recipe) -> PackageDescription:
    return PackageDescription(
        name=name,
        kind="findings",
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        input_shape=(1, 224, 224),
        has_heat_map=True,
        gate="chest_scope",
        applies_to=AppliesTo(modalities=("CR", "DX"), body_parts=(), views=(), min_age_years=None, max_age_years=None),
        manufacturer=MANUFACTURER,
        licence="Apache-2.0",
    )


def _text(version: str, run_folder: Path, evaluation: Evaluation, card: str) -> PackageText:
    return PackageText(
        version=version,
        task="Chest radiograph: likely abnormal films first",
        description="Pneumonia-like opacity (children, adults), any finding (adults), fourteen experimental findings.",
        intended_use="Sorting a worklist of which a radiologist reads every film. Research use; not a medical device.",
        data_source="Kermany paediatric pneumonia (CC BY 4.0); NIH ChestX-ray14 subsets (NIH Clinical Center)",
        references=REFERENCES,
        changelog=CHANGELOG,
        figures={f"{finding}_test_auroc": round(row.auroc.value, 4) for finding, row in evaluation.over_all().items()},
        card=card,
        licence=LICENCE.read_text(encoding="utf-8"),
        extra_files={
            "ATTRIBUTIONS.md": ATTRIBUTIONS,
            "docs/evaluation.json": (run_folder / FINAL).read_text(encoding="utf-8"),
            "docs/run.json": (run_folder / RECORD).read_text(encoding="utf-8"),
        },
    )
