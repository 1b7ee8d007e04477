"""The tuberculosis package's network, and which films it may see."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from preprocessing.recipes import RECIPES
from training.cases import ManifestRefused, of_split
from training.films import stack_films
from training.tuberculosis import (
    FEATURES,
    TuberculosisConfig,
    TuberculosisNetwork,
    describe_films,
    load_tuberculosis,
    read_tuberculosis_cases,
    set_head,
    train_tuberculosis,
)

RECIPE = RECIPES["chest_radiograph/1"]


def write_shenzhen(folder: Path, *, each: int = 3, minors: int = 1) -> Path:
    """Write a set in Shenzhen's layout: per split and label some adults, and some small children without disease.

    A film with tuberculosis is bright above; no real film is in it.
    """
    rng = np.random.default_rng(0)
    (folder / "shenzhen_tb_128/images").mkdir(parents=True)
    rows = []
    for split in ("train", "val", "test"):
        for label in (0, 1):
            for number in range(each + (minors if label == 0 else 0)):
                name = f"{split}_{label}_{number}"
                film = rng.integers(0, 120, (128, 128), dtype=np.uint8)
                film[:64] += 120 * label
                Image.fromarray(film).save(folder / f"shenzhen_tb_128/images/{name}.png")
                row = {"image": f"{name}.png", "patient_id": name, "split": split, "label": label, "view": "PA"}
                rows.append(row | {"age": 3 if number >= each else 40, "sex": "F", "reading": "", "idiap_split": split})
    with (folder / "shenzhen_tb_128/labels.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def test_only_adults_are_read_each_with_one_label(tmp_path: Path) -> None:
    cases = read_tuberculosis_cases(write_shenzhen(tmp_path))

    assert len(cases) == 18
    assert {case.age_years for case in cases} == {40.0}
    assert {case.labels for case in cases} == {(0.0,), (1.0,)}


def test_a_missing_set_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestRefused, match="shenzhen_tb_128"):
        read_tuberculosis_cases(tmp_path)


@torch.no_grad()
def test_the_heat_map_adds_up_to_the_score() -> None:
    torch.manual_seed(0)
    network = TuberculosisNetwork(pretrained=False).eval()

    logits, heat_map = network(torch.rand(2, 1, 224, 224))

    assert heat_map.shape == (2, 1, 7, 7)
    torch.testing.assert_close(heat_map.mean(dim=(2, 3)), logits)


@torch.no_grad()
def test_the_output_says_what_the_regression_said() -> None:
    rng = np.random.default_rng(0)
    mean, scale, weights = rng.normal(size=FEATURES), rng.uniform(0.5, 2, FEATURES), rng.normal(size=FEATURES) / 40
    features = rng.normal(size=(3, FEATURES))
    network = TuberculosisNetwork(pretrained=False).eval()

    set_head(network, mean, scale, weights, 0.7)

    by_regression = (features - mean) / scale @ weights + 0.7
    by_output = network.head(torch.from_numpy(features).float()[:, :, None, None])[:, 0, 0, 0]
    np.testing.assert_allclose(by_output.numpy(), by_regression, atol=1e-4)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_learns_from_train_only_and_is_read_again(tmp_path: Path) -> None:
    cases = read_tuberculosis_cases(write_shenzhen(tmp_path, each=4))
    for case in (*of_split(cases, "val"), *of_split(cases, "test")):
        case.image.unlink()  # whoever opens them fails

    config = TuberculosisConfig(views=1, folds=2)
    network = train_tuberculosis(cases, RECIPE, config, tmp_path / "run", show=lambda _line: None)

    films = of_split(cases, "train")
    with torch.no_grad():
        images = stack_films(films, RECIPE)
        scores = network(images)[0][:, 0]
        torch.testing.assert_close(load_tuberculosis(tmp_path / "run")(images)[0][:, 0], scores)
    truth = torch.tensor([case.labels[0] for case in films])
    assert scores[truth == 1].min() > scores[truth == 0].max()
    features = describe_films(network, images.numpy())
    by_hand = features @ network.head.weight[0, :, 0, 0].double().numpy() + float(network.head.bias[0])
    np.testing.assert_allclose(by_hand, scores.numpy(), atol=1e-3)
