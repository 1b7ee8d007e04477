"""Study, Series, Instance: when a study counts as complete, and which revision of it."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

PRIORITY_ROUTINE = 3


@dataclass(frozen=True, slots=True)
class Settled:
    """A study revision that is complete and waits for the pipeline."""

    study_id: int
    number: int
    by: str
    """`quiet`, `limit`, `count` or `done`."""


@dataclass(frozen=True, slots=True)
class Due:
    """When an arriving study settles, and why then."""

    at: float
    by: str


def quiet_time_s(modality: str | None, site_policy: Mapping[str, object], default: Mapping[str, float]) -> float:
    """Return how long a site's study of this modality must be quiet: the site's word first, then the settings'."""
    for rule in (site_policy.get("quiet_s"), default):
        if isinstance(rule, Mapping):
            for key in (modality, "default"):
                value = rule.get(key)
                if isinstance(value, int | float):
                    return float(value)
    return 60.0


def when_due(
    *,
    now: float,
    arriving_since: float,
    quiet_s: float,
    partial_after_s: float,
    instance_count: int,
    expected_instances: int | None,
) -> Due:
    """Return when a study settles whose latest image came now (RELIABILITY 5.5).

    The expected count is reached once. What comes after it waits for quiet, or each image would make a revision.
    """
    if instance_count == expected_instances:
        return Due(now, "count")
    limit = arriving_since + partial_after_s
    quiet = now + quiet_s
    return Due(limit, "limit") if limit < quiet else Due(quiet, "quiet")


def fold(name: str) -> str:
    """Return a name as it is searched: case and accents away, component marks as spaces, for any script."""
    decomposed = unicodedata.normalize("NFKD", name.replace("^", " ").replace("=", " ").casefold())
    plain = "".join(c for c in decomposed if not unicodedata.combining(c))
    return " ".join(unicodedata.normalize("NFC", plain).split())
