"""The files of a model package, written as a MONAI Bundle."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from models.files import CARD, HASHES, INFERENCE, LICENCE, METADATA, ONNX, OUTPUTS, hash_files
from models.onnx_file import summarize
from models.package import OutputsDescription, PackageDescription

SCHEMA = "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
AUTHORS = "The Pandok authors"


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
    authors: str = AUTHORS
    copyright: str = f"Copyright (c) {AUTHORS}"


def write_bundle(
    folder: Path,
    graphs: Mapping[str, bytes],
    *,
    description: PackageDescription,
    outputs: OutputsDescription,
    text: PackageText,
) -> Path:
    """Write a package folder, its hashes last, and return it.

    Args:
        folder: Must not be there yet.
        graphs: ONNX files by relative path; `models/model.onnx` is one of them.
        description: The `pandok` block of the metadata.
        outputs: Content of configs/outputs.json.
        text: What people read.
    """
    heat_map = summarize(graphs[ONNX]).outputs.get("heat_map")
    shape = heat_map.shape[2:] if heat_map and heat_map.shape else ()
    texts = {
        METADATA: _json(metadata(description, outputs, text, heat_map_shape=shape)),
        INFERENCE: _json(inference(description)),
        OUTPUTS: _json(asdict(outputs)),
        CARD: text.card,
        LICENCE: text.licence,
        **text.extra_files,
    }
    files = {**{path: words.encode() for path, words in texts.items()}, **graphs}
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    (folder / HASHES).write_text(_json({"sha256": hash_files(folder)}), encoding="utf-8")
    return folder


def metadata(
    description: PackageDescription,
    outputs: OutputsDescription,
    text: PackageText,
    *,
    heat_map_shape: Sequence[int | None],
) -> dict[str, object]:
    """Return configs/metadata.json: MONAI's fields and the `pandok` block."""
    channels = [output.finding for output in outputs.outputs] or list(outputs.scope_classes)
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
        "authors": text.authors,
        "copyright": text.copyright,
        "data_source": text.data_source,
        "data_type": "dicom",
        "image_classes": "one grey channel, letter-boxed, 0..1, bright = dense",
        "pred_classes": ", ".join(channels),
        "eval_metrics": dict(text.figures),
        "intended_use": text.intended_use,
        "references": list(text.references),
        "network_data_format": data_format(description, channels, heat_map_shape=heat_map_shape),
        "pandok": asdict(description),
    }


def data_format(
    description: PackageDescription, channels: Sequence[str], *, heat_map_shape: Sequence[int | None]
) -> dict[str, object]:
    """Return MONAI's `network_data_format`: what enters and leaves the graph."""
    channel_count, rows, columns = description.input_shape
    tensor = {"is_patch_data": False, "dtype": "float32"}
    scores = {"num_channels": len(channels), "value_range": [], "channel_def": dict(enumerate(channels))}
    formats: dict[str, object] = {
        "logits": {**tensor, "type": "probabilities", "format": "classification", **scores, "spatial_shape": []},
    }
    if description.has_heat_map:
        activation = {**tensor, "type": "image", "format": "class activation", **scores}
        formats["heat_map"] = {**activation, "spatial_shape": list(heat_map_shape)}
    image = {
        **tensor,
        "type": "image",
        "format": "magnitude",
        "modality": "CR/DX",
        "num_channels": channel_count,
        "spatial_shape": [rows, columns],
        "value_range": [0, 1],
        "channel_def": {"0": "image"},
    }
    return {"inputs": {"image": image}, "outputs": formats}


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
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
