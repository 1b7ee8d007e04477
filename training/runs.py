"""A run's folder: what was decided, the curve as numbers and picture, the weights, and where to go on after a kill."""

from __future__ import annotations

import importlib
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

RECORD = "run.json"
WEIGHTS = "weights.pt"
CHECKPOINT = "checkpoint.pt"
CURVE = "curve.png"


class RunRefused(Exception):
    """A run folder that cannot be gone on with: why, and what to do."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One line of the training curve; epoch 0 is the linear start, before any step."""

    number: int
    loss: float
    """On train; NaN for epoch 0."""
    auroc: tuple[float, ...]
    """On val, per finding; NaN where val has only one class."""
    score: float
    """What early stopping looks at."""
    seconds: float
    films_per_second: float


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Reads and writes the files of one run; every file is whole or not there."""

    path: Path
    decided: Mapping[str, Any]
    """What a run is: configuration, recipe, dataset. Another one in the same folder is refused."""
    outputs: Sequence[str]

    def resume(self) -> tuple[list[Epoch], dict[str, Any] | None]:
        """Return the curve so far and the last checkpoint; nothing of a fresh folder.

        Raises:
            RunRefused: The folder holds a run with other decisions.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        record_path, checkpoint_path = self.path / RECORD, self.path / CHECKPOINT
        if not record_path.exists():
            return [], None
        record = json.loads(record_path.read_text(encoding="utf-8"))
        ours = json.loads(json.dumps(self.decided))
        differing = sorted(key for key in ours if record.get(key) != ours[key])
        if differing:
            raise RunRefused(f"{self.path} holds a run with another {', '.join(differing)}: take another folder")
        if not checkpoint_path.exists():
            return [], None
        curve = [_epoch(line) for line in record["curve"]]
        checkpoint: dict[str, Any] = torch.load(checkpoint_path, map_location="cpu", weights_only=True)
        return curve[: int(checkpoint["epoch"]) + 1], checkpoint

    def keep(self, curve: Sequence[Epoch], checkpoint: Mapping[str, Any], best: Mapping[str, Any] | None) -> None:
        """Write the record, the curve's picture, the checkpoint and, if this epoch is the best so far, its weights."""
        if best is not None:
            _save(best, self.path / WEIGHTS)
        draw_curve(curve, self.outputs, self.path / CURVE)
        record = {**self.decided, "best": best_of(curve).number, "curve": [_line(epoch) for epoch in curve]}
        _write(json.dumps(record, indent=1, allow_nan=False), self.path / RECORD)
        _save(checkpoint, self.path / CHECKPOINT)  # last: what it says is true of the other files


class Tracker:
    """Tells MLflow of a run where MLFLOW_TRACKING_URI is set; otherwise the run's folder is all there is."""

    def __init__(self, name: str, decided: Mapping[str, Any]) -> None:
        self._mlflow: Any = None
        if os.environ.get("MLFLOW_TRACKING_URI"):
            try:
                self._mlflow = importlib.import_module("mlflow")
            except ImportError as error:
                raise RunRefused("MLFLOW_TRACKING_URI is set: pip install mlflow-skinny, or unset it") from error
            self._mlflow.set_experiment("pandok")
            self._mlflow.start_run(run_name=name)
            config = dict(decided["config"])
            self._mlflow.log_params({**config, **{key: decided[key] for key in decided if key != "config"}})

    def epoch(self, epoch: Epoch, outputs: Sequence[str]) -> None:
        """Log one epoch."""
        if self._mlflow is None:
            return
        figures = {"loss": epoch.loss, "score": epoch.score, "films_per_second": epoch.films_per_second}
        figures |= {f"val_auroc_{name}": value for name, value in zip(outputs, epoch.auroc, strict=True)}
        known = {name: value for name, value in figures.items() if value == value}
        self._mlflow.log_metrics(known, step=epoch.number)

    def end(self, folder: Path) -> None:
        """Log the record and the curve, and end the run."""
        if self._mlflow is None:
            return
        for name in (RECORD, CURVE):
            self._mlflow.log_artifact(str(folder / name))
        self._mlflow.end_run()


def best_of(curve: Sequence[Epoch]) -> Epoch:
    """Return the epoch with the best score; the earliest of equals."""
    return max(curve, key=lambda epoch: (epoch.score, -epoch.number))


def draw_curve(curve: Sequence[Epoch], outputs: Sequence[str], path: Path) -> None:
    """Draw loss and val AUROC over the epochs as PNG."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in curve]
    left.plot(numbers[1:], [epoch.loss for epoch in curve[1:]], marker="o", color="#37548c")
    left.set(xlabel="epoch", ylabel="loss on train")
    for index, name in enumerate(outputs[:3]):
        right.plot(numbers, [epoch.auroc[index] for epoch in curve], marker="o", label=name.replace("_", " "))
    right.axvline(best_of(curve).number, color="0.7", linestyle=":")
    right.set(xlabel="epoch (0: linear start; dotted: kept)", ylabel="AUROC on val")
    right.legend(fontsize=7, frameon=False)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    draft = path.with_suffix(".part.png")
    figure.savefig(draft, dpi=120)
    draft.replace(path)


def _line(epoch: Epoch) -> dict[str, Any]:
    """Return an epoch as JSON has it: no number is null."""
    auroc = [None if math.isnan(value) else value for value in epoch.auroc]
    return {**asdict(epoch), "loss": None if math.isnan(epoch.loss) else epoch.loss, "auroc": auroc}


def _epoch(line: Mapping[str, Any]) -> Epoch:
    auroc = tuple(math.nan if value is None else value for value in line["auroc"])
    return Epoch(**{**line, "loss": math.nan if line["loss"] is None else line["loss"], "auroc": auroc})


def _save(state: Mapping[str, Any], path: Path) -> None:
    draft = path.with_suffix(".part")
    torch.save(dict(state), draft)
    draft.replace(path)


def _write(text: str, path: Path) -> None:
    draft = path.with_suffix(".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
