"""What a caller asks the worklist for: which items, in which order."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field

Sort = Literal["order", "due", "received", "patient", "site"]

SIGNED_FOR_DAYS = 7.0
"""How long a signed study stays in its reader's list of signed ones."""
DUE_SOON_S = 4 * 3600.0


class Filters(BaseModel):
    """Which items of the worklist; everything left out is no condition."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    state: Literal["arriving", "settled", "scored", "unscored", "signed"] | None = None
    """Of the study; `signed`: what the caller himself signed in the last days, which has left the list."""
    modality: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9]{1,16}$")] = None
    site: Annotated[str | None, Field(max_length=32)] = None
    priority: Literal["stat", "urgent", "routine"] | None = None
    """The class that the list shows, which under `blind` is the center's."""
    claim: Literal["free", "mine", "all"] = "all"
    due: Literal["overdue", "4h", "today"] | None = None
    q: Annotated[str | None, Field(max_length=128)] = None
    """Part of a patient's name, or the beginning of a patient id or accession number."""
    sort: Sort = "order"


def filters_of(
    state: Literal["arriving", "settled", "scored", "unscored", "signed"] | None = None,
    modality: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9]{1,16}$")] = None,
    site: Annotated[str | None, Query(max_length=32)] = None,
    priority: Literal["stat", "urgent", "routine"] | None = None,
    claim: Literal["free", "mine", "all"] = "all",
    due: Literal["overdue", "4h", "today"] | None = None,
    q: Annotated[str | None, Query(max_length=128)] = None,
    sort: Sort = "order",
) -> Filters:
    """Return the filters of a request's address."""
    return Filters(state=state, modality=modality, site=site, priority=priority, claim=claim, due=due, q=q, sort=sort)
