"""Every enabled transfer syntax decoded by us and by other programs: lossless ones agree in every sample.

Ours are the decoder of scoring and, with what the header says of colour, the one of the pages. At least one of the
others is made of another library than ours (`SAME_LIBRARY`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
from numpy.typing import NDArray

from preprocessing.decoders import SUPPORTED_TRANSFER_SYNTAXES, Layout, Raw, decode
from preprocessing.display import PLANAR_CONFIGURATION
from preprocessing.elements import PIXEL_DATA, Elements, PixelData
from preprocessing.errors import Reason, UnsupportedImage
from preprocessing.header import from_json
from preprocessing.samples import decode_frame
from tests.trials.decoders import ffmpeg
from tests.trials.decoders.cases import CASES, DCMDJPEG, SAME_LIBRARY, Case, NotDecoded, Picture, Values
from tests.trials.trial import Counts, Missing, Trial

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
    if ffmpeg.libraries() is None:
        raise Missing(f"FFmpeg's libraries ({ffmpeg.WHEEL}, of the extra test)")
    if not DCMDJPEG.is_file():
        raise Missing("DCMTK's dcmdjpeg (Debian package dcmtk)")
    counts: Counter[str] = Counter({"differing_samples": 0, "refused": 0, "guessed": 0})
    worst = 0
    covered, independent = set(), set()
    for number in range(SHARE):
        case = CASES[number % len(CASES)]
        picture = _picture(case, chance)
        encoded = case.encode(picture)
        try:
            every = _ours(case, encoded, picture.values)
        except UnsupportedImage as refusal:
            print("refused", case.name, picture.values.shape, refusal)
            counts["refused"] += 1
            continue
        covered.add(case.syntax)
        counts["pictures"] += 1
        for name, other in case.others.items():
            try:
                theirs = other(encoded, picture)
            except NotDecoded:
                counts["not_compared"] += 1
                continue
            if name not in SAME_LIBRARY.get(case.syntax, ()):
                independent.add(case.syntax)
            differences = [_difference(ours, theirs) for ours in every]
            if case.is_lossless:
                counts["differing_samples"] += sum(int(np.count_nonzero(difference)) for difference in differences)
            else:
                worst = max(worst, *(int(np.abs(difference).max()) for difference in differences))
            counts["comparisons"] += len(differences)
            if any(difference.any() for difference in differences) and case.is_lossless:
                print("differs", case.name, name, picture.values.shape, picture.bits)
        if case.is_lossless:
            counts["differing_samples"] += sum(int(np.count_nonzero(_difference(o, picture.values))) for o in every)
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
        "syntaxes_by_one_library_max": len(set(SUPPORTED_TRANSFER_SYNTAXES) - independent),
        "lossy_difference_max": worst,
    }


def _picture(case: Case, chance: Random) -> Picture:
    """Draw a picture: noise, ramps, extremes, a constant, steps of half the range."""
    rows, columns = chance.choice((1, 8, 17, 64, 97)), chance.choice((1, 8, 31, 64, 128))
    if case.smallest > 1:
        rows, columns = max(rows, case.smallest), max(columns, case.smallest)
    columns += case.is_halved and columns % 2
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
        if case.samples == 3:
            is_grey = chance.random() < 0.5
            values = np.stack([values, values if is_grey else top - values, values], axis=-1)
    stored = np.ascontiguousarray(values).astype(np.uint8 if bits <= 8 else np.uint16)
    if case.is_halved:
        stored[:, 1::2, 1:] = stored[:, ::2, 1:]
    return Picture(stored, bits, chance.getrandbits(16), case.photometric)


def _ours(case: Case, encoded: bytes, values: Values) -> list[Raw]:
    """Decode as scoring does, which knows no half colour, and as the pages do, which get words already turned round."""
    layout = Layout(
        *values.shape[:2],
        case.samples,
        values.dtype.itemsize * 8,
        is_planar=case.is_planar,
        is_big_endian=case.is_big_endian,
        is_words=True,
    )
    every = []
    if not case.is_halved:
        every.append(decode(encoded, transfer_syntax_uid=case.syntax, layout=layout))
    if not case.is_big_endian:
        header = from_json(
            {
                "transfer_syntax_uid": case.syntax, "rows": layout.rows, "columns": layout.columns,
                "samples_per_pixel": layout.samples, "bits_allocated": layout.bits_allocated,
                "photometric_interpretation": case.photometric,
            }
        )  # fmt: skip
        pixels = PixelData(PIXEL_DATA, 0, None, (), layout.is_words)
        planes = {PLANAR_CONFIGURATION: bytes([layout.is_planar, 0])}
        every.append(decode_frame(encoded, header, Elements(planes, {}, {}, "<", pixels)).samples)
    return every


def _difference(ours: NDArray, other: NDArray) -> NDArray[np.int64]:  # type: ignore[type-arg]
    return ours.astype(np.int64) - np.asarray(other).reshape(ours.shape).astype(np.int64)


TRIAL = Trial(
    "14",
    "pictures decoded by us and by other decoders",
    run,
    "pictures",
    6_000,
    never=("differing_samples", "refused", "guessed"),
    at_most={"lossy_difference_max": 2.0, "syntaxes_not_covered_max": 0.0, "syntaxes_by_one_library_max": 0.0},
    at_least={"comparisons": 100.0},
)
