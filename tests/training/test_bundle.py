"""The files of a bundle: what MONAI reads, what people read, and hashes of all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from models.files import HASHES, METADATA, ONNX
from models.package import OutputsDescription, PackageDescription, load_package
from tests.models.tiny import SIZE, TINY_RECIPES, findings_metadata, output_record, tiny_onnx
from training.bundle import PackageText, write_bundle

TEXT = PackageText(
    version="0.1.0", task="t", description="d", intended_use="Tests.", data_source="made", references=("r",),
    changelog={"0.1.0": "first"}, figures={"auroc": 0.9}, card="# Карта\n", licence="Apache-2.0\n",
    extra_files={"docs/deep/er.json": "{}\n"}, authors="Somebody",
)  # fmt: skip


@pytest.fixture
def described() -> tuple[PackageDescription, OutputsDescription]:
    from pydantic import TypeAdapter

    outputs = {"outputs": [output_record()], "scope_classes": [], "scope_threshold": None}
    return (
        TypeAdapter(PackageDescription).validate_python(findings_metadata()["pandok"]),
        TypeAdapter(OutputsDescription).validate_python(outputs),
    )


def test_a_written_bundle_loads_and_tells_monai_what_leaves_the_graph(
    tmp_path: Path, described: tuple[PackageDescription, OutputsDescription]
) -> None:
    description, outputs = described

    folder = write_bundle(tmp_path / "tiny", {ONNX: tiny_onnx()}, description=description, outputs=outputs, text=TEXT)

    package = load_package(folder, recipes=TINY_RECIPES)
    assert (package.name, package.version, package.intended_use) == ("tiny_findings", "0.1.0", "Tests.")
    assert (folder / "docs/README.md").read_text(encoding="utf-8") == "# Карта\n"
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    assert (metadata["authors"], metadata["eval_metrics"], metadata["references"]) == (
        "Somebody",
        {"auroc": 0.9},
        ["r"],
    )
    formats = metadata["network_data_format"]
    assert formats["inputs"]["image"]["spatial_shape"] == [SIZE, SIZE]
    assert formats["outputs"]["heat_map"]["spatial_shape"] == [SIZE, SIZE]  # as in the graph, not a guess
    assert formats["outputs"]["logits"]["channel_def"] == {"0": "finding_0"}


def test_every_file_is_hashed(tmp_path: Path, described: tuple[PackageDescription, OutputsDescription]) -> None:
    description, outputs = described

    folder = write_bundle(tmp_path / "tiny", {ONNX: tiny_onnx()}, description=description, outputs=outputs, text=TEXT)

    listed = set(json.loads((folder / HASHES).read_text(encoding="utf-8"))["sha256"])
    present = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert listed == present - {HASHES}
    assert "docs/deep/er.json" in listed


def test_a_figure_that_is_no_number_is_not_written(
    tmp_path: Path, described: tuple[PackageDescription, OutputsDescription]
) -> None:
    description, outputs = described

    with pytest.raises(ValueError, match="JSON compliant"):
        write_bundle(
            tmp_path / "tiny", {ONNX: tiny_onnx()}, description=description, outputs=outputs,
            text=replace(TEXT, figures={"auroc": float("nan")}),
        )  # fmt: skip
