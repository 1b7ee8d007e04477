"""Fitting the gate: the limits keep what they must, and a second run gives the same gate."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.public_sets import read_cases
from training.scope import ScopeConfig, fit_gate, load_gate, train_gate
from training.scope_check import Described, count_kinds
from training.scope_network import FEATURES, IN_SCOPE, NOT_A_CHEST, SCOPE_CLASSES, ScopeNetwork

SMALL = ScopeConfig(hidden=16, epochs=6, directions=8, children=1, drawings=6, package_variants=1)


def clouds(seed: int, films: int) -> Described:
    """Features of films and of five kinds of pictures, each around a point of its own."""
    drawn = torch.Generator().manual_seed(seed)
    centres = torch.randn(len(SCOPE_CLASSES), FEATURES, generator=torch.Generator().manual_seed(0)) * 0.3
    classes = torch.arange(len(SCOPE_CLASSES)).repeat(films)
    features = centres[classes] + torch.randn(len(classes), FEATURES, generator=drawn)
    return Described(features, classes, tuple(SCOPE_CLASSES[i] for i in classes.tolist()), (True,) * len(classes))


def of_class(pictures: Described, scope_class: int) -> Described:
    chosen = pictures.classes == scope_class
    kinds = tuple(kind for kind, here in zip(pictures.kinds, chosen.tolist(), strict=True) if here)
    return Described(pictures.features[chosen], pictures.classes[chosen], kinds, (True,) * len(kinds))


def fitted() -> tuple[ScopeNetwork, float]:
    torch.manual_seed(1)
    network = ScopeNetwork(SMALL.hidden, SMALL.directions, pretrained=False).eval()
    films = of_class(clouds(2, 60), IN_SCOPE)
    return network, fit_gate(network, clouds(1, 60), films, SMALL, show=lambda _line: None)


def test_a_fitted_gate_tells_the_classes_of_pictures_that_it_has_not_seen() -> None:
    network, threshold = fitted()

    counts = count_kinds(network, clouds(3, 40), threshold)

    assert [count.right for count in counts] == [40] * len(SCOPE_CLASSES)


def test_what_lies_far_from_every_class_is_refused() -> None:
    network, threshold = fitted()
    strange = torch.randn(30, FEATURES, generator=torch.Generator().manual_seed(9)) * 40
    pictures = Described(strange, torch.full((30,), NOT_A_CHEST), ("strange",) * 30, (False,) * 30)

    (count,) = count_kinds(network, pictures, threshold)

    assert count.kept == 0


def test_fitting_twice_gives_the_same_weights() -> None:
    (first, one), (second, two) = fitted(), fitted()

    assert one == two
    for name, weights in first.state_dict().items():
        torch.testing.assert_close(second.state_dict()[name], weights, rtol=0, atol=0)


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.filterwarnings("ignore")  # pydicom warns of what its sample files break
def test_training_from_films_is_written_down_and_read_again(tmp_path: Path) -> None:
    folder = write_sets(
        tmp_path / "sets",
        children=[kermany_row(f"{split}.jpeg", split, split, 1) for split in ("train", "val")],
        adults=[nih_row(f"{split}.png", f"n{split}", split, "no_finding") for split in ("train", "val")],
        more_adults=[nih_row("more.png", "m", "train", "mass")],
    )

    network, threshold = train_gate(
        read_cases(folder), RECIPES["chest_radiograph/1"], SMALL, tmp_path / "run", show=lambda _line: None
    )
    read_again, same_threshold = load_gate(tmp_path / "run")

    film = torch.rand(2, 1, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(read_again(film), network(film))
    assert same_threshold == threshold
