"""The command `evaluate`: one run → calibration.json, evaluation.json and the evaluation pages."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from preprocessing.recipes import RECIPES
from training.datasets import require_uses
from training.evaluate import evaluate_run
from training.public_sets import read_public
from training.room_freeze import open_dataset
from training.train_command import stamped

if TYPE_CHECKING:
    from argparse import _SubParsersAction

ELSEWHERE = ("hannover_covid",)
"""Sets of ill patients only: no AUROC can be measured on them, but whether they are flagged can."""


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `evaluate`."""
    command = commands.add_parser("evaluate", help="calibrate and evaluate on val; with --final on test")
    command.add_argument("--run", type=Path, required=True, help="folder of the run; the results go there too")
    command.add_argument("--dataset", type=Path, help="a frozen dataset; without it, the public sets as they lie there")
    command.add_argument("--final", action="store_true", help="look at the test films; each look is logged")
    command.set_defaults(act=_evaluate)


def _evaluate(arguments: argparse.Namespace) -> None:
    evaluate_on(arguments.run, arguments.data, arguments.dataset, final=arguments.final)


def evaluate_on(run_folder: Path, shared_data: Path, frozen: Path | None, *, final: bool) -> None:
    """Evaluate a run: on val, or with `final` on test and, where they are, on the films of other hospitals.

    Raises:
        training.cases.ManifestRefused: As `open_dataset`.
        training.datasets.UseRefused: The terms of a set do not permit evaluation.
    """
    recipe = RECIPES[json.loads((run_folder / "run.json").read_text(encoding="utf-8"))["recipe"]]
    dataset = open_dataset(frozen, shared_data)
    require_uses(dataset, "evaluation")
    there = [name for name in ELSEWHERE if final and (shared_data / name).is_dir()]
    elsewhere = read_public(shared_data, there).cases() if there else ()
    evaluate_run(run_folder, dataset.cases(), recipe, final=final, show=stamped, elsewhere=elsewhere)
