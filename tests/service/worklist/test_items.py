"""The rules of priority, due time and cursor."""

from __future__ import annotations

import itertools

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


@pytest.mark.parametrize("place", [Place(True, 1, 1.5, 7, 2.25), Place(False, 3, 1_800_000_000.123456, 2**40, 0.1)])
def test_a_place_comes_back_from_its_text(place: Place) -> None:
    assert cursor.from_text(cursor.to_text(place)) == place


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
        cursor.from_text(text)
