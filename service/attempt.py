"""What the pipeline and its durable engine say to each other, whichever engine it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at one revision of a study: the name of a workflow, and all that it is told."""

    study_id: int
    revision: int
    number: int

    @property
    def workflow_id(self) -> str:
        """The same attempt never becomes two workflows."""
        return f"{self.study_id}:{self.revision}:{self.number}"

    @classmethod
    def of(cls, workflow_id: str) -> Attempt:
        """Read a workflow's name."""
        study_id, revision, number = workflow_id.split(":")
        return cls(int(study_id), int(revision), int(number))


class StepFailed(Exception):
    """A step failed in every attempt.

    Args:
        step: Its name.
    """

    def __init__(self, step: str) -> None:
        super().__init__(step)
        self.step = step


class Step(Protocol):
    """Runs a step durably: its JSON answer is recorded, and given again when the path is replayed after a crash.

    Raises StepFailed when every try failed.
    """

    def __call__(self, name: str, function: Callable[[], T]) -> T:
        """Run the step or recall its answer."""
        ...


Path = Callable[[Step, Attempt], None]
"""A deterministic walk: everything that reads or writes happens in steps."""
