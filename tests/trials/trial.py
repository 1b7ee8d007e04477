"""What a trial is: one attack or fault, repeated by seed, counted, and judged by its counts alone."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

Counts: TypeAlias = Mapping[str, float]
"""What one seed gave. A name that ends in `_max` or `_min` is the worst value met, every other name a number that adds
up."""


BROKEN_OFF = "broken_off"
"""The count of seeds that did not come to their end."""


class Missing(Exception):
    """Something that the trial needs is not on this machine; the text says what."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One trial. The same seed on the same commit does the same again.

    Attributes:
        number: Two digits, as the test plan numbers it.
        title: What is done to the service, in a few words.
        run: Does one seed's share in an empty folder and returns what it counted. Raises Missing.
        counted: The count that tells how much was done.
        full: How many of `counted` a full trial has.
        never: Counts that must stay 0.
        at_most: Counts that have a limit.
        at_least: Counts that have a floor.
        quick_bounds: What the test command, where other work shares the machine, asks of counts of time and of rates
            instead of their limits and floors; those without one are only told there.
        quick: Seeds that the test command runs: the part that every change must pass, or about half a minute.
        timeout_s: After this long one seed has failed.
        told: Says of the counts what is told on the page beside them and not judged; nothing where they lack it.
    """

    number: str
    title: str
    run: Callable[[int, Path], Counts]
    counted: str
    full: int
    never: tuple[str, ...]
    at_most: Mapping[str, float] = field(default_factory=dict)
    at_least: Mapping[str, float] = field(default_factory=dict)
    quick_bounds: Mapping[str, float] = field(default_factory=dict)
    quick: tuple[int, ...] = (0,)
    timeout_s: float = 300.0
    told: Callable[[Counts], str] = lambda _counts: ""

    def faults(self, counts: Counts, *, is_timed: bool = True) -> list[str]:
        """Return what the counts say went wrong; a count that the trial did not make is a fault too.

        Args:
            counts: What came out.
            is_timed: Judge how long things took by the real limits; where other work shares the machine, by
                `quick_bounds` alone.
        """
        at_most, at_least = (self._bounds(bounds, is_timed=is_timed) for bounds in (self.at_most, self.at_least))
        return [
            *(f"{name} is {counts.get(name, 'missing')}, not 0" for name in self.never if counts.get(name) != 0),
            *(
                f"{name} is {counts.get(name, 'missing')}, more than {limit}"
                for name, limit in at_most.items()
                if name not in counts or (limit is not None and counts[name] > limit)
            ),
            *(
                f"{name} is {counts.get(name, 'missing')}, less than {floor}"
                for name, floor in at_least.items()
                if name not in counts or (floor is not None and counts[name] < floor)
            ),
            *([f"{self.counted} is {counts.get(self.counted)}"] if not counts.get(self.counted) else []),
            *([f"broke off: {counts[BROKEN_OFF]:.0f}"] if counts.get(BROKEN_OFF) else []),
        ]

    def _bounds(self, bounds: Mapping[str, float], *, is_timed: bool) -> dict[str, float | None]:
        """Return what each count is judged by; None is not at all."""
        return {
            name: bound if is_timed or not _tells_time(name) else self.quick_bounds.get(name)
            for name, bound in bounds.items()
        }


def _tells_time(name: str) -> bool:
    """Tell whether a count says how long something took, or at what rate."""
    return name.endswith(("_s_max", "seconds_max", "_percent_min")) or name == "late"


def add_up(every: Iterable[Counts]) -> dict[str, float]:
    """Return the counts of several seeds as one."""
    total: dict[str, float] = {}
    for counts in every:
        for name, value in counts.items():
            if name.endswith("_max"):
                total[name] = max(total.get(name, value), value)
            elif name.endswith("_min"):
                total[name] = min(total.get(name, value), value)
            else:
                total[name] = total.get(name, 0) + value
    return total


def all_trials() -> list[Trial]:
    """Return every trial: the `TRIAL` of each module `tNN_….py` of this folder, by number."""
    folder = Path(__file__).parent
    names = sorted(module.name for module in pkgutil.iter_modules([str(folder)]) if module.name[1:3].isdigit())
    trials = [importlib.import_module(f"{__package__}.{name}").TRIAL for name in names]
    assert all(isinstance(trial, Trial) for trial in trials)
    return trials
