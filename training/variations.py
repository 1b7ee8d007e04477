"""Chest films as other units, other patients and other stations send them: all in scope, whatever they look like."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

Grey = NDArray[np.uint8]
Random = np.random.Generator
Variation = Callable[[Grey, Random], Grey]

SIDE = 288
"""Films are brought to this longer side before they are drawn on, so that letters and tubes keep their proportions."""


def varied_film(film: Grey, rng: Random) -> Grey:
    """Return the film with one to three of the learned variations, in any order."""
    names = list(LEARNED)
    for index in rng.permutation(len(names))[: int(rng.integers(1, 4))]:
        film = LEARNED[names[int(index)]](film, rng)
    return film


def shrunk(film: Grey) -> Grey:
    """Return the film no larger than the variations need it, its shape kept."""
    return film if max(film.shape) <= SIDE else np.asarray(_sized(film))


def tilted(film: Grey, rng: Random) -> Grey:
    """Return the film turned by up to 15 degrees: a patient who leans, a cassette that was laid askew."""
    return _turned(film, float(rng.uniform(-15, 15)), fill=int(rng.choice([0, 0, 0, 255])))


def contrasted(film: Grey, rng: Random) -> Grey:
    """Return the film flatter or harsher, darker or brighter, in part under- or overexposed."""
    values = film.astype(np.float32) / 255
    values = values ** rng.uniform(0.4, 2.2) * rng.uniform(0.3, 1.0) + rng.uniform(0, 0.3)
    if rng.random() < 0.4:  # a steep curve: the ends run into black and white
        values = (values - values.mean()) * rng.uniform(1.0, 1.6) + 0.5
    return _grey(values + rng.normal(0, rng.uniform(0, 0.03), size=values.shape))


def lettered(film: Grey, rng: Random) -> Grey:
    """Return the film with side markers and a line or two of burned-in text."""
    picture = _sized(film)
    pen = ImageDraw.Draw(picture)
    for words in rng.choice(["R", "L", "PA", "AP SUPINE", "ERECT", "12:40", "CHEST 1", "W 400 L 40"], size=3):
        font = ImageFont.load_default(size=float(rng.uniform(9, 34)))
        at = (rng.uniform(0, 0.85) * picture.width, rng.choice([0.02, 0.06, 0.85, 0.93]) * picture.height)
        if rng.random() < 0.3:
            pen.rectangle((*at, at[0] + 40, at[1] + 16), fill=int(rng.choice([0, 255])))
        pen.text(at, str(words), fill=int(rng.choice([0, 200, 255, 255])), font=font)
    return np.asarray(picture)


def collimated(film: Grey, rng: Random) -> Grey:
    """Return the film in a frame that is not quite black: what lies outside the collimator's blades."""
    rows, columns = film.shape
    widths = [(int(rng.uniform(0, 0.2) * rows), int(rng.uniform(0, 0.2) * rows)) for _ in range(1)]
    widths += [(int(rng.uniform(0, 0.2) * columns), int(rng.uniform(0, 0.2) * columns))]
    framed = np.pad(film.astype(np.float32) / 255, widths, constant_values=float(rng.choice([0.0, 0.06, 0.9])))
    return _grey(framed + rng.normal(0, rng.uniform(0.005, 0.03), size=framed.shape))


def veiled(film: Grey, rng: Random) -> Grey:
    """Return the film blurred and under a veil of scatter: a large patient, taken at the bed."""
    picture = _sized(film)
    sharp = np.asarray(picture.filter(ImageFilter.GaussianBlur(float(rng.uniform(0.3, 2.0)))), dtype=np.float32) / 255
    veil = np.asarray(picture.filter(ImageFilter.GaussianBlur(SIDE / 8)), dtype=np.float32) / 255
    share = rng.uniform(0.2, 0.6)
    mixed = (sharp * (1 - share) + veil * share) ** rng.uniform(0.5, 1.0)
    return _grey(mixed + rng.normal(0, rng.uniform(0, 0.04), size=mixed.shape))


def stretched(film: Grey, rng: Random) -> Grey:
    """Return the film wider or taller, as the same chest in another child or on another plate."""
    rows, columns = film.shape
    width, height = int(columns * rng.uniform(0.75, 1.3)), int(rows * rng.uniform(0.85, 1.15))
    return np.asarray(Image.fromarray(film).resize((width, height), Image.Resampling.BILINEAR))


