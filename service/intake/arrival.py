"""One instance on its way into the tables."""

from __future__ import annotations

from dataclasses import dataclass

from preprocessing.header import InstanceHeader
from service.intake.outcomes import Sender


@dataclass(frozen=True, slots=True)
class Arrival:
    """One verified instance whose file stands in the archive."""

    sender: Sender
    header: InstanceHeader
    content_sha256: str
    size_bytes: int
