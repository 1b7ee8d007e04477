"""Proves that the audit is whole: every hash right, every row holding the one before."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from service.audit.chain import FIRST, record_sha256
from service.audit.records import every_event


@dataclass(frozen=True, slots=True)
class Whole:
    """The chain holds."""

    events: int
    head: str
    """The newest event's hash. Whoever keeps it elsewhere can prove later that nothing before it was cut off."""


@dataclass(frozen=True, slots=True)
class Broken:
    """The chain does not hold."""

    event_id: int | None
    """The first event that does not fit; None is the end."""
    why: str


def verify(rx: Connection, *, known_head: str | None = None) -> Whole | Broken:
    """Walk the whole chain.

    Args:
        rx: A reading transaction.
        known_head: A head that was told before; the chain must still hold it.
    """
    previous, count, is_held = FIRST, 0, known_head in (None, FIRST)
    for row in every_event(rx):
        if row["previous_sha256"] != previous:
            return Broken(row["id"], "the event before it is not the one that stood there")
        if record_sha256(row) != row["sha256"]:
            return Broken(row["id"], "its content is not what was written")
        previous, count = row["sha256"], count + 1
        is_held = is_held or previous == known_head
    if not is_held:
        return Broken(None, "the head that was known is no longer in it: events were cut off")
    return Whole(count, previous)
