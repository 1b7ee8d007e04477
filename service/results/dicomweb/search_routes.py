"""The addresses of QIDO-RS."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial

from anyio import to_thread
from fastapi import APIRouter, Request
from starlette.responses import Response

from service.accept import Accepted
from service.audit import Reads
from service.database import Database, TakesTooLong
from service.errors import Busy, ServiceError
from service.results.dicomweb import openapi, qido, records
from service.results.dicomweb.answers import (
    DICOM_JSON,
    Accepts,
    SeriesPath,
    StudyPath,
    Uid,
    base_of,
    item_form,
    items_answer,
)
from service.results.dicomweb.attributes import Level
from service.results.dicomweb.records import Place
from service.results.dicomweb.saving import json_answer
from service.results.dicomweb.scope import Scoped
from service.results.visibility import Scope

router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])


@router.get("/studies", **openapi.search(Level.STUDY))
async def search_studies(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find studies."""
    return await _search(request, scope, accepts, Level.STUDY, Place())


@router.get("/series", **openapi.search(Level.SERIES))
async def search_all_series(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find series of any study."""
    return await _search(request, scope, accepts, Level.SERIES, Place())


@router.get("/instances", **openapi.search(Level.INSTANCE))
async def search_all_instances(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find instances of any study."""
    return await _search(request, scope, accepts, Level.INSTANCE, Place())


@router.get(StudyPath + "/series", **openapi.search(Level.SERIES))
async def search_series(request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: Uid) -> Response:
    """QIDO-RS: find series of a study."""
    return await _search(request, scope, accepts, Level.SERIES, Place(study_instance_uid))


@router.get(StudyPath + "/instances", **openapi.search(Level.INSTANCE))
async def search_instances_of_study(
    request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: Uid
) -> Response:
    """QIDO-RS: find instances of a study."""
    return await _search(request, scope, accepts, Level.INSTANCE, Place(study_instance_uid))


@router.get(SeriesPath + "/instances", **openapi.search(Level.INSTANCE))
async def search_instances_of_series(
    request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: Uid, series_instance_uid: Uid
) -> Response:
    """QIDO-RS: find instances of a series."""
    return await _search(request, scope, accepts, Level.INSTANCE, Place(study_instance_uid, series_instance_uid))


async def _search(request: Request, scope: Scope, accepts: Sequence[Accepted], level: Level, place: Place) -> Response:
    form = item_form(accepts)
    within = Level.SERIES if place.series_instance_uid else Level.STUDY if place.study_instance_uid else None
    query = qido.parse_search(level, within, request.query_params.multi_items())
    answer = partial(_answer, request, scope, place, query, form)
    seats = request.app.state.search_seats
    if not seats.take(scope.caller.name):
        raise Busy("Too many searches at once; ask again in a few seconds.")
    try:
        return await to_thread.run_sync(answer, limiter=request.app.state.searchers)
    finally:
        seats.leave(scope.caller.name)


def _answer(request: Request, scope: Scope, place: Place, query: qido.Search, form: str) -> Response:
    database: Database = request.app.state.database
    reads: Reads = request.app.state.reads
    reads.looked(scope.caller, "searched", site_id=scope.caller.site_id, object_type="studies", object_id=None)
    try:
        with database.reading(longest_s=request.app.state.settings.search_s) as rx:
            page = records.search(rx, scope, place, query)
    except TakesTooLong:
        words = "The search would read too much; name a patient, an accession number, a UID or a range of study dates."
        raise ServiceError(413, "too_broad", words) from None
    warnings = qido.warning_headers(query, page.remaining, is_at_least=page.remaining_is_at_least)
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    if not page.rows:
        return Response(status_code=204, headers=headers)
    found = qido.answer(query, page.rows, base_of(request))
    if form == DICOM_JSON:
        return json_answer(request, (json.dumps(found).encode(),), DICOM_JSON, headers)
    return items_answer(request, iter(found), form, headers)
