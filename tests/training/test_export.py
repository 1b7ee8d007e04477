"""From a network to a package: what is in it, and what export refuses."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from models.files import ONNX_HALF
from models.package import (
    AppliesTo,
    Calibration,
    ModelPackage,
    Names,
    OperatingPoint,
    Output,
    OutputsDescription,
    PackageDescription,
    load_package,
)
from models.session import Session
from preprocessing.recipes import RECIPES
from training.export import HALF_PARITY, PARITY, PARITY_RECORD, ExportRefused, PackageText, export_package

RECIPE = RECIPES["chest_radiograph/1"]
TEXT = PackageText(
    version="0.1.0", task="t", description="d", intended_use="Tests.", data_source="made", references=(), changelog={},
    figures={}, card="# Card\n", licence="Apache-2.0\n", extra_files={"docs/evaluation.json": "{}\n"},
)  # fmt: skip
OUTPUT = Output(
    channel=0, finding="f0", code_value="c", code_scheme="99TEST", code_meaning="m", names=Names("n", "n", "n", "n"),
    calibration=Calibration("platt", 1.0, 0.0, "1"), operating_point=OperatingPoint("p", 0.5, 0.9, 0.9, "val"),
    raise_point=None, priority_class=3, min_age_years=None, max_age_years=None, experimental=False, evidence=None,
)  # fmt: skip
FINDINGS = OutputsDescription(
    outputs=tuple(replace(OUTPUT, channel=k, finding=f"f{k}") for k in range(3)), scope_classes=(), scope_threshold=None
)
GATE = OutputsDescription(outputs=(), scope_classes=("in_scope", "not_a_chest", "inverted"), scope_threshold=0.5)
DESCRIPTION = PackageDescription(
    name="small", kind="findings", recipe=RECIPE.name, recipe_sha256=RECIPE.sha256, input_shape=(1, 224, 224),
    has_heat_map=True, gate=None, applies_to=AppliesTo(("CR",), (), (), None, None), manufacturer="m", licence="l",
)  # fmt: skip


def export(
    network: nn.Module,
    folder: Path,
    images: Tensor,
    *,
    description: PackageDescription = DESCRIPTION,
    outputs: OutputsDescription = FINDINGS,
) -> ModelPackage:
    return export_package(
        network.eval(), images, lambda logits: 1 / (1 + np.exp(-logits)), folder=folder, description=description,
        outputs=outputs, text=TEXT,
    )  # fmt: skip


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.head = nn.Conv2d(1, 3, 32, stride=32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        heat_map = self.head(image)
        return heat_map.mean(dim=(2, 3)), heat_map


class TwoFaced(Small):
    """Says something else to the exporter than to torch: of one thing, by so much."""

    def __init__(self, *, logits: float = 0.0, heat_map: float = 0.0) -> None:
        super().__init__()
        self.off = (logits, heat_map)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, heat_map = super().forward(image)
        exporting = float(torch.compiler.is_exporting())
        return logits + exporting * self.off[0], heat_map + exporting * self.off[1]


class Wide(Small):
    """Passes through numbers that fp16 does not hold."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, heat_map = super().forward(image * 1e6)
        return logits / 1e6, heat_map / 1e6


class Gate(Small):
    def forward(self, image: Tensor) -> Tensor:  # type: ignore[override]
        return super().forward(image)[0]


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(5, 1, 224, 224, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, images: Tensor) -> ModelPackage:
    return export(Small(), tmp_path_factory.mktemp("models") / "small", images)


def test_an_exported_package_agrees_with_torch_in_any_batch(exported: ModelPackage, images: Tensor) -> None:
    scores = Session(exported).run(images.numpy())

    with torch.no_grad():
        logits, heat_map = Small()(images)
    np.testing.assert_allclose(scores.logits, logits.numpy(), atol=1e-5)
    assert scores.heat_map is not None
    np.testing.assert_allclose(scores.heat_map, heat_map.numpy(), atol=1e-5)


def test_half_precision_is_half_as_large_and_close_but_not_the_same(exported: ModelPackage, images: Tensor) -> None:
    full, half = (Session(exported, precision=precision).run(images.numpy()) for precision in ("fp32", "fp16"))

    assert 0 < np.abs(full.logits - half.logits).max() < 0.01
    assert half.logits.dtype == np.float32
    sizes = [path.stat().st_size for path in (exported.folder / ONNX_HALF, exported.onnx_path)]
    assert sizes[0] < 0.7 * sizes[1]


def test_the_package_records_how_far_its_graphs_are_from_torch(exported: ModelPackage) -> None:
    record = json.loads((exported.folder / PARITY_RECORD).read_text(encoding="utf-8"))
    assert record["films"] == 5
    for precision, bound in (("fp32", PARITY), ("fp16", HALF_PARITY)):
        assert record[precision]["allowed"]["probability"] == bound
        assert record[precision]["largest_difference"]["probability"] <= bound
    assert record["fp32"]["largest_difference"]["probability"] < record["fp16"]["largest_difference"]["probability"]


@pytest.mark.parametrize("network", [TwoFaced(logits=0.01), TwoFaced(heat_map=0.01), TwoFaced(logits=math.nan)])
def test_export_refuses_what_disagrees_with_torch_and_keeps_the_older_package(
    tmp_path: Path, images: Tensor, exported: ModelPackage, network: nn.Module
) -> None:
    shutil.copytree(exported.folder, tmp_path / "small")

    with pytest.raises(ExportRefused, match=r"differ by|NaN"):
        export(network, tmp_path / "small", images)

    assert load_package(tmp_path / "small").sha256 == exported.sha256


def test_export_refuses_a_network_that_overflows_in_half_precision(tmp_path: Path, images: Tensor) -> None:
    with pytest.raises(ExportRefused, match="fp16"):
        export(Wide(), tmp_path / "small", images)

    assert not (tmp_path / "small").exists()


def test_export_refuses_weights_of_another_recipe(tmp_path: Path, images: Tensor) -> None:
    other = replace(DESCRIPTION, recipe_sha256="ab" * 32)

    with pytest.raises(ExportRefused, match="train again"):
        export(Small(), tmp_path / "small", images, description=other)


def test_a_scope_gate_stays_in_full_precision(tmp_path: Path, images: Tensor) -> None:
    description = replace(DESCRIPTION, kind="scope_gate", has_heat_map=False)

    package = export(Gate(), tmp_path / "gate", images, description=description, outputs=GATE)

    assert package.half_sha256 is None
    assert not (package.folder / ONNX_HALF).exists()
    assert set(json.loads((package.folder / PARITY_RECORD).read_text(encoding="utf-8"))) == {"films", "fp32"}
