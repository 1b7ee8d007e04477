"""The frozen part of the network, run once over every film and its augmented copies, and kept for the loop."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset
from tqdm import tqdm

from preprocessing.recipes import Recipe
from training.cases import Case
from training.films import augmentation, film_dataset
from training.graphs import to_onnx
from training.network import SIZE

Features = NDArray[np.float16]
BATCH = 16


class FilmFeatures(Dataset[tuple[Tensor, Tensor]]):
    """What the front made of films, one of their copies drawn at each look.

    Args:
        features: float16 (copies, n, c, h, w); copy 0 is the film as it is.
        labels: (n, k), NaN where unknown.
        plain_share: How often the film is taken as it is; otherwise one of its augmented copies.
    """

    def __init__(self, features: Features, labels: NDArray[np.float64], *, plain_share: float) -> None:
        self.features = features
        self.labels = torch.from_numpy(labels).float()
        self.plain_share = plain_share

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, film: int) -> tuple[Tensor, Tensor]:
        copies = self.features.shape[0]
        plain = copies == 1 or float(torch.rand(())) < self.plain_share
        copy = 0 if plain else int(torch.randint(1, copies, ()))
        return torch.from_numpy(np.array(self.features[copy, film])).float(), self.labels[film]


def front_runner(front: nn.Module, device: torch.device) -> Callable[[Tensor], Features]:
    """Return a function from images (n, 1, rows, columns) to what the front makes of them, float16 (n, c, h, w).

    On a CPU it is ONNX Runtime that runs the front: several times as fast as torch without gradients.
    """
    if device.type != "cpu" or isinstance(front, nn.Identity):
        front = front.to(device)

        @torch.no_grad()
        def run_torch(images: Tensor) -> Features:
            values: Features = front(images.to(device)).half().cpu().numpy()
            return values

        return run_torch
    options = ort.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    content = to_onnx(front, input_shape=(1, SIZE, SIZE), output_names=["features"])
    session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def run_onnx(images: Tensor) -> Features:
        values: Features = session.run(None, {"image": images.numpy()})[0].astype(np.float16)
        return values

    return run_onnx


@dataclass(frozen=True, slots=True)
class FeatureSource:
    """How films become features.

    Attributes:
        recipe: The recipe of serving.
        run_front: From `front_runner`.
        seed: Decides the augmentation.
        key: Everything else that decides the features; other ones under the same name are made anew.
    """

    recipe: Recipe
    run_front: Callable[[Tensor], Features]
    seed: int
    key: str


def make_features(cases: Sequence[Case], source: FeatureSource, *, copies: int, path: Path) -> None:
    """Run the front over films and `copies` - 1 augmented copies of each, unless that has been done.

    Writes `path`, a .npy file, float16 (copies, n, c, h, w), copy 0 being the film as it is; and beside it what it was
    made from, last: without that the file is not whole.
    """
    note = path.with_suffix(".json")
    made_from = json.dumps({"key": source.key, "seed": source.seed, "copies": copies, "films": len(cases)})
    if path.exists() and note.exists() and note.read_text(encoding="utf-8") == made_from:
        return
    note.unlink(missing_ok=True)
    films = film_dataset(cases, source.recipe)
    vary = Compose(augmentation()).set_random_state(seed=source.seed)
    kept: np.memmap[Any, np.dtype[np.float16]] | None = None
    with tqdm(total=copies * len(cases), desc=f"features, {path.stem}", unit="film", mininterval=5) as progress:
        for copy in range(copies):
            for start, images in _batches(films, vary if copy else None):
                values = source.run_front(images)
                if kept is None:
                    shape = (copies, len(cases), *values.shape[1:])
                    kept = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=shape)
                kept[copy, start : start + len(values)] = values
                progress.update(len(values))
    if kept is None:
        raise ValueError("there are no films")
    kept.flush()
    note.write_text(made_from, encoding="utf-8")


def feature_batches(features: Features, device: torch.device, *, batch: int = 64) -> Iterator[Tensor]:
    """Yield features (n, c, h, w) in parts, float32, on a device."""
    for start in range(0, len(features), batch):
        part = torch.from_numpy(np.array(features[start : start + batch])).float().to(device)
        yield part.contiguous(memory_format=torch.channels_last)


def _batches(films: Sequence[dict[str, Tensor]], vary: Compose | None) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(films), BATCH):
        images = [films[index]["image"] for index in range(start, min(start + BATCH, len(films)))]
        if vary is not None:
            images = [vary({"image": image.clone()})["image"] for image in images]
        yield start, torch.stack(images)
