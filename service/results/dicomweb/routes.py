"""The addresses of QIDO-RS and WADO-RS."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response, StreamingResponse

from service.archive import Archive
from service.audit import Reads
from service.database import Database
from service.errors import Invalid, NotFound, ServiceError
from service.results.dicomweb import qido, records, wado
from service.results.dicomweb.accept import Accepted, parse_accept
from service.results.dicomweb.attributes import Json, Level
from service.results.dicomweb.frames import OCTETS, FrameForm, Frames, NoSuchFrame, frame_form
from service.results.dicomweb.metadata import pixel_element, read_bulk, read_metadata
from service.results.dicomweb.native_model import DICOM_XML, to_xml
from service.results.dicomweb.records import Place, StoredInstance
from service.results.dicomweb.rendered import RENDERED_TYPES, NotRendered, View, parse_view, render
from service.results.dicomweb.scope import Scoped
from service.results.dicomweb.wado import DICOM, Part
from service.results.visibility import Scope

router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])
log = logging.getLogger("pandok.results")

DICOM_JSON = "application/dicom+json"
_MAX_FRAMES = 10_000

StudyPath = "/studies/{study_instance_uid}"
SeriesPath = StudyPath + "/series/{series_instance_uid}"
InstancePath = SeriesPath + "/instances/{sop_instance_uid}"


def accepted_of(
    accept: Annotated[str | None, Header()] = None,
    accept_parameter: Annotated[str | None, Query(alias="accept", max_length=1_000)] = None,
) -> tuple[Accepted, ...]:
    """Return what the client takes: the query parameter is for clients that cannot set a header (PS3.18 8.3.3)."""
    return parse_accept(accept_parameter or accept)


def place_of(
    study_instance_uid: str | None = None, series_instance_uid: str | None = None, sop_instance_uid: str | None = None
) -> Place:
    """Return the place that an address names."""
    return Place(study_instance_uid, series_instance_uid, sop_instance_uid)


Accepts = Annotated[tuple[Accepted, ...], Depends(accepted_of)]


# ------------------------------------------------------------------------------------------------ search


@router.get("/studies")
def search_studies(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find studies."""
    return _search(request, scope, accepts, Level.STUDY, Place())


