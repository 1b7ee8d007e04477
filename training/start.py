"""Where the tail starts: each finding's best linear reading of what ImageNet's filters already see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.frozen import Features, feature_batches
from training.network import LEAST_SPREAD, Tail, pool

STEPS = 200


@dataclass(frozen=True, slots=True)
class Readings:
    """Each finding's linear reading of standardised read-outs.

    Attributes:
        mean: (c,), over the films fitted to.
        scale: (c,), the same films' spread; a channel that hardly varies is not blown up.
        weights: (c, k).
        bias: (k,).
    """

    mean: Tensor
    scale: Tensor
    weights: Tensor
    bias: Tensor

    def scores(self, pooled: Tensor) -> Tensor:
        """Return logits (n, k) of raw read-outs (n, c)."""
        return ((pooled - self.mean) / self.scale) @ self.weights + self.bias


@torch.no_grad()
def pooled_read_outs(tail: Tail, features: Features, device: torch.device) -> Tensor:
    """Return the raw read-outs of features (n, c, h, w), averaged over the film: (n, all channels)."""
    tail.eval()
    return torch.cat([pool(tail.stages(part)).cpu() for part in feature_batches(features, device)])


def fit_readings(pooled: Tensor, labels: Tensor, *, penalty: Tensor) -> Readings:
    """Fit the findings' linear readings to raw read-outs (n, c); labels and penalty as `linear_start`."""
    mean, scale = pooled.mean(dim=0), pooled.std(dim=0).clamp(min=LEAST_SPREAD)
    weights, bias = linear_start((pooled - mean) / scale, labels, penalty=penalty)
    return Readings(mean, scale, weights, bias)


def start_tail(tail: Tail, features: Features, labels: Tensor, *, penalty: Tensor, device: torch.device) -> None:
    """Standardise the read-outs over the films as they are, and set each finding's best linear reading of them."""
    pooled = pooled_read_outs(tail, features, device)
    readings = fit_readings(pooled, labels, penalty=penalty)
    tail.standardise(pooled)
    tail.set_readings(readings.weights, readings.bias)


def linear_start(pooled: Tensor, labels: Tensor, *, penalty: Tensor) -> tuple[Tensor, Tensor]:
    """Fit one logistic regression per finding, all at once.

    Fine-tuning from a fitted reading instead of a random one bends the features less and holds better on films from
    elsewhere (Kumar et al., ICLR 2022, arXiv 2202.10054).

    Args:
        pooled: Standardised features (n, c).
        labels: (n, k), 1, 0 or NaN where unknown; a finding counts the same however few of its labels are known.
        penalty: (k,), weight of a finding's sum of squared coefficients beside its mean loss.

    Returns:
        Coefficients (c, k) and intercepts (k,).
    """
    known = ~torch.isnan(labels)
    targets, films = torch.nan_to_num(labels), known.sum(dim=0).clamp(min=1)
    coefficients = torch.zeros(pooled.shape[1], labels.shape[1], requires_grad=True)
    intercepts = torch.zeros(labels.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([coefficients, intercepts], max_iter=STEPS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        losses = nn.functional.binary_cross_entropy_with_logits(
            pooled @ coefficients + intercepts, targets, reduction="none"
        )
        loss = ((losses * known).sum(dim=0) / films + penalty * coefficients.square().sum(dim=0)).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no type for it
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]  # as above
    return coefficients.detach(), intercepts.detach()
