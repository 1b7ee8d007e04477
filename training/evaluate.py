"""One run → calibration, evaluation.json and the evaluation page; with `final` the only look at the test films."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from preprocessing.recipes import Recipe
from training.calibrate import Calibrated, calibrate_all, save_calibration
from training.cases import ADULT_OPACITY, ANY_FINDING, Case, of_split
from training.evaluate_baselines import Films, FrozenFeatures, prepare, thumbnail_scores
from training.evaluate_cross_set import Elsewhere, cross_set, flagged_elsewhere
from training.evaluate_figures import evaluate_findings, finding_curves
from training.evaluate_intervals import DRAWS, Floats, Interval
from training.evaluate_published import outcomes
from training.evaluate_record import Evaluation, count_sets, save_evaluation
from training.films import stack_labels
from training.network import predict
from training.pages import write_pages
from training.pages_films import failures
from training.pointing import Pointing, boxed, heat_maps, pointing_game
from training.proofs import occlusion
from training.train import load_network

LOOKS = "looks_at_test.log"


def evaluate_run(
    run_folder: Path,
    cases: Sequence[Case],
    recipe: Recipe,
    *,
    final: bool,
    show: Callable[[str], None],
    elsewhere: Sequence[Case] = (),
) -> Evaluation:
    """Calibrate on val and evaluate: on val, or with `final` on test, which is logged as a look at the test films.

    Writes calibration.json, evaluation.json (on val evaluation_val.json) and the pages of `write_pages`.

    Args:
        run_folder: Holds the trained network.
        cases: All cases of all splits.
        recipe: What the network was trained with.
        final: Whether to look at the test films.
        show: Takes a line for each step.
        elsewhere: Films of ill patients of other hospitals; looked at only with `final`.
    """
    network = load_network(run_folder)
    weights_sha256 = _weights_sha256(network)
    looks = _log_look(run_folder, weights_sha256) if final else 0

    def score(images: Tensor) -> Floats:
        return predict(network, images)

    show("films through the recipe")
    train, validation = (prepare(of_split(cases, part), recipe) for part in ("train", "val"))
    val_logits = score(validation.images)
    readings = calibrate_all(val_logits, stack_labels(validation.cases), version="1")
    save_calibration(run_folder, readings)
    films = prepare(of_split(cases, "test"), recipe) if final else validation
    logits = score(films.images) if final else val_logits
    baseline = thumbnail_scores(train, films)
    show("figures with intervals")
    rows = evaluate_findings(films.cases, logits, baseline, readings)
    show("proofs: occlusion, other sets, heat maps")
    features = FrozenFeatures()
    evaluation = Evaluation(
        split="test" if final else "val",
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        recipe=recipe.name,
        weights_sha256=weights_sha256,
        looks_at_test=looks,
        bootstrap_draws=DRAWS,
        sets=count_sets(cases),
        findings=rows,
        curves=finding_curves(films.cases, logits, baseline, readings),
        outcomes=outcomes(rows),
        occlusion=occlusion(train, films, logits, score=score, features=features),
        cross_set=cross_set(train, films, logits, features=features),
        pointing=_point(network, [c for c in boxed(cases, train=train.cases) if final or c.split == "val"], recipe),
        elsewhere=_elsewhere(prepare(elsewhere if final else (), recipe), score, readings),
    )
    save_evaluation(run_folder, evaluation)
    write_pages(run_folder, evaluation, readings, failures(films, logits, readings, partial(heat_maps, network)))
    for line in summary(evaluation):
        show(line)
    return evaluation


def summary(evaluation: Evaluation) -> list[str]:
    """Return what the command prints: figures, proofs, targets."""
    lines = [
        f"{evaluation.split} {row.finding} on {row.group}: {row.films} films, AUROC {_figure(row.auroc)}, thumbnail "
        f"{row.better_thumbnail.value:.3f}, gain {_figure(row.auroc_gain, sign='+')}, sensitivity "
        f"{row.sensitivity.value:.3f} specificity {row.specificity.value:.3f}"
        for row in evaluation.findings
    ]
    lines += [
        f"occlusion {row.finding}: lungs blanked {row.blanked_black.value:.3f} (black) {row.blanked_grey.value:.3f} "
        f"(grey), border-only model {row.border_model.value:.3f}, allowed {row.allowed:.3f}: "
        f"{'passed' if row.passed else 'NOT passed'}"
        for row in evaluation.occlusion
    ]
    lines += [
        f"heat map of {row.heat_map} into boxes of {row.finding}: {row.films} films, {_figure(row.accuracy)}, chance "
        f"{row.chance:.3f}, middle of the film {row.centre.value:.3f}, usual place {row.usual_place.value:.3f}"
        for row in evaluation.pointing
    ]
    lines += [
        f"elsewhere {row.finding} on {row.data_set}: flagged {_figure(row.flagged)}, raised {_figure(row.raised)}"
        for row in evaluation.elsewhere
    ]
    lines += [
        f"target ({evaluation.split} films) {row.title}: {_figure(row.auroc)}, wanted {row.wanted}, "
        f"least {row.least}: {row.reached}; {'' if row.beats_thumbnail else 'not shown to be '}better than thumbnail"
        for row in evaluation.outcomes
    ]
    return lines


def _weights_sha256(network: nn.Module) -> str:
    """Return a hash of all weights and statistics, by name."""
    whole = hashlib.sha256()
    for name, values in sorted(network.state_dict().items()):
        whole.update(name.encode() + values.cpu().numpy().tobytes())
    return whole.hexdigest()


def _log_look(run_folder: Path, weights_sha256: str) -> int:
    """Log a look at the test films before it happens; return how many there were, this one included."""
    path = run_folder / LOOKS
    with path.open("a", encoding="utf-8") as log:
        log.write(f"{datetime.now(UTC).isoformat(timespec='seconds')} all test films, weights {weights_sha256}\n")
    return len(path.read_text(encoding="utf-8").splitlines())


def _point(network: nn.Module, with_boxes: Sequence[Case], recipe: Recipe) -> tuple[Pointing, ...]:
    films = prepare(with_boxes, recipe)
    return pointing_game(films, heat_maps(network, films.images)) if films.cases else ()


def _elsewhere(
    films: Films, score: Callable[[Tensor], Floats], readings: Sequence[Calibrated]
) -> tuple[Elsewhere, ...]:
    if not films.cases:
        return ()
    return flagged_elsewhere(films.cases, score(films.images), readings, (ANY_FINDING, ADULT_OPACITY))


def _figure(interval: Interval, *, sign: str = "") -> str:
    return f"{interval.value:{sign}.3f} [{interval.low:{sign}.3f}, {interval.high:{sign}.3f}]"
