"""What stands around the simulated service: a disk, a durable engine, and another process that steps in between."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event

from service.attempt import Attempt, StepFailed
from service.database import Database
from service.engine import State

T = TypeVar("T")


class Crash(Exception):
    """The worker died."""


@dataclass
class FakeArchive:
    """A disk that keeps what is placed on it."""

    placed: set[tuple[int, str]] = field(default_factory=set)

    def is_intact(self, site_id: int, content_sha256: str) -> bool:
        return (site_id, content_sha256) in self.placed

    def path(self, _site_id: int, content_sha256: str) -> Path:
        """Return where nothing is: slices that have places of their own are never compared."""
        return Path("/nowhere", content_sha256)


@dataclass
class FakeEngine:
    """The durable engine as it promises to be: answers of steps are kept, a step that died is done again."""

    path: Callable[..., None] | None = None
    attempts: dict[Attempt, State] = field(default_factory=dict)
    asked: dict[Attempt, int] = field(default_factory=dict)
    """The class that was asked for each."""
    kept: dict[Attempt, list[tuple[str, Any]]] = field(default_factory=dict)
    forgotten: set[Attempt] = field(default_factory=set)
    """What was deleted here, rightly or not, and did not come again."""
    lost: set[Attempt] = field(default_factory=set)
    """What was ever deleted here."""
    enqueues_left: int | None = None

    def enqueue(self, attempt: Attempt, *, asked_class: int) -> None:
        if self.enqueues_left == 0:
            raise Crash
        self.enqueues_left = None if self.enqueues_left is None else self.enqueues_left - 1
        self.attempts.setdefault(attempt, State.WAITING)
        self.asked[attempt] = asked_class
        self.forgotten.discard(attempt)

    def cancel(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            if self.attempts.get(attempt) is State.WAITING:
                self.attempts[attempt] = State.CANCELED

    def states(self, attempts: Iterable[Attempt]) -> dict[Attempt, State]:
        return {attempt: self.attempts[attempt] for attempt in attempts if attempt in self.attempts}

    def dead(self) -> list[Attempt]:
        return [attempt for attempt, state in self.attempts.items() if state is State.DEAD]

    def forget(self, attempts: Iterable[Attempt]) -> None:
        for attempt in attempts:
            self.attempts.pop(attempt, None)
            self.kept.pop(attempt, None)
            self.forgotten.add(attempt)
            self.lost.add(attempt)

    def waiting(self) -> list[Attempt]:
        return [attempt for attempt, state in self.attempts.items() if state is State.WAITING]

    def run(
        self,
        attempt: Attempt,
        *,
        crash_at: int = -1,
        is_done_first: bool = False,
        fail_at: int = -1,
        meanwhile: tuple[int, Callable[[], None]] | None = None,
        path: Callable[..., None] | None = None,
    ) -> None:
        """Walk the path of an attempt; die at a step, before or after its work, or let one fail for good.

        Args:
            attempt: Which.
            crash_at: Number of the step at which the worker dies.
            is_done_first: It dies after the step's work and before its answer is kept.
            fail_at: Number of the step that fails in every try.
            meanwhile: Number of the step before which something else is made ready.
            path: Another worker's.
        """
        path = path or self.path
        kept = self.kept.setdefault(attempt, [])
        place = -1

        def step(name: str, function: Callable[[], T]) -> T:
            nonlocal place
            place += 1
            if place < len(kept):
                assert kept[place][0] == name, "the path is not the same when it is walked again"
                if kept[place][1] is StepFailed:
                    raise StepFailed(name)
                return kept[place][1]  # type: ignore[no-any-return]
            if place == fail_at and name != "fail":
                kept.append((name, StepFailed))
                raise StepFailed(name)
            if place == crash_at and not is_done_first:
                raise Crash
            if meanwhile is not None and place == meanwhile[0]:
                meanwhile[1]()
            answer = function()
            if place == crash_at:
                raise Crash
            kept.append((name, answer))
            return answer

        assert path is not None
        try:
            path(step, attempt)
        except Crash:
            return
        except StepFailed:  # what nobody catches ends a workflow as an error
            self.attempts[attempt] = State.DEAD
        else:
            self.attempts[attempt] = State.DONE


class Between:
    """Lets something happen between two transactions of a database, as another process would do it.

    Args:
        database: Whose borders are counted. What happens must use another Database on the same tables.
    """

    def __init__(self, database: Database) -> None:
        self._left = 0
        self._deed: Callable[[], None] | None = None

        @event.listens_for(database.engine, "checkin")
        def end_of_transaction(_connection: object, _record: object) -> None:
            deed = self._deed
            if deed is not None and self._left == 0:
                self._deed = None
                deed()
            self._left -= 1

    def wait(self, transactions: int, deed: Callable[[], None]) -> None:
        """Do the deed once so many transactions have ended from now on."""
        self._left, self._deed = transactions, deed

    @contextlib.contextmanager
    def within(self) -> Iterator[None]:
        """What waits when this block ends is not done."""
        try:
            yield
        finally:
            self._deed = None
