"""Whole imports: a package that loads, that says what its source says, and that hides nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models.calibration import probability
from models.package import ModelPackage, load_package
from models.session import Session
from preprocessing.recipes import RECIPES
from tests.training.importing.bundles import classifier, data_format, expected_logits, write_bundle
from tests.training.importing.library import DENSENET_121, random_network, save, scores_of_library
from training.importing import ImportRefused
from training.importing.build import RECORD, ImportRequest, import_package, made_pictures


def bundle(folder: Path, source: Path, answers: dict[str, Any] | None = None, **asked: Any) -> ModelPackage:
    path = None
    if answers is not None:
        path = folder / "answers.json"
        path.write_text(json.dumps(answers), encoding="utf-8")
    return import_package(ImportRequest("bundle", source, folder / "packages", answers=path, **asked))


def probabilities(package: ModelPackage, pictures: np.ndarray) -> np.ndarray:
    logits = Session(package).run(pictures).logits
    columns = [[probability(float(raw), o.calibration) for raw in logits[:, o.channel]] for o in package.outputs]
    return np.array(columns).T


def sigmoid(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))


@pytest.fixture(scope="module")
def pictures() -> np.ndarray:
    return made_pictures()


def test_the_made_pictures_differ_and_fill_the_range(pictures: np.ndarray) -> None:
    assert pictures.shape == (6, 1, 224, 224)
    assert (pictures.min(), pictures.max()) == (0.0, 1.0)
    assert len({picture.tobytes() for picture in pictures}) == 6


def test_weights_become_a_package_with_the_librarys_scores_and_heat_maps(tmp_path: Path, pictures: np.ndarray) -> None:
    network = random_network(blocks=(1, 1))
    request = ImportRequest("torchxrayvision", save(network, tmp_path / "w.pt", is_old=True), tmp_path / "packages")

    package = import_package(request)

    assert package.folder == tmp_path / "packages/torchxrayvision"
    scores = Session(package).run(pictures)
    expected = scores_of_library(network, torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(scores.logits, expected, atol=1e-5)
    assert scores.heat_map is not None
    np.testing.assert_allclose(scores.heat_map.mean(axis=(2, 3)), scores.logits, atol=1e-5)
    assert (package.gate, package.recipe_sha256) == ("chest_scope", RECIPES["chest_radiograph/1"].sha256)
    assert all(output.experimental and output.raise_point is None for output in package.outputs)
    record = json.loads((package.folder / RECORD).read_text(encoding="utf-8"))
    assert record["fp32"]["largest_difference"]["probability"] <= 1e-4
    card = (package.folder / "docs/README.md").read_text(encoding="utf-8")
    assert "not measured here" in card
    assert "Enlarged cardiomediastinum" in card


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_network_of_the_published_shape_is_imported(tmp_path: Path, pictures: np.ndarray) -> None:
    network = random_network(**DENSENET_121)
    request = ImportRequest("torchxrayvision", save(network, tmp_path / "w.pt", is_old=True), tmp_path / "packages")

    package = import_package(request)

    scores = Session(package).run(pictures)
    expected = scores_of_library(network, torch.from_numpy(pictures)).numpy()
    np.testing.assert_allclose(sigmoid(scores.logits), sigmoid(expected), atol=1e-4)
    assert scores.heat_map is not None
    assert scores.heat_map.shape == (6, 18, 7, 7)


@pytest.mark.parametrize("kind", ["logits", "exclusive_logits", "Sigmoid", "Softmax"])
def test_a_bundles_probabilities_are_the_packages(tmp_path: Path, pictures: np.ndarray, kind: str) -> None:
    last = kind if kind in ("Sigmoid", "Softmax") else None
    source = write_bundle(tmp_path / "b", classifier(last=last))

    package = bundle(tmp_path, source, None if last else {"scores": kind})

    raw = expected_logits(pictures)
    shares = np.exp(raw) / np.exp(raw).sum(axis=1, keepdims=True)
    expected = shares if kind in ("exclusive_logits", "Softmax") else sigmoid(raw)
    np.testing.assert_allclose(probabilities(package, pictures), expected[:, 1:], atol=1e-5)
    assert (package.name, package.version, package.manufacturer) == ("shadow_classifier", "0.3.1", "Some people")
    assert [output.finding for output in package.outputs] == ["lung_opacity", "odd_shadow"]
    assert not package.has_heat_map


def test_the_graph_scales_and_turns_the_picture_as_was_said(tmp_path: Path, pictures: np.ndarray) -> None:
    source = write_bundle(tmp_path / "b", classifier(), **data_format(value_range=[-2, 3]))

    package = bundle(tmp_path, source, {"scores": "logits", "columns_first": True})

    seen = (pictures * 5 - 2).transpose(0, 1, 3, 2)
    np.testing.assert_allclose(Session(package).run(pictures).logits, expected_logits(seen)[:, 1:], atol=1e-4)


def test_a_bundles_map_becomes_the_heat_map_of_the_chosen_findings(tmp_path: Path, pictures: np.ndarray) -> None:
    answers = {"scores": "logits", "heat_map_output": "map", "outputs": [{"channel": 2, "finding": "odd_shadow"}]}

    package = bundle(tmp_path, write_bundle(tmp_path / "b", classifier()), answers)

    heat_map = Session(package).run(pictures).heat_map
    assert heat_map is not None
    blocks = pictures.reshape(6, 1, 7, 32, 7, 32).mean(axis=(3, 5))
    np.testing.assert_allclose(heat_map, blocks, atol=1e-5)


def test_a_graph_for_one_picture_is_freed_where_it_can_be(tmp_path: Path, pictures: np.ndarray) -> None:
    source = write_bundle(tmp_path / "b", classifier(batch=1, last="Sigmoid"))

    package = bundle(tmp_path, source)

    np.testing.assert_allclose(probabilities(package, pictures), sigmoid(expected_logits(pictures))[:, 1:], atol=1e-5)


def test_a_graph_that_holds_one_picture_only_is_refused(tmp_path: Path) -> None:
    source = write_bundle(tmp_path / "b", classifier(batch=1, fixed_batch=True, last="Sigmoid"))

    with pytest.raises(ImportRefused, match="several pictures at a time"):
        bundle(tmp_path, source)


def test_scores_that_are_no_probabilities_are_refused(tmp_path: Path) -> None:
    source = write_bundle(tmp_path / "b", classifier())

    with pytest.raises(ImportRefused, match="lie outside 0 to 1"):
        bundle(tmp_path, source, {"scores": "probabilities"})


def test_too_old_an_opset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="of opset 10; export it anew"):
        bundle(tmp_path, write_bundle(tmp_path / "b", classifier(last="Sigmoid", opset=10)))


def test_a_refused_import_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused):
        bundle(tmp_path, write_bundle(tmp_path / "b", classifier()), {"scores": "probabilities"})

    assert list((tmp_path / "packages").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "words"),
    [("../up", "no name for a package"), ("chest_scope", "comes with the service"), ("taken", "is there already")],
)
def test_a_name_that_cannot_be_is_refused(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "packages/taken").mkdir(parents=True)

    with pytest.raises(ImportRefused, match=words):
        bundle(tmp_path, write_bundle(tmp_path / "b", classifier(last="Sigmoid")), name=name)


def test_terms_and_the_makers_words_are_kept_and_marked_as_theirs(tmp_path: Path) -> None:
    package = bundle(tmp_path, write_bundle(tmp_path / "b", classifier(last="Sigmoid")))

    assert (package.folder / "LICENSE").read_text(encoding="utf-8") == "Some terms.\n"
    card = (package.folder / "docs/README.md").read_text(encoding="utf-8")
    assert card.index("None of the following was checked here.") < card.index("Some films.")
    assert "\n#### Data" in card


def test_an_imported_package_loads_again(tmp_path: Path) -> None:
    package = bundle(tmp_path, write_bundle(tmp_path / "b", classifier(last="Sigmoid")), name="other_name")

    assert load_package(tmp_path / "packages/other_name").sha256 == package.sha256
