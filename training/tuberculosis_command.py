"""The command `tuberculosis`: train, evaluate and package the research-only tuberculosis output."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from models.package import OutputsDescription
from preprocessing.recipes import RECIPES
from training.calibrate import Calibrated, probabilities_of
from training.cases import of_split
from training.export import PackageText, describe_chest_package, export_package, require_recipe
from training.films import stack_films
from training.public_sets import read_cases
from training.train_command import RECIPE, stamped
from training.tuberculosis import (
    TuberculosisConfig,
    load_tuberculosis,
    read_tuberculosis_cases,
    train_tuberculosis,
)
from training.tuberculosis_card import ATTRIBUTIONS, TERMS, tuberculosis_card, tuberculosis_output
from training.tuberculosis_check import (
    FlaggedElsewhere,
    TuberculosisEvaluation,
    calibrate_tuberculosis,
    count_flagged_elsewhere,
    evaluate_tuberculosis,
)

if TYPE_CHECKING:
    from argparse import _SubParsersAction

REFERENCES = ("Jaeger S et al. Quant Imaging Med Surg 2014;4(6):475-477, doi 10.3978/j.issn.2223-4292.2014.11.20",)


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `tuberculosis`."""
    command = commands.add_parser("tuberculosis", help="make the research-only tuberculosis package, never shipped")
    command.add_argument("--run", type=Path, required=True, help="folder of the run: weights and evaluations")
    command.add_argument("--package", type=Path, required=True, help="where the package goes; outside the repository")
    command.add_argument("--package-version", default="0.1.0")
    command.add_argument("--trained", action="store_true", help="evaluate and export without training again")
    command.add_argument("--final", action="store_true", help="look at the test films; each look is logged")
    command.set_defaults(act=_tuberculosis)


def _tuberculosis(arguments: argparse.Namespace) -> None:
    recipe, run_folder = RECIPES[RECIPE], arguments.run
    cases, elsewhere = read_tuberculosis_cases(arguments.data), read_cases(arguments.data)
    if not arguments.trained:
        (run_folder / "evaluation.json").unlink(missing_ok=True)  # it told of other weights
        train_tuberculosis(cases, recipe, TuberculosisConfig(), run_folder, show=stamped)
    run = json.loads((run_folder / "run.json").read_text(encoding="utf-8"))
    require_recipe(run, recipe)
    network = load_tuberculosis(run_folder)
    reading = calibrate_tuberculosis(network, cases, recipe)
    on_val = evaluate_tuberculosis(network, reading, cases, recipe, run_folder, final=False)
    stamped(_line(on_val))
    if arguments.final:
        stamped(_line(evaluate_tuberculosis(network, reading, cases, recipe, run_folder, final=True)))
    flagged = count_flagged_elsewhere(network, reading, elsewhere, recipe)
    stamped(f"{flagged.flagged.value:.2f} of {flagged.films} films without finding of another hospital flagged")
    tested = _read_tested(run_folder / "evaluation.json")

    def to_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
        return probabilities_of(logits[:, 0], reading.calibration)[:, None]

    package = export_package(
        network,
        stack_films(of_split(cases, "val"), recipe),
        to_probabilities,
        folder=arguments.package,
        description=describe_chest_package(
            arguments.package.name, recipe, gate="chest_scope", min_age_years=18.0, licence="research use only"
        ),
        outputs=OutputsDescription(
            outputs=(tuberculosis_output(reading, tested),), scope_classes=(), scope_threshold=None
        ),
        text=_text(arguments.package_version, reading, on_val, tested, flagged, run["train_films"], run_folder),
    )
    stamped(f"{package.name} {package.version} {package.sha256}")


def _text(
    version: str,
    reading: Calibrated,
    on_val: TuberculosisEvaluation,
    tested: TuberculosisEvaluation | None,
    flagged: FlaggedElsewhere,
    train_films: int,
    run_folder: Path,
) -> PackageText:
    files = ["run.json", "evaluation_val.json", *(["evaluation.json"] if tested else [])]
    return PackageText(
        version=version,
        task="Tuberculosis-like change, for research only",
        description="One experimental output on frozen ImageNet features, with class activation map.",
        intended_use="Research on shortcuts in tuberculosis films. Not for patients; not a medical device.",
        data_source="Shenzhen chest X-ray set, 128 pixels (research use only, no open licence)",
        references=REFERENCES,
        changelog={version: "research package"},
        figures={f"{row.split}_auroc": round(row.auroc.value, 4) for row in (on_val, tested) if row is not None},
        card=tuberculosis_card(reading, on_val, tested, flagged, version=version, train_films=train_films),
        licence=TERMS,
        extra_files={
            "ATTRIBUTIONS.md": ATTRIBUTIONS,
            **{f"docs/{name}": (run_folder / name).read_text(encoding="utf-8") for name in files},
        },
    )


def _read_tested(path: Path) -> TuberculosisEvaluation | None:
    """Return the evaluation on test films, if anybody has looked at them with these weights."""
    return TypeAdapter(TuberculosisEvaluation).validate_json(path.read_bytes()) if path.is_file() else None


def _line(row: TuberculosisEvaluation) -> str:
    return (
        f"{row.split}: {row.films} films, AUROC {row.auroc.value:.3f} [{row.auroc.low:.3f}, {row.auroc.high:.3f}], "
        f"thumbnail {row.thumbnail_auroc.value:.3f}, gain {row.auroc_gain.value:+.3f} "
        f"[{row.auroc_gain.low:+.3f}, {row.auroc_gain.high:+.3f}], sensitivity {row.sensitivity.value:.3f} "
        f"specificity {row.specificity.value:.3f}"
    )
