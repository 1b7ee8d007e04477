"""The parts of the loop that can be wrong without anyone noticing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from training.cases import Case
from training.network import FilmNetwork
from training.train import aurocs, follow, masked_loss, rate, sampling_weights


def case(age_band: str, *labels: float) -> Case:
    return Case(Path("x"), None, "set", "p", "train", labels, age_band, "F", "PA", era_matched=True)  # type: ignore[arg-type]


def test_an_unknown_label_has_no_part_in_the_loss() -> None:
    labels = torch.tensor([[1.0, math.nan]])

    right = masked_loss(torch.tensor([[3.0, 50.0]]), labels)
    other = masked_loss(torch.tensor([[3.0, -50.0]]), labels)

    assert torch.isfinite(right)
    assert right == other


def test_an_unknown_label_has_no_gradient() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)

    masked_loss(logits, torch.tensor([[1.0, math.nan]])).backward()  # type: ignore[no-untyped-call]

    assert logits.grad is not None
    assert logits.grad[0, 1] == 0.0
    assert logits.grad[0, 0] < 0.0


def test_a_batch_without_any_known_label_is_no_error() -> None:
    assert masked_loss(torch.zeros(2, 2), torch.full((2, 2), math.nan)) == 0.0


def test_the_large_set_does_not_drown_the_small_one() -> None:
    nan = math.nan
    cases = [case("1-5 years", 1.0, nan)] * 80 + [case("1-5 years", 0.0, nan)] * 10 + [case("adult", nan, 1.0)] * 10

    weights = sampling_weights(cases, 0.3)

    assert weights[:90].sum() == pytest.approx(0.3)
    assert weights[:80].sum() == pytest.approx(weights[80:90].sum())
    assert weights[90:].sum() == pytest.approx(0.7)


def test_the_rate_rises_then_falls_to_nothing() -> None:
    rates = [rate(step, 10, 100) for step in range(101)]

    assert rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[100] == pytest.approx(0.0)


def test_auroc_is_over_known_labels_only() -> None:
    labels = np.array([[0.0], [1.0], [math.nan]])

    assert aurocs(np.array([[-1.0], [1.0], [-9.0]]), labels) == (1.0,)
    assert math.isnan(aurocs(np.zeros((2, 1)), np.ones((2, 1)))[0])


def test_the_average_ends_where_the_network_stays() -> None:
    network, average = torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)

    for _ in range(400):
        follow(average, network, 0.9)

    torch.testing.assert_close(average.weight, network.weight)


def test_a_films_logit_is_the_mean_of_its_heat_map() -> None:
    network = FilmNetwork(2, pretrained=False).eval()

    with torch.no_grad():
        logits, heat_map = network(torch.rand(1, 1, 224, 224))

    assert heat_map.shape == (1, 2, 7, 7)
    torch.testing.assert_close(heat_map.mean(dim=(2, 3)), logits)
