"""Weights → ONNX → model package; refuses when the two disagree or when the loader would refuse the result."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import json
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.files import CARD, HASHES, INFERENCE, LICENCE, METADATA, ONNX, OUTPUTS, hash_files
from models.package import ModelPackage, OutputsDescription, PackageDescription, load_package
from models.session import Session
from preprocessing.recipes import RECIPES, Recipe

PARITY = 1e-4
"""Largest allowed difference in probability between torch and ONNX Runtime on real films."""
OPSET = 18
SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
MANUFACTURER = "Pandok"


class ExportRefused(Exception):
    """Why no package was made, in one sentence."""


@dataclass(frozen=True, slots=True)
class PackageText:
    """What people read of a package, beyond what the loader needs."""

    version: str
    task: str
    description: str
    intended_use: str
    data_source: str
    references: tuple[str, ...]
    changelog: Mapping[str, str]
    figures: Mapping[str, float]
    card: str
    licence: str
    extra_files: Mapping[str, str]
    """Further text files by relative path: the evaluation, attributions."""


def export_package(
    network: nn.Module,
    images: Tensor,
    to_probabilities: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    folder: Path,
    description: PackageDescription,
    outputs: OutputsDescription,
    text: PackageText,
    recipes: Mapping[str, Recipe] = RECIPES,
) -> ModelPackage:
    """Write a package folder and return the package as the service will load it.

    Args:
        network: In evaluation mode; gives logits, or logits and heat maps.
        images: Real films, float32 (n, 1, rows, columns), on which torch and ONNX Runtime must agree.
        to_probabilities: Logits (n, k) → probabilities (n, k).
        folder: Where the package goes; an older one there is replaced, but only once the new one is accepted.
        description: The `pandok` block of the metadata.
        outputs: Content of configs/outputs.json.
        text: What people read.
        recipes: The recipes of this installation.

    Raises:
        ExportRefused: Torch and ONNX Runtime differ by more than PARITY in probability.
        models.package.PackageRefused: The result does not pass the loader.
    """
    names = ["logits", "heat_map"] if description.has_heat_map else ["logits"]
    content = to_onnx(network, input_shape=description.input_shape, output_names=names)
    with tempfile.TemporaryDirectory() as work:
        draft = Path(work) / description.name
        _write(draft, content, description, outputs, text)
        difference = parity(network, Session(load_package(draft, recipes=recipes)), images, to_probabilities)
        if difference > PARITY:
            raise ExportRefused(f"torch and ONNX Runtime differ by {difference:.1e} in probability")
        if folder.exists():
            shutil.rmtree(folder)
        shutil.copytree(draft, folder)
    return load_package(folder, recipes=recipes)


def to_onnx(network: nn.Module, *, input_shape: tuple[int, int, int], output_names: Sequence[str]) -> bytes:
    """Return the network as ONNX bytes with a free batch axis and all weights inside."""
    network.eval()
    example = torch.rand(2, *input_shape)
    with tempfile.TemporaryDirectory() as work, warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # the exporter warns about its own dependencies
        path = Path(work) / "model.onnx"
        torch.onnx.export(
            network,
            (example,),
            path,
            input_names=["image"],
            output_names=list(output_names),
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            external_data=False,
            opset_version=OPSET,
            verbose=False,
        )
        return without_traces(path.read_bytes())


def without_traces(content: bytes) -> bytes:
    """Return the ONNX file without the exporter's stack traces: they name folders of the machine that made it."""
    model = onnx.load_from_string(content)
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    return bytes(model.SerializeToString())


