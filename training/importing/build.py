"""One import from beginning to end: files in, a checked package folder out."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from models.files import ONNX
from models.package import (
    NAME,
    SHIPPED,
    VERSION,
    AppliesTo,
    ModelPackage,
    Output,
    OutputsDescription,
    PackageDescription,
    PackageRefused,
    find_packages,
    load_package,
)
from preprocessing.recipes import RECIPES
from training.bundle import PackageText, write_bundle
from training.drawings import drawn
from training.export import ExportRefused, check_parity
from training.graphs import to_onnx
from training.importing import ImportRefused
from training.importing.answers import Answers, make_output, read_answers
from training.importing.fitting_check import check_fitting, sigmoid
from training.importing.monai_bundle import open_bundle, package_name
from training.importing.surgery import fit
from training.importing.texts import bundle_text, said, torchxrayvision_text

RECIPE = RECIPES["chest_radiograph/1"]
GATE = "chest_scope"
SHAPE = (1, 224, 224)
RADIOGRAPHS = AppliesTo(modalities=("CR", "DX"), body_parts=(), views=(), min_age_years=None, max_age_years=None)
PICTURES = 6
RECORD = "docs/import.json"


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What is to be imported.

    Attributes:
        kind: What `source` is: a weight file of TorchXRayVision, or the folder of a MONAI Bundle.
        source: The file or folder.
        into: The folder of packages.
        name: Of the package; None leaves it to the source.
        answers: A file with what the person says of the model; None without.
    """

    kind: Literal["torchxrayvision", "bundle"]
    source: Path
    into: Path
    name: str | None = None
    answers: Path | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """Everything that a package is made of, and how its graph is held against what it was made from."""

    name: str
    graph: bytes
    outputs: tuple[Output, ...]
    has_heat_map: bool
    text: PackageText
    manufacturer: str
    source_sha256: str
    check: Callable[[ModelPackage], Mapping[str, object]]


def import_package(request: ImportRequest) -> ModelPackage:
    """Make a package and return it as the service will load it.

    Raises:
        ImportRefused: It cannot be imported, the package's graph disagrees with what it was made from, or there is a
            package of that name already.
    """
    answers = read_answers(request.answers)
    if answers.version is not None and not VERSION.fullmatch(answers.version):
        raise ImportRefused(f"the version {answers.version!r} is not of the form 1.2.3")
    plan = (
        _plan_torchxrayvision(request, answers) if request.kind == "torchxrayvision" else _plan_bundle(request, answers)
    )
    request.into.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=request.into, prefix=".import-") as work:
        try:
            draft = load_package(_write(plan, Path(work) / "draft"))
            record = {"source_sha256": plan.source_sha256, "answers": asdict(answers), **plan.check(draft)}
            final = _write(_with_record(plan, record), Path(work) / "final")
            load_package(final)
        except (ExportRefused, PackageRefused) as refusal:
            raise ImportRefused(str(refusal)) from refusal
        final.rename(request.into / plan.name)
    return load_package(request.into / plan.name)


def made_pictures() -> NDArray[np.float32]:
    """Return made pictures as the recipe gives them, float32 (PICTURES, 1, 224, 224), on which graphs are compared."""
    rng = np.random.default_rng(0)
    return np.stack([RECIPE.prepare_array(drawn(rng)).tensor for _ in range(PICTURES)])


def _free_name(request: ImportRequest, name: str) -> str:
    """Return the name that was asked for, or else the given one, if a package can have it."""
    wanted = request.name or name
    if not NAME.fullmatch(wanted):
        raise ImportRefused(f"{wanted!r} is no name for a package: give --name, such as chest_findings")
    if wanted in {folder.name for folder in find_packages(SHIPPED)}:
        raise ImportRefused(f"{wanted} comes with the service, and would no longer be used: give another --name")
    if (request.into / wanted).exists():
        raise ImportRefused(f"{request.into / wanted} is there already: remove it, or give another --name")
    return wanted


def _plan_torchxrayvision(request: ImportRequest, answers: Answers) -> _Plan:
    from training.importing.torchxrayvision import open_weights  # MONAI takes seconds to import

    name = _free_name(request, "torchxrayvision")
    opened = open_weights(request.source, answers)
    outputs = tuple(make_output(channel, answer) for channel, answer in enumerate(opened.outputs))
    pictures = torch.from_numpy(made_pictures())
    return _Plan(
        name=name,
        graph=to_onnx(opened.network, input_shape=SHAPE, output_names=["logits", "heat_map"]),
        outputs=outputs,
        has_heat_map=True,
        text=torchxrayvision_text(opened, outputs, answers),
        manufacturer="TorchXRayVision",
        source_sha256=hashlib.sha256(request.source.read_bytes()).hexdigest(),
        check=lambda package: check_parity(opened.network, pictures, sigmoid, package=package),
    )


def _plan_bundle(request: ImportRequest, answers: Answers) -> _Plan:
    opened = open_bundle(request.source, answers, SHAPE)
    name = _free_name(request, package_name(opened.metadata, request.source))
    outputs = tuple(make_output(channel, answer) for channel, answer in enumerate(opened.outputs))
    pictures = made_pictures()
    return _Plan(
        name=name,
        graph=fit(opened.content, opened.fitting),
        outputs=outputs,
        has_heat_map=opened.fitting.heat_map_output is not None,
        text=bundle_text(opened, outputs, answers),
        manufacturer=said(opened.metadata, "authors", "unknown")[:64],
        source_sha256=hashlib.sha256(opened.content).hexdigest(),
        check=lambda package: check_fitting(opened.content, opened.fitting, pictures, package=package),
    )


def _with_record(plan: _Plan, record: Mapping[str, object]) -> _Plan:
    words = json.dumps(record, indent=1, ensure_ascii=False) + "\n"
    return replace(plan, text=replace(plan.text, extra_files={RECORD: words}))


def _write(plan: _Plan, folder: Path) -> Path:
    description = PackageDescription(
        name=plan.name,
        kind="findings",
        recipe=RECIPE.name,
        recipe_sha256=RECIPE.sha256,
        input_shape=SHAPE,
        has_heat_map=plan.has_heat_map,
        gate=GATE,
        applies_to=RADIOGRAPHS,
        manufacturer=plan.manufacturer,
        licence="see LICENSE",
    )
    outputs = OutputsDescription(outputs=plan.outputs, scope_classes=(), scope_threshold=None)
    return write_bundle(folder, {ONNX: plan.graph}, description=description, outputs=outputs, text=plan.text)
