"""Reads and checks a model package folder; returns a frozen ModelPackage."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from models.files import (
    METADATA,
    ONNX,
    ONNX_HALF,
    OUTPUTS,
    checked_contents,
    identity,
    json_object,
)
from models.files import PackageRefused as PackageRefused
from models.onnx_file import OnnxFileRefused, OnnxSummary, summarize
from models.outputs import Calibration as Calibration
from models.outputs import Evidence as Evidence
from models.outputs import Names as Names
from models.outputs import OperatingPoint as OperatingPoint
from models.outputs import Output as Output
from models.outputs import check_output
from preprocessing.errors import Reason
from preprocessing.recipes import RECIPES, SERIES_RECIPES, Recipe, SeriesRecipe

Described = TypeVar("Described")

INSTALLED: Mapping[str, Recipe | SeriesRecipe] = {**RECIPES, **SERIES_RECIPES}
"""Every recipe of this installation."""
IMAGE_AXES, VOLUME_AXES = 3, 4
"""Axes of the tensor of an image (channels, rows, columns) and of a volume (channels, z, y, x)."""

SHIPPED = Path(__file__).parent
"""Holds the packages that come with the service."""

NAME = re.compile(r"[a-z][a-z0-9_]{1,63}")
VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True, slots=True)
class AppliesTo:
    """Which images the package may score; a rule that is empty holds for all."""

    modalities: tuple[str, ...]
    body_parts: tuple[str, ...]
    views: tuple[str, ...]
    min_age_years: float | None
    max_age_years: float | None


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A checked model package. Nothing here is read again from disk but the ONNX file's bytes."""

    name: str
    version: str
    kind: Literal["findings", "scope_gate"]
    folder: Path
    onnx_path: Path
    sha256: str
    """Over every file of the package: the identity that is stored with every score."""
    weights_sha256: str
    recipe: str
    """`name/version`, such as `chest_radiograph/1`."""
    recipe_sha256: str
    input_shape: tuple[int, ...]
    """(channels, rows, columns) of the tensor `image`, float32; (channels, z, y, x) of one that reads volumes."""
    outputs: tuple[Output, ...]
    """For kind `findings`: the channels of `logits`."""
    scope_classes: tuple[str, ...]
    """For kind `scope_gate`: what the channels of `logits` mean; the first is `in_scope`, the others are
    `preprocessing.errors.Reason` values; softmax over them."""
    scope_threshold: float | None
    """Least softmax probability of `in_scope` at which an image is let through."""
    gate: str | None
    """Name of the scope gate package that must let an image through first; None for a gate itself."""
    applies_to: AppliesTo
    has_heat_map: bool
    """The graph has an output `heat_map`, float32 (batch, outputs, h, w), of class activations."""
    intended_use: str
    licence: str
    manufacturer: str
    half_sha256: str | None = None
    """SHA-256 of models/model_fp16.onnx, the same network in half precision for a GPU; None: there is none."""

    @property
    def reads_series(self) -> bool:
        """It scores a series as one volume, and not image by image."""
        return len(self.input_shape) == VOLUME_AXES


@dataclass(frozen=True, slots=True)
class PackageDescription:
    """The `pandok` block of configs/metadata.json: what MONAI's fields do not say."""

    name: str
    kind: Literal["findings", "scope_gate"]
    recipe: str
    recipe_sha256: str
    input_shape: tuple[int, ...]
    has_heat_map: bool
    gate: str | None
    applies_to: AppliesTo
    manufacturer: str
    licence: str


@dataclass(frozen=True, slots=True)
class OutputsDescription:
    """configs/outputs.json: one record per output channel, or the classes of a scope gate."""

    outputs: tuple[Output, ...]
    scope_classes: tuple[str, ...]
    scope_threshold: float | None


def load_package(folder: Path, *, recipes: Mapping[str, Recipe | SeriesRecipe] = INSTALLED) -> ModelPackage:
    """Read and check a package folder (a MONAI Bundle, DESIGN section 6).

    Args:
        folder: Holds configs/metadata.json, configs/inference.json, configs/outputs.json, configs/hashes.json,
            models/model.onnx, docs/README.md and LICENSE; models/model_fp16.onnx may be there.
        recipes: The recipes that this installation has.

    Returns:
        The checked package.

    Raises:
        PackageRefused: A file is missing or altered, the recipe's hash differs from the one in
            `preprocessing.recipes`, the ONNX file has external data, unknown operators or other inputs and outputs
            than the description says.
    """
    contents = checked_contents(folder)
    metadata = json_object(contents[METADATA], METADATA)
    described = _parse(TypeAdapter(PackageDescription), metadata.get("pandok"), f"the pandok block of {METADATA}")
    outputs = _parse(TypeAdapter(OutputsDescription), json_object(contents[OUTPUTS], OUTPUTS), OUTPUTS)
    version = str(metadata.get("version"))
    intended_use = metadata.get("intended_use")
    if not NAME.fullmatch(described.name) or not VERSION.fullmatch(version):
        raise PackageRefused(f"name {described.name!r} or version {version!r} is not of the form name_1 and 1.2.3")
    if not isinstance(intended_use, str) or not intended_use:
        raise PackageRefused(f"{METADATA} does not say the intended use")
    _check_recipe(described, recipes)
    _check_outputs(described, outputs)
    sha256 = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    for path in (ONNX, ONNX_HALF):
        if path in contents:
            _check_graph(path, contents[path], described, outputs)
    return ModelPackage(
        name=described.name,
        version=version,
        kind=described.kind,
        folder=folder,
        onnx_path=folder / ONNX,
        sha256=identity(sha256),
        weights_sha256=sha256[ONNX],
        recipe=described.recipe,
        recipe_sha256=described.recipe_sha256,
        input_shape=described.input_shape,
        outputs=outputs.outputs,
        scope_classes=outputs.scope_classes,
        scope_threshold=outputs.scope_threshold,
        gate=described.gate,
        applies_to=described.applies_to,
        has_heat_map=described.has_heat_map,
        intended_use=intended_use,
        licence=described.licence,
        manufacturer=described.manufacturer,
        half_sha256=sha256.get(ONNX_HALF),
    )


