"""Films made into what is not an upright, bone-white, whole frontal chest: what the scope gate learns to refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
Random = np.random.Generator

SIDE = 256


def on_its_side(film: Grey, rng: Random) -> Grey:
    """Return the film lying on its side, give or take 25 degrees."""
    return _rotate(np.rot90(film, k=int(rng.choice([1, 3]))), float(rng.uniform(-25, 25)), fill=_frame(rng))


def aslant(film: Grey, rng: Random) -> Grey:
    """Return the film turned by 40 to 65 degrees, either way."""
    return _rotate(film, float(rng.choice([-1, 1]) * rng.uniform(40, 65)), fill=_frame(rng))


def upside_down(film: Grey, rng: Random) -> Grey:
    """Return the film standing on its head: turned by 180 degrees, or mirrored top to bottom."""
    flipped = film[::-1, ::-1] if rng.random() < 0.6 else film[::-1]
    return _rotate(flipped, float(rng.uniform(-20, 20)), fill=_frame(rng))


def inverted(film: Grey, rng: Random) -> Grey:
    """Return the film with black bones, slightly turned."""
    return _rotate(255 - film, float(rng.uniform(-10, 10)), fill=int(rng.choice([0, 255])))


def small_part(film: Grey, rng: Random) -> Grey:
    """A third of the film's sides or less: a shoulder, a flank, a piece of lung."""
    rows, columns = film.shape
    height, width = int(rows * rng.uniform(0.15, 0.38)), int(columns * rng.uniform(0.15, 0.38))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    part = film[top : top + height, left : left + width]
    return _enlarged(np.rot90(part, k=int(rng.integers(4))))


def strip(film: Grey, rng: Random) -> Grey:
    """The belly under the diaphragm, neck and shoulders, or the spine between the lungs, each stretched at will."""
    rows, columns = film.shape
    share = rng.uniform(0.2, 0.32)
    parts = (film[-int(rows * share) :], film[: int(rows * share)], film[:, int(columns * (0.5 - share / 2)) :])
    chosen = int(rng.integers(3))
    part = parts[chosen] if chosen < 2 else parts[2][:, : int(columns * share)]
    height, width = int(SIDE * rng.uniform(0.6, 1.0)), int(SIDE * rng.uniform(0.6, 1.0))
    part = _resized(part, height, width)
    return _rotate(part, float(rng.uniform(-15, 15)), fill=_frame(rng))


def half(film: Grey, rng: Random) -> Grey:
    """One lung with the spine along an edge, lying or standing: what a lateral film of a small body looks like."""
    rows, columns = film.shape
    wide = int(columns * rng.uniform(0.42, 0.6))
    part = film[:, :wide] if rng.random() < 0.5 else film[:, -wide:]
    part = part[int(rows * rng.uniform(0, 0.15)) : int(rows * rng.uniform(0.75, 1.0))]
    part = np.rot90(part, k=int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[::-1]
    height = int(SIDE * rng.uniform(0.6, 1.0))
    return _rotate(_resized(part, height, SIDE), float(rng.uniform(-20, 20)), fill=_frame(rng))


def shuffled(film: Grey, rng: Random) -> Grey:
    """The film's tiles in another order."""
    parts = int(rng.integers(2, 5))
    side = SIDE // parts
    square = _resized(film, side * parts, side * parts)
    places = [(row * side, column * side) for row in range(parts) for column in range(parts)]
    tiles = [square[row : row + side, column : column + side] for row, column in places]
    order = (
        np.roll(np.arange(len(tiles)), int(rng.integers(1, len(tiles)))) if parts == 2 else rng.permutation(len(tiles))
    )
    lines = [np.hstack([tiles[index] for index in order[r * parts : r * parts + parts]]) for r in range(parts)]
    return np.vstack(lines)


def on_a_page(film: Grey, rng: Random) -> Grey:
    """The film small on a screen or a page, with something else beside it."""
    page = np.full((SIDE, SIDE), int(rng.choice([0, 40, 200, 255])), np.uint8)
    height, width = int(SIDE * rng.uniform(0.25, 0.5)), int(SIDE * rng.uniform(0.25, 0.5))
    top, left = int(rng.integers(SIDE - height)), int(rng.integers(SIDE - width))
    page[top : top + height, left : left + width] = _resized(film, height, width)
    for _ in range(int(rng.integers(4, 16))):  # lines of text, buttons, other windows
        row, column = rng.integers(SIDE - 8, size=2)
        page[row : row + int(rng.integers(2, 8)), column : column + int(rng.integers(8, 120))] = int(rng.integers(256))
    return page


def swirled(film: Grey, rng: Random) -> Grey:
    """The film twisted around its middle."""
    square = _resized(film, SIDE, SIDE)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
    angle = (
        rng.choice([-1, 1]) * rng.uniform(2.5, 6.0) * np.exp(-np.hypot(rows, columns) / (SIDE * rng.uniform(0.2, 0.4)))
    )
    from_row = np.clip(rows * np.cos(angle) - columns * np.sin(angle) + SIDE / 2, 0, SIDE - 1).astype(int)
    from_column = np.clip(rows * np.sin(angle) + columns * np.cos(angle) + SIDE / 2, 0, SIDE - 1).astype(int)
    twisted: Grey = square[from_row, from_column]
    return twisted


def side_by_side(film: Grey, rng: Random) -> Grey:
    """The film twice in one picture, or four times: a print of several views."""
    lines = 2 if rng.random() < 0.5 else 1
    row = np.hstack([_resized(film, SIDE // lines, SIDE // 2), _resized(film[:, ::-1], SIDE // lines, SIDE // 2)])
    return np.vstack([row] * lines)


def exposed_twice(film: Grey, rng: Random) -> Grey:
    """The film over itself turned upside down or on its side: a cassette that was used twice."""
    turned = film[::-1] if rng.random() < 0.5 else _resized(np.rot90(film), *film.shape)
    share = rng.uniform(0.4, 0.6)
    both: Grey = (film * share + turned * (1 - share)).astype(np.uint8)
    return both


TORN_LEARNED: Mapping[str, Callable[[Grey, Random], Grey]] = {
    "a small part of a film": small_part,
    "belly, neck and shoulders, or spine cut out": strip,
    "half a chest, any way round": half,
    "tiles of a film, shuffled": shuffled,
    "a film small on a page or screen": on_a_page,
    "several films in one picture": side_by_side,
}
"""A film's texture without a chest, or with more or less than one: the gate learns these."""

TORN_NEVER_LEARNED: Mapping[str, Callable[[Grey, Random], Grey]] = {
    "a film twisted around its middle": swirled,
    "two exposures on one film": exposed_twice,
}
"""What it is only checked on."""


def varied(picture: Grey, rng: Random) -> Grey:
    """Return a random part of a picture, turned and mirrored at will."""
    rows, columns = picture.shape
    height, width = int(rows * rng.uniform(0.45, 1.0)), int(columns * rng.uniform(0.45, 1.0))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    part = np.rot90(picture[top : top + height, left : left + width], k=int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return _enlarged(255 - part if rng.random() < 0.3 else part)


def _frame(rng: Random) -> int:
    return int(rng.choice([0, 0, 255]))


def _rotate(picture: Grey, degrees: float, *, fill: int) -> Grey:
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill))


def _resized(picture: Grey, rows: int, columns: int) -> Grey:
    return np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR))


def _enlarged(picture: Grey) -> Grey:
    """Return a picture that is large enough for the recipe, its shape kept."""
    rows, columns = picture.shape
    scale = SIDE / min(rows, columns)
    return picture if scale <= 1 else _resized(picture, int(rows * scale), int(columns * scale))
