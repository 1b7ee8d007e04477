"""A series' stored geometry → the stacks that a viewer shows, in the order of the slices' positions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from preprocessing.problems import ProblemCode
from service.reading.answers import Apartness, ImageView, NoticeView, StackView

UNTOLD = frozenset({ProblemCode.SEVERAL_STACKS, ProblemCode.NO_SLICES, ProblemCode.SINGLE_SLICE, ProblemCode.DERIVED})
"""What stops a package and is nothing that a reader has to be warned of: he sees it."""


WHOLE = 0
"""Stands for all frames of an image."""


def arranged(
    images: Sequence[tuple[int, ImageView]], geometry: Mapping[str, Any] | None
) -> tuple[list[ImageView], list[StackView]]:
    """Return a series' images in the order of its stacks, and the stacks; without a geometry as they came.

    Args:
        images: Instance id and view of each, in the order of their numbers.
        geometry: As `service.inference.volumes` wrote it when the study settled; None: the series has none.
    """
    if geometry is None:
        return [view for _, view in images], []
    known = dict(images)
    told: list[tuple[list[list[int]], Apartness, Mapping[str, Any]]] = [
        (_forward(one["slices"], known), None, one) for one in geometry["stacks"]
    ]
    by_number = {key: index for index, (key, _) in enumerate(images)}
    for one in geometry["apart"]:
        slices = sorted(one["slices"], key=lambda each: (by_number.get(each[0], 0), each[1]))
        told.append((slices, one["why"], {}))
    mentioned = {instance_id for slices, _, _ in told for instance_id, _ in slices}
    late = [[key, WHOLE] for key, _ in images if key not in mentioned]
    if late:
        told.append((late, "not_arranged", {}))
    order = list(dict.fromkeys(key for slices, _, _ in told for key, _ in slices if key in known))
    place = {key: index for index, key in enumerate(order)}
    stacks = [
        StackView(
            why=why,
            slices=[(place[key], frame) for key, frame in slices if key in place],
            # What is wrong with the series stands on its stacks, and on what has no place in any.
            notices=_notices(
                [*one.get("problems", ()), *(geometry["problems"] if why in (None, "unplaced") else ())], one
            ),
        )
        for slices, why, one in told
    ]
    return [known[key] for key in order], stacks


def _forward(slices: list[list[int]], known: Mapping[int, ImageView]) -> list[list[int]]:
    """Turn a stack round when its images' numbers fall: it is scrolled the way the scanner counted."""
    first, last = (known.get(slices[at][0]) for at in (0, -1))
    if first is None or last is None or first.instance_number is None or last.instance_number is None:
        return slices
    return slices[::-1] if first.instance_number > last.instance_number else slices


def _notices(problems: Sequence[Mapping[str, Any]], stack: Mapping[str, Any]) -> list[NoticeView]:
    return [
        NoticeView(
            code=problem["code"],
            count=problem["count"],
            first=problem["first"],
            last=problem["last"],
            degrees=stack.get("tilt_degrees") if problem["code"] == ProblemCode.TILTED else None,
        )
        for problem in problems
        if problem["code"] not in UNTOLD
    ]
