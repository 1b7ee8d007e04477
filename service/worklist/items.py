"""WorklistItem: its rules of priority, due time and order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

StudyState = Literal["arriving", "settled", "scored", "unscored"]
STUDY_STATES: tuple[StudyState, ...] = ("arriving", "settled", "scored", "unscored")
OPEN_STATES = ("scheduled", "in progress")
"""Item states (PS3.4 CC.1.1) in which a study still waits for a person. Nothing that the AI says leaves them."""


class PriorityClass(IntEnum):
    """How soon a study must be read; the smaller, the sooner (STANDARDS 4.3)."""

    STAT = 1
    URGENT = 2
    ROUTINE = 3

    @property
    def word(self) -> str:
        """The class in the settings' and the page's words."""
        return self.name.lower()


def priority_class(asked: int, ai: int | None) -> PriorityClass:
    """Return the class of a study: the more urgent of the AI's and what center and rules ask for.

    The AI only raises (WL-5).
    """
    return PriorityClass(min(max(asked, 1), ai if ai is not None else asked, PriorityClass.ROUTINE))


def kept_ai_priority(before: int | None, now: int | None) -> int | None:
    """Return the AI's class after a further revision: a later score, or none, never takes an urgency back.

    What an earlier image showed is still in the study when a later image shows nothing; only the center lowers.
    """
    known = [value for value in (before, now) if value is not None]
    return min(known, default=None)


def due_at(complete_at: float, priority: PriorityClass, due_minutes: Mapping[str, float]) -> float:
    """Return when a study is to be read: its clock starts when it was first complete here (WL-30)."""
    return complete_at + due_minutes[priority.word] * 60.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item stands in a list: by what the list is sorted, the item's own values of that, and its id."""

    sort: str
    item_id: int
    as_of: float
    """The moment for which the order holds; a list read in pages keeps the first page's."""
    values: tuple[float | str, ...]
    """Empty where they are a patient's attribute, which no address may hold: then the item's id tells them."""
