"""Radiographs prepared per second beside what others would write (python -m tests.benchmarks.recipe).

The same uncompressed films of 12 MB, a process for each side, warm files: ours, MONAI's LoadImage with its usual
transforms, and pydicom with scikit-image. All three end in a float32 array of 224 by 224 with values from 0 to 1.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from preprocessing.elements import find_data_set
from preprocessing.header import InstanceHeader, read_header
from preprocessing.recipes import RECIPES
from tests.benchmarks.rows import Row, against, report
from tests.factories import make_radiograph, part10, phantom

SIZE = 224
MUST = 2.0


def write_films(folder: Path, count: int) -> list[Path]:
    """Write films of 2,400 by 2,500 pixels: a phantom with noise, so that no line is border."""
    film = np.kron(phantom(240, 250), np.ones((10, 10), np.uint16)).astype(np.uint16)
    noise = np.random.default_rng(0).integers(0, 64, film.shape).astype(np.uint16)
    paths = []
    for number in range(count):
        path = folder / f"{number}.dcm"
        path.write_bytes(part10(make_radiograph(film + np.roll(noise, number))))
        paths.append(path)
    return paths


def stored_header(path: Path) -> InstanceHeader:
    """Read a film's header as the intake does, from the file and no further than it must."""
    with path.open("rb") as file:
        syntax, offset = find_data_set(file)
        return read_header(file, transfer_syntax_uid=str(syntax), offset=offset, length=path.stat().st_size - offset)


def ours() -> Callable[[Path], Any]:
    """Header and recipe, as the service does both."""
    recipe = RECIPES["chest_radiograph/1"]
    return lambda path: recipe.prepare(path, stored_header(path)).tensor


def monai_path() -> Callable[[Path], Any]:
    """What MONAI's tutorials do with a radiograph."""
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize, ScaleIntensityRangePercentiles

    return Compose([
        LoadImage(reader="PydicomReader", image_only=True),
        EnsureChannelFirst(),
        Resize((SIZE, SIZE), mode="area"),
        ScaleIntensityRangePercentiles(0.5, 99.5, 0, 1, clip=True),
    ])  # fmt: skip


def skimage_path() -> Callable[[Path], Any]:
    """What pydicom's documentation does, with scikit-image to shrink."""
    from pydicom import dcmread
    from pydicom.pixels import apply_modality_lut, apply_voi_lut
    from skimage.transform import resize

    def prepare(path: Path) -> Any:
        dataset = dcmread(path)
        image = apply_voi_lut(apply_modality_lut(dataset.pixel_array, dataset), dataset).astype(np.float32)
        if dataset.PhotometricInterpretation == "MONOCHROME1":
            image = image.max() - image
        image = resize(image, (SIZE, SIZE), anti_aliasing=True)
        low, high = np.percentile(image, (0.5, 99.5))
        return np.clip((image - low) / (high - low), 0, 1).astype(np.float32)

    return prepare


SIDES = {"ours": ours, "MONAI LoadImage": monai_path, "pydicom + scikit-image": skimage_path}


@cache
def side(name: str) -> Callable[[Path], Any]:
    """Return one side's way, made once in a process."""
    return SIDES[name]()


def rate(name: str, films: list[Path]) -> float:
    """Return films per second."""
    prepare, started = side(name), time.perf_counter()
    for film in films:
        prepare(film)
    return len(films) / (time.perf_counter() - started)


def measure(rounds: int = 7, films: int = 8) -> list[Row]:
    """Let all take turns, each in a process of its own: large arrays that one frees change what another's cost."""
    rates: dict[str, list[float]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as closing:
        paths = write_films(Path(folder), films)
        processes = {
            name: closing.enter_context(ProcessPoolExecutor(1, mp_context=get_context("spawn"))) for name in SIDES
        }
        for name, process in processes.items():
            process.submit(rate, name, paths).result()
        for _ in range(rounds):
            for name, process in processes.items():
                rates[name].append(process.submit(rate, name, paths).result())
    return [
        against("recipe for radiographs", rates["ours"], peer, rates[peer], unit="films/s", must=MUST)
        for peer in SIDES
        if peer != "ours"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", action="store_true", help="note the rows for docs/benchmarks.md")
    options = parser.parse_args()
    report("recipe", lambda: measure(options.rounds), kept=options.keep)


if __name__ == "__main__":
    main()
