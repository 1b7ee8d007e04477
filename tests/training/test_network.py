"""The network: what is frozen, what is read, and that the heat map adds up."""

from __future__ import annotations

import pytest
import torch

from training.network import BACKBONES, FilmNetwork, pool
from training.start import Readings


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_gives_scores_and_coarse_maps(name: str) -> None:
    network = FilmNetwork(2, backbone_name=name, pretrained=False).eval()
    for reading in network.tail.readings:
        torch.nn.init.normal_(reading.weight)  # type: ignore[arg-type]

    with torch.no_grad():
        logits, heat_map = network(torch.rand(2, 1, 224, 224))

    assert (logits.shape, heat_map.shape) == ((2, 2), (2, 2, 7, 7))
    assert not torch.equal(logits[0], logits[1])


def test_the_heat_map_is_the_deepest_reading_of_each_place_and_its_neighbours() -> None:
    network = FilmNetwork(1, pretrained=False).eval()
    deepest = network.tail.readings[-1]
    torch.nn.init.normal_(deepest.weight)  # type: ignore[arg-type]
    image = torch.rand(1, 1, 224, 224)

    with torch.no_grad():
        logits, heat_map = network(image)
        seen = deepest(network.tail.levels(network.front(image))[-1])

    torch.testing.assert_close(heat_map[0, 0, 3, 3], seen[0, 0, 2:5, 2:5].mean())
    torch.testing.assert_close(logits[0, 0], seen.mean())  # the other readings start at nothing


def test_standardised_readings_are_the_linear_model_over_pooled_features() -> None:
    network = FilmNetwork(3, pretrained=False).eval()
    tail = network.tail
    with torch.no_grad():
        features = network.front(torch.rand(6, 1, 224, 224))
        pooled = pool(tail.stages(features))
        weights, bias = torch.randn(pooled.shape[1], 3), torch.randn(3)
        mean, scale = pooled.mean(dim=0), pooled.std(dim=0).clamp(min=1e-4)
        tail.standardise(pooled)
        tail.set_readings(weights, bias)
        logits, _ = tail(features)

    expected = Readings(mean, scale, weights, bias).scores(pooled)
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def test_training_leaves_the_front_and_imagenets_statistics_alone() -> None:
    network = FilmNetwork(1, pretrained=True).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)

    for reading in network.tail.readings:
        torch.nn.init.normal_(reading.weight)  # type: ignore[arg-type]
    network(torch.rand(2, 1, 224, 224))[0].sum().backward()
    optimizer.step()

    changed = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert changed
    assert not [name for name in changed if name.startswith("front.") or "running_" in name]


def test_an_unknown_backbone_is_named() -> None:
    with pytest.raises(ValueError, match="resnet_of_dreams"):
        FilmNetwork(1, backbone_name="resnet_of_dreams")