def close(film: Grey, rng: Random) -> Grey:
    """Return the film without up to an eighth at each edge: apices or angles just cut off."""
    rows, columns = film.shape
    top, bottom, left, right = rng.uniform(0, 0.125, size=4)
    return film[int(rows * top) : rows - int(rows * bottom), int(columns * left) : columns - int(columns * right)]


def one_white_lung(film: Grey, rng: Random) -> Grey:
    """Return the film with most of one lung white: effusion, collapse, after a lung was taken out."""
    rows, columns = np.mgrid[0 : film.shape[0], 0 : film.shape[1]].astype(np.float32)
    side = rng.choice([0.28, 0.72]) + rng.normal(0, 0.02)
    across = (columns / film.shape[1] - side) / rng.uniform(0.2, 0.26)
    down = (rows / film.shape[0] - rng.uniform(0.42, 0.55)) / rng.uniform(0.3, 0.42)
    cover = np.clip(1.6 * (1.25 - np.hypot(across, down)), 0, 1) * rng.uniform(0.75, 1.0)
    white = np.percentile(film, rng.uniform(80, 95)) / 255
    values = film.astype(np.float32) / 255
    return _grey(values * (1 - cover) + (white + (values - white) * 0.15) * cover)


def wired(film: Grey, rng: Random) -> Grey:
    """Return the film with cables, electrodes and tubes over it, as in intensive care."""
    picture = _sized(film)
    pen = ImageDraw.Draw(picture)
    for _ in range(int(rng.integers(3, 8))):
        points = rng.uniform(0, 1, size=(4, 2)) * (picture.width, picture.height)
        grey, width = int(rng.integers(190, 256)), int(rng.integers(1, 4))
        line = [tuple(_bent(points, part / 30)) for part in range(31)]
        pen.line(line, fill=grey, width=width, joint="curve")
        centre, radius = points[0], float(rng.uniform(4, 9))
        pen.ellipse((*(centre - radius), *(centre + radius)), outline=grey, width=2)
    return np.asarray(picture)


def processed(film: Grey, rng: Random) -> Grey:
    """Return the film after a maker's strong processing: equalised, edges enhanced, or both."""
    picture = _sized(film)
    if rng.random() < 0.6:
        picture = Image.blend(picture, ImageOps.equalize(picture), float(rng.uniform(0.5, 1.0)))
    if rng.random() < 0.6:
        picture = picture.filter(ImageFilter.UnsharpMask(float(rng.uniform(2, 6)), int(rng.integers(100, 300)), 0))
    return np.asarray(picture)


def mirrored(film: Grey, rng: Random) -> Grey:  # noqa: ARG001 - a variation like the others
    """Return the film with left and right exchanged."""
    return film[:, ::-1]


LEARNED: Mapping[str, Variation] = {
    "tilted by up to 15 degrees": tilted,
    "flat, harsh, dark or bright": contrasted,
    "with burned-in letters": lettered,
    "in a collimator's frame": collimated,
    "blurred and veiled (large patient, at the bed)": veiled,
    "wider or taller": stretched,
    "closely cropped": close,
    "cables, electrodes and tubes": wired,
}
"""What the gate sees of each film while it learns."""

NEVER_LEARNED: Mapping[str, Variation] = {
    "one lung white": one_white_lung,
    "strongly processed": processed,
    "left and right exchanged": mirrored,
}
"""What it is only checked on."""


def _bent(points: NDArray[np.float64], at: float) -> tuple[float, float]:
    """Return the place of a cubic Bézier curve at 0..1."""
    weights = np.array([(1 - at) ** 3, 3 * at * (1 - at) ** 2, 3 * at**2 * (1 - at), at**3])
    x, y = weights @ points
    return float(x), float(y)


def _turned(film: Grey, degrees: float, *, fill: int) -> Grey:
    return np.asarray(Image.fromarray(film).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill))


def _sized(film: Grey) -> Image.Image:
    rows, columns = film.shape
    scale = SIDE / max(rows, columns)
    size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
    return Image.fromarray(np.ascontiguousarray(film)).resize(size, Image.Resampling.BILINEAR)


def _grey(values: NDArray[np.floating]) -> Grey:
    grey: Grey = (np.clip(values, 0, 1) * 255).astype(np.uint8)
    return grey
