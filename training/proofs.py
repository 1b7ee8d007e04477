"""Proofs against shortcuts: what is left of the scores when the lungs, or all but the border, cannot be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from torch import Tensor

from preprocessing.placement import Placement
from training.cases import FINDINGS
from training.evaluate_baselines import Films, evenly, linear_scores, thumbnails
from training.evaluate_figures import LEAST_IN_A_GROUP
from training.evaluate_intervals import Floats, Interval, area_under_roc, draw_patients
from training.films import stack_labels

ACROSS = (0.15, 0.85)
DOWN = (0.10, 0.80)
"""The part of a film that holds the lungs, as shares of its width and height."""
MARGIN = 0.05
"""So much above the border-only model's AUROC may the network stay when it sees no more than that model."""
COIN = 0.5
BLACK, GREY = 0.0, 0.5

Kept = Literal["border", "corners", "middle"]
Score = Callable[[Tensor], Floats]


@dataclass(frozen=True, slots=True)
class Occlusion:
    """One finding's AUROC with parts of the films blanked, on the same films throughout."""

    finding: str
    films: int
    positives: int
    whole: Interval
    """The network on the films as they are."""
    blanked_black: Interval
    blanked_grey: Interval
    """The network with the lungs blanked: the middle of the film in black, in mid-grey."""
    middle_only: Interval
    """The network with everything but that middle blanked in black."""
    border_model: Interval
    """Logistic regression on the 32x32 thumbnail of what remains, trained on train films blanked the same way."""
    corner_model: Interval
    """The same, with only the four corners left."""
    border_features: Interval
    """Logistic regression on frozen ImageNet features of what remains."""
    allowed: float
    """border_model + 0.05, and never less than a coin's 0.5 + 0.05."""
    passed: bool
    """The network with the lungs blanked, black or grey, stays at or under `allowed`."""


def keep_only(images: Tensor, placements: Sequence[Placement], kept: Kept, *, grey: float) -> Tensor:
    """Return images with all but one part of each film blanked by one grey.

    Args:
        images: (n, 1, rows, columns).
        placements: Where each image lies in its film; the shares ACROSS and DOWN are of the film, not of the tensor.
        kept: `border` is all but the middle, `corners` what is outside of it both across and down.
        grey: 0..1.
    """
    blanked = images.clone()
    for image, placement in zip(blanked, placements, strict=True):
        rows, columns = _middle(placement, image.shape[-2:])
        if kept == "border":
            image[:, rows, columns] = grey
        elif kept == "corners":
            image[:, rows] = grey
            image[:, :, columns] = grey
        else:
            inside = image[:, rows, columns].clone()
            image.fill_(grey)
            image[:, rows, columns] = inside
    return blanked


def occlusion(train: Films, judged: Films, whole: Floats, *, score: Score, features: Score) -> tuple[Occlusion, ...]:
    """Return the occlusion proof for every finding with enough judged films.

    Args:
        train: What the border models learn from.
        judged: The films that are judged.
        whole: The network's scores on them, (n, k).
        score: The network: images (n, 1, rows, columns) → scores (n, k).
        features: Frozen ImageNet features: images → (n, f).
    """
    labels = stack_labels(judged.cases)
    seen = {
        "whole": whole,
        "blanked_black": score(keep_only(judged.images, judged.placements, "border", grey=BLACK)),
        "blanked_grey": score(keep_only(judged.images, judged.placements, "border", grey=GREY)),
        "middle_only": score(keep_only(judged.images, judged.placements, "middle", grey=BLACK)),
        "border_model": _linear(train, judged, "border"),
        "corner_model": _linear(train, judged, "corners"),
    }
    by_features = _border_features(train, judged, features)
    rows = []
    for column, finding in enumerate(FINDINGS):
        films = np.flatnonzero(~np.isnan(labels[:, column]))
        truth = labels[films, column]
        if min((truth == 1).sum(), (truth == 0).sum()) < LEAST_IN_A_GROUP:
            continue
        weights = draw_patients([judged.cases[film].patient_id for film in films.tolist()])
        areas = {
            name: area_under_roc(truth, scores[films, column], weights).interval() for name, scores in seen.items()
        }
        allowed = max(areas["border_model"].value, COIN) + MARGIN
        seen_by_features = area_under_roc(truth, by_features[films, column], weights)
        rows.append(
            Occlusion(
                finding,
                len(films),
                int(truth.sum()),
                **areas,
                border_features=seen_by_features.interval(),
                allowed=allowed,
                passed=max(areas["blanked_black"].value, areas["blanked_grey"].value) <= allowed,
            )
        )
    return tuple(rows)


def _middle(placement: Placement, shape: Sequence[int]) -> tuple[slice, slice]:
    """Return the rows and columns of a tensor that show the middle of its film, rounded outwards."""

    def part(share: tuple[float, float], length: int, start: float, size: int) -> slice:
        first, last = ((edge * length - start) / placement.scale for edge in share)
        return slice(max(0, int(np.floor(first))), min(size, int(np.ceil(last))))

    return (
        part(DOWN, placement.rows, placement.top, shape[0]),
        part(ACROSS, placement.columns, placement.left, shape[1]),
    )


def _linear(train: Films, judged: Films, kept: Kept) -> Floats:
    """Return scores (n, k) of thumbnails on which only one part is seen, learned from films blanked the same way."""

    def seen(films: Films) -> Floats:
        numbers = np.array_split(np.arange(len(films.cases)), max(1, len(films.cases) // 256))
        parts = (films.only(part.tolist()) for part in numbers)  # a copy of all films at once would take a gigabyte
        return np.concatenate([thumbnails(keep_only(part.images, part.placements, kept, grey=BLACK)) for part in parts])

    return linear_scores(seen(train), stack_labels(train.cases), seen(judged))


def _border_features(train: Films, judged: Films, features: Score) -> Floats:
    some = evenly(train)

    def seen(films: Films) -> Floats:
        return features(keep_only(films.images, films.placements, "border", grey=BLACK))

    return linear_scores(seen(some), stack_labels(some.cases), seen(judged))
