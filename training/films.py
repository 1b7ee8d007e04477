"""Films as tensors: MONAI datasets over the serving recipe, and the augmentation that breaks acquisition style."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.data import CacheDataset
from monai.transforms import (
    Compose,
    EnsureTyped,
    MapTransform,
    RandAdjustContrastd,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandScaleIntensityd,
    RandShiftIntensityd,
)
from numpy.typing import NDArray
from torch import Tensor

from preprocessing.recipes import Recipe
from training.cases import Case, ImageFiles, load_tensors

Item = dict[Hashable, Any]


class PrepareFilmd(MapTransform):  # type: ignore[misc]  # MONAI has no types for us
    """Case → the tensor that serving would make of its image: the recipe's own functions.

    Args:
        recipe: The recipe of serving.
        files: Opens the images.
    """

    def __init__(self, recipe: Recipe, files: ImageFiles) -> None:
        super().__init__(keys=["image"])
        self.recipe = recipe
        self.files = files

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Replace the case under `image` by its tensor, float32 (1, rows, columns), 0..1."""
        return {**data, "image": self.files.tensor(data["image"], self.recipe)}


class RandBlankBordersd(Randomizable, MapTransform):  # type: ignore[misc]  # as above
    """Blank strips at random edges and a random corner patch: letters, collimator edges and file geometry lie there.

    Args:
        prob: Chance that a film is touched.
        share: Widest strip, as a share of the side.
    """

    def __init__(self, *, prob: float, share: float) -> None:
        MapTransform.__init__(self, keys=["image"])
        self.prob = prob
        self.share = share

    def __call__(self, data: Mapping[Hashable, Any]) -> Item:
        """Return the item with a blanked copy of `image`, (1, rows, columns)."""
        if self.R.random() >= self.prob:
            return dict(data)
        image = torch.clone(torch.as_tensor(data["image"]))
        rows, columns = image.shape[-2:]
        grey = 0.0 if self.R.random() < 0.7 else float(self.R.random())
        top, bottom, left, right = (int(self.R.random() * self.share * side) for side in (rows, rows, columns, columns))
        image[:, :top] = grey
        image[:, rows - bottom :] = grey
        image[:, :, :left] = grey
        image[:, :, columns - right :] = grey
        if self.R.random() < 0.5:
            height, width = (int(side * self.R.uniform(0.08, 0.2)) for side in (rows, columns))
            at_row = 0 if self.R.random() < 0.7 else rows - height
            at_column = 0 if self.R.random() < 0.5 else columns - width
            image[:, at_row : at_row + height, at_column : at_column + width] = grey
        return {**data, "image": image}


def augmentation() -> list[Any]:
    """Return the random transforms of training: another unit, another technician, another patient, mirrored or not."""
    return [
        RandFlipd(keys=["image"], prob=0.5, spatial_axis=1),  # no output depends on the side
        RandAffined(
            keys=["image"],
            prob=0.9,
            rotate_range=0.17,  # radians: 10 degrees
            shear_range=0.05,
            translate_range=(14, 14),
            scale_range=(0.18, 0.18),  # rows and columns by themselves: aspect ratio alone tells Kermany's label
            padding_mode="zeros",
            mode="bilinear",
        ),
        RandAdjustContrastd(keys=["image"], prob=0.7, gamma=(0.65, 1.5)),
        RandScaleIntensityd(keys=["image"], prob=0.5, factors=0.2),
        RandShiftIntensityd(keys=["image"], prob=0.5, offsets=0.1),
        RandGaussianSmoothd(keys=["image"], prob=0.3, sigma_x=(0.25, 1.2), sigma_y=(0.25, 1.2)),
        RandGaussianNoised(keys=["image"], prob=0.3, std=0.03),
        RandBlankBordersd(prob=0.6, share=0.12),
    ]


def film_dataset(cases: Sequence[Case], recipe: Recipe) -> CacheDataset:
    """Return a MONAI dataset of items {image: float32 (1, rows, columns), labels: float32 (k,)}, cached in memory."""
    items = [{"image": case, "labels": np.asarray(case.labels, dtype=np.float32)} for case in cases]
    with ImageFiles() as files:
        steps = Compose([PrepareFilmd(recipe, files), EnsureTyped(keys=["image", "labels"], track_meta=False)])
        return CacheDataset(data=items, transform=steps, num_workers=1, progress=False, copy_cache=False)


def stack_films(cases: Iterable[Case], recipe: Recipe) -> Tensor:
    """Return the films as serving would see them, float32 (n, 1, rows, columns)."""
    return torch.from_numpy(np.stack(list(load_tensors(cases, recipe))))


def stack_labels(cases: Sequence[Case]) -> NDArray[np.float64]:
    """Return labels (n, k), NaN where a set does not tell."""
    return np.asarray([case.labels for case in cases], dtype=np.float64)
