"""Photographs, maps, documents, CT, MR and ultrasound that Python packages carry: pictures that are no chest film."""

from __future__ import annotations

import gzip
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Literal

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image

Grey = NDArray[np.uint8]
Part = Literal["train", "val"]

LEARNED: Mapping[Part, tuple[tuple[str, str], ...]] = {
    "train": (
        ("sklearn.datasets", "images/china.jpg"),
        ("matplotlib", "mpl-data/sample_data/Minduka_Present_Blue_Pack.png"),
        ("matplotlib", "mpl-data/sample_data/s1045.ima.gz"),
        ("matplotlib", "mpl-data/sample_data/jacksboro_fault_dem.npz"),
        ("data_store", "data/693_UNCR.dcm"),
    ),
    "val": (
        ("sklearn.datasets", "images/flower.jpg"),
        ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg"),
        ("matplotlib", "mpl-data/sample_data/logo2.png"),
        ("matplotlib", "mpl-data/sample_data/topobathy.npz"),
        ("data_store", "data/color-pl.dcm"),
    ),
}
"""Package and file. Of pydicom-data only what does not also stand among the shared DICOM files: those stay unseen."""

NEVER_LEARNED = ("skimage", "data")
"""All pictures of scikit-image: a cat, a horse, people, cells, the moon, stones, pages of text."""


def learned_pictures(part: Part) -> Iterator[Grey]:
    """Yield the pictures to learn from, or those to choose limits with; a package that is absent gives none."""
    for package, name in LEARNED[part]:
        folder = _folder(package)
        if folder is not None and (folder / name).is_file():
            yield _READERS[Path(name).suffix](folder / name)


def never_learned_pictures() -> Iterator[Grey]:
    """Yield the pictures of the package that the gate is only checked on."""
    package, name = NEVER_LEARNED
    folder = _folder(package)
    for path in sorted((folder / name).glob("*")) if folder is not None else ():
        if path.suffix in (".png", ".jpg"):
            picture = _photograph(path)
            if min(picture.shape) >= 100:
                yield picture


def dicom_frame(path: Path) -> Grey:
    """Return the first frame of a DICOM file, whatever it shows, as 8 bits.

    Raises:
        ValueError: The file holds no picture of at least 60 rows and columns.
    """
    try:
        dataset = pydicom.dcmread(path)
        pixels = np.asarray(dataset.pixel_array, dtype=np.float32)
    except (
        AttributeError,
        EOFError,
        NotImplementedError,
        RuntimeError,
        TypeError,
        pydicom.errors.InvalidDicomError,
    ) as error:
        raise ValueError("no pixels to read") from error
    if int(dataset.SamplesPerPixel) > 1:
        pixels = pixels.mean(axis=-1)
    return _stretched(pixels.reshape(-1, *pixels.shape[-2:])[0])


def _photograph(path: Path) -> Grey:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def _slice(path: Path) -> Grey:
    """Read matplotlib's MR slice: 256 x 256 big-endian 16-bit words."""
    return _stretched(np.frombuffer(gzip.decompress(path.read_bytes()), ">u2").reshape(256, 256).astype(np.float32))


def _map(path: Path) -> Grey:
    """Read one of matplotlib's height maps."""
    with np.load(path) as arrays:
        heights = next(values for name in arrays.files if (values := arrays[name]).ndim == 2)
    return _stretched(heights.astype(np.float32))


def _stretched(values: NDArray[np.float32]) -> Grey:
    low, high = np.percentile(values, [0.5, 99.5])
    if min(values.shape) < 60 or high <= low:
        raise ValueError("not a picture")
    grey: Grey = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    return grey


def _folder(package: str) -> Path | None:
    spec = importlib.util.find_spec(package)
    return Path(spec.origin).parent if spec is not None and spec.origin is not None else None


_READERS: Mapping[str, Callable[[Path], Grey]] = {
    ".jpg": _photograph,
    ".png": _photograph,
    ".gz": _slice,
    ".npz": _map,
    ".dcm": dicom_frame,
}
