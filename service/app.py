"""Builds the parts of the web process, joins the rooms' routes, owns start and stop."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from anyio import CapacityLimiter
from fastapi import APIRouter, FastAPI

from service import audit, health, interventions, pages
from service.access import Access
from service.access.account_routes import router as accounts_router
from service.access.oidc import Provider
from service.access.oidc_routes import router as oidc_router
from service.access.routes import OPEN_PATHS as ACCESS_OPEN_PATHS
from service.access.routes import router as access_router
from service.access.sign_in import SignIn
from service.archive import Archive
from service.audit.routes import router as audit_router
from service.center.routes import router as center_router
from service.database import Database
from service.errors import add_handlers
from service.gate import Doorway, Gate
from service.intake.dimse.seats import Seats
from service.intake.resumable_routes import router as resumable_router
from service.intake.routes import router as intake_router
from service.intake.rule_routes import router as rules_router
from service.openapi import tell_the_truth
from service.reading.routes import router as reading_router
from service.receiving import make_intake
from service.reports import fonts
from service.reports.documents import Documents
from service.reports.routes import router as reports_router
from service.reports.version_routes import router as report_versions_router
from service.results.dicomweb.pictures import Pictures
from service.results.routes import router as results_router
from service.settings import Settings
from service.sites import open_shelf
from service.worklist.claim_routes import router as claim_router
from service.worklist.names import finding_names
from service.worklist.routes import router as worklist_router
from service.worklist.watch import Watch

OPEN_PATHS = pages.OPEN_PATHS | ACCESS_OPEN_PATHS | {"/live"}
"""All that a stranger may ask. Everything else answers 401, whether it exists or not."""


SIGN_INS_AT_ONCE = 4
"""Checking a password is slow on purpose: those who wait for it keep nobody else waiting."""


def create_app(
    settings: Settings, *, database: Database | None = None, clock: Callable[[], float] = time.time
) -> FastAPI:
    """Return the web process' application.

    Args:
        settings: The installation's settings.
        database: Our tables, migrated; made from the settings when None. Closed when the application stops.
        clock: Seconds since 1970 UTC.
    """
    tables = database or Database(settings.sqlalchemy_url)
    archive = Archive(settings.archive_folder)
    intake = make_intake(settings, tables, archive, clock)
    access = Access(tables, settings, clock)
    assets = pages.load_assets()

    def restart_study(public_id: str) -> bool:
        interventions.check_may_score_again(intake.pressure())
        return interventions.restart_study(tables, settings, public_id, clock())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        intake.start()
        try:
            yield
        finally:
            app.state.stopping.set()
            intake.stop()
            app.state.pictures.close()
            tables.close()

    # FastAPI's own pages of documentation load scripts from elsewhere, which the content policy rightly stops.
    app = FastAPI(title="Pandok", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url="/openapi.json")
    app.state.settings = settings
    app.state.database = tables
    app.state.archive = archive
    app.state.documents = Documents(settings.documents_folder)
    app.state.intake = intake
    app.state.pictures = Pictures(settings, fonts.FOLDER / "Pretendard-Regular.otf")
    app.state.clock = clock
    app.state.access = access
    app.state.provider = Provider(settings, clock) if settings.oidc_issuer else None
    app.state.searchers = CapacityLimiter(settings.search_threads)
    app.state.search_seats = Seats(total=8 * settings.search_threads, each=2 * settings.search_threads)
    app.state.sign_in_seats = CapacityLimiter(SIGN_INS_AT_ONCE)
    app.state.sign_in = SignIn(tables, settings, clock)
    app.state.reads = audit.Reads(tables, clock)
    app.state.watch = Watch(tables, clock)
    app.state.stopping = threading.Event()
    app.state.health = health.Health(settings, tables, archive, intake, clock)
    app.state.finding_names = functools.cache(lambda: finding_names(open_shelf(settings).packages))
    app.state.restart_study = restart_study
    app.state.cancel_study = lambda public_id: interventions.cancel_study(tables, settings, public_id, clock())
    add_handlers(app, functools.partial(pages.document_answer, assets, status=404))
    tell_the_truth(app)
    for router in _routers(pages.pages_router(assets)):
        app.include_router(router)
    doorway = Doorway(access, OPEN_PATHS, pages.OPEN_PREFIXES, functools.partial(pages.stranger_page, assets))
    app.add_middleware(Gate, doorway=doorway)
    return app


def _routers(pages_router: APIRouter) -> tuple[APIRouter, ...]:
    return (
        health.router,
        access_router,
        accounts_router,
        oidc_router,
        audit_router,
        intake_router,
        resumable_router,
        rules_router,
        results_router,
        worklist_router,
        claim_router,
        reading_router,
        reports_router,
        report_versions_router,
        center_router,
        pages_router,
    )
