"""Which sites' rows exist for a request, and which of the AI's results."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from service import site_records
from service.access import Caller, may
from service.database import Database
from service.errors import NotFound
from service.results.dicomweb.records import all_sites
from service.results.visibility import Scope, sight_of
from service.roles import Permission


def scope_of(
    request: Request,
    who: Annotated[Caller, Depends(may(Permission.RETRIEVE))],
    site: Annotated[str | None, Query(max_length=32)] = None,
) -> Scope:
    """Return what exists for this request: a person of the installation may name one site."""
    database: Database = request.app.state.database
    with database.reading() as rx:
        if site is not None:
            found = site_records.find_site(rx, site)
            if found is None or not who.may_see(found.id):
                raise NotFound("There is no such site.")
            return Scope(who, (found.id,), sight_of(who))
        return Scope(who, all_sites(rx) if who.site_id is None else (who.site_id,), sight_of(who))


Scoped = Annotated[Scope, Depends(scope_of)]
