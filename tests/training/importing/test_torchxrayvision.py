"""Weights of TorchXRayVision: the same scores as the library's own module, and outputs named for what is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.importing.library import random_network, save, scores_of_library
from training.importing import ImportRefused
from training.importing.answers import Answers, OutputAnswer
from training.importing.published import LABELS, PUBLISHED
from training.importing.torchxrayvision import open_weights

NIH = "nih-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"
ALL = "nih-pc-chex-mimic_ch-google-openi-kaggle-densenet121-d121-tw-lr001-rot45-tr15-sc15-seed0-best.pt"


def pictures() -> torch.Tensor:
    return torch.rand(3, 1, 64, 64, generator=torch.Generator().manual_seed(5))


@pytest.mark.parametrize("is_old", [False, True])
def test_scores_are_those_of_the_librarys_module_and_the_mean_of_the_maps(tmp_path: Path, is_old: bool) -> None:
    network = random_network()

    opened = open_weights(save(network, tmp_path / "w.pt", is_old=is_old), Answers())

    with torch.no_grad():
        logits, heat_map = opened.network(pictures())
    torch.testing.assert_close(logits, scores_of_library(network, pictures()))
    torch.testing.assert_close(logits, heat_map.mean(dim=(2, 3)))
    assert heat_map.shape == (3, 18, 2, 2)
    assert logits.std(dim=0).min() > 1e-4  # the pictures are told apart


def test_a_bare_state_dict_is_as_good_as_a_module(tmp_path: Path) -> None:
    network = random_network()
    torch.save(network.state_dict(), tmp_path / "w.pt")

    opened = open_weights(tmp_path / "w.pt", Answers())

    with torch.no_grad():
        torch.testing.assert_close(opened.network(pictures())[0], scores_of_library(network, pictures()))


def test_without_a_word_in_the_file_the_outputs_are_the_librarys_18_findings(tmp_path: Path) -> None:
    opened = open_weights(save(random_network(), tmp_path / "w.pt"), Answers())

    assert [output.finding for output in opened.outputs] == [
        "atelectasis", "consolidation", "infiltration", "pneumothorax", "edema", "emphysema", "fibrosis", "effusion",
        "pneumonia", "pleural_thickening", "cardiomegaly", "nodule", "mass", "hernia", "lung_lesion", "fracture",
        "lung_opacity", "enlarged_cardiomediastinum",
    ]  # fmt: skip
    assert all(output.operating_point is None for output in opened.outputs)
    assert opened.trained_on == ""


def test_a_published_files_name_tells_what_was_trained_and_where_it_is_cut(tmp_path: Path) -> None:
    network = random_network()

    opened = open_weights(save(network, tmp_path / NIH), Answers())

    assert [output.channel for output in opened.outputs] == list(range(14))
    assert opened.trained_on == "NIH ChestX-ray14"
    point = opened.outputs[13].operating_point
    assert point is not None
    assert (point.name, point.threshold) == ("torchxrayvision_op_threshs", 0.0004403434)
    assert (point.sensitivity, point.specificity) == (None, None)
    with torch.no_grad():
        torch.testing.assert_close(opened.network(pictures())[0], scores_of_library(network, pictures())[:, :14])


def test_every_published_file_has_a_place_for_every_finding() -> None:
    assert len(PUBLISHED) == 7
    assert {len(published.thresholds) for published in PUBLISHED.values()} == {len(LABELS)}
    assert None not in PUBLISHED[ALL].thresholds


def test_names_and_thresholds_in_the_file_win_and_decide_as_the_library_does(tmp_path: Path) -> None:
    network = random_network()
    network.pathologies = ["", "Lung Opacity", *[""] * 15, "Pleural_Thickening"]
    logits = scores_of_library(network, pictures())
    network.op_threshs = torch.full((18,), torch.nan)
    network.op_threshs[1] = torch.sigmoid(logits[:, 1]).median()

    opened = open_weights(save(network, tmp_path / NIH), Answers())

    assert [(output.channel, output.finding) for output in opened.outputs] == [
        (1, "lung_opacity"), (17, "pleural_thickening"),
    ]  # fmt: skip
    point = opened.outputs[0].operating_point
    assert point is not None
    with torch.no_grad():
        found = torch.sigmoid(opened.network(pictures())[0][:, 0].double()) >= point.threshold - 1e-6
    assert found.sum() == 2
    assert opened.outputs[1].operating_point is None  # NaN in the file


def test_the_answers_choose_and_order_the_outputs(tmp_path: Path) -> None:
    network = random_network()
    answers = Answers(outputs=(OutputAnswer(17, "wide_heart"), OutputAnswer(3, "pneumothorax")))

    opened = open_weights(save(network, tmp_path / "w.pt"), answers)

    with torch.no_grad():
        expected = scores_of_library(network, pictures())[:, [17, 3]]
        torch.testing.assert_close(opened.network(pictures())[0], expected)


def broken(name: str) -> nn.Module:
    network = random_network()
    match name:
        case "colour":
            return random_network(channels=3)
        case "five outputs":
            return random_network(outputs=5)
        case "no names":
            network.pathologies = [""] * 18
        case "nan":
            nn.init.constant_(network.classifier.bias, torch.nan)
        case "epsilon":
            network.features.norm5.eps = 1e-3
        case "layer":
            del network.features.transition1
        case "size":
            network.classifier = nn.Linear(7, 18)
    return network


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("colour", "takes 3 channels"),
        ("five outputs", "has 5 outputs that the file does not name"),
        ("no names", "none of the network's outputs has a name"),
        ("nan", "NaN"),
        ("epsilon", "batch normalization"),
        ("layer", "layers are missing or of other sizes"),
        ("size", "layers are missing or of other sizes"),
    ],
)
def test_another_network_is_refused(tmp_path: Path, what: str, words: str) -> None:
    path = save(broken(what), tmp_path / "w.pt")

    with pytest.raises(ImportRefused, match=words):
        open_weights(path, Answers())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"layer1.0.conv1.weight": torch.zeros(1), "conv1.weight": torch.zeros(1)}, "ResNet.*512 x 512"),
        ({"model.layer1.0.conv1.weight": torch.zeros(1)}, "ResNet.*512 x 512"),
        ({"weight": torch.zeros(1)}, "not TorchXRayVision's DenseNet"),
        ({"classifier.weight": torch.zeros(18, 4)}, "first layers are missing"),
    ],
)
def test_another_state_dict_is_refused(tmp_path: Path, state: dict[str, torch.Tensor], words: str) -> None:
    torch.save(state, tmp_path / "w.pt")

    with pytest.raises(ImportRefused, match=words):
        open_weights(tmp_path / "w.pt", Answers())


def test_an_answer_for_an_output_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = save(random_network(), tmp_path / "w.pt")

    with pytest.raises(ImportRefused, match="the network has 18"):
        open_weights(path, Answers(outputs=(OutputAnswer(18, "mass"),)))


def test_thresholds_of_the_library_lie_between_0_and_1() -> None:
    for published in PUBLISHED.values():
        known = np.asarray([threshold for threshold in published.thresholds if threshold is not None])
        assert ((known > 0) & (known < 1)).all()
