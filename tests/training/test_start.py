"""The linear start against an independent fit."""

from __future__ import annotations

import math

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from training.start import linear_start


def test_the_start_is_a_penalised_logistic_regression_per_finding() -> None:
    rng = np.random.default_rng(0)
    pooled = rng.normal(size=(200, 5))
    labels = (rng.random((200, 2)) < 1 / (1 + np.exp(-pooled[:, :2] * 2))).astype(float)
    labels[150:, 1] = math.nan

    weights, bias = linear_start(
        torch.from_numpy(pooled).float(), torch.from_numpy(labels).float(), penalty=torch.tensor([0.1, 0.02])
    )

    for column, known, penalty in ((0, 200, 0.1), (1, 150, 0.02)):
        # sklearn: C * sum of losses + |w|^2 / 2; ours: mean loss + penalty * |w|^2
        other = LogisticRegression(C=1 / (2 * penalty * known), tol=1e-8).fit(pooled[:known], labels[:known, column])
        np.testing.assert_allclose(weights[:, column].numpy(), other.coef_[0], atol=2e-3)
        np.testing.assert_allclose(bias[column].item(), other.intercept_[0], atol=2e-3)
