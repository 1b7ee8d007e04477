"""The addresses of WADO-RS: instances, metadata, frames and bulk values."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import BinaryIO

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from service.accept import Accepted
from service.archive import Archive
from service.errors import Busy, NotFound, ServiceError
from service.media_types import OCTETS
from service.results.dicomweb import openapi, wado
from service.results.dicomweb.answers import (
    Accepts,
    InstancePath,
    InstancePlace,
    SeriesPath,
    SeriesPlace,
    StudyPath,
    StudyPlace,
    base_of,
    frame_numbers,
    instances_at,
    item_form,
    items_answer,
    multipart_answer,
    not_acceptable,
)
from service.results.dicomweb.bulk import open_bulk
from service.results.dicomweb.frames import FrameForm, Frames, NoSuchFrame, frame_form
from service.results.dicomweb.metadata import pixel_element, read_metadata
from service.results.dicomweb.pictures import MAX_RESULT_BYTES, NotDrawn, Pictures, decoded_bytes
from service.results.dicomweb.records import Place, StoredInstance
from service.results.dicomweb.saving import has_already, not_changed, tag_of_bytes, value_answer
from service.results.dicomweb.scope import Scoped
from service.results.dicomweb.wado import DICOM, Part, Way
from service.results.visibility import Scope

router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])
log = logging.getLogger("pandok.results")

MAX_FRAMES = 10_000


@router.get(StudyPath, **openapi.INSTANCES)
def retrieve_study(request: Request, scope: Scoped, accepts: Accepts, place: StudyPlace) -> Response:
    """WADO-RS: give every instance of a study as `multipart/related`."""
    return _retrieve(request, scope, accepts, place)


@router.get(SeriesPath, **openapi.INSTANCES)
def retrieve_series(request: Request, scope: Scoped, accepts: Accepts, place: SeriesPlace) -> Response:
    """WADO-RS: give every instance of a series as `multipart/related`."""
    return _retrieve(request, scope, accepts, place)


@router.get(InstancePath, **openapi.INSTANCES)
def retrieve_instance(request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace) -> Response:
    """WADO-RS: give an instance as `multipart/related` or as a file."""
    return _retrieve(request, scope, accepts, place)


def _retrieve(request: Request, scope: Scope, accepts: Sequence[Accepted], place: Place) -> Response:
    archive: Archive = request.app.state.archive
    pictures: Pictures = request.app.state.pictures
    instances = instances_at(request, scope, place)
    usable = [one for one in accepts if one.is_multipart or place.sop_instance_uid]
    chosen = wado.choose(archive, instances, usable)
    if not chosen:
        raise not_acceptable("Ask for multipart/related; transfer-syntax=* gives every instance as it is stored.")
    tag = tag_of_bytes((one.instance for one in chosen), [one.way for one in chosen], usable)
    if has_already(request, tag):
        return not_changed(tag)
    parts = wado.parts(chosen, base_of(request), lambda one: _unpacked(pictures, archive, one))
    limiter = pictures.limiter if any(one.way is not Way.AS_STORED for one in chosen) else None
    if not next(one for one in usable if wado.choose(archive, instances, [one])).is_multipart:
        with pictures.seat() if limiter else contextlib.nullcontext():
            [part] = parts
        headers = {"Content-Disposition": 'attachment; filename="instance.dcm"', "ETag": tag}
        return StreamingResponse(part.body, media_type=part.content_type, headers=headers)
    status = 200 if len(chosen) == len(instances) else 206
    return multipart_answer(parts, DICOM, status=status, headers={"ETag": tag}, limiter=limiter)


def _unpacked(pictures: Pictures, archive: Archive, instance: StoredInstance) -> BinaryIO | None:
    """Have a compressed instance unpacked; None where that cannot be done: it is then sent as it is stored."""
    if decoded_bytes(instance, instance.header.number_of_frames or 1) > MAX_RESULT_BYTES:
        return None
    try:
        return pictures.unpacked_file(archive, instance)
    except (NotDrawn, NoSuchFrame, Busy) as error:
        log.info("sent as stored", extra={"error": type(error).__name__})
        return None


@router.get(StudyPath + "/metadata", **openapi.METADATA)
async def retrieve_study_metadata(request: Request, scope: Scoped, accepts: Accepts, place: StudyPlace) -> Response:
    """WADO-RS: give the attributes of every instance of a study, bulk values by address."""
    return await _metadata(request, scope, accepts, place)


@router.get(SeriesPath + "/metadata", **openapi.METADATA)
async def retrieve_series_metadata(request: Request, scope: Scoped, accepts: Accepts, place: SeriesPlace) -> Response:
    """WADO-RS: give the attributes of every instance of a series, bulk values by address."""
    return await _metadata(request, scope, accepts, place)


@router.get(InstancePath + "/metadata", **openapi.METADATA)
async def retrieve_instance_metadata(
    request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace
) -> Response:
    """WADO-RS: give the attributes of an instance, bulk values by address."""
    return await _metadata(request, scope, accepts, place)


async def _metadata(request: Request, scope: Scope, accepts: Sequence[Accepted], place: Place) -> Response:
    form = item_form(accepts)
    archive: Archive = request.app.state.archive
    instances, base = await run_in_threadpool(instances_at, request, scope, place), base_of(request)
    # A hostile header takes a second and some 100 MiB: those who wait for their turn hold no thread.
    readers = request.app.state.pictures.readers

    def answer() -> Response:
        paths = (archive.path(one.site_id, one.content_sha256) for one in instances)
        items = (
            read_metadata(path, one.header, f"{wado.address(base, one)}/bulkdata")
            for path, one in zip(paths, instances, strict=True)
        )
        return items_answer(request, items, form, {}, limiter=readers)

    return await to_thread.run_sync(answer, limiter=readers)


@router.get(InstancePath + "/frames/{numbers}", **openapi.FRAMES)
def retrieve_frames(
    request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace, numbers: openapi.FrameList
) -> Response:
    """WADO-RS: give frames of an instance, the first of which is 1."""
    [instance] = instances_at(request, scope, place)
    wanted = frame_numbers(numbers, MAX_FRAMES)
    try:
        frames = Frames(request.app.state.archive, instance)
        return _frames(request, instance, accepts, frames, wanted)
    except NoSuchFrame as error:
        raise NotFound("The instance has no such frame, or its pixel data is not whole.") from error


@router.get(InstancePath + "/bulkdata/{path:path}", **openapi.BULK)
async def retrieve_bulk(
    request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace, path: openapi.BulkPath
) -> Response:
    """WADO-RS: give a binary value by the address that the metadata name."""
    [instance] = await run_in_threadpool(instances_at, request, scope, place)
    if path.upper() == pixel_element(instance.header)[0]:
        return await run_in_threadpool(_pixels, request, accepts, instance)
    readers = request.app.state.pictures.readers  # as for metadata
    return await to_thread.run_sync(partial(_bulk, request, accepts, instance, path), limiter=readers)


def _pixels(request: Request, accepts: Sequence[Accepted], instance: StoredInstance) -> Response:
    try:
        frames = Frames(request.app.state.archive, instance)
        return _frames(request, instance, accepts, frames, range(1, frames.count + 1))
    except NoSuchFrame as error:
        raise NotFound("The instance has no pixel data, or it is not whole.") from error


def _bulk(request: Request, accepts: Sequence[Accepted], instance: StoredInstance, path: str) -> Response:
    taken = next((one for one in accepts if one.takes(OCTETS)), None)
    if taken is None:
        raise not_acceptable("Binary values are application/octet-stream.")
    form = FrameForm(OCTETS, taken.is_multipart)
    tag = tag_of_bytes([instance], form, path.upper())
    if has_already(request, tag):
        return not_changed(tag)
    archive: Archive = request.app.state.archive
    stored = archive.path(instance.site_id, instance.content_sha256)
    value = open_bulk(stored, instance.transfer_syntax_uid, path.split("/"))
    if value is None:
        raise NotFound("The instance has no such binary value.")
    return _frames_answer(request, [value.pieces], form, tag=tag, size_bytes=value.size_bytes)


def _frames(
    request: Request, instance: StoredInstance, accepts: Sequence[Accepted], frames: Frames, wanted: Sequence[int]
) -> Response:
    """Answer with frames as they are stored or, where the client wants native ones, as a decode child unpacks them."""
    form = frame_form(instance, accepts, count=len(wanted))
    if form is None:
        raise not_acceptable("Frames are given as they are stored, or as application/octet-stream.")
    size_bytes = sum(length for number in wanted for _, length in frames.spans(number))
    tag = tag_of_bytes([instance], form, list(wanted))
    if has_already(request, tag):
        return not_changed(tag)
    if not form.is_unpacked:
        bodies = [frames.frame(number) for number in wanted]
        return _frames_answer(request, bodies, form, tag=tag, size_bytes=size_bytes)
    if decoded_bytes(instance, len(wanted)) > MAX_RESULT_BYTES:
        raise ServiceError(413, "too_large", "So many frames are too large when unpacked; ask for fewer of them.")
    pictures: Pictures = request.app.state.pictures
    try:
        with pictures.seat():
            unpacked = pictures.unpacked_frames(request.app.state.archive, instance, wanted)
    except NotDrawn as error:
        raise not_acceptable(
            "These frames cannot be unpacked; ask with transfer-syntax=* for them as stored."
        ) from error
    size_bytes = sum(map(len, unpacked))
    return _frames_answer(request, [iter([frame]) for frame in unpacked], form, tag=tag, size_bytes=size_bytes)


def _frames_answer(
    request: Request, bodies: Sequence[Iterator[bytes]], form: FrameForm, *, tag: str, size_bytes: int
) -> Response:
    """Answer with parts, or with the one value or a range of it."""
    headers = {"ETag": tag}
    if not form.is_multipart:
        return value_answer(request, bodies[0], size_bytes, media_type=form.content_type, headers=headers)
    parts = (Part(form.content_type, None, body) for body in bodies)
    return multipart_answer(parts, form.content_type.split(";")[0], headers=headers)
