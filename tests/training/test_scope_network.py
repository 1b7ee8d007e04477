"""How the gate's distance works, and what its classes are called."""

from __future__ import annotations

import pytest
import torch

from preprocessing.errors import Reason
from training.scope_network import FEATURES, IN_SCOPE, NOT_A_CHEST, SCOPE_CLASSES, ScopeNetwork


def sure_network() -> ScopeNetwork:
    """A gate whose classifier calls everything in scope."""
    torch.manual_seed(0)
    network = ScopeNetwork(8, 4, pretrained=False).eval()
    last = network.classifier[4]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[IN_SCOPE] = 30.0
    return network


def test_classes_are_reasons_that_the_service_knows() -> None:
    assert SCOPE_CLASSES[0] == "in_scope"
    assert {Reason(name) for name in SCOPE_CLASSES[1:]} == {
        Reason.NOT_A_CHEST, Reason.UPSIDE_DOWN, Reason.ROTATED, Reason.INVERTED,
    }  # fmt: skip


@torch.no_grad()
def test_a_picture_unlike_anything_known_is_not_a_chest_however_sure_the_classifier_is() -> None:
    network = sure_network()

    usual, strange = network.judge(torch.zeros(1, FEATURES)), network.judge(torch.full((1, FEATURES), 9.0))

    assert usual.argmax() == IN_SCOPE
    assert strange.argmax() == NOT_A_CHEST


@torch.no_grad()
def test_up_to_the_limit_distance_changes_nothing() -> None:
    network = sure_network()
    features = torch.full((1, FEATURES), 0.5)
    network.limit.copy_(network.distance(features) * 1.01)

    torch.testing.assert_close(network.judge(features), network.classifier(features))


@torch.no_grad()
def test_the_distance_counts_a_direction_by_how_much_films_differ_in_it() -> None:
    network = ScopeNetwork(8, 2, pretrained=False).eval()
    network.directions.zero_()
    network.directions[0, 0] = network.directions[1, 1] = 1.0
    network.spread.copy_(torch.tensor([1.0, 4.0, 1.0]))
    along = torch.zeros(2, FEATURES)
    along[0, 0] = along[1, 1] = 6.0

    narrow, wide = network.distance(along).tolist()

    assert narrow == pytest.approx(4 * wide)


@torch.no_grad()
def test_the_features_tell_where_a_thing_lies() -> None:
    network = ScopeNetwork(8, 4).eval()
    film = torch.zeros(2, 1, 224, 224)
    film[0, 0, :100, :100] = 1
    film[1, 0, 124:, 124:] = 1

    first, second = network.frozen(film)

    assert first.shape == (FEATURES,)
    assert (first - second).abs().max() > 0.5
