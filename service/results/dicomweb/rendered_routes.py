"""The addresses of rendered pictures and of thumbnails."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, Depends, Request
from PIL import Image
from starlette.responses import Response

from preprocessing.pictures import PICTURE_TYPES
from service.accept import Accepted
from service.archive import Archive
from service.errors import NotFound, ServiceError
from service.results.dicomweb import openapi
from service.results.dicomweb.answers import (
    Accepts,
    InstancePath,
    InstancePlace,
    SeriesPath,
    SeriesPlace,
    StudyPath,
    StudyPlace,
    frame_numbers,
    instances_at,
    multipart_answer,
    not_acceptable,
)
from service.results.dicomweb.frames import NoSuchFrame
from service.results.dicomweb.pictures import NotDrawn, Pictures
from service.results.dicomweb.records import StoredInstance
from service.results.dicomweb.rendered import (
    Wish,
    is_drawable,
    may_show_names,
    parse_thumbnail,
    parse_wish,
    picture_type,
)
from service.results.dicomweb.scope import Scoped
from service.results.dicomweb.wado import Part

router = APIRouter(prefix="/dicomweb", tags=["dicomweb"])

MAX_PICTURES = 256
MAX_PICTURES_BYTES = 256 << 20
"""What one answer may hold in memory: every picture is drawn before the first is sent, so that none is missing."""

Wishes = Annotated[Wish, Depends(parse_wish)]
Thumbnail = Annotated[Wish, Depends(parse_thumbnail)]
FramePath = InstancePath + "/frames/{numbers}"


@router.get(StudyPath + "/rendered", **openapi.RENDERED)
def render_study(request: Request, scope: Scoped, accepts: Accepts, place: StudyPlace, wish: Wishes) -> Response:
    """WADO-RS: give pictures of every image of a study."""
    return _rendered(request, instances_at(request, scope, place), accepts, wish)


@router.get(SeriesPath + "/rendered", **openapi.RENDERED)
def render_series(request: Request, scope: Scoped, accepts: Accepts, place: SeriesPlace, wish: Wishes) -> Response:
    """WADO-RS: give pictures of every image of a series."""
    return _rendered(request, instances_at(request, scope, place), accepts, wish)


@router.get(InstancePath + "/rendered", **openapi.RENDERED)
def render_instance(request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace, wish: Wishes) -> Response:
    """WADO-RS: give a picture of an instance: as one file its first frame, as multipart every frame."""
    return _rendered(request, instances_at(request, scope, place), accepts, wish)


@router.get(FramePath + "/rendered", **openapi.RENDERED)
def render_frames(
    request: Request,
    scope: Scoped,
    accepts: Accepts,
    place: InstancePlace,
    wish: Wishes,
    numbers: openapi.FrameList,
) -> Response:
    """WADO-RS: give pictures of frames of an instance, the first of which is 1."""
    [instance] = instances_at(request, scope, place)
    wanted = [(instance, number) for number in frame_numbers(numbers, MAX_PICTURES)]
    taken = _taken(picture_type(accepts, may_be_single=len(wanted) == 1))
    return _pictures(request, wanted, taken, wish)


@router.get(StudyPath + "/thumbnail", **openapi.THUMBNAIL)
def study_thumbnail(request: Request, scope: Scoped, accepts: Accepts, place: StudyPlace, wish: Thumbnail) -> Response:
    """WADO-RS: give a small picture of a study, without anything that names the patient."""
    return _thumbnail(request, instances_at(request, scope, place), accepts, wish)


@router.get(SeriesPath + "/thumbnail", **openapi.THUMBNAIL)
def series_thumbnail(
    request: Request, scope: Scoped, accepts: Accepts, place: SeriesPlace, wish: Thumbnail
) -> Response:
    """WADO-RS: give a small picture of a series, without anything that names the patient."""
    return _thumbnail(request, instances_at(request, scope, place), accepts, wish)


@router.get(InstancePath + "/thumbnail", **openapi.THUMBNAIL)
def instance_thumbnail(
    request: Request, scope: Scoped, accepts: Accepts, place: InstancePlace, wish: Thumbnail
) -> Response:
    """WADO-RS: give a small picture of an instance, without anything that names the patient."""
    return _thumbnail(request, instances_at(request, scope, place), accepts, wish)


@router.get(FramePath + "/thumbnail", **openapi.THUMBNAIL)
def frame_thumbnail(
    request: Request,
    scope: Scoped,
    accepts: Accepts,
    place: InstancePlace,
    wish: Thumbnail,
    numbers: openapi.FrameList,
) -> Response:
    """WADO-RS: give a small picture of a frame, without anything that names the patient."""
    [number] = frame_numbers(numbers, 1)
    return _thumbnail(request, instances_at(request, scope, place), accepts, wish, number)


def _rendered(
    request: Request, instances: Sequence[StoredInstance], accepts: Sequence[Accepted], wish: Wish
) -> Response:
    drawable = [one for one in instances if is_drawable(one)]
    if not drawable:
        raise not_acceptable("There is no image here that could be drawn.")
    taken = _taken(picture_type(accepts, may_be_single=len(instances) == 1))
    wanted = [(drawable[0], 1)]
    if taken[1]:
        wanted = [(one, number) for one in drawable for number in range(1, _frame_count(one) + 1)]
    return _pictures(request, wanted, taken, wish, status=200 if len(drawable) == len(instances) else 206)


def _frame_count(instance: StoredInstance) -> int:
    """Return how many frames there are to draw; a header may claim any number, and too many are too many."""
    return min(instance.header.number_of_frames or 1, MAX_PICTURES + 1)


def _taken(taken: tuple[str, bool] | None) -> tuple[str, bool]:
    if taken is None:
        raise not_acceptable(f"Pictures are {', '.join(PICTURE_TYPES)}; several of them are multipart/related.")
    return taken


def _pictures(
    request: Request,
    wanted: Sequence[tuple[StoredInstance, int]],
    taken: tuple[str, bool],
    wish: Wish,
    status: int = 200,
) -> Response:
    media_type, is_multipart = taken
    if len(wanted) > MAX_PICTURES:
        raise ServiceError(413, "too_large", f"More than {MAX_PICTURES} pictures; ask for a series, or for frames.")
    drawn: list[bytes] = []
    for instance, number in wanted:
        drawn.append(_draw(request, instance, number, wish, media_type))
        if sum(map(len, drawn)) > MAX_PICTURES_BYTES:
            raise ServiceError(413, "too_large", "These pictures are too large together; ask for fewer, or smaller.")
    if not is_multipart:
        return Response(drawn[0], media_type=media_type)
    return multipart_answer((Part(media_type, None, [one]) for one in drawn), media_type, status=status)


def _draw(request: Request, instance: StoredInstance, number: int, wish: Wish, media_type: str) -> bytes:
    pictures: Pictures = request.app.state.pictures
    archive: Archive = request.app.state.archive
    try:
        with pictures.seat():
            return pictures.draw(archive, instance, number, wish.view(media_type, instance.header))
    except NoSuchFrame as error:
        raise NotFound("The instance has no such frame, or its pixel data is not whole.") from error
    except NotDrawn as error:
        raise not_acceptable("This image cannot be drawn; ask for its frames as they are stored.") from error


def _thumbnail(
    request: Request,
    instances: Sequence[StoredInstance],
    accepts: Sequence[Accepted],
    wish: Wish,
    number: int | None = None,
) -> Response:
    """Answer with the middle image that says nothing of the patient; where there is none, with a grey card."""
    media_type, _ = _taken(picture_type(accepts, may_be_single=True))
    fit = [one for one in instances if is_drawable(one) and not may_show_names(one.header)]
    fit = [one for one in fit if not one.is_result] or fit
    if not fit:
        return Response(_card(wish, media_type), media_type=media_type)
    chosen = fit[len(fit) // 2]
    try:
        picture = _draw(request, chosen, number or (_frame_count(chosen) + 1) // 2, wish, media_type)
    except ServiceError as refusal:
        if refusal.status == 503 or (refusal.status == 404 and number is not None):
            raise
        picture = _card(wish, media_type)
    return Response(picture, media_type=media_type)


def _card(wish: Wish, media_type: str) -> bytes:
    """Return a grey picture: there is something, and it is not shown here."""
    buffer = io.BytesIO()
    side = min(wish.size or (1, 1))
    Image.new("L", (side, side), 96).save(buffer, format=media_type.removeprefix("image/").upper())
    return buffer.getvalue()
