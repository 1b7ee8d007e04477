"""What simple readings make of the films: a linear model on thumbnails, and one on features of everyday pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor
from torch.nn.functional import avg_pool2d

from preprocessing.placement import Placement
from preprocessing.recipes import Recipe
from training.cases import Case, ImageFiles
from training.films import stack_labels
from training.network import backbone, extract

THUMBNAIL = 32
FEATURE_SIZE = 112
"""Side of the picture that the frozen features see: a quarter of the work of the network's 224."""
INVERSE_PENALTY = 1e-3
"""Of 1e-4 to 1e-1 the C that serves the thumbnail model best, or nearly so, for most findings on val."""
MOST_PER_SET = 1_000
"""Films of each set that a reading of frozen features learns from."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Films:
    """Some cases as the network sees them.

    Attributes:
        cases: n cases.
        images: float32 (n, 1, rows, columns), 0..1, bright = dense.
        placements: Where each tensor lies in its picture.
    """

    cases: tuple[Case, ...]
    images: Tensor
    placements: tuple[Placement, ...]

    def only(self, chosen: Sequence[int]) -> Films:
        """Return some of the films, by number."""
        return Films(
            tuple(self.cases[film] for film in chosen),
            self.images[list(chosen)],
            tuple(self.placements[film] for film in chosen),
        )


@dataclass(frozen=True, slots=True)
class ThumbnailScores:
    """What linear models make of the thumbnails of some films.

    Attributes:
        all_sets: Scores (n, k) of one model per finding, which learned from the films of all sets.
        own_set: Scores (n, k) of one model per finding and set, each on the films of its own set; 0 where it could not
            learn the finding. Films of different sets can't be compared by them.
    """

    all_sets: Floats
    own_set: Floats


def prepare(cases: Iterable[Case], recipe: Recipe) -> Films:
    """Return the cases' films through the recipe that serving uses."""
    kept = tuple(cases)
    images = torch.empty(len(kept), 1, 0, 0)
    placements: list[Placement] = []
    with ImageFiles() as files:
        for film, case in enumerate(kept):
            prepared = files.prepared(case, recipe)
            if film == 0:
                images = torch.empty(len(kept), *prepared.tensor.shape)
            images[film] = torch.from_numpy(prepared.tensor)
            placements.append(prepared.placement)
    return Films(kept, images, tuple(placements))


def evenly(films: Films) -> Films:
    """Return at most MOST_PER_SET films of each set, evenly spaced."""
    chosen: list[int] = []
    for name in sorted({case.data_set for case in films.cases}):
        numbers = [film for film, case in enumerate(films.cases) if case.data_set == name]
        chosen += numbers[:: max(1, -(-len(numbers) // MOST_PER_SET))]
    return films.only(chosen)


def thumbnails(images: Tensor) -> Floats:
    """Return flat thumbnails (n, 1024) of images (n, 1, rows, columns): what acquisition style alone shows."""
    small: Floats = avg_pool2d(images, images.shape[-1] // THUMBNAIL).flatten(1).double().numpy()
    return small


class FrozenFeatures:
    """EfficientNet-Lite0 as everyday pictures (ImageNet) left it: it has never learned from a radiograph."""

    def __init__(self) -> None:
        self.network = backbone(pretrained=True).eval()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Floats:
        """Return features (n, 1280) of images (n, 1, rows, columns), pooled over the picture."""
        small = avg_pool2d(images, images.shape[-1] // FEATURE_SIZE)
        parts = [extract(self.network, part).mean(dim=(2, 3)) for part in torch.split(small, 64)]
        features: Floats = torch.cat(parts).double().numpy()
        return features


def thumbnail_scores(train: Films, judged: Films) -> ThumbnailScores:
    """Return the thumbnail models' scores of the films to judge, learned from all sets and from each set alone."""
    learned, seen, labels = thumbnails(train.images), thumbnails(judged.images), stack_labels(train.cases)
    own_set = np.zeros((len(seen), labels.shape[1]))
    for name in sorted({case.data_set for case in judged.cases}):
        source = np.asarray([case.data_set == name for case in train.cases], dtype=bool)
        wanted = np.asarray([case.data_set == name for case in judged.cases], dtype=bool)
        own_set[wanted] = linear_scores(learned[source], labels[source], seen[wanted])
    return ThumbnailScores(linear_scores(learned, labels, seen), own_set)


def linear_scores(train: Floats, labels: Floats, wanted: Floats) -> Floats:
    """Return scores (m, k) of one logistic regression per finding; all 0 where the films do not show both classes.

    Args:
        train: Features (n, f) to learn from.
        labels: 0, 1 or NaN (n, k).
        wanted: Features (m, f) of the films to score.
    """
    scores = np.zeros((len(wanted), labels.shape[1]))
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        if len(np.unique(labels[known, column])) < 2:
            continue
        regression = make_pipeline(StandardScaler(), LogisticRegression(C=INVERSE_PENALTY, max_iter=2_000))
        scores[:, column] = regression.fit(train[known], labels[known, column]).decision_function(wanted)
    return scores
