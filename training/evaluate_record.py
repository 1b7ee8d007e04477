"""evaluation.json: everything that one evaluation measured, as one frozen record."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from training.cases import Case, Split
from training.evaluate_cross_set import CrossSet, Elsewhere
from training.evaluate_figures import FindingCurves, FindingEvaluation
from training.evaluate_published import Outcome
from training.pointing import Pointing
from training.proofs import Occlusion

FINAL, ON_VAL = "evaluation.json", "evaluation_val.json"
LEARNING_CURVE = "learning_curve.json"


@dataclass(frozen=True, slots=True)
class SetCount:
    """How much of a set was used."""

    data_set: str
    split: str
    films: int
    patients: int


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What one evaluation measured; nothing in it shows or names a film."""

    split: Split
    made_at: str
    recipe: str
    weights_sha256: str
    looks_at_test: int
    """How often the test films had been looked at with this run, this time included."""
    bootstrap_draws: int
    sets: tuple[SetCount, ...]
    findings: tuple[FindingEvaluation, ...]
    curves: tuple[FindingCurves, ...]
    outcomes: tuple[Outcome, ...]
    occlusion: tuple[Occlusion, ...]
    cross_set: tuple[CrossSet, ...]
    pointing: tuple[Pointing, ...]
    elsewhere: tuple[Elsewhere, ...]

    def over_all(self) -> dict[str, FindingEvaluation]:
        """Return each finding's figures over all its films."""
        return {row.finding: row for row in self.findings if row.group == "all"}


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """A figure after training on a part of the films."""

    train_films: int
    auroc: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How one figure grew with the films learned from, and what follows from that."""

    finding: str
    group: str
    judged_on: Split
    points: tuple[CurvePoint, ...]
    reason: str
    """Why a target was missed, or that it was not, in sentences a physician can read."""


def save_evaluation(run_folder: Path, evaluation: Evaluation) -> None:
    """Write evaluation.json, or evaluation_val.json."""
    path = run_folder / (FINAL if evaluation.split == "test" else ON_VAL)
    parts = [f'"{name}": {_lines(value)}' for name, value in asdict(evaluation).items()]
    path.write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")


def load_evaluation(path: Path) -> Evaluation:
    """Return what `save_evaluation` wrote."""
    return TypeAdapter(Evaluation).validate_json(path.read_bytes())


def load_learning_curves(run_folder: Path) -> tuple[LearningCurve, ...]:
    """Return what learning_curve.json of a run says; nothing where there is none."""
    path = run_folder / LEARNING_CURVE
    return TypeAdapter(tuple[LearningCurve, ...]).validate_json(path.read_bytes()) if path.is_file() else ()


def count_sets(cases: Sequence[Case]) -> tuple[SetCount, ...]:
    """Return films and patients of each set and split."""
    parts = sorted({(case.data_set, case.split) for case in cases})
    return tuple(
        SetCount(
            data_set,
            split,
            sum((case.data_set, case.split) == (data_set, split) for case in cases),
            len({case.patient_id for case in cases if (case.data_set, case.split) == (data_set, split)}),
        )
        for data_set, split in parts
    )


def _lines(value: object) -> str:
    """Return JSON with one line for each row of a table."""
    if isinstance(value, tuple) and value:
        return "[\n " + ",\n ".join(json.dumps(row, allow_nan=False) for row in value) + "\n]"
    return json.dumps(value, allow_nan=False)
