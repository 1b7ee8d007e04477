"""Which sites' rows exist for a request, and which of the AI's results."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request
from fastapi.concurrency import run_in_threadpool

from service import site_records
from service.access import Caller, may
from service.database import Database
from service.errors import NotFound
from service.results.dicomweb.records import all_sites
from service.results.visibility import Scope, sight_of
from service.roles import Permission


async def scope_of(
    request: Request,
    who: Annotated[Caller, Depends(may(Permission.RETRIEVE))],
    site: Annotated[str | None, Query(max_length=32)] = None,
) -> Scope:
    """Return what exists for this request: a person of the installation may name one site."""
    sight = sight_of(who)
    if site is None and who.site_id is not None:  # a site's key, which asks most often: nothing to look up
        return Scope(who, (who.site_id,), sight)
    return Scope(who, await run_in_threadpool(_sites, request.app.state.database, who, site), sight)


def _sites(database: Database, who: Caller, site: str | None) -> tuple[int, ...]:
    with database.reading() as rx:
        if site is None:
            return all_sites(rx)
        found = site_records.find_site(rx, site)
        if found is None or not who.may_see(found.id):
            raise NotFound("There is no such site.")
        return (found.id,)


Scoped = Annotated[Scope, Depends(scope_of)]
