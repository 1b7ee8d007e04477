"""Weights → ONNX → model package; refuses when the two disagree or when the loader would refuse the result."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.files import ONNX, ONNX_HALF
from models.package import AppliesTo, ModelPackage, OutputsDescription, PackageDescription, load_package
from models.session import Precision, ScoringFailed, Session
from preprocessing.recipes import RECIPES, Recipe
from training.bundle import PackageText as PackageText
from training.bundle import write_bundle
from training.cases import Case, of_split
from training.films import stack_films
from training.graphs import BATCH, to_onnx
from training.half import rounded_outputs, to_half
from training.network import SIZE

PARITY = 1e-4
"""Largest allowed difference in probability between torch and ONNX Runtime on real films."""
HALF_PARITY = 2e-2
"""The same for the half precision graph: 11 significant bits in weights and results. EfficientNet-Lite0 (Platt slopes
up to 2) differed by 0.0085 at most on 280 films; what a package differs by stands in its docs/parity.json."""
HEAT_MAP_PARITY = {"fp32": 1e-3, "fp16": 5e-2}
"""Largest allowed difference of a heat map, as a part of the largest value in all maps."""
MANUFACTURER = "Pandok"
PARITY_RECORD = "docs/parity.json"

ToProbabilities = Callable[[NDArray[np.float64]], NDArray[np.float64]]


PARITY_FILMS = 96
"""On so many films of val, evenly spaced, torch and ONNX Runtime are compared."""


class ExportRefused(Exception):
    """Why no package was made, in one sentence."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How far a graph is from the torch module on some films.

    Attributes:
        probability: Largest difference of a probability.
        heat_map: Largest difference of a heat map's value, as a part of the largest value; 0 without heat maps.
    """

    probability: float
    heat_map: float


def require_recipe(run: Mapping[str, Any], recipe: Recipe) -> None:
    """Refuse a run that was trained with another version of the recipe than the one that would serve it.

    Args:
        run: The run's record.
        recipe: Of this installation.

    Raises:
        ExportRefused: Their hashes differ.
    """
    if run["recipe_sha256"] != recipe.sha256:
        raise ExportRefused(f"the recipe {recipe.name} changed since the run was trained: train again")


def parity_films(cases: Sequence[Case], recipe: Recipe) -> Tensor:
    """Return some films of val, (n, 1, rows, columns), on which torch and ONNX Runtime must agree."""
    films = of_split(cases, "val")
    return stack_films(films[:: max(1, len(films) // PARITY_FILMS)], recipe)


def describe_chest_package(
    name: str,
    recipe: Recipe,
    *,
    gate: str | None,
    min_age_years: float | None = None,
    licence: str = "Apache-2.0",
) -> PackageDescription:
    """Return the `pandok` block of a package for chest radiographs; one without a gate is a gate itself."""
    return PackageDescription(
        name=name,
        kind="scope_gate" if gate is None else "findings",
        recipe=recipe.name,
        recipe_sha256=recipe.sha256,
        input_shape=(1, SIZE, SIZE),
        has_heat_map=gate is not None,
        gate=gate,
        applies_to=AppliesTo(
            modalities=("CR", "DX"), body_parts=(), views=(), min_age_years=min_age_years, max_age_years=None
        ),
        manufacturer=MANUFACTURER,
        licence=licence,
    )


def export_package(
    network: nn.Module,
    images: Tensor,
    to_probabilities: ToProbabilities,
    *,
    folder: Path,
    description: PackageDescription,
    outputs: OutputsDescription,
    text: PackageText,
    recipes: Mapping[str, Recipe] = RECIPES,
) -> ModelPackage:
    """Write a package folder and return the package as the service will load it.

    A findings package gets its network in half precision too. A scope gate does not: it judges pictures unlike any
    film, and what parity on films says of fp16's small range does not hold for those.

    Args:
        network: In evaluation mode; gives logits, or logits and heat maps.
        images: Real films, float32 (n, 1, rows, columns), on which torch and ONNX Runtime must agree.
        to_probabilities: Logits (n, k) → probabilities (n, k).
        folder: Where the package goes; an older one there is replaced, but only once the new one is accepted.
        description: The `pandok` block of the metadata; its recipe hash is that of the run that made the weights.
        outputs: Content of configs/outputs.json.
        text: What people read.
        recipes: The recipes of this installation.

    Raises:
        ExportRefused: The recipe is not the one that the weights were trained with, or torch and ONNX Runtime differ
            by more than PARITY in probability, or HALF_PARITY in half precision.
        models.package.PackageRefused: The result does not pass the loader.
    """
    _check_recipe(description, recipes)
    names = ["logits", "heat_map"] if description.has_heat_map else ["logits"]
    content = to_onnx(network, input_shape=description.input_shape, output_names=names)
    graphs = {ONNX: content}
    if description.kind == "findings":
        graphs[ONNX_HALF] = to_half(content)
    with tempfile.TemporaryDirectory() as work:
        draft = write_bundle(Path(work) / "draft", graphs, description=description, outputs=outputs, text=text)
        found = check_parity(network, images, to_probabilities, package=load_package(draft, recipes=recipes))
        record = json.dumps({"films": len(images), **found}, indent=1) + "\n"
        text = replace(text, extra_files={**text.extra_files, PARITY_RECORD: record})
        final = write_bundle(Path(work) / "final", graphs, description=description, outputs=outputs, text=text)
        load_package(final, recipes=recipes)
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(final, folder)
    return load_package(folder, recipes=recipes)


def check_parity(
    network: nn.Module, images: Tensor, to_probabilities: ToProbabilities, *, package: ModelPackage
) -> dict[str, object]:
    """Hold a package's graphs against the torch module and return what was found, as JSON values by precision.

    The half precision graph is measured twice, as it is and with a GPU's rounding (`training.half`); the worse counts.

    Raises:
        ExportRefused: They differ too much.
    """
    pictures, expected = images.numpy(), torch_outputs(network, images)
    found = {"fp32": [session_outputs(package, pictures, precision="fp32")]}
    if package.half_sha256 is not None:
        rounded = rounded_outputs(package.onnx_path.read_bytes(), pictures)
        found["fp16"] = [session_outputs(package, pictures, precision="fp16"), list(rounded.values())]
    record: dict[str, object] = {}
    for precision, measured in found.items():
        differences = [difference(expected, outputs, to_probabilities) for outputs in measured]
        worst = Difference(max(d.probability for d in differences), max(d.heat_map for d in differences))
        bound = Difference(PARITY if precision == "fp32" else HALF_PARITY, HEAT_MAP_PARITY[precision])
        if not (worst.probability <= bound.probability and worst.heat_map <= bound.heat_map):
            raise ExportRefused(
                f"torch and ONNX Runtime differ by {worst.probability:.1e} in probability and {worst.heat_map:.1e} of "
                f"the heat maps' range ({precision}; allowed are {bound.probability:.0e} and {bound.heat_map:.0e})"
            )
        record[precision] = {"largest_difference": asdict(worst), "allowed": asdict(bound)}
    return record


@torch.no_grad()
def torch_outputs(network: nn.Module, images: Tensor) -> list[NDArray[np.float32]]:
    """Return logits, and heat maps where the network has them, of images (n, 1, rows, columns)."""
    network.eval()
    parts = [network(part) for part in torch.split(images, BATCH)]
    if isinstance(parts[0], Tensor):
        return [torch.cat(parts).numpy()]
    return [torch.cat(output).numpy() for output in zip(*parts, strict=True)]


def session_outputs(
    package: ModelPackage, images: NDArray[np.float32], *, precision: Precision
) -> list[NDArray[np.float32]]:
    """Return what a package gives for images, as the service runs it: logits, and heat maps where it has them."""
    session = Session(package, precision=precision)
    try:
        scores = [session.run(images[start : start + BATCH]) for start in range(0, len(images), BATCH)]
    except ScoringFailed as failure:
        raise ExportRefused(f"ONNX Runtime gives no scores ({precision}): {failure}") from failure
    maps = [part.heat_map for part in scores if part.heat_map is not None]
    logits = np.concatenate([part.logits for part in scores])
    return [logits, np.concatenate(maps)] if maps else [logits]


def difference(
    expected: Sequence[NDArray[np.float32]],
    found: Sequence[NDArray[np.float32]],
    to_probabilities: ToProbabilities,
) -> Difference:
    """Return how far logits and heat maps are from those expected; infinite where something is no number."""
    if not all(np.isfinite(values).all() for values in found):
        return Difference(np.inf, np.inf)
    ours, served = (to_probabilities(outputs[0].astype(np.float64)) for outputs in (expected, found))
    heat_map = 0.0
    if len(expected) > 1:
        heat_map = float(np.abs(expected[1] - found[1]).max() / max(float(np.abs(expected[1]).max()), 1e-6))
    return Difference(float(np.abs(ours - served).max()), heat_map)


def _check_recipe(description: PackageDescription, recipes: Mapping[str, Recipe]) -> None:
    recipe = recipes.get(description.recipe)
    if recipe is None or recipe.sha256 != description.recipe_sha256:
        raise ExportRefused(f"{description.recipe} is not the recipe that the weights were trained with: train again")
