"""Pictures that are not an upright human frontal chest: what the scope gate learns to refuse."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
Random = np.random.Generator

SIDE = 256

# pydicom-data holds a chest film (RG1) and a leg film (RG3) that also test the finished gate: they stay out.
LEFT_OUT = ("RG1", "RG3")


def turned(film: Grey, rng: Random) -> Grey:
    """Return the film lying on its side, give or take 25 degrees."""
    return _rotate(np.rot90(film, k=int(rng.choice([1, 3]))), float(rng.uniform(-25, 25)))


def upside_down(film: Grey, rng: Random) -> Grey:
    """Return the film standing on its head: turned by 180 degrees, or mirrored top to bottom."""
    flipped = film[::-1, ::-1] if rng.random() < 0.6 else film[::-1]
    return _rotate(flipped, float(rng.uniform(-12, 12)))


def inverted(film: Grey, rng: Random) -> Grey:
    """Return the film with black bones, slightly turned."""
    return _rotate(255 - film, float(rng.uniform(-8, 8)), fill=int(rng.choice([0, 255])))


def distorted(film: Grey, rng: Random) -> Grey:
    """Return something with a film's texture but no chest: a small crop, shuffled tiles, a swirl, a squeezed half."""
    kinds: Sequence[Callable[[Grey, Random], Grey]] = (_crop, _crop, _shuffle, _swirl, _sideways_half, _sideways_half)
    return kinds[int(rng.integers(len(kinds)))](film, rng)


def package_pictures() -> Iterator[Grey]:
    """Yield pictures that installed packages carry: CT, MR, ultrasound, scintigrams, photographs; no chest film."""
    for path in _package_files("pydicom.data", "test_files/*.dcm") + _package_files("data_store", "data/*.dcm"):
        if not path.name.startswith(LEFT_OUT):
            yield from _dicom_frames(path)
    photographs = _package_files("sklearn.datasets", "images/*.jpg")
    photographs += _package_files("matplotlib", "mpl-data/sample_data/*.jpg")
    photographs += _package_files("matplotlib", "mpl-data/sample_data/*.png")
    for path in photographs:
        with Image.open(path) as picture:
            yield np.asarray(picture.convert("L"))


def varied(picture: Grey, rng: Random) -> Grey:
    """Return a random part of a picture, turned and mirrored at will."""
    rows, columns = picture.shape
    height, width = int(rows * rng.uniform(0.45, 1.0)), int(columns * rng.uniform(0.45, 1.0))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    part = np.rot90(picture[top : top + height, left : left + width], k=int(rng.integers(4)))
    if rng.random() < 0.5:
        part = part[:, ::-1]
    return 255 - part if rng.random() < 0.3 else part


def _package_files(package: str, pattern: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob(pattern))


def _dicom_frames(path: Path) -> Iterator[Grey]:
    try:
        dataset = pydicom.dcmread(path)
        pixels = np.asarray(dataset.pixel_array, dtype=np.float32)
    except (
        AttributeError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        ValueError,
        pydicom.errors.InvalidDicomError,
    ):
        return  # half of these files are there because something is wrong with them
    if int(dataset.SamplesPerPixel) > 1:
        pixels = pixels.mean(axis=-1)
    frames = pixels.reshape(-1, *pixels.shape[-2:])
    for frame in frames[:: max(1, len(frames) // 4)][:4]:
        low, high = np.percentile(frame, [0.5, 99.5])
        if min(frame.shape) >= 60 and high > low:
            yield (np.clip((frame - low) / (high - low), 0, 1) * 255).astype(np.uint8)


def _rotate(picture: Grey, degrees: float, *, fill: int = 0) -> Grey:
    return np.asarray(Image.fromarray(picture).rotate(degrees, Image.Resampling.BILINEAR, fillcolor=fill))


def _resized(picture: Grey, rows: int, columns: int) -> Grey:
    return np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.BILINEAR))


def _crop(film: Grey, rng: Random) -> Grey:
    """A third of the film's sides or less: a shoulder, a flank, a piece of lung."""
    rows, columns = film.shape
    height, width = int(rows * rng.uniform(0.15, 0.38)), int(columns * rng.uniform(0.15, 0.38))
    top, left = int(rng.integers(rows - height + 1)), int(rng.integers(columns - width + 1))
    part = film[top : top + height, left : left + width]
    return np.rot90(part, k=int(rng.integers(4)))


def _shuffle(film: Grey, rng: Random) -> Grey:
    parts = int(rng.integers(2, 5))
    square = _resized(film, 60 * parts, 60 * parts)
    tiles = [square[r * 60 : r * 60 + 60, c * 60 : c * 60 + 60] for r in range(parts) for c in range(parts)]
    order = (
        np.roll(np.arange(len(tiles)), int(rng.integers(1, len(tiles)))) if parts == 2 else rng.permutation(len(tiles))
    )
    lines = [np.hstack([tiles[index] for index in order[r * parts : r * parts + parts]]) for r in range(parts)]
    return np.vstack(lines)


def _swirl(film: Grey, rng: Random) -> Grey:
    square = _resized(film, SIDE, SIDE)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) - SIDE / 2
    angle = (
        rng.choice([-1, 1]) * rng.uniform(2.5, 6.0) * np.exp(-np.hypot(rows, columns) / (SIDE * rng.uniform(0.2, 0.4)))
    )
    from_row = np.clip(rows * np.cos(angle) - columns * np.sin(angle) + SIDE / 2, 0, SIDE - 1).astype(int)
    from_column = np.clip(rows * np.sin(angle) + columns * np.cos(angle) + SIDE / 2, 0, SIDE - 1).astype(int)
    twisted: Grey = square[from_row, from_column]
    return twisted


def _sideways_half(film: Grey, rng: Random) -> Grey:
    """One lung with the spine along an edge, lying or standing: what a lateral film of a small body looks like."""
    rows, columns = film.shape
    wide = int(columns * rng.uniform(0.42, 0.6))
    half = film[:, :wide] if rng.random() < 0.5 else film[:, -wide:]
    half = half[int(rows * rng.uniform(0, 0.15)) : int(rows * rng.uniform(0.75, 1.0))]
    half = np.rot90(half, k=int(rng.integers(4)))
    if rng.random() < 0.5:
        half = half[::-1]
    height = int(SIDE * rng.uniform(0.6, 1.0))
    return _rotate(_resized(half, height, SIDE), float(rng.uniform(-20, 20)), fill=int(rng.choice([0, 0, 255])))
