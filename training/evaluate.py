"""Metrics with intervals, beside the linear thumbnail model, overall and per subgroup → evaluation.json."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata  # type: ignore[import-untyped]  # it has no stubs
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import avg_pool2d

from models.package import Calibration, OperatingPoint
from preprocessing.recipes import Recipe
from training.calibrate import Calibrated, calibrate, probabilities_of, rates
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS, Case, Split, of_split
from training.films import film_dataset, stack_images, stack_labels
from training.train import load_network, predict

DRAWS = 1_000
LEAST_SENSITIVITY: Mapping[str, float] = {CHILD_OPACITY: 0.95, ANY_FINDING: 0.90, ADULT_OPACITY: 0.90}
THUMBNAIL = 32

Films = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with its bootstrap 95 % interval; patients, not films, are drawn."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class FindingEvaluation:
    """How well one finding is told on one group of films."""

    finding: str
    group: str
    films: int
    positives: int
    patients: int
    auroc: Interval
    auprc: Interval
    sensitivity: Interval
    specificity: Interval
    calibration_error: float
    """Mean distance between probability and share of positives over ten equal groups of films."""
    thumbnail_auroc: Interval
    """Logistic regression on the 32x32 thumbnail, trained on the same films."""
    auroc_gain: Interval
    """Model minus thumbnail, paired."""


def evaluate_run(
    run_folder: Path,
    cases: Sequence[Case],
    recipe: Recipe,
    *,
    final: bool,
    show: Callable[[str], None],
) -> list[FindingEvaluation]:
    """Calibrate on val and evaluate: on val, or with `final` on test, which is logged as a look at the test films.

    Writes run_folder/calibration.json, and evaluation_val.json or evaluation.json.
    """
    split: Split = "test" if final else "val"
    if final:
        with (run_folder / "looks_at_test.log").open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} all test films\n")
    network = load_network(run_folder)
    training, validation, judged = of_split(cases, "train"), of_split(cases, "val"), of_split(cases, split)
    val_images = stack_images(film_dataset(validation, recipe, augment=False))
    readings = calibrate_all(predict(network, val_images), stack_labels(validation))
    save_calibration(run_folder, readings)
    images = stack_images(film_dataset(judged, recipe, augment=False))
    train_images = stack_images(film_dataset(training, recipe, augment=False))
    baseline = thumbnail_scores(train_images, stack_labels(training), images)
    rows = evaluate(judged, predict(network, images), baseline, readings)
    for row in rows:
        gain = f"gain {row.auroc_gain.value:+.3f} [{row.auroc_gain.low:+.3f}, {row.auroc_gain.high:+.3f}]"
        area = f"AUROC {row.auroc.value:.3f} [{row.auroc.low:.3f}, {row.auroc.high:.3f}]"
        point = f"sensitivity {row.sensitivity.value:.3f} specificity {row.specificity.value:.3f}"
        show(
            f"{split} {row.finding} on {row.group}: {row.films} films, {area}, thumbnail "
            f"{row.thumbnail_auroc.value:.3f}, {gain}, {point}"
        )
    record = {"split": split, "bootstrap_draws": DRAWS, "findings": [asdict(row) for row in rows]}
    path = run_folder / ("evaluation.json" if final else "evaluation_val.json")
    path.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return rows


def evaluate(
    cases: Sequence[Case], logits: Films, baseline: Films, readings: Sequence[Calibrated]
) -> list[FindingEvaluation]:
    """Return one evaluation per finding and group of films that holds both classes.

    Args:
        cases: n films.
        logits: Raw scores (n, k).
        baseline: Scores of the thumbnail model (n, k).
        readings: Calibration and operating point of each finding.
    """
    labels = stack_labels(cases)
    rows = []
    for column, reading in enumerate(readings):
        for group, member in groups(cases).items():
            chosen = np.flatnonzero(member & ~np.isnan(labels[:, column]))
            truth = labels[chosen, column]
            if min((truth == 1).sum(), (truth == 0).sum()) < 10:
                continue
            probabilities = probabilities_of(logits[chosen, column], reading.calibration)
            patients = [cases[index].patient_id for index in chosen.tolist()]
            threshold = reading.operating_point.threshold
            rows.append(
                _judge(reading.finding, group, truth, probabilities, baseline[chosen, column], patients, threshold)
            )
    return rows


def groups(cases: Sequence[Case]) -> dict[str, NDArray[np.bool_]]:
    """Return named groups of films; a film may be in several."""
    found = {"all": np.ones(len(cases), dtype=bool)}
    for name in sorted({case.data_set for case in cases}):
        found[name] = np.asarray([case.data_set == name for case in cases])
    for name in ("nih_cxr14_subset", "nih_cxr14_more"):
        if name in found:
            found[f"{name}, era matched"] = found[name] & np.asarray([case.era_matched for case in cases])
    adult = np.asarray([case.age_band == "adult" for case in cases])
    for view in ("PA", "AP"):
        found[f"adults, {view}"] = adult & np.asarray([case.view == view for case in cases])
    for sex in ("F", "M"):
        found[f"adults, sex {sex}"] = adult & np.asarray([case.sex == sex for case in cases])
    return found


def thumbnail_scores(train_images: Tensor, train_labels: Films, images: Tensor) -> Films:
    """Return scores (n, k) of a logistic regression on 32x32 thumbnails: what acquisition style alone can do."""

    def thumbnails(films: Tensor) -> Films:
        step = films.shape[-1] // THUMBNAIL
        return avg_pool2d(films, step).flatten(1).double().numpy()

    small, wanted = thumbnails(train_images), thumbnails(images)
    columns = []
    for column in range(train_labels.shape[1]):
        known = ~np.isnan(train_labels[:, column])
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=1e-3, max_iter=2_000))
        columns.append(regression.fit(small[known], train_labels[known, column]).decision_function(wanted))
    return np.stack(columns, axis=1)


def calibrate_all(logits: Films, labels: Films) -> list[Calibrated]:
    """Return how each finding is read, from the val films of which its label is known."""
    readings = []
    for column, finding in enumerate(FINDINGS):
        known = ~np.isnan(labels[:, column])
        readings.append(
            calibrate(
                finding,
                logits[known, column],
                labels[known, column],
                least_sensitivity=LEAST_SENSITIVITY[finding],
                chosen_on=f"val, {int(known.sum())} films, {int((labels[known, column] == 1).sum())} positive",
                version="1",
            )
        )
    return readings


def save_calibration(run_folder: Path, readings: Sequence[Calibrated]) -> None:
    """Write run_folder/calibration.json."""
    text = json.dumps([asdict(reading) for reading in readings], indent=1)
    (run_folder / "calibration.json").write_text(text, encoding="utf-8")


def load_calibration(run_folder: Path) -> list[Calibrated]:
    """Return what `save_calibration` wrote."""
    rows = json.loads((run_folder / "calibration.json").read_text(encoding="utf-8"))
    return [
        Calibrated(row["finding"], Calibration(**row["calibration"]), OperatingPoint(**row["operating_point"]))
        for row in rows
    ]


def load_evaluation(path: Path) -> list[FindingEvaluation]:
    """Return what `evaluate_run` wrote."""
    record = json.loads(path.read_text(encoding="utf-8"))
    figures = ("auroc", "auprc", "sensitivity", "specificity", "thumbnail_auroc", "auroc_gain")
    rows: list[dict[str, Any]] = record["findings"]
    return [FindingEvaluation(**{**row, **{name: Interval(**row[name]) for name in figures}}) for row in rows]


def _judge(
    finding: str,
    group: str,
    truth: Films,
    probabilities: Films,
    baseline: Films,
    patients: Sequence[str],
    threshold: float,
) -> FindingEvaluation:
    def interval(statistic: Callable[[NDArray[np.intp]], float]) -> Interval:
        return bootstrap(patients, truth, statistic)

    def gain(films: NDArray[np.intp]) -> float:
        return area_under_roc(truth[films], probabilities[films]) - area_under_roc(truth[films], baseline[films])

    return FindingEvaluation(
        finding=finding,
        group=group,
        films=len(truth),
        positives=int(truth.sum()),
        patients=len(set(patients)),
        auroc=interval(lambda films: area_under_roc(truth[films], probabilities[films])),
        auprc=interval(lambda films: average_precision(truth[films], probabilities[films])),
        sensitivity=interval(lambda films: rates(probabilities[films], truth[films], threshold)[0]),
        specificity=interval(lambda films: rates(probabilities[films], truth[films], threshold)[1]),
        calibration_error=calibration_error(probabilities, truth),
        thumbnail_auroc=interval(lambda films: area_under_roc(truth[films], baseline[films])),
        auroc_gain=interval(gain),
    )


def area_under_roc(truth: Films, scores: Films) -> float:
    """Return the chance that a positive film has the higher score; ties count half."""
    positives = float(truth.sum())
    negatives = len(truth) - positives
    ranks = rankdata(scores)
    return float((ranks[truth == 1].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def average_precision(truth: Films, scores: Films) -> float:
    """Return the area under the precision-recall curve, as steps; tied films keep their order."""
    sorted_truth = truth[np.argsort(-scores, kind="stable")]
    precision = np.cumsum(sorted_truth) / np.arange(1, len(truth) + 1)
    return float(precision[sorted_truth == 1].mean())


def bootstrap(
    patients: Sequence[str], truth: Films, statistic: Callable[[NDArray[np.intp]], float], *, draws: int = DRAWS
) -> Interval:
    """Return a statistic with its 95 % interval: patients are drawn with replacement, each with all their films."""
    films_of: dict[str, list[int]] = {}
    for film, patient in enumerate(patients):
        films_of.setdefault(patient, []).append(film)
    films = [np.asarray(indices, dtype=np.intp) for indices in films_of.values()]
    generator = np.random.default_rng(0)  # the same draws for every figure, so that differences are paired
    values: list[float] = []
    while len(values) < draws:
        drawn = np.concatenate([films[patient] for patient in generator.integers(len(films), size=len(films))])
        if 0 < truth[drawn].sum() < len(drawn):
            values.append(statistic(drawn))
    low, high = np.percentile(values, [2.5, 97.5])
    return Interval(statistic(np.arange(len(truth), dtype=np.intp)), float(low), float(high))


def calibration_error(probabilities: Films, truth: Films) -> float:
    """Return the mean |probability - share of positives| over ten equal groups of films, weighted by their size."""
    order = np.argsort(probabilities)
    parts = np.array_split(order, 10)
    errors = [len(part) * abs(probabilities[part].mean() - truth[part].mean()) for part in parts if len(part)]
    return float(np.sum(errors) / len(truth))
