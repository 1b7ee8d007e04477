"""Every enabled transfer syntax decoded by us and by other programs: lossless ones agree in every sample."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import SUPPORTED_TRANSFER_SYNTAXES, Layout, decode
from preprocessing.errors import Reason, UnsupportedImage
from tests.trials.decoders.cases import CASES, Case, NotDecoded, Picture
from tests.trials.trial import Counts, Trial

SHARE = 300
"""Pictures of one seed."""
UNKNOWN = (
    "1.2.840.10008.1.2.4.53",
    "1.2.840.10008.1.2.4.110",
    "1.2.840.10008.1.2.4.204",
    "1.2.840.10008.1.2.8.1",
    "1.2.3",
)


def run(seed: int, folder: Path) -> Counts:
    """Decode one seed's pictures by each decoder that there is for them."""
    chance = Random(seed)
    counts: Counter[str] = Counter({"differing_samples": 0, "refused": 0, "guessed": 0})
    worst = 0
    covered = set()
    for number in range(SHARE):
        case = CASES[number % len(CASES)]
        picture = _picture(case, chance)
        encoded = case.encode(picture)
        try:
            ours = decode(encoded, transfer_syntax_uid=case.syntax, layout=_layout(case, picture.values))
        except UnsupportedImage as refusal:
            print("refused", case.name, picture.values.shape, refusal)
            counts["refused"] += 1
            continue
        covered.add(case.syntax)
        counts["pictures"] += 1
        for name, other in case.others.items():
            try:
                difference = _difference(ours, other(encoded, picture))
            except NotDecoded:
                counts["not_compared"] += 1
                continue
            if case.is_lossless:
                counts["differing_samples"] += int(np.count_nonzero(difference))
            else:
                worst = max(worst, int(np.abs(difference).max()))
            counts["comparisons"] += 1
            if difference.any() and case.is_lossless:
                print("differs", case.name, name, picture.values.shape, picture.bits, int(np.abs(difference).max()))
        if case.is_lossless:
            counts["differing_samples"] += int(np.count_nonzero(_difference(ours, picture.values)))
    layout = Layout(8, 8, 1, 16, is_planar=False, is_big_endian=False, is_words=True)
    for syntax in UNKNOWN:
        try:
            decode(bytes(200), transfer_syntax_uid=syntax, layout=layout)
            counts["guessed"] += 1
        except UnsupportedImage as refusal:
            counts["guessed"] += refusal.reason is not Reason.TRANSFER_SYNTAX_UNSUPPORTED
    return {
        **counts,
        "syntaxes_not_covered_max": len(set(SUPPORTED_TRANSFER_SYNTAXES) - covered),
        "lossy_difference_max": worst,
    }


def _picture(case: Case, chance: Random) -> Picture:
    """Draw a picture: noise, ramps, extremes, a constant, steps of half the range."""
    rows, columns = chance.choice((1, 8, 17, 64, 97)), chance.choice((1, 8, 31, 64, 128))
    if case.smallest > 1:
        rows, columns = max(rows, case.smallest), max(columns, case.smallest)
    bits = chance.choice(case.bits)
    top = (1 << bits) - 1
    random = np.random.default_rng(chance.getrandbits(32))
    shape = (rows, columns, case.samples) if case.samples > 1 else (rows, columns)
    kind = chance.choice(("noise", "ramp", "extremes", "constant", "steps", "smooth"))
    if not case.is_lossless and kind in ("noise", "extremes", "steps"):
        kind = "smooth"  # what lossy coders make of noise is nobody's picture
    if kind == "noise":
        values = random.integers(0, top + 1, shape)
    elif kind == "extremes":
        values = random.choice(np.array([0, top, top // 2 + 1, 1]), shape)
    elif kind == "constant":
        values = np.full(shape, chance.randint(0, top))
    elif kind == "steps":
        values = np.broadcast_to(
            (np.arange(columns) % 2)[None, :, None] * (top // 2 + 1), (rows, columns, case.samples)
        )
        values = values if case.samples > 1 else values[..., 0]
    else:
        across = np.linspace(0, 1, columns)[None, :] * np.linspace(0.2, 1, rows)[:, None]
        across = across + (0.02 * random.random((rows, columns)) if kind == "smooth" else 0)
        values = np.clip(across, 0, 1) * top
        values = values if case.samples == 1 else np.stack([values] * case.samples, axis=-1)
    return Picture(
        np.ascontiguousarray(values).astype(np.uint8 if bits <= 8 else np.uint16), bits, chance.getrandbits(16)
    )


def _layout(case: Case, values: NDArray[np.unsignedinteger]) -> Layout:  # type: ignore[type-arg]
    return Layout(
        *values.shape[:2],
        case.samples,
        values.dtype.itemsize * 8,
        is_planar=case.is_planar,
        is_big_endian=case.is_big_endian,
        is_words=True,
    )


def _difference(ours: NDArray, other: NDArray) -> NDArray[np.int64]:  # type: ignore[type-arg]
    return ours.astype(np.int64) - np.asarray(other).reshape(ours.shape).astype(np.int64)


TRIAL = Trial(
    "14",
    "pictures decoded by us and by other decoders",
    run,
    "pictures",
    6_000,
    never=("differing_samples", "refused", "guessed"),
    at_most={"lossy_difference_max": 2.0, "syntaxes_not_covered_max": 0.0},
    at_least={"comparisons": 100.0},
)
