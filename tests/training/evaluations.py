"""Made films, runs and evaluations: no real film in them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from preprocessing.placement import Placement
from training.calibrate import Calibrated, calibrate_all
from training.cases import FINDINGS, AgeBand, Case, FindingBox, Split
from training.evaluate_baselines import Films, ThumbnailScores
from training.evaluate_cross_set import CrossSet, Elsewhere
from training.evaluate_figures import evaluate_findings, finding_curves
from training.evaluate_intervals import Interval
from training.evaluate_published import outcomes
from training.evaluate_record import CurvePoint, Evaluation, LearningCurve, count_sets
from training.films import stack_labels
from training.pointing import Pointing
from training.proofs import Occlusion

SIDE = 224
CHILD, NIH = "kermany_pneumonia", "nih_cxr14_more"


def case(
    patient: str = "p",
    *,
    split: Split = "test",
    labels: Sequence[float] = (math.nan,) * len(FINDINGS),
    data_set: str = NIH,
    age_band: AgeBand = "adult",
    age_years: float | None = 50.0,
    sex: str = "F",
    view: str = "PA",
    boxes: tuple[FindingBox, ...] = (),
    era_matched: bool = True,
) -> Case:
    return Case(
        image=Path(f"{patient}.png"), member=None, data_set=data_set, patient_id=patient, split=split,
        labels=tuple(labels), age_band=age_band, sex=sex, view=view, era_matched=era_matched, age_years=age_years,
        boxes=boxes,
    )  # fmt: skip


def some_cases(count: int = 240, seed: int = 0, split: Split = "test") -> tuple[Case, ...]:
    """A third children; every finding on about a third of the films that can have it."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        labels = np.full(len(FINDINGS), math.nan)
        if number % 3 == 0:
            labels[0] = rng.random() < 0.6
            made.append(
                case(f"{split} child {number}", split=split, labels=labels.tolist(), data_set=CHILD,
                     age_band="1-5 years", age_years=None, sex="", view="AP")
            )  # fmt: skip
            continue
        labels[1:] = rng.random(len(FINDINGS) - 1) < 0.35
        made.append(
            case(f"{split} adult {number // 2}", split=split, labels=labels.tolist(),
                 data_set=NIH if number % 2 else "nih_cxr14_subset", age_years=float(rng.integers(18, 90)),
                 sex="FM"[number % 2], view=("PA", "AP")[number % 5 == 0], era_matched=number % 7 != 0)
        )  # fmt: skip
    return tuple(made)


def logits_of(cases: Sequence[Case], seed: int = 1, *, skill: float = 1.5) -> np.ndarray:
    labels = stack_labels(cases)
    return np.random.default_rng(seed).normal(size=labels.shape) + skill * np.nan_to_num(labels, nan=0.3)


def thumbnails_of(cases: Sequence[Case], seed: int = 2, *, skill: float = 1.5) -> ThumbnailScores:
    """The models of one set are a little better than the one of all."""
    return ThumbnailScores(logits_of(cases, seed, skill=skill), logits_of(cases, seed, skill=skill + 0.1))


def some_films(cases: Sequence[Case]) -> Films:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(len(cases), 1, SIDE, SIDE, generator=generator)
    return Films(tuple(cases), images, (Placement(0.0, 0.0, 2.0, 2 * SIDE, 2 * SIDE),) * len(cases))


def some_readings(cases: Sequence[Case]) -> list[Calibrated]:
    return calibrate_all(logits_of(cases), stack_labels(cases), version="1")


def around(value: float, half: float = 0.04) -> Interval:
    return Interval(value, value - half, value + half)


def some_evaluation(split: Split = "test") -> tuple[Evaluation, list[Calibrated]]:
    """An evaluation with every part filled in; the figures by finding are measured, the proofs are made up."""
    cases = some_cases(split=split)
    readings = some_readings(some_cases(seed=7, split="val"))
    logits, thumbnail = logits_of(cases, 2), thumbnails_of(cases, 3, skill=0.4)
    rows = evaluate_findings(cases, logits, thumbnail, readings)
    made = Evaluation(
        split=split,
        made_at="2026-07-01T10:00:00+00:00",
        recipe="chest_radiograph/1",
        weights_sha256="ab" * 32,
        looks_at_test=2,
        bootstrap_draws=1_000,
        sets=count_sets([*cases, *(replace(one, split="train") for one in some_cases(90, 5, "train"))]),
        findings=rows,
        curves=finding_curves(cases, logits, thumbnail, readings),
        outcomes=outcomes(rows),
        occlusion=(
            Occlusion(FINDINGS[0], 80, 50, around(0.95), around(0.6), around(0.63), around(0.94), around(0.7),
                      around(0.62), around(0.72), 0.75, passed=True),
            Occlusion(FINDINGS[1], 160, 60, around(0.8), around(0.79), around(0.75), around(0.78), around(0.6),
                      around(0.55), around(0.66), 0.65, passed=False),
        ),
        cross_set=(
            CrossSet("opacity", "linear, 32x32 thumbnail", CHILD, NIH, 80, 30, around(0.51)),
            CrossSet("opacity", FINDINGS[0], "all sets", NIH, 80, 30, around(0.66)),
        ),
        pointing=(
            Pointing("mass", "mass", 12, 12, around(0.5, 0.2), 0.08, around(0.1, 0.1), around(0.3, 0.2)),
            Pointing("all boxes", "own", 12, 12, around(0.5, 0.2), 0.08, around(0.1, 0.1), around(0.3, 0.2)),
        ),
        elsewhere=(Elsewhere(FINDINGS[1], "hannover_covid", 200, 58, around(0.91), around(0.62)),),
    )  # fmt: skip
    return made, readings


LEARNING = (
    LearningCurve(
        FINDINGS[1], NIH, "val",
        (CurvePoint(300, 0.66, 0.6, 0.72), CurvePoint(600, 0.70, 0.64, 0.76), CurvePoint(1_200, 0.74, 0.68, 0.80)),
        "Each doubling of the films brought about four hundredths, so more films are what is missing.",
    ),
)  # fmt: skip
