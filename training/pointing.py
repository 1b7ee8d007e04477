"""The pointing game: does a heat map's strongest place lie in the box that a radiologist drew?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from preprocessing.placement import Placement
from training.cases import ADULT_OPACITY, ANY_FINDING, FINDINGS, Case, FindingBox
from training.evaluate_baselines import Films
from training.evaluate_intervals import Interval, draw_patients, share

ALL_BOXES = "all boxes"
GRID = 64
"""Cells on a side of the grid over a film, for the place that is boxed most often."""


@dataclass(frozen=True, slots=True)
class Pointing:
    """How often one map points into the boxes of one finding; one question per film and finding."""

    finding: str
    """Whose boxes; or `all boxes`."""
    heat_map: str
    """Whose map; or `own`, each finding's."""
    films: int
    patients: int
    accuracy: Interval
    chance: float
    """Mean share of the film that the boxes cover: what a random place would reach."""
    centre: Interval
    """Accuracy of always pointing at the middle of the film, as a centred blob does."""
    usual_place: Interval
    """Accuracy of always pointing where the other films' boxes of this finding overlap most."""


@dataclass(frozen=True, slots=True)
class _Question:
    """One film's boxes of one finding, and where the maps and the simple answers point, in the film's pixels."""

    film: int
    finding: str
    boxes: tuple[FindingBox, ...]


def boxed(cases: Sequence[Case], *, train: Sequence[Case]) -> list[Case]:
    """Return the cases with boxes of patients from whom nothing was learned."""
    learned = {case.patient_id for case in train}
    return [case for case in cases if case.boxes and case.patient_id not in learned]


@torch.no_grad()
def heat_maps(network: nn.Module, images: Tensor, *, batch: int = 32) -> NDArray[np.float32]:
    """Return class activation maps (n, k, h, w) of images (n, 1, rows, columns)."""
    network.eval()
    maps = [network(part.contiguous(memory_format=torch.channels_last))[1] for part in torch.split(images, batch)]
    found: NDArray[np.float32] = torch.cat(maps).numpy()
    return found


def pointing_game(films: Films, maps: NDArray[np.float32]) -> tuple[Pointing, ...]:
    """Return the accuracy per finding with boxes, by its own map and by the map of `any_finding`, then over all.

    Args:
        films: Films with boxes.
        maps: Their heat maps (n, k, h, w), channels as in FINDINGS.
    """
    questions = [
        _Question(film, finding, tuple(box for box in case.boxes if box.finding == finding))
        for film, case in enumerate(films.cases)
        for finding in sorted({box.finding for box in case.boxes})
    ]
    rows = []
    for finding in sorted({question.finding for question in questions}):
        asked = [question for question in questions if question.finding == finding]
        shown = [finding, ANY_FINDING, *([ADULT_OPACITY] if finding == "pneumonia" else [])]
        rows += [_row(finding, heat_map, asked, films, maps, questions) for heat_map in shown]
    if questions:
        rows += [_row(ALL_BOXES, heat_map, questions, films, maps, questions) for heat_map in ("own", ANY_FINDING)]
    return tuple(rows)


def strongest_place(heat_map: NDArray[np.float32], placement: Placement, side: int) -> tuple[float, float]:
    """Return (x, y) of the middle of a map's strongest cell, in the film's pixels.

    Cells that show only letter-box do not count, as in the service; drawing the map larger moves no strongest place.

    Args:
        heat_map: (h, w), over a tensor of `side` pixels.
        placement: Where the tensor lies in the film.
        side: Rows and columns of the tensor.
    """
    height, width = heat_map.shape
    cell_height, cell_width = side / height * placement.scale, side / width * placement.scale
    lefts, tops = placement.left + np.arange(width) * cell_width, placement.top + np.arange(height) * cell_height
    across = (lefts + cell_width > 0) & (lefts < placement.columns)
    down = (tops + cell_height > 0) & (tops < placement.rows)
    shown = np.where(np.outer(down, across), heat_map, -np.inf)
    row, column = np.unravel_index(int(shown.argmax()), shown.shape)
    return float(lefts[column]) + cell_width / 2, float(tops[row]) + cell_height / 2


def is_inside(place: tuple[float, float], boxes: Sequence[FindingBox]) -> bool:
    """Return whether a place lies in one of the boxes."""
    x, y = place
    return any(box.left <= x <= box.left + box.width and box.top <= y <= box.top + box.height for box in boxes)


def _row(
    finding: str,
    heat_map: str,
    asked: Sequence[_Question],
    films: Films,
    maps: NDArray[np.float32],
    questions: Sequence[_Question],
) -> Pointing:
    side = films.images.shape[-1]
    patients = [films.cases[question.film].patient_id for question in asked]
    weights = draw_patients(patients)

    def accuracy(places: Sequence[tuple[float, float]]) -> Interval:
        hits = np.asarray([is_inside(place, question.boxes) for place, question in zip(places, asked, strict=True)])
        return share(hits, np.ones(len(hits), dtype=bool), weights, patients)

    pointed, middles, usual = [], [], []
    for question in asked:
        placement = films.placements[question.film]
        channel = FINDINGS.index(question.finding if heat_map == "own" else heat_map)
        pointed.append(strongest_place(maps[question.film, channel], placement, side))
        middles.append((placement.columns / 2, placement.rows / 2))
        usual.append(_usual_place(question, questions, films))
    covered = [_cover(question, films.placements[question.film]).mean() for question in asked]
    return Pointing(
        finding=finding,
        heat_map=heat_map,
        films=len(asked),
        patients=len(set(patients)),
        accuracy=accuracy(pointed),
        chance=float(np.mean(covered)),
        centre=accuracy(middles),
        usual_place=accuracy(usual),
    )


def _usual_place(question: _Question, questions: Sequence[_Question], films: Films) -> tuple[float, float]:
    """Return where other patients' boxes of the finding overlap most; the middle of the film where there are none."""
    patient = films.cases[question.film].patient_id
    others = [
        _cover(other, films.placements[other.film])
        for other in questions
        if other.finding == question.finding and films.cases[other.film].patient_id != patient
    ]
    placement = films.placements[question.film]
    if not others:
        return placement.columns / 2, placement.rows / 2
    overlap = np.sum(others, axis=0)
    # The middle of the best cells, not the first of them: a flat top has no corner that is better than another.
    rows, columns = np.nonzero(overlap == overlap.max())
    return (
        (float(np.median(columns)) + 0.5) / GRID * placement.columns,
        (float(np.median(rows)) + 0.5) / GRID * placement.rows,
    )


def _cover(question: _Question, placement: Placement) -> NDArray[np.bool_]:
    """Return which cells of a grid over the film lie in the question's boxes, (GRID, GRID)."""
    y, x = np.mgrid[:GRID, :GRID] + 0.5
    x, y = x / GRID * placement.columns, y / GRID * placement.rows
    covered = np.zeros((GRID, GRID), dtype=bool)
    for box in question.boxes:
        covered |= (x >= box.left) & (x <= box.left + box.width) & (y >= box.top) & (y <= box.top + box.height)
    return covered
