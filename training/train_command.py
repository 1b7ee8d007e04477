"""The command `train`: films → a run's folder with weights, curve and record."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from preprocessing.recipes import RECIPES
from training.learning_curve import draw_learning_curves
from training.network import BACKBONES
from training.room_freeze import open_dataset
from training.team import join_team
from training.train import TrainingConfig, train

if TYPE_CHECKING:
    from argparse import _SubParsersAction

RECIPE = "chest_radiograph/1"


def add_commands(commands: _SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `train`."""
    defaults = TrainingConfig()
    command = commands.add_parser("train", help="train the chest radiograph network; goes on where a run was killed")
    command.add_argument("--run", type=Path, required=True, help="folder of the run: weights, curve, evaluations")
    command.add_argument("--dataset", type=Path, help="a frozen dataset; without it, the public sets as they lie there")
    command.add_argument("--backbone", choices=BACKBONES, default=defaults.backbone)
    command.add_argument("--epochs", type=int, default=defaults.epochs)
    command.add_argument("--films-per-epoch", type=int, default=defaults.films_per_epoch)
    command.add_argument("--seed", type=int, default=defaults.seed)
    command.add_argument("--threads", type=int, default=defaults.threads)
    command.set_defaults(act=_train)


def _train(arguments: argparse.Namespace) -> None:
    config = replace(
        TrainingConfig(),
        backbone=arguments.backbone,
        epochs=arguments.epochs,
        films_per_epoch=arguments.films_per_epoch,
        seed=arguments.seed,
        threads=arguments.threads,
    )
    train_run(config, arguments.run, arguments.data, arguments.dataset)


def train_run(config: TrainingConfig, run_folder: Path, shared_data: Path, frozen: Path | None) -> None:
    """Train, and draw the learning curves of the result."""
    dataset = open_dataset(frozen, shared_data)
    train(dataset, RECIPES[RECIPE], config, run_folder, show=stamped)
    if join_team().leads:
        draw_learning_curves(run_folder, dataset, show=stamped)


def stamped(line: str) -> None:
    """Print a line with the time of day."""
    print(time.strftime("%H:%M:%S"), line, flush=True)  # noqa: T201 - the command line's own output
