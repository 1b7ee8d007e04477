"""The tuberculosis package is judged on val; test films are opened only for a look that is logged."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from preprocessing.recipes import RECIPES
from tests.training.test_tuberculosis import write_shenzhen
from training.cases import ANY_FINDING, FINDINGS, UNKNOWN, Case, of_split
from training.tuberculosis import TuberculosisNetwork, read_tuberculosis_cases
from training.tuberculosis_check import (
    calibrate_tuberculosis,
    count_flagged_elsewhere,
    evaluate_tuberculosis,
    predict,
)

RECIPE = RECIPES["chest_radiograph/1"]


class BrightAbove(TuberculosisNetwork):
    """Scores how much brighter the upper half is: right on the made films."""

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        score = (image[:, :, :112].mean(dim=(1, 2, 3)) - image[:, :, 112:].mean(dim=(1, 2, 3)))[:, None] * 4
        return score, score[:, :, None, None].expand(-1, -1, 7, 7)


@pytest.fixture(scope="module")
def network() -> TuberculosisNetwork:
    return BrightAbove(pretrained=False).eval()


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    return read_tuberculosis_cases(write_shenzhen(tmp_path, each=6))


def test_val_is_judged_without_opening_a_test_film(
    network: TuberculosisNetwork, cases: list[Case], tmp_path: Path
) -> None:
    for case in of_split(cases, "test"):
        case.image.unlink()

    reading = calibrate_tuberculosis(network, cases, RECIPE)
    row = evaluate_tuberculosis(network, reading, cases, RECIPE, tmp_path, final=False)

    assert (row.split, row.films, row.positives, row.auroc.value) == ("val", 12, 6, 1.0)
    assert row.sensitivity.value >= 0.9
    assert not (tmp_path / "looks_at_test.log").exists()
    assert json.loads((tmp_path / "evaluation_val.json").read_text())["films"] == 12


def test_each_look_at_test_films_is_logged(network: TuberculosisNetwork, cases: list[Case], tmp_path: Path) -> None:
    reading = calibrate_tuberculosis(network, cases, RECIPE)

    for _ in range(2):
        row = evaluate_tuberculosis(network, reading, cases, RECIPE, tmp_path, final=True)

    assert row.split == "test"
    assert len((tmp_path / "looks_at_test.log").read_text().splitlines()) == 2
    assert (tmp_path / "evaluation.json").is_file()


def test_only_another_hospitals_val_films_without_finding_are_counted(
    network: TuberculosisNetwork, cases: list[Case]
) -> None:
    def labelled(case: Case, any_finding: float) -> Case:
        labels = [UNKNOWN] * len(FINDINGS)
        labels[FINDINGS.index(ANY_FINDING)] = any_finding
        return replace(case, labels=tuple(labels))

    reading = calibrate_tuberculosis(network, cases, RECIPE)
    bright = [case for case in cases if case.labels == (1.0,)]
    dark = [case for case in cases if case.labels == (0.0,)]
    elsewhere = [labelled(case, 0.0) for case in bright] + [labelled(case, 1.0) for case in dark]

    flagged = count_flagged_elsewhere(network, reading, elsewhere, RECIPE)

    assert (flagged.films, flagged.flagged.value) == (6, 1.0)


def test_scores_do_not_depend_on_how_films_are_batched(network: TuberculosisNetwork) -> None:
    images = torch.rand(18, 1, 224, 224)

    np.testing.assert_allclose(predict(network, images)[16:], predict(network, images[16:]))
