"""What search and retrieve share: where an address points, what the client takes, and the bodies of answers."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any

from anyio import CapacityLimiter
from fastapi import Depends, Header, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from service.accept import Accepted, parse_accept
from service.archive import Archive
from service.audit import Reads
from service.database import Database
from service.errors import Invalid, NotFound, ServiceError
from service.native_model import DICOM_XML, to_xml
from service.results.dicomweb import records, wado
from service.results.dicomweb.attributes import Json
from service.results.dicomweb.records import Place, StoredInstance
from service.results.dicomweb.saving import json_answer, streamed
from service.results.dicomweb.wado import Part
from service.results.visibility import Scope

log = logging.getLogger("pandok.results")

DICOM_JSON = "application/dicom+json"

StudyPath = "/studies/{study_instance_uid}"
SeriesPath = StudyPath + "/series/{series_instance_uid}"
InstancePath = SeriesPath + "/instances/{sop_instance_uid}"


async def accepted_of(
    accept: Annotated[str | None, Header()] = None,
    accept_parameter: Annotated[str | None, Query(alias="accept", max_length=1_000)] = None,
) -> tuple[Accepted, ...]:
    """Return what the client takes: the query parameter is for clients that cannot set a header (PS3.18 8.3.3)."""
    return parse_accept(accept_parameter or accept)


Accepts = Annotated[tuple[Accepted, ...], Depends(accepted_of)]
Uid = Annotated[str, Path(description="A UID; what is none names nothing.")]


async def study_place(study_instance_uid: Uid) -> Place:
    """Return the place that an address names."""
    return Place(study_instance_uid)


async def series_place(study_instance_uid: Uid, series_instance_uid: Uid) -> Place:
    """Return the place that an address names."""
    return Place(study_instance_uid, series_instance_uid)


async def instance_place(study_instance_uid: Uid, series_instance_uid: Uid, sop_instance_uid: Uid) -> Place:
    """Return the place that an address names."""
    return Place(study_instance_uid, series_instance_uid, sop_instance_uid)


StudyPlace = Annotated[Place, Depends(study_place)]
SeriesPlace = Annotated[Place, Depends(series_place)]
InstancePlace = Annotated[Place, Depends(instance_place)]


def instances_at(request: Request, scope: Scope, place: Place) -> list[StoredInstance]:
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


def item_form(accepts: Sequence[Accepted]) -> str:
    """Return whether data sets are told in JSON or XML, by what the client likes better."""
    for one in accepts:
        if one.takes(DICOM_JSON) or one.takes("application/json"):
            return DICOM_JSON
        if one.is_multipart and one.takes(DICOM_XML):
            return DICOM_XML
    raise not_acceptable(f"Data sets are told as {DICOM_JSON} or as multipart/related of {DICOM_XML}.")


def items_answer(
    request: Request,
    items: Iterator[Json],
    form: str,
    headers: Mapping[str, str],
    *,
    limiter: CapacityLimiter | None = None,
) -> Response:
    """Answer with data sets, one after another: a study of thousands is never in memory.

    The first of them are read here; a limiter holds the threads that may read the others.
    """
    if form == DICOM_XML:
        parts = (Part(DICOM_XML, None, (to_xml(item),)) for item in items)
        return multipart_answer(parts, DICOM_XML, headers=headers, limiter=limiter)
    return json_answer(request, _json_array(items), DICOM_JSON, dict(headers), limiter=limiter)


def _json_array(items: Iterator[Json]) -> Iterator[bytes]:
    yield b"["
    for index, item in enumerate(items):
        yield (b"," if index else b"") + json.dumps(item, allow_nan=False).encode()
    yield b"]"


def multipart_answer(
    parts: Iterable[Part],
    part_type: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    limiter: CapacityLimiter | None = None,
) -> Response:
    """Answer with multipart/related (RFC 2387); a limiter holds the threads that may wait for its parts."""
    boundary = wado.new_boundary()
    media_type = f'multipart/related; type="{part_type}"; boundary={boundary}'
    body = streamed(wado.multipart(parts, boundary), limiter)
    return StreamingResponse(body, status_code=status, media_type=media_type, headers=headers)


def not_acceptable(words: str) -> ServiceError:
    """Return the refusal of a request that takes nothing that there is."""
    return ServiceError(406, "not_acceptable", words)


def frame_numbers(text: str, most: int) -> list[int]:
    """Return the numbers of a list of frames, the first of which is 1. Raises Invalid."""
    numbers = text.split(",")
    if len(numbers) > most or not all(n.isascii() and n.isdigit() and len(n) < 10 for n in numbers):
        raise Invalid(f"Frames are whole numbers from 1 on, with commas between, at most {most}.")
    found = [int(number) for number in numbers]
    if len(set(found)) < len(found):  # not allowed (PS3.18 10.4.1), and each time again costs as much
        raise Invalid("A frame can be asked for once only.")
    return found


def base_of(request: Request) -> str:
    """Return the address of the DICOMweb service as clients see it."""
    settings: Any = request.app.state.settings
    return (settings.public_url or str(request.base_url)).rstrip("/") + "/dicomweb"
