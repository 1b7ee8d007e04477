"""The command line of training: train, evaluate, export, gate."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from models.package import AppliesTo, OutputsDescription, PackageDescription
from preprocessing.recipes import RECIPES
from training.calibrate import probabilities_of
from training.card import ATTRIBUTIONS, findings_card, gate_card
from training.cases import of_split, read_cases
from training.evaluate import evaluate_run, load_calibration, load_evaluation
from training.export import MANUFACTURER, ExportRefused, PackageText, export_package
from training.films import film_dataset, stack_images
from training.held_out import held_out
from training.outputs import make_outputs
from training.scope import SCOPE_CLASSES, ScopeConfig, count_kept, describe, load_gate, train_gate
from training.train import TrainingConfig, load_network, train

RECIPE = "chest_radiograph/1"
PARITY_FILMS = 96
RADIOGRAPHS = AppliesTo(modalities=("CR", "DX"), body_parts=(), views=(), min_age_years=None, max_age_years=None)
ROOT = Path(__file__).parent.parent
REFERENCES = (
    "Kermany DS et al. Cell 2018;172(5):1122-1131, doi 10.1016/j.cell.2018.02.010; data doi 10.17632/rscbjbr9sj.2",
    "Wang X et al. ChestX-ray8. CVPR 2017; NIH Clinical Center, https://nihcc.app.box.com/v/ChestXray-NIHCC",
)


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    defaults = TrainingConfig()
    default_data = os.environ.get("PANDOK_SHARED_DATA", str(ROOT.parent / "shared/data"))
    parser.add_argument("--data", type=Path, default=Path(default_data), help="folder of the public sets")
    commands = parser.add_subparsers(required=True)

    command = commands.add_parser("train", help="train the chest radiograph network")
    command.add_argument("--run", type=Path, required=True, help="folder of the run: weights, curve, evaluations")
    command.add_argument("--epochs", type=int, default=defaults.epochs)
    command.add_argument("--seed", type=int, default=defaults.seed)
    command.add_argument("--threads", type=int, default=defaults.threads)
    command.set_defaults(act=_train)

    command = commands.add_parser("evaluate", help="calibrate and evaluate on val; with --final on test")
    command.add_argument("--run", type=Path, required=True)
    command.add_argument("--final", action="store_true", help="look at the test films; each look is logged")
    command.set_defaults(act=_evaluate)

    command = commands.add_parser("export", help="make the model package of an evaluated run")
    command.add_argument("--run", type=Path, required=True)
    command.add_argument("--package", type=Path, default=ROOT / "models/chest_radiograph")
    command.add_argument("--package-version", default="0.1.0")
    command.set_defaults(act=_export)

    command = commands.add_parser("gate", help="train, check and export the scope gate")
    command.add_argument("--run", type=Path, required=True)
    command.add_argument("--package", type=Path, default=ROOT / "models/chest_scope")
    command.add_argument("--package-version", default="0.1.0")
    command.add_argument("--trained", action="store_true", help="export the run as it is, without training again")
    command.set_defaults(act=_gate)

    arguments = parser.parse_args()
    arguments.act(arguments)


def _train(arguments: argparse.Namespace) -> None:
    config = replace(TrainingConfig(), epochs=arguments.epochs, seed=arguments.seed, threads=arguments.threads)
    train(read_cases(arguments.data), RECIPES[RECIPE], config, arguments.run, show=_show)


def _evaluate(arguments: argparse.Namespace) -> None:
    evaluate_run(arguments.run, read_cases(arguments.data), RECIPES[RECIPE], final=arguments.final, show=_show)


def _export(arguments: argparse.Namespace) -> None:
    _check_recipe(arguments.run / "run.json")
    network = load_network(arguments.run)
    readings, rows = load_calibration(arguments.run), load_evaluation(arguments.run / "evaluation.json")
    on_val = load_evaluation(arguments.run / "evaluation_val.json")
    cases = read_cases(arguments.data)
    films = of_split(cases, "val")[:: max(1, len(of_split(cases, "val")) // PARITY_FILMS)]
    outputs = make_outputs(readings, {row.finding: row.auroc.low for row in on_val if row.group == "all"})

    def to_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        columns = [probabilities_of(logits[:, i], reading.calibration) for i, reading in enumerate(readings)]
        return np.stack(columns, axis=1)

    text = PackageText(
        version=arguments.package_version,
        task="Chest radiograph: likely abnormal films first",
        description="Pneumonia-like opacity (children, adults), any finding (adults), class activation maps.",
        intended_use="Sorting a worklist of which a radiologist reads every film. Research use; not a medical device.",
        data_source="Kermany paediatric pneumonia (CC BY 4.0); NIH ChestX-ray14 subsets (NIH Clinical Center)",
        references=REFERENCES,
        changelog={arguments.package_version: "first package"},
        figures={f"{row.finding}_test_auroc": round(row.auroc.value, 4) for row in rows if row.group == "all"},
        card=findings_card(
            outputs,
            rows,
            version=arguments.package_version,
            train_films=Counter(case.data_set for case in of_split(cases, "train")),
        ),
        licence=_licence(),
        extra_files={
            "ATTRIBUTIONS.md": ATTRIBUTIONS,
            "docs/evaluation.json": (arguments.run / "evaluation.json").read_text(encoding="utf-8"),
            "docs/run.json": (arguments.run / "run.json").read_text(encoding="utf-8"),
        },
    )
    package = export_package(
        network,
        stack_images(film_dataset(films, RECIPES[RECIPE], augment=False)),
        to_probabilities,
        folder=arguments.package,
        description=_description(arguments.package.name, gate="chest_scope", heat_map=True),
        outputs=OutputsDescription(outputs=outputs, scope_classes=(), scope_threshold=None),
        text=text,
    )
    _show(f"{package.name} {package.version} {package.sha256}")


def _gate(arguments: argparse.Namespace) -> None:
    cases, recipe = read_cases(arguments.data), RECIPES[RECIPE]
    if not arguments.trained:
        train_gate(cases, recipe, ScopeConfig(), arguments.run, show=_show)
    _check_recipe(arguments.run / "gate.json")
    network, threshold = load_gate(arguments.run)
    record = json.loads((arguments.run / "gate.json").read_text(encoding="utf-8"))
    elsewhere = count_kept(network, describe(network, held_out(arguments.data, recipe)), threshold)
    for kind, (kept, total) in elsewhere.items():
        _show(f"held out, {kind}: {kept} of {total} let through")
    text = PackageText(
        version=arguments.package_version,
        task="Scope gate: an upright human frontal chest radiograph, or the reason why not",
        description="Five classes over frozen ImageNet features with a distance to known chest films.",
        intended_use="Keeping pictures out of scope from being scored. Research use; not a medical device.",
        data_source="Kermany paediatric pneumonia; NIH ChestX-ray14 subsets; pictures of Python packages; drawings",
        references=REFERENCES,
        changelog={arguments.package_version: "first package"},
        figures={f"kept, val, {kind}": kept / total for kind, (kept, total) in record["val_kept"].items()},
        card=gate_card(
            version=arguments.package_version,
            threshold=threshold,
            train_pictures=record["train_pictures"],
            val_kept=record["val_kept"],
            held_out_kept=elsewhere,
        ),
        licence=_licence(),
        extra_files={
            "ATTRIBUTIONS.md": ATTRIBUTIONS,
            "docs/gate.json": json.dumps({**record, "held_out_kept": elsewhere}, indent=1) + "\n",
        },
    )
    films = of_split(cases, "val")[:: max(1, len(of_split(cases, "val")) // PARITY_FILMS)]
    package = export_package(
        network,
        stack_images(film_dataset(films, recipe, augment=False)),
        lambda logits: torch.softmax(torch.from_numpy(logits), dim=1).numpy(),
        folder=arguments.package,
        description=_description(arguments.package.name, gate=None, heat_map=False),
        outputs=OutputsDescription(outputs=(), scope_classes=SCOPE_CLASSES, scope_threshold=round(threshold, 4)),
        text=text,
    )
    _show(f"{package.name} {package.version} {package.sha256}")


def _description(name: str, *, gate: str | None, heat_map: bool) -> PackageDescription:
    recipe = RECIPES[RECIPE]
    return PackageDescription(
        name=name,
        kind="findings" if heat_map else "scope_gate",
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        input_shape=(1, 224, 224),
        has_heat_map=heat_map,
        gate=gate,
        applies_to=RADIOGRAPHS,
        manufacturer=MANUFACTURER,
        licence="Apache-2.0",
    )


def _check_recipe(record: Path) -> None:
    trained_with = json.loads(record.read_text(encoding="utf-8"))["recipe_sha256"]
    if trained_with != RECIPES[RECIPE].sha256:
        raise ExportRefused(f"the recipe {RECIPE} changed since the run was trained: train again")


def _licence() -> str:
    return (ROOT / "LICENSE").read_text(encoding="utf-8")


def _show(line: str) -> None:
    print(time.strftime("%H:%M:%S"), line, flush=True)


if __name__ == "__main__":
    main()