@torch.no_grad()
def parity(
    network: nn.Module,
    session: Session,
    images: Tensor,
    to_probabilities: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> float:
    """Return the largest difference in probability between torch and ONNX Runtime over some films."""
    worst = 0.0
    for part in torch.split(images, 8):
        result = network(part)
        logits = result[0] if isinstance(result, tuple) else result
        ours = to_probabilities(logits.double().numpy())
        served = to_probabilities(session.run(part.numpy()).logits.astype(np.float64))
        worst = max(worst, float(np.abs(ours - served).max()))
    return worst


def _write(
    folder: Path, content: bytes, description: PackageDescription, outputs: OutputsDescription, text: PackageText
) -> None:
    texts = {
        METADATA: _json(metadata(description, outputs, text)),
        INFERENCE: _json(inference(description)),
        OUTPUTS: _json(asdict(outputs)),
        CARD: text.card,
        LICENCE: text.licence,
        **text.extra_files,
    }
    for path, words in texts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(words, encoding="utf-8")
    (folder / ONNX).parent.mkdir()
    (folder / ONNX).write_bytes(content)
    (folder / HASHES).write_text(_json({"sha256": hash_files(folder)}), encoding="utf-8")


def metadata(description: PackageDescription, outputs: OutputsDescription, text: PackageText) -> dict[str, object]:
    """Return configs/metadata.json: MONAI's fields and the `pandok` block."""
    channels: Sequence[str] = [output.finding for output in outputs.outputs] or outputs.scope_classes
    rows, columns = description.input_shape[1:]
    tensor = {"is_patch_data": False, "dtype": "float32"}
    formats: dict[str, object] = {
        "logits": {
            **tensor,
            "type": "probabilities",
            "format": "classification",
            "num_channels": len(channels),
            "spatial_shape": [],
            "value_range": [],
            "channel_def": dict(enumerate(channels)),
        },
    }
    if description.has_heat_map:
        formats["heat_map"] = {
            **tensor,
            "type": "image",
            "format": "class activation",
            "num_channels": len(channels),
            "spatial_shape": [rows // 32, columns // 32],
            "value_range": [],
            "channel_def": dict(enumerate(channels)),
        }
    return {
        "schema": SCHEMA,
        "version": text.version,
        "changelog": dict(text.changelog),
        "monai_version": importlib.metadata.version("monai"),
        "pytorch_version": torch.__version__,
        "numpy_version": np.__version__,
        "required_packages_version": {"onnxruntime": importlib.metadata.version("onnxruntime")},
        "name": description.name,
        "task": text.task,
        "description": text.description,
        "authors": "The Pandok authors",
        "copyright": "Copyright (c) The Pandok authors",
        "data_source": text.data_source,
        "data_type": "dicom",
        "image_classes": "one grey channel, letter-boxed, 0..1, bright = dense",
        "pred_classes": ", ".join(channels),
        "eval_metrics": dict(text.figures),
        "intended_use": text.intended_use,
        "references": list(text.references),
        "network_data_format": {
            "inputs": {
                "image": {
                    **tensor,
                    "type": "image",
                    "format": "magnitude",
                    "modality": "CR/DX",
                    "num_channels": 1,
                    "spatial_shape": [rows, columns],
                    "value_range": [0, 1],
                    "channel_def": {"0": "image"},
                },
            },
            "outputs": formats,
        },
        "pandok": asdict(description),
    }


def inference(description: PackageDescription) -> dict[str, object]:
    """Return configs/inference.json: a MONAI Bundle config that scores one 8-bit picture through the recipe."""
    return {
        "imports": ["$import numpy", "$from PIL import Image", "$from preprocessing.recipes import RECIPES"],
        "bundle_root": ".",
        "picture": "film.png",
        "recipe": f"$RECIPES['{description.recipe}']",
        "session": {
            "_target_": "onnxruntime.InferenceSession",
            "path_or_bytes": "$@bundle_root + '/models/model.onnx'",
            "providers": ["CPUExecutionProvider"],
        },
        "image": "$@recipe.prepare_array(numpy.asarray(Image.open(@picture).convert('L'))).tensor[None]",
        "logits": "$@session.run(['logits'], {'image': @image})[0]",
        "run": ["$print(@logits)"],
    }


def _json(value: object) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
