"""How far the tuberculosis package can be trusted: on val, and on test only where a look is asked for and logged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from preprocessing.recipes import Recipe
from training.calibrate import Calibrated, calibrate, probabilities_of
from training.cases import ANY_FINDING, FINDINGS, Case, Split, of_split
from training.evaluate_baselines import linear_scores, thumbnails
from training.evaluate_intervals import Floats, Interval, area_under_roc, draw_patients, share
from training.films import stack_films
from training.tuberculosis import FINDING, TuberculosisNetwork

LEAST_SENSITIVITY = 0.90


@dataclass(frozen=True, slots=True)
class TuberculosisEvaluation:
    """How well films filed as tuberculosis are told from the others of one split."""

    split: Split
    films: int
    positives: int
    auroc: Interval
    thumbnail_auroc: Interval
    """Logistic regression on the 32 x 32 thumbnail, trained on the same films."""
    auroc_gain: Interval
    """Model minus thumbnail, paired."""
    sensitivity: Interval
    specificity: Interval


@dataclass(frozen=True, slots=True)
class FlaggedElsewhere:
    """What the package makes of another hospital's films of adults that are labelled No Finding."""

    films: int
    flagged: Interval


def calibrate_tuberculosis(network: TuberculosisNetwork, cases: Sequence[Case], recipe: Recipe) -> Calibrated:
    """Return how the raw score is read, from the films of `val`."""
    films = of_split(cases, "val")
    truth = _truth(films)
    return calibrate(
        FINDING,
        predict(network, stack_films(films, recipe)),
        truth,
        least_sensitivity=LEAST_SENSITIVITY,
        chosen_on=f"val, {len(films)} films, {int(truth.sum())} positive",
        version="1",
    )


def evaluate_tuberculosis(
    network: TuberculosisNetwork,
    reading: Calibrated,
    cases: Sequence[Case],
    recipe: Recipe,
    run_folder: Path,
    *,
    final: bool,
) -> TuberculosisEvaluation:
    """Evaluate on val, or with `final` on test, which is logged as a look at the test films.

    Writes run_folder/evaluation_val.json or evaluation.json.
    """
    split: Split = "test" if final else "val"
    if final:
        with (run_folder / "looks_at_test.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} all test films\n")
    films, training = of_split(cases, split), of_split(cases, "train")
    images, truth = stack_films(films, recipe), _truth(films)
    probabilities = probabilities_of(predict(network, images), reading.calibration)
    small = thumbnails(stack_films(training, recipe))
    baseline = linear_scores(small, _truth(training)[:, None], thumbnails(images))[:, 0]
    present = probabilities >= reading.operating_point.threshold
    patients = [case.patient_id for case in films]
    weights = draw_patients(patients)
    ours, theirs = area_under_roc(truth, probabilities, weights), area_under_roc(truth, baseline, weights)
    evaluation = TuberculosisEvaluation(
        split=split,
        films=len(films),
        positives=int(truth.sum()),
        auroc=ours.interval(),
        thumbnail_auroc=theirs.interval(),
        auroc_gain=ours.minus(theirs).interval(),
        sensitivity=share(present, truth == 1, weights, patients),
        specificity=share(~present, truth == 0, weights, patients),
    )
    path = run_folder / ("evaluation.json" if final else "evaluation_val.json")
    path.write_text(json.dumps(asdict(evaluation), indent=1), encoding="utf-8")
    return evaluation


def count_flagged_elsewhere(
    network: TuberculosisNetwork, reading: Calibrated, cases: Sequence[Case], recipe: Recipe
) -> FlaggedElsewhere:
    """Return how many val films of another hospital's adults, labelled No Finding, are flagged: they should not be.

    Args:
        network: Trained.
        reading: Its calibration and operating point.
        cases: Films whose labels stand in the order of FINDINGS.
        recipe: As in serving.
    """
    films = [case for case in of_split(cases, "val") if case.labels[FINDINGS.index(ANY_FINDING)] == 0]
    probabilities = probabilities_of(predict(network, stack_films(films, recipe)), reading.calibration)
    present = probabilities >= reading.operating_point.threshold
    patients = [case.patient_id for case in films]
    everyone = np.ones(len(films), dtype=bool)
    return FlaggedElsewhere(len(films), share(present, everyone, draw_patients(patients), patients))


@torch.no_grad()
def predict(network: TuberculosisNetwork, images: Tensor) -> Floats:
    """Return raw scores (n,) of images (n, 1, rows, columns)."""
    return torch.cat([network(part)[0][:, 0] for part in torch.split(images, 16)]).double().numpy()


def _truth(films: Sequence[Case]) -> Floats:
    return np.asarray([case.labels[0] for case in films], dtype=np.float64)
