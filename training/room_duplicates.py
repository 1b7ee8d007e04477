"""Near-duplicates: the same film twice, though saved again, resized, framed, inverted or mirrored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]  # it has no stubs

from training.cases import Case

SIDE = 32
FINGERPRINT_VALUES = SIDE * SIDE
DETAIL = 1.5
"""Standard deviation of the blur that is taken away, in thumbnail pixels: what is left are ribs, hila and outlines,
while the dark-and-bright pattern that all chests share is gone."""

LEAST_CORRELATION = 0.85
"""Over the 27 million pairs of the five public sets, the 26 pairs of known copies reach 0.999 and the next pair 0.83.
Of 250 films each, the share that reaches it: the same film from another source at another size and shape 100 %, halved
100 %, framed by a black border 100 %, cropped by 1 % 100 %, saved as JPEG of quality 30 99 %, gamma 0.6 97 %,
equalised 96 %; cropped by 3 % none."""

_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class Alike:
    """Films that look like one and the same.

    Attributes:
        films: Their numbers.
        correlation: Of the least alike of the pairs that hold the group together; negative when inverted.
        mirrored: At least one pair is alike only when one of them is mirrored.
    """

    films: tuple[int, ...]
    correlation: float
    mirrored: bool


def fingerprint(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what stays of a film when it is saved again: 1024 values, mean 0 and length 1; zeros for a blank film.

    Args:
        image: As the recipe makes it: (rows, columns), borders blanked, letter-boxed.
    """
    rows, columns = np.flatnonzero(image.any(axis=1)), np.flatnonzero(image.any(axis=0))
    if not rows.size:
        return np.zeros(FINGERPRINT_VALUES, np.float32)
    content = Image.fromarray(image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
    small = np.asarray(content.resize((SIDE, SIDE), Image.Resampling.BOX))
    detail = small - gaussian_filter(small, DETAIL)
    # Divided by its local strength, so that a burned-in letter or another grey curve changes little.
    even = detail / (np.sqrt(gaussian_filter(detail * detail, 2 * DETAIL)) + 0.01)
    centred = (even - even.mean()).ravel()
    length = float(np.linalg.norm(centred))
    found: NDArray[np.float32] = (centred / length if length > 0 else centred).astype(np.float32)
    return found


def find_alike(fingerprints: NDArray[np.float32], *, least: float = LEAST_CORRELATION) -> list[Alike]:
    """Return groups of films of which each is like at least one other, largest first.

    Args:
        fingerprints: (n, 1024).
        least: Correlation, upright or mirrored, positive or (inverted films) negative.
    """
    mirrored = fingerprints.reshape(-1, SIDE, SIDE)[:, :, ::-1].reshape(len(fingerprints), -1)
    group_of = list(range(len(fingerprints)))
    pairs: list[tuple[int, int, float, bool]] = []
    for start in range(0, len(fingerprints), _ROWS_AT_ONCE):
        rows = fingerprints[start : start + _ROWS_AT_ONCE]
        for others, is_mirrored in ((fingerprints, False), (mirrored, True)):
            likeness = rows @ others.T
            for row, column in np.argwhere(np.abs(likeness) >= least).tolist():
                if start + row < column:
                    pairs.append((start + row, column, float(likeness[row, column]), is_mirrored))
                    _unite(group_of, start + row, column)
    upright = {(a, b) for a, b, _, is_mirrored in pairs if not is_mirrored}
    pairs = [pair for pair in pairs if not pair[3] or pair[:2] not in upright]
    groups: dict[int, list[tuple[int, int, float, bool]]] = {}
    for pair in pairs:
        groups.setdefault(_root(group_of, pair[0]), []).append(pair)
    found = [
        Alike(
            films=tuple(sorted({film for pair in group for film in pair[:2]})),
            correlation=min((pair[2] for pair in group), key=abs),
            mirrored=any(pair[3] for pair in group),
        )
        for group in groups.values()
    ]
    return sorted(found, key=lambda alike: (-len(alike.films), alike.films))


def trouble_of(alike: Alike, cases: Sequence[Case]) -> str | None:
    """Return why a group is a problem, in words; None when it only repeats a patient's film within a split."""
    splits = {cases[film].split for film in alike.films}
    patients = {cases[film].patient_id for film in alike.films}
    labels = {tuple(-1 if label != label else label for label in cases[film].labels) for film in alike.films}
    if len(splits) > 1:
        return f"stands in {' and '.join(sorted(splits))}"
    if len(patients) > 1:
        return "under two patients"
    return "with different labels" if len(labels) > 1 else None


def _root(group_of: list[int], film: int) -> int:
    while group_of[film] != film:
        film = group_of[film]
    return film


def _unite(group_of: list[int], one: int, other: int) -> None:
    first, second = sorted((_root(group_of, one), _root(group_of, other)))
    group_of[second] = first
