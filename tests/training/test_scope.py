"""What the gate learns from, and how its distance works."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from preprocessing.errors import Reason
from preprocessing.recipes import RECIPES
from training.drawings import drawn
from training.negatives import distorted, inverted, package_pictures, turned, upside_down, varied
from training.scope import FEATURES, IN_SCOPE, NOT_A_CHEST, SCOPE_CLASSES, ScopeNetwork, slightly_varied


@pytest.mark.parametrize("seed", range(40))
def test_every_made_picture_passes_the_recipe_or_is_refused_by_it(seed: int) -> None:
    rng = np.random.default_rng(seed)
    film = drawn(rng)
    film = np.pad(film, [(0, max(0, 256 - film.shape[0])), (0, max(0, 256 - film.shape[1]))])

    for make in (turned, upside_down, inverted, distorted, slightly_varied, varied):
        picture = make(film, rng)
        assert picture.dtype == np.uint8
        assert picture.ndim == 2
        if min(picture.shape) >= 128:
            tensor = RECIPES["chest_radiograph/1"].prepare_array(np.ascontiguousarray(picture)).tensor
            assert tensor.shape == (1, 224, 224)


def test_an_upside_down_film_stands_on_its_head() -> None:
    film = np.zeros((200, 200), np.uint8)
    film[:40] = 200

    for seed in range(10):
        flipped = upside_down(film, np.random.default_rng(seed))
        assert flipped[120:].mean() > flipped[:80].mean()


@pytest.mark.filterwarnings("ignore")  # broken files are among pydicom's own
def test_package_pictures_are_many_and_large_enough() -> None:
    pictures = list(package_pictures())

    assert len(pictures) > 50
    assert all(min(picture.shape) >= 32 for picture in pictures)


def test_classes_are_reasons_that_the_service_knows() -> None:
    assert SCOPE_CLASSES[0] == "in_scope"
    assert {Reason(name) for name in SCOPE_CLASSES[1:]} == {
        Reason.NOT_A_CHEST, Reason.UPSIDE_DOWN, Reason.ROTATED, Reason.INVERTED,
    }  # fmt: skip


def test_a_picture_unlike_anything_known_is_not_a_chest_however_sure_the_classifier_is() -> None:
    torch.manual_seed(0)
    network = ScopeNetwork(8, 4, pretrained=False).eval()
    last = network.classifier[4]
    assert isinstance(last, torch.nn.Linear)
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    last.bias.data[IN_SCOPE] = 30.0

    with torch.no_grad():
        usual, strange = network.judge(torch.zeros(1, FEATURES)), network.judge(torch.full((1, FEATURES), 9.0))

    assert usual.argmax() == IN_SCOPE
    assert strange.argmax() == NOT_A_CHEST
