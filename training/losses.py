"""What the loop lowers, how fast, and on which films: the small functions of training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn

from training.cases import ANY_FINDING, FINDINGS, Case

MAIN_OUTPUTS = 3
"""Early stopping and sampling look at this many first findings; the fourteen others have too few films."""
SMOOTHING = 0.03
"""Every label is taken as this much less than certain: mined from text, some are wrong."""


def sampling_weights(cases: Sequence[Case], child_share: float) -> NDArray[np.float64]:
    """Return a weight per case: sets by `child_share`, and inside a set equal shares of the main findings' labels."""
    groups = [
        (case.age_band, tuple(-1 if math.isnan(label) else label for label in case.labels[:MAIN_OUTPUTS]))
        for case in cases
    ]
    counts = Counter(groups)
    bands = Counter(band == "adult" for band, _ in counts)
    share = {True: 1 - child_share, False: child_share}
    return np.asarray([share[group[0] == "adult"] / bands[group[0] == "adult"] / counts[group] for group in groups])


def finding_weights(main_weight: float) -> Tensor:
    """Return how much each finding counts in a film's loss, (k,): "any finding" more than each of the others."""
    weights = torch.ones(len(FINDINGS))
    weights[FINDINGS.index(ANY_FINDING)] = main_weight
    return weights


def masked_loss(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Return the mean over films of the weighted cross-entropy over what is known of each.

    Args:
        logits: (n, k).
        labels: (n, k), 1, 0 or NaN where unknown.
        weights: (k,).
    """
    counted = weights * ~torch.isnan(labels)
    targets = torch.nan_to_num(labels) * (1 - 2 * SMOOTHING) + SMOOTHING
    losses = nn.functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    films = counted.sum(dim=1)
    return ((losses * counted).sum(dim=1) / films.clamp(min=1)).sum() / (films > 0).sum().clamp(min=1)


def rate(step: int, warm_up_steps: int, steps: int) -> float:
    """Return the share of the learning rate: linear warm-up, then a cosine down to zero."""
    if step < warm_up_steps:
        return (step + 1) / warm_up_steps
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm_up_steps) / max(1, steps - warm_up_steps))))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """Move the averaged network a little towards the trained one; counters are copied."""
    for kept, current in zip(average.state_dict().values(), network.state_dict().values(), strict=True):
        if kept.dtype.is_floating_point:
            kept.lerp_(current, 1 - decay)
        else:
            kept.copy_(current)


def aurocs(logits: NDArray[np.float64], labels: NDArray[np.float64]) -> tuple[float, ...]:
    """Return the area under the ROC curve per column, over the known labels; NaN where only one class is known."""
    values = []
    for column in range(labels.shape[1]):
        known = ~np.isnan(labels[:, column])
        both = len(np.unique(labels[known, column])) == 2
        values.append(float(roc_auc_score(labels[known, column], logits[known, column])) if both else math.nan)
    return tuple(values)
