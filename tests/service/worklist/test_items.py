"""The rules of priority, due time and cursor."""

from __future__ import annotations

import base64
import itertools
import json

import pytest

from service.worklist import cursor
from service.worklist.items import Place, PriorityClass, due_at, kept_ai_priority, priority_class

CLASSES = (1, 2, 3)
DUE_MINUTES = {"stat": 60, "urgent": 240, "routine": 1440}


@pytest.mark.parametrize(("center", "ai"), list(itertools.product(CLASSES, (None, *CLASSES))))
def test_the_ai_never_lowers_the_centers_priority(center: int, ai: int | None) -> None:
    together = priority_class(center, ai)

    assert together <= center
    assert together == min(center, ai or center)


@pytest.mark.parametrize(("before", "now"), list(itertools.product((None, *CLASSES), repeat=2)))
def test_a_later_score_never_takes_an_earlier_urgency_back(before: int | None, now: int | None) -> None:
    kept = kept_ai_priority(before, now)

    assert before is None or (kept is not None and kept <= before)
    assert kept in (before, now)


def test_the_more_urgent_is_due_sooner() -> None:
    due = [due_at(1000.0, priority, DUE_MINUTES) for priority in PriorityClass]

    assert due == [1000 + 3600, 1000 + 4 * 3600, 1000 + 24 * 3600]


PLACES = [
    Place("order", 7, 2.25, (0, 1, 1.5)),
    Place("order", 2**40, 0.1, (1, 3, 1_800_000_000.123456)),
    Place("due", 1, 0.1, (5.5,)),
    Place("received", 1, 0.1, (5.5,)),
    Place("patient", 9, 0.5, ()),
    Place("site", 9, 0.5, ("hanoi-1", 1, 2, 3.5)),
]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.sort)
def test_a_place_comes_back_from_its_text(place: Place) -> None:
    assert cursor.from_text(cursor.to_text(place), sort=place.sort) == place


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.sort)
def test_a_place_in_one_order_is_none_in_another(place: Place) -> None:
    for sort in cursor.SHAPES.keys() - {place.sort}:
        with pytest.raises(cursor.CursorRefused):
            cursor.from_text(cursor.to_text(place), sort=sort)


@pytest.mark.parametrize(
    "values",
    [
        ["order", 7, 2.25, [0, 1]],
        ["order", 7, 2.25, [0, 1, "x"]],
        ["order", 7, 2.25, [True, 1, 1.5]],
        ["order", 2**63, 2.25, [0, 1, 1.5]],
        ["order", 7, float("nan"), [0, 1, 1.5]],
        ["order", 7, 2.25, [0, 2**63, 1.5]],
        ["order", 7, 2.25, [0, 1, float("inf")]],
        ["order", True, 2.25, [0, 1, 1.5]],
    ],
)
def test_values_that_no_place_has_are_refused(values: list[object]) -> None:
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()

    with pytest.raises(cursor.CursorRefused):
        cursor.from_text(text, sort="order")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "W10",
        "bnVsbA",
        "WzEsMl0",
        "WyJhIiwxLDEuMCwxLDEuMF0",
        "W3RydWUsMSxOYU4sMSwxLjBd",
        "é",
        "=" * 9,
        "A" * 255,
    ],
)
def test_a_text_that_is_no_place_is_refused(text: str) -> None:
    with pytest.raises(cursor.CursorRefused):
        cursor.from_text(text, sort="order")
