"""The results' addresses: DICOMweb, and heat maps for a viewer."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from starlette.responses import Response

from service.audit import Reads
from service.database import Database
from service.errors import NotFound
from service.results import records
from service.results.dicomweb.capabilities import router as capabilities_router
from service.results.dicomweb.rendered_routes import router as rendered_router
from service.results.dicomweb.routes import router as retrieve_router
from service.results.dicomweb.scope import Scoped
from service.results.dicomweb.search_routes import router as search_router
from service.results.overlay import heat_map_png
from service.settings import Settings
from service.workspace import NotInWorkspace, Workspace

router = APIRouter()
RunId = Annotated[int, Path(ge=1, lt=2**63)]
Channel = Annotated[int, Path(gt=-(2**31), lt=2**31)]
for dicomweb_router in (capabilities_router, search_router, retrieve_router, rendered_router):
    router.include_router(dicomweb_router)


@router.get("/api/runs/{run_id}/heat-maps/{channel}", tags=["results"])
def heat_map(request: Request, scope: Scoped, run_id: RunId, channel: Channel) -> Response:
    """Give one output's class activation as a transparent PNG that covers exactly the analysed image."""
    database: Database = request.app.state.database
    settings: Settings = request.app.state.settings
    with database.reading() as rx:
        seen = records.what_was_seen(rx, scope, run_id, channel)
    if seen is None:
        raise NotFound
    reads: Reads = request.app.state.reads
    reads.looked(scope.caller, "heat_map_seen", site_id=seen.site_id, object_type="run", object_id=str(run_id))
    workspace = Workspace(settings.work_folder)
    try:
        values, placement = workspace.heat_map(seen.heat_map_sha256)
        tensor = workspace.tensor(seen.tensor_sha256)
    except NotInWorkspace as error:
        raise NotFound("The heat map was swept: restart the study to make it again.") from error
    return Response(heat_map_png(values[channel], placement, tensor.shape[1:]), media_type="image/png")
