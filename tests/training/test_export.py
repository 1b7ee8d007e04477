"""From weights to a package: a whole small training, and what export refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.package import (
    AppliesTo,
    ModelPackage,
    OutputsDescription,
    PackageDescription,
    load_package,
)
from models.session import Session
from preprocessing.recipes import RECIPES
from tests.training.public_sets import kermany_row, nih_row, write_sets
from training.calibrate import Calibrated, calibrate, probabilities_of
from training.cases import FINDINGS, of_split, read_cases
from training.evaluate import evaluate_run, load_calibration, load_evaluation
from training.export import ExportRefused, PackageText, export_package, without_traces
from training.films import film_dataset, stack_images
from training.outputs import LEAST_SPECIFICITY_TO_RAISE, make_outputs
from training.train import TrainingConfig, load_network, train

RECIPE = RECIPES["chest_radiograph/1"]
GOOD = dict.fromkeys(FINDINGS, 0.9)
TEXT = PackageText(
    version="0.1.0", task="t", description="d", intended_use="Tests.", data_source="made", references=(), changelog={},
    figures={}, card="# Card\n", licence="Apache-2.0\n", extra_files={"docs/evaluation.json": "{}\n"},
)  # fmt: skip


def readings(specificity_films: int = 50) -> list[Calibrated]:
    rng = np.random.default_rng(0)
    labels = np.repeat([0.0, 1.0], specificity_films)
    return [
        calibrate(name, rng.normal(size=len(labels)) + 3 * labels, labels, least_sensitivity=0.9, chosen_on="val",
                  version="1")
        for name in FINDINGS
    ]  # fmt: skip


def export(network: nn.Module, folder: Path, images: Tensor) -> ModelPackage:
    return export_package(
        network,
        images,
        lambda logits: 1 / (1 + np.exp(-logits)),
        folder=folder,
        description=PackageDescription(
            name="small", kind="findings", recipe=RECIPE.name, recipe_sha256=RECIPE.sha256, input_shape=(1, 224, 224),
            has_heat_map=True, gate=None, applies_to=AppliesTo(("CR",), (), (), None, None), manufacturer="m",
            licence="l",
        ),
        outputs=OutputsDescription(outputs=make_outputs(readings(), GOOD), scope_classes=(), scope_threshold=None),
        text=TEXT,
    )  # fmt: skip


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(1, 3, 32, stride=32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        heat_map = self.head(image)
        return heat_map.mean(dim=(2, 3)), heat_map


class TwoFaced(Small):
    """Says something else to the exporter than to torch."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, heat_map = super().forward(image)
        return (logits + 0.01 if torch.compiler.is_exporting() else logits), heat_map


def test_an_exported_package_loads_and_agrees_with_torch_in_any_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network, images = Small().eval(), torch.rand(5, 1, 224, 224)

    package = export(network, tmp_path / "small", images)

    scores = Session(package).run(images.numpy())
    with torch.no_grad():
        logits, heat_map = network(images)
    np.testing.assert_allclose(scores.logits, logits.numpy(), atol=1e-5)
    assert scores.heat_map is not None
    np.testing.assert_allclose(scores.heat_map, heat_map.numpy(), atol=1e-5)


def test_export_refuses_when_torch_and_onnx_disagree_and_keeps_the_older_package(tmp_path: Path) -> None:
    images = torch.rand(2, 1, 224, 224)
    older = export(Small().eval(), tmp_path / "small", images)

    with pytest.raises(ExportRefused, match="differ by"):
        export(TwoFaced().eval(), tmp_path / "small", images)

    assert load_package(tmp_path / "small").sha256 == older.sha256


def test_an_export_holds_no_path_of_this_machine(tmp_path: Path) -> None:
    package = export(Small().eval(), tmp_path / "small", torch.rand(1, 1, 224, 224))

    content = package.onnx_path.read_bytes()
    assert str(Path(__file__).parent.parent).encode() not in content
    assert without_traces(content) == content


def test_a_finding_raises_a_case_only_where_most_normal_films_stay_in_place() -> None:
    good = readings()
    poor = [
        calibrate(name, np.random.default_rng(1).normal(size=200), np.repeat([0.0, 1.0], 100), least_sensitivity=0.9,
                  chosen_on="val", version="1")
        for name in FINDINGS
    ]  # fmt: skip

    for output in make_outputs(good, GOOD):
        assert (output.raises_priority, output.priority_class) == (True, 2)
        assert output.operating_point.specificity > LEAST_SPECIFICITY_TO_RAISE
    for output in make_outputs(poor, GOOD):
        assert (output.raises_priority, output.priority_class) == (False, 3)


def test_an_output_that_may_be_no_better_than_a_coin_is_experimental_and_raises_nothing() -> None:
    outputs = make_outputs(readings(), {**GOOD, FINDINGS[2]: 0.55})

    assert [output.experimental for output in outputs] == [False, False, True]
    assert not outputs[2].raises_priority


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_small_training_ends_in_a_package_that_serves(tmp_path: Path) -> None:
    def films(count: int, split: str) -> tuple[list[dict[str, str]], list[dict[str, str]]]:
        children = [kermany_row(f"{split}{i}.png", f"{split}{i}", split, i % 2) for i in range(count)]
        adults = [
            nih_row(f"{split}{i}.png", f"nih-{split}{i}", split, "pneumonia" if i % 2 else "no_finding")
            for i in range(count)
        ]
        return children, adults

    parts = [films(16, "train"), films(24, "val"), films(24, "test")]
    sets = write_sets(
        tmp_path / "data",
        children=[row for part in parts for row in part[0]],
        adults=[row for part in parts for row in part[1]],
        more_adults=[nih_row("more.png", "nih-more", "train", "mass")],
    )
    cases, run = read_cases(sets), tmp_path / "run"
    lines: list[str] = []
    config = TrainingConfig(epochs=2, films_per_epoch=16, batch=8, pretrained=False, warm_up_steps=1, frozen_blocks=0)

    curve = train(cases, RECIPE, config, run, show=lines.append)
    evaluate_run(run, cases, RECIPE, final=False, show=lines.append)
    evaluate_run(run, cases, RECIPE, final=True, show=lines.append)
    network, images = load_network(run), stack_images(film_dataset(of_split(cases, "val")[:6], RECIPE, augment=False))
    package = export(network, tmp_path / "small", images)

    assert [epoch.number for epoch in curve] == [1, 2]
    assert json.loads((run / "run.json").read_text())["recipe_sha256"] == RECIPE.sha256
    assert len((run / "looks_at_test.log").read_text().splitlines()) == 1
    assert {row.finding for row in load_evaluation(run / "evaluation.json")} == set(FINDINGS)
    logits = Session(package).run(images.numpy()).logits
    reading = load_calibration(run)[0]
    with torch.no_grad():
        expected = network(images)[0].double().numpy()
    np.testing.assert_allclose(
        probabilities_of(logits[:, 0].astype(np.float64), reading.calibration),
        probabilities_of(expected[:, 0], reading.calibration),
        atol=1e-4,
    )
