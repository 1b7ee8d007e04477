"""The films on which the model was most wrong, with the heat map of that finding: pictures for the run's own page."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from training.calibrate import Calibrated, probabilities_of
from training.cases import FINDINGS, NIH_FINDINGS, Case
from training.evaluate_baselines import Films
from training.evaluate_figures import MAIN_FINDINGS
from training.evaluate_intervals import Floats
from training.films import stack_labels

PER_KIND = 4
SIDE = 448
STRONGEST_ALPHA = 0.55
"""How much of the film the strongest activation covers, as in the service: the film must stay readable under it."""
GREEN = (120, 230, 140)


@dataclass(frozen=True, slots=True)
class WrongFilm:
    """One film on which an output was wrong, as the network saw it."""

    finding: str
    missed: bool
    """It has the finding and was not flagged; False: it has not and was flagged."""
    probability: float
    threshold: float
    data_set: str
    file_name: str
    reported: str
    """What the set says of it."""
    film: str
    with_heat_map: str
    """Pictures as data addresses."""


def failures(
    films: Films,
    logits: Floats,
    readings: Sequence[Calibrated],
    maps_of: Callable[[Tensor], NDArray[np.float32]],
) -> tuple[WrongFilm, ...]:
    """Return the films farthest on the wrong side of the operating point, per main finding and kind of error.

    Args:
        films: The judged films.
        logits: Raw scores (n, k).
        readings: Calibration and points, one per finding.
        maps_of: Heat maps (n, k, h, w) of images.
    """
    labels = stack_labels(films.cases)
    found: list[WrongFilm] = []
    for finding in MAIN_FINDINGS:
        column = FINDINGS.index(finding)
        threshold = readings[column].operating_point.threshold
        probabilities = probabilities_of(logits[:, column], readings[column].calibration)
        flagged = probabilities >= threshold
        for missed in (True, False):
            wrong = np.flatnonzero((labels[:, column] == (1 if missed else 0)) & (flagged != missed))
            order = np.argsort(probabilities[wrong] if missed else -probabilities[wrong], kind="stable")
            worst = wrong[order][:PER_KIND].tolist()
            if not worst:
                continue
            maps = maps_of(films.images[worst])[:, column]
            found += [
                WrongFilm(
                    finding=finding,
                    missed=missed,
                    probability=float(probabilities[film]),
                    threshold=threshold,
                    data_set=films.cases[film].data_set,
                    file_name=films.cases[film].file_name,
                    reported=_reported(films.cases[film]),
                    film=_picture(films, film, None),
                    with_heat_map=_picture(films, film, heat),
                )
                for film, heat in zip(worst, maps, strict=True)
            ]
    return tuple(found)


def _reported(case: Case) -> str:
    said = [name.replace("_", " ") for name in NIH_FINDINGS if case.labels[FINDINGS.index(name)] == 1]
    if case.labels[0] == case.labels[0]:
        return "pneumonia" if case.labels[0] == 1 else "normal"
    return ", ".join(said) or "no finding"


def _picture(films: Films, film: int, heat: NDArray[np.float32] | None) -> str:
    """Return a data address of a JPEG: a film, with the positive part of a map (h, w) and its boxes over it."""
    image, place = films.images[film, 0], films.placements[film]
    grey = np.round(image.clamp(0, 1).numpy() * 255).astype(np.uint8)
    picture = Image.fromarray(grey).resize((SIDE, SIDE), Image.Resampling.BICUBIC).convert("RGB")
    if heat is not None:
        positive = Image.fromarray(np.maximum(heat, 0).astype(np.float32))
        spread = np.asarray(positive.resize((SIDE, SIDE), Image.Resampling.BILINEAR))
        share = spread / spread.max() if spread.max() > 0 else spread
        colours = Image.fromarray((mpl.colormaps["inferno"](share)[..., :3] * 255).astype(np.uint8))
        picture.paste(colours, mask=Image.fromarray((share * STRONGEST_ALPHA * 255).astype(np.uint8)))
        enlarged = SIDE / image.shape[-1] / place.scale
        for box in films.cases[film].boxes:
            left, top = (box.left - place.left) * enlarged, (box.top - place.top) * enlarged
            right, bottom = left + box.width * enlarged, top + box.height * enlarged
            ImageDraw.Draw(picture).rectangle((left, top, right, bottom), outline=GREEN, width=2)
    content = io.BytesIO()
    picture.save(content, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(content.getvalue()).decode()
