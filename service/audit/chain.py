"""Adds to the audit: each row holds the hash of the one before, so that none can be changed or taken out unseen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from service.access import Caller
from service.audit import records
from service.audit.fhir import ACTIONS
from service.logs import request_id

SYSTEM = "system"
"""The actor where no person or key asked: the command line at the machine, a step that runs by itself."""
STRANGER = "stranger"
"""The actor of a sign-in that named nobody we know."""
FIRST = "0" * 64
"""What the first row holds as the hash before it."""
LONGEST_WORDS = 500


def note(
    tx: Connection,
    caller: Caller | str,
    action: str,
    *,
    now: float,
    site_id: int | None = None,
    object_type: str | None = None,
    object_id: str | None = None,
    detail: Mapping[str, Any] | None = None,
    outcome: str = "success",
) -> None:
    """Add one event in the caller's transaction: what is not noted does not happen, and the other way round.

    Args:
        tx: The transaction of what is noted; on PostgreSQL it holds the chain's end until it ends.
        caller: Who did it; `SYSTEM` or `STRANGER` where that is no caller.
        action: What was done, a word of `fhir.ACTIONS`.
        now: Seconds since 1970 UTC.
        site_id: Whose data it touched; None is the installation.
        object_type: `study`, `report`, `account`, ...
        object_id: Its public id or UID, never a patient's.
        detail: Words, numbers and lists of them. No patient attribute.
        outcome: `success` or `refused`.

    Raises:
        ValueError: No such action: it would not be told to others as what it is.
    """
    if action not in ACTIONS:
        raise ValueError(f"no action of the audit: {action}")
    records.hold_end(tx)
    row: dict[str, Any] = {
        "at": float(now),
        "actor": caller.name if isinstance(caller, Caller) else caller,
        "role": str(caller.role) if isinstance(caller, Caller) else None,
        "site_id": site_id,
        "action": action,
        "outcome": outcome,
        "object_type": object_type,
        "object_id": object_id,
        "detail": _short(detail or {}),
        "request_id": request_id.get(),
        "previous_sha256": records.end_sha256(tx) or FIRST,
    }
    records.add_event(tx, {**row, "sha256": record_sha256(row)})


def record_sha256(row: Mapping[str, Any]) -> str:
    """Return the hash of an event: over its canonical JSON, which holds the hash of the event before."""
    told = {name: row[name] for name in records.HASHED}
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _short(detail: Mapping[str, Any]) -> dict[str, Any]:
    """Return the detail as a reader of the row will get it from the table."""
    told = {name: value[:LONGEST_WORDS] if isinstance(value, str) else value for name, value in detail.items()}
    kept: dict[str, Any] = json.loads(json.dumps(told, allow_nan=False))
    return kept
