"""How much more films would help: the linear start fitted on parts of the training films, judged on val."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS, Case, of_split
from training.datasets import Dataset
from training.evaluate_record import LEARNING_CURVE, CurvePoint, LearningCurve
from training.films import stack_labels
from training.losses import aurocs
from training.runs import RECORD
from training.start import fit_readings, pooled_read_outs
from training.train import TrainingConfig, make_network, start_penalties

SHARES: Final = (0.125, 0.25, 0.5, 1.0)
DRAWS: Final = 8
GROUPS: Final = ((CHILD_OPACITY, "all"), (ANY_FINDING, "all"), (ANY_FINDING, "nih_cxr14_more"), (ADULT_OPACITY, "all"))


def draw_learning_curves(run_folder: Path, dataset: Dataset, *, show: Callable[[str], None]) -> list[LearningCurve]:
    """Fit the linear start on parts of the training patients and judge it on val; writes learning_curve.json.

    The network's second half is not trained again: that would take days, and the linear start is most of the result
    (epoch 0 of a run's curve).

    Args:
        run_folder: Of a trained run; its features are used.
        dataset: What the run was trained on.
        show: Takes a line for each curve.
    """
    record = json.loads((run_folder / RECORD).read_text(encoding="utf-8"))
    config = TrainingConfig(**record["config"])
    tail = make_network(config).tail.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # no stub
    cases = dataset.cases()
    train, val = of_split(cases, "train"), of_split(cases, "val")
    train_pooled, val_pooled = (
        pooled_read_outs(tail, np.load(run_folder / name, mmap_mode="r")[0], torch.device("cpu"))
        for name in ("train.npy", "val.npy")
    )
    train_labels, val_labels = stack_labels(train), stack_labels(val)
    known = torch.from_numpy(train_labels).float()
    scores: dict[float, list[NDArray[np.float64]]] = {}
    for share in SHARES:
        for draw in range(DRAWS if share < 1 else 1):
            films = _some_patients(train, share, draw)
            readings = fit_readings(train_pooled[films], known[films], penalty=start_penalties(config))
            scores.setdefault(share, []).append(readings.scores(val_pooled).double().numpy())
    curves = [_curve(finding, group, scores, val, train_labels, val_labels) for finding, group in GROUPS]
    (run_folder / LEARNING_CURVE).write_text(json.dumps([asdict(c) for c in curves], indent=1), encoding="utf-8")
    for curve in curves:
        points = ", ".join(f"{point.train_films} films {point.auroc:.3f}" for point in curve.points)
        show(f"learning curve, {curve.finding} on {curve.group}: {points}")
    return curves


def _some_patients(cases: Sequence[Case], share: float, draw: int) -> NDArray[np.intp]:
    patients = sorted({case.patient_id for case in cases})
    drawn = np.random.default_rng(draw).permutation(len(patients))[: max(1, round(share * len(patients)))]
    chosen = {patients[index] for index in drawn.tolist()}
    return np.flatnonzero([case.patient_id in chosen for case in cases])


def _curve(
    finding: str,
    group: str,
    scores: dict[float, list[NDArray[np.float64]]],
    val: Sequence[Case],
    train_labels: NDArray[np.float64],
    val_labels: NDArray[np.float64],
) -> LearningCurve:
    column = FINDINGS.index(finding)
    member = np.asarray([group in ("all", case.data_set) for case in val])
    known = int((~np.isnan(train_labels[:, column])).sum())
    points = []
    for share, judged in scores.items():
        areas = [aurocs(logits[member], val_labels[member])[column] for logits in judged]
        low, high = (min(areas), max(areas)) if len(areas) > 1 else (None, None)
        points.append(CurvePoint(round(share * known), float(np.mean(areas)), low, high))
    return LearningCurve(finding, group, "val", tuple(points), _reason(finding, points))


def _reason(finding: str, points: Sequence[CurvePoint]) -> str:
    gain = (points[-1].auroc - points[0].auroc) / (len(points) - 1)
    text = (
        f"Each doubling of the films learned from, from {points[0].train_films} to {points[-1].train_films}, added "
        f"{gain:+.3f} to the AUROC on average."
    )
    if finding == CHILD_OPACITY:
        return (
            f"{text} On films like those learned from little is left to gain; the test films were taken or prepared "
            "differently."
        )
    return (
        f"{text} The published networks that reach more learned from about a hundred thousand such films. The labels "
        'set a further limit: they were mined from report texts, and "No Finding" does not mean healthy.'
    )