@router.get("/series")
def search_all_series(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find series of any study."""
    return _search(request, scope, accepts, Level.SERIES, Place())


@router.get("/instances")
def search_all_instances(request: Request, scope: Scoped, accepts: Accepts) -> Response:
    """QIDO-RS: find instances of any study."""
    return _search(request, scope, accepts, Level.INSTANCE, Place())


@router.get(StudyPath + "/series")
def search_series(request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: str) -> Response:
    """QIDO-RS: find series of a study."""
    return _search(request, scope, accepts, Level.SERIES, Place(study_instance_uid))


@router.get(StudyPath + "/instances")
def search_instances_of_study(request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: str) -> Response:
    """QIDO-RS: find instances of a study."""
    return _search(request, scope, accepts, Level.INSTANCE, Place(study_instance_uid))


@router.get(SeriesPath + "/instances")
def search_instances_of_series(
    request: Request, scope: Scoped, accepts: Accepts, study_instance_uid: str, series_instance_uid: str
) -> Response:
    """QIDO-RS: find instances of a series."""
    return _search(request, scope, accepts, Level.INSTANCE, Place(study_instance_uid, series_instance_uid))


def _search(request: Request, scope: Scope, accepts: Sequence[Accepted], level: Level, place: Place) -> Response:
    form = _item_form(accepts)
    within = Level.SERIES if place.series_instance_uid else Level.STUDY if place.study_instance_uid else None
    query = qido.parse_search(level, within, request.query_params.multi_items())
    database: Database = request.app.state.database
    reads: Reads = request.app.state.reads
    reads.looked(scope.caller, "searched", site_id=scope.caller.site_id, object_type="studies", object_id=None)
    with database.reading() as rx:
        page = records.search(rx, scope, place, query)
    warnings = qido.warning_headers(query, page.remaining, is_at_least=page.remaining_is_at_least)
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    if not page.rows:
        return Response(status_code=204, headers=headers)
    found = qido.answer(query, page.rows, _base(request))
    if form == DICOM_JSON:
        return Response(json.dumps(found), media_type=DICOM_JSON, headers=headers)
    return _items(iter(found), form, headers)


# ---------------------------------------------------------------------------------------------- retrieve


@router.get(StudyPath)
@router.get(SeriesPath)
@router.get(InstancePath)
def retrieve(request: Request, scope: Scoped, accepts: Accepts, place: Annotated[Place, Depends(place_of)]) -> Response:
    """WADO-RS: give every instance at a place, as `multipart/related` or, of one instance, as a file."""
    archive: Archive = request.app.state.archive
    instances = _instances(request, scope, place)
    usable = [one for one in accepts if one.is_multipart or place.sop_instance_uid]
    chosen = wado.choose(archive, instances, usable)
    if not chosen:
        raise _not_acceptable("Ask for multipart/related; compressed instances are given with transfer-syntax=*.")
    parts = wado.parts(chosen, _base(request))
    if not next(one for one in usable if wado.choose(archive, instances, [one])).is_multipart:
        [part] = parts
        headers = {"Content-Disposition": 'attachment; filename="instance.dcm"'}
        return StreamingResponse(part.body, media_type=part.content_type, headers=headers)
    return _multipart(parts, DICOM, status=200 if len(chosen) == len(instances) else 206)


@router.get(StudyPath + "/metadata")
@router.get(SeriesPath + "/metadata")
@router.get(InstancePath + "/metadata")
def retrieve_metadata(
    request: Request, scope: Scoped, accepts: Accepts, place: Annotated[Place, Depends(place_of)]
) -> Response:
    """WADO-RS: give the attributes of every instance at a place, bulk values by address."""
    form = _item_form(accepts)
    archive: Archive = request.app.state.archive
    instances = _instances(request, scope, place)
    return _items(_metadata(archive, instances, _base(request)), form, {})


def _metadata(archive: Archive, instances: Sequence[StoredInstance], base: str) -> Iterator[Json]:
    """Give one instance at a time: a study of thousands is never in memory."""
    for instance in instances:
        path = archive.path(instance.site_id, instance.content_sha256)
        yield read_metadata(path, instance.header, f"{wado.address(base, instance)}/bulkdata")


@router.get(InstancePath + "/frames/{numbers}")
def retrieve_frames(
    request: Request, scope: Scoped, accepts: Accepts, place: Annotated[Place, Depends(place_of)], numbers: str
) -> Response:
    """WADO-RS: give frames of an instance, the first of which is 1."""
    [instance] = _instances(request, scope, place)
    wanted = _frame_numbers(numbers)
    form = _form(instance, accepts, count=len(wanted))
    try:
        frames = Frames(request.app.state.archive, instance)
        bodies = [frames.frame(number) for number in wanted]
    except NoSuchFrame as error:
        raise NotFound("The instance has no such frame, or its pixel data is not whole.") from error
    return _frames(bodies, form)


@router.get(InstancePath + "/bulkdata/{path:path}")
def retrieve_bulk(
    request: Request, scope: Scoped, accepts: Accepts, place: Annotated[Place, Depends(place_of)], path: str
) -> Response:
    """WADO-RS: give a binary value by the address that the metadata name."""
    [instance] = _instances(request, scope, place)
    archive: Archive = request.app.state.archive
    if path.upper() == pixel_element(instance.header)[0]:
        try:
            frames = Frames(archive, instance)
        except NoSuchFrame as error:
            raise NotFound("The instance has no pixel data, or it is not whole.") from error
        form = _form(instance, accepts, count=frames.count)
        return _frames([frames.frame(number) for number in range(1, frames.count + 1)], form)
    taken = next((one for one in accepts if one.takes(OCTETS)), None)
    if taken is None:
        raise _not_acceptable("Binary values are application/octet-stream.")
    stored = archive.path(instance.site_id, instance.content_sha256)
    value = read_bulk(stored, instance.transfer_syntax_uid, path.split("/"))
    if value is None:
        raise NotFound("The instance has no such binary value.")
    return _frames([iter([value])], FrameForm(OCTETS, taken.is_multipart))


@router.get(InstancePath + "/rendered")
def retrieve_rendered(
    request: Request,
    scope: Scoped,
    accepts: Accepts,
    place: Annotated[Place, Depends(place_of)],
    view: Annotated[View, Depends(parse_view)],
) -> Response:
    """WADO-RS: give a picture of one of our own results; others are drawn by the viewer from their frames."""
    [instance] = _instances(request, scope, place)
    media_type = next((t for one in accepts for t in RENDERED_TYPES if one.takes(t)), None)
    if media_type is None:
        raise _not_acceptable(f"Pictures are {' or '.join(RENDERED_TYPES)}.")
    try:
        picture = render(Frames(request.app.state.archive, instance), instance, view, media_type)
    except (NotRendered, NoSuchFrame) as error:
        raise _not_acceptable("Only colour pictures made by this service are rendered.") from error
    return Response(picture, media_type=media_type)


# ---------------------------------------------------------------------------------------------- answers


def _instances(request: Request, scope: Scope, place: Place) -> list[StoredInstance]:
    """Return what stands at a place for the caller. Raises NotFound, also for what he may not see."""
    database: Database = request.app.state.database
    with database.reading() as rx:
        found = records.instances(rx, scope, place)
    if not found:
        raise NotFound
    if len({instance.site_id for instance in found}) > 1:
        raise Invalid("More than one site has this study: add ?site=CODE to the address.", code="site_missing")
    archive: Archive = request.app.state.archive
    present = [one for one in found if archive.path(one.site_id, one.content_sha256).is_file()]
    if len(present) < len(found):
        log.error("stored file missing", extra={"site_id": found[0].site_id, "files": len(found) - len(present)})
        # An incomplete study must not look like a whole one.
        raise ServiceError(500, "stored_file_missing", "A stored file is missing. The operator finds it in the log.")
    first = found[0]
    reads: Reads = request.app.state.reads
    reads.looked(
        scope.caller, "retrieved", site_id=first.site_id, object_type="study", object_id=first.study_instance_uid
    )
    return found


def _item_form(accepts: Sequence[Accepted]) -> str:
    """Return whether data sets are told in JSON or XML, by what the client likes better."""
    for one in accepts:
        if one.takes(DICOM_JSON) or one.takes("application/json"):
            return DICOM_JSON
        if one.is_multipart and one.takes(DICOM_XML):
            return DICOM_XML
    raise _not_acceptable(f"Data sets are told as {DICOM_JSON} or as multipart/related of {DICOM_XML}.")


def _items(items: Iterator[Json], form: str, headers: Mapping[str, str]) -> Response:
    if form == DICOM_XML:
        return _multipart((Part(DICOM_XML, None, (to_xml(item),)) for item in items), DICOM_XML, headers=headers)
    return StreamingResponse(_json_array(items), media_type=DICOM_JSON, headers=headers)


def _json_array(items: Iterator[Json]) -> Iterator[bytes]:
    yield b"["
    for index, item in enumerate(items):
        yield (b"," if index else b"") + json.dumps(item, allow_nan=False).encode()
    yield b"]"


def _form(instance: StoredInstance, accepts: Sequence[Accepted], *, count: int) -> FrameForm:
    form = frame_form(instance, accepts, count=count)
    if form is None:
        raise _not_acceptable("Frames are given as they are stored: ask for */* or with transfer-syntax=*.")
    return form


def _frames(bodies: Sequence[Iterator[bytes]], form: FrameForm) -> Response:
    if not form.is_multipart:
        return StreamingResponse(bodies[0], media_type=form.content_type)
    parts = (Part(form.content_type, None, body) for body in bodies)
    return _multipart(parts, form.content_type.split(";")[0])


def _multipart(
    parts: Iterator[Part], part_type: str, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    boundary = wado.new_boundary()
    media_type = f'multipart/related; type="{part_type}"; boundary={boundary}'
    body = wado.multipart(parts, boundary)
    return StreamingResponse(body, status_code=status, media_type=media_type, headers=headers)


def _frame_numbers(text: str) -> list[int]:
    numbers = text.split(",")
    if len(numbers) > _MAX_FRAMES or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise Invalid("Frames are whole numbers from 1 on, with commas between.")
    return [int(number) for number in numbers]


def _not_acceptable(words: str) -> ServiceError:
    return ServiceError(406, "not_acceptable", words)


def _base(request: Request) -> str:
    settings: Any = request.app.state.settings
    return (settings.public_url or str(request.base_url)).rstrip("/") + "/dicomweb"
