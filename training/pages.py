"""The evaluation page: what was measured, for a physician to read. One file, no scripts, nothing loaded from elsewhere.

With the films on which the model was most wrong it is written into the run's folder only; the copy without any film may
go with a package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from training.calibrate import Calibrated
from training.cases import NIH_FINDINGS
from training.evaluate_cross_set import matrices
from training.evaluate_figures import MAIN_FINDINGS, FindingEvaluation
from training.evaluate_published import CHEXNET
from training.evaluate_record import Evaluation, LearningCurve, load_learning_curves
from training.pages_films import WrongFilm
from training.pages_frame import render
from training.pages_plots import calibration_plot, learning_plot, roc_plot, strip
from training.proofs import ACROSS, DOWN
from training.shortfalls import shortfalls
from training.wording import difference, figure, finding_title, group_title, of_100, percent

FILTERS: Mapping[str, Callable[..., str]] = {
    "figure": figure,
    "difference": difference,
    "percent": percent,
    "of_100": of_100,
    "finding": finding_title,
    "group": group_title,
}
PLOTS = {"roc_plot": roc_plot, "calibration_plot": calibration_plot, "learning_plot": learning_plot, "strip": strip}
PAGE, WITHOUT_FILMS = "evaluation.html", "evaluation_without_films.html"


def write_pages(
    run_folder: Path, evaluation: Evaluation, readings: Sequence[Calibrated], gallery: Sequence[WrongFilm]
) -> None:
    """Write evaluation.html and evaluation_without_films.html; for val, evaluation_val.html and so on."""
    learning = load_learning_curves(run_folder)
    for name, films in ((PAGE, gallery), (WITHOUT_FILMS, ())):
        if evaluation.split != "test":
            name = name.replace("evaluation", "evaluation_val")
        page = evaluation_page(evaluation, readings, films, learning)
        (run_folder / name).write_text(page, encoding="utf-8")


def evaluation_page(
    evaluation: Evaluation,
    readings: Sequence[Calibrated],
    gallery: Sequence[WrongFilm],
    learning: Sequence[LearningCurve],
) -> str:
    """Return the page as HTML; without films where the gallery is empty."""
    over_all = evaluation.over_all()
    values = {
        "evaluation": evaluation,
        "final": evaluation.split == "test",
        "over_all": over_all,
        "main": [finding for finding in MAIN_FINDINGS if finding in over_all],
        "fourteen": [over_all[finding] for finding in NIH_FINDINGS if finding in over_all],
        "main_readings": {reading.finding: reading for reading in readings},
        "curves": {curves.finding: curves for curves in evaluation.curves},
        "groups": {finding: _groups(evaluation.findings, finding) for finding in MAIN_FINDINGS},
        "judged": [row for row in evaluation.sets if row.split == evaluation.split],
        "chexnet": CHEXNET,
        "occlusion_main": [row for row in evaluation.occlusion if row.finding in MAIN_FINDINGS],
        "matrices": matrices(evaluation.cross_set),
        "across": ACROSS,
        "down": DOWN,
        "gallery": _by_error(gallery),
        "learning": learning,
        "shortfalls": shortfalls(evaluation),
        "wanted": {(row.finding, row.group): row.wanted for row in evaluation.outcomes},
    }
    return render("pages.html", styles=("pages.css",), filters=FILTERS, values={**values, **PLOTS})


def _groups(rows: Sequence[FindingEvaluation], finding: str) -> list[FindingEvaluation]:
    return [row for row in rows if row.finding == finding]


def _by_error(gallery: Sequence[WrongFilm]) -> list[tuple[str, bool, list[WrongFilm]]]:
    """Return the films by finding and kind of error, in the order in which they come."""
    return [(*kind, list(films)) for kind, films in groupby(gallery, key=lambda film: (film.finding, film.missed))]
