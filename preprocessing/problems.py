"""What can be wrong with a series of slices: a closed list, shown to readers, centers and operators."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class ProblemCode(StrEnum):
    """Closed list of what can be wrong with a series of slices."""

    POSITION_MISSING = "position_missing"
    POSITION_CONSTANT = "position_constant"
    ORIENTATION_MISSING = "orientation_missing"
    ORIENTATION_DEGENERATE = "orientation_degenerate"
    SPACING_MISSING = "spacing_missing"
    FRAMES_CONTRADICT = "frames_contradict"
    NO_SLICES = "no_slices"
    SINGLE_SLICE = "single_slice"
    SEVERAL_STACKS = "several_stacks"
    SLICES_MISSING = "slices_missing"
    SPACING_IRREGULAR = "spacing_irregular"
    SLICES_SHIFTED = "slices_shifted"
    DUPLICATES = "duplicates"
    DUPLICATES_DIFFER = "duplicates_differ"
    REPEATED = "repeated"
    TILTED = "tilted"
    TILT_CONTRADICTED = "tilt_contradicted"
    DERIVED = "derived"
    TOO_MANY = "too_many"


HARMLESS: Final = frozenset({ProblemCode.DUPLICATES, ProblemCode.TILTED})
"""A reader is told; a volume is right all the same: the copy is left out, the affine is sheared."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a stack or a series.

    Attributes:
        detail: One plain sentence without any patient attribute.
        count: How many slices it concerns.
        first: Number of the slice before it, as the images count (Instance Number; of one multi-frame image its
            frames); of images without numbers the place in the stack. None: it is not between two slices.
        last: Number of the slice after it.
    """

    code: ProblemCode
    detail: str
    count: int = 0
    first: int | None = None
    last: int | None = None

    @property
    def refuses(self) -> bool:
        """A volume would be wrong."""
        return self.code not in HARMLESS


SENTENCES: Final = {
    ProblemCode.POSITION_MISSING: "slices do not say where they are (Image Position (Patient))",
    ProblemCode.ORIENTATION_MISSING: "slices do not say how they lie (Image Orientation (Patient))",
    ProblemCode.ORIENTATION_DEGENERATE: "Image Orientation (Patient) holds no two directions at a right angle",
    ProblemCode.SPACING_MISSING: "slices do not say how far their pixels lie apart (Pixel Spacing)",
    ProblemCode.FRAMES_CONTRADICT: "the functional groups describe another number of frames than the image has",
    ProblemCode.NO_SLICES: "no image of the series is a slice of a stack",
    ProblemCode.SEVERAL_STACKS: "the series holds several stacks, and nothing says which one is meant",
    ProblemCode.TOO_MANY: "more slices than are put in order",
}
"""What is told of a series as a whole."""
