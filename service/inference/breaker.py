"""A circuit breaker per package: one that keeps failing is left alone for a while, so that the others go on."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

FAILURES = 5
"""RELIABILITY 5.13."""
OPEN_S = 30.0


@dataclass(slots=True)
class _Circuit:
    failures: int = 0
    open_until: float = 0.0
    words: str = ""


class Breaker:
    """Counts failures in a row by package.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._circuits: dict[str, _Circuit] = {}

    def is_open(self, package_sha256: str) -> bool:
        """Tell whether the package is to be left alone; when its time is over a single failure opens it again."""
        with self._lock:
            circuit = self._circuits.get(package_sha256)
            return circuit is not None and self._clock() < circuit.open_until

    def succeeded(self, package_sha256: str) -> None:
        """Forget earlier failures."""
        with self._lock:
            self._circuits.pop(package_sha256, None)

    def failed(self, package_sha256: str, words: str) -> None:
        """Count a failure."""
        with self._lock:
            circuit = self._circuits.setdefault(package_sha256, _Circuit())
            circuit.failures += 1
            circuit.words = words
            if circuit.failures >= FAILURES:
                circuit.open_until = self._clock() + OPEN_S

    def last_words(self, package_sha256: str) -> str | None:
        """Return what the package's latest failure said, when its latest run failed."""
        with self._lock:
            circuit = self._circuits.get(package_sha256)
            return circuit.words if circuit else None