def find_packages(folder: Path) -> list[Path]:
    """Return the package folders directly inside a folder, by name; whether they may serve is for `load_package`."""
    return sorted(path.parent.parent for path in folder.glob(f"*/{METADATA}"))


def _parse(adapter: TypeAdapter[Described], value: object, where: str) -> Described:
    """Turn JSON values into frozen types; unknown keys and wrong types are refused with the place named."""
    try:
        return adapter.validate_json(json.dumps(value), strict=True, extra="forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise PackageRefused(f"{where}: {place or 'block'}: {first['msg']}") from error


def _check_recipe(described: PackageDescription, recipes: Mapping[str, Recipe | SeriesRecipe]) -> None:
    recipe = recipes.get(described.recipe)
    if recipe is None:
        raise PackageRefused(f"recipe {described.recipe!r} is not in this installation")
    if recipe.sha256 != described.recipe_sha256:
        raise PackageRefused(f"recipe {described.recipe!r} differs from the one that the package was made with")
    reads_series = described.recipe in SERIES_RECIPES
    if len(described.input_shape) != (VOLUME_AXES if reads_series else IMAGE_AXES):
        raise PackageRefused(f"input_shape does not have the axes of what recipe {described.recipe!r} makes")
    if reads_series and (described.has_heat_map or described.kind != "findings" or described.gate is not None):
        raise PackageRefused("a package for volumes gives findings only: no heat map, and no scope gate")


def _check_outputs(described: PackageDescription, outputs: OutputsDescription) -> None:
    if described.kind == "scope_gate":
        _check_scope(described, outputs)
        return
    if outputs.scope_classes or outputs.scope_threshold is not None:
        raise PackageRefused(f"{OUTPUTS}: a findings package has no scope classes")
    if [output.channel for output in outputs.outputs] != list(range(len(outputs.outputs))) or not outputs.outputs:
        raise PackageRefused(f"{OUTPUTS}: channels must be 0, 1, 2, ... in order")
    if len({output.finding for output in outputs.outputs}) != len(outputs.outputs):
        raise PackageRefused(f"{OUTPUTS}: a finding is there twice")
    for output in outputs.outputs:
        check_output(output)


def _check_scope(described: PackageDescription, outputs: OutputsDescription) -> None:
    classes, threshold = outputs.scope_classes, outputs.scope_threshold
    if outputs.outputs or described.gate is not None or described.has_heat_map:
        raise PackageRefused(f"{OUTPUTS}: a scope gate has classes only, no outputs, heat map or gate of its own")
    reasons = {reason.value for reason in Reason}
    if len(classes) < 2 or classes[0] != "in_scope" or not reasons.issuperset(classes[1:]):
        raise PackageRefused(f"{OUTPUTS}: scope classes must be in_scope and then known reasons")
    if len(set(classes)) != len(classes) or threshold is None or not 0 < threshold < 1:
        raise PackageRefused(f"{OUTPUTS}: scope classes must differ and have a threshold between 0 and 1")


def _check_graph(path: str, content: bytes, described: PackageDescription, outputs: OutputsDescription) -> None:
    try:
        _check_tensors(described, outputs, summarize(content))
    except (OnnxFileRefused, PackageRefused) as refusal:
        raise PackageRefused(f"{path}: {refusal}") from refusal


def _check_tensors(described: PackageDescription, outputs: OutputsDescription, summary: OnnxSummary) -> None:
    """Hold the graph's inputs and outputs against the description; a batch axis of fixed size 1 is not enough."""
    channels = len(outputs.outputs) or len(outputs.scope_classes)
    image = summary.inputs.get("image")
    if set(summary.inputs) != {"image"} or image is None or not image.is_float32:
        raise PackageRefused("the only input must be `image`, float32")
    if image.shape != (None, *described.input_shape):
        raise PackageRefused(f"input `image` has another shape than {METADATA} says")
    wanted = {"logits", "heat_map"} if described.has_heat_map else {"logits"}
    if set(summary.outputs) != wanted or not all(tensor.is_float32 for tensor in summary.outputs.values()):
        raise PackageRefused(f"the outputs must be float32 and named {', '.join(sorted(wanted))}")
    if summary.outputs["logits"].shape != (None, channels):
        raise PackageRefused(f"output `logits` must have shape (batch, {channels})")
    if described.has_heat_map:
        shape = summary.outputs["heat_map"].shape
        if shape is None or len(shape) != 4 or shape[:2] != (None, channels):
            raise PackageRefused(f"output `heat_map` must have shape (batch, {channels}, h, w)")
