"""The door of uploads that go on after a break: the tus protocol 1.0.0 (tus.io), and a last word that takes the file.

Of its extensions creation, expiration and termination are spoken, so that every tus client can send. A file's name is
told with the last word only and kept nowhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from email.utils import formatdate
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Request
from fastapi.responses import Response

from service.errors import Invalid, NotFound, ServiceError
from service.intake.body import check_before_body, one_more_body
from service.intake.openapi import UPLOAD
from service.intake.outcomes import Door, Sender
from service.intake.resumable import Resumable
from service.intake.resumable_records import Unfinished
from service.intake.routes import MaySend, SiteId

VERSION = "1.0.0"
EXTENSIONS = "creation,expiration,termination"
STREAM = "application/offset+octet-stream"
_TUS = {"Tus-Resumable": VERSION, "Cache-Control": "no-store"}
_SHA256 = re.compile(r"[0-9a-f]{64}")

router = APIRouter(prefix="/api/uploads/resumable")

UploadId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Size = Annotated[int, Header(alias="Upload-Length", ge=1, lt=2**53)]
Offset = Annotated[int, Header(alias="Upload-Offset", ge=0, lt=2**53)]
Metadata = Annotated[str, Header(alias="Upload-Metadata", max_length=4_000)]


async def speaks_tus(tus_resumable: Annotated[str, Header()]) -> None:
    """Let in who speaks this version. Raises ServiceError: 412."""
    if tus_resumable != VERSION:
        raise ServiceError(412, "tus_version", f"This service speaks tus {VERSION}.", headers={"Tus-Version": VERSION})


SpeaksTus = Depends(speaks_tus)


def uploads_of(request: Request) -> Resumable:
    """Return the uploads of the application."""
    state = request.app.state
    return Resumable(state.intake, state.database, state.settings, state.clock)


Uploads = Annotated[Resumable, Depends(uploads_of)]


def upload_of(uploads: Uploads, who: MaySend, upload_id: UploadId) -> Unfinished:
    """Return the upload of an address. Raises NotFound, also for those of other sites."""
    one = uploads.find(upload_id)
    if not who.may_see(one.site_id):
        raise NotFound("There is no such upload; begin again.")
    return one


ThisUpload = Annotated[Unfinished, Depends(upload_of)]


def _said(*headers: str) -> dict[str, Any]:
    return {name: {"schema": {"type": "string"}} for name in ("Tus-Resumable", *headers)}


@router.options(
    "",
    status_code=204,
    tags=["intake"],
    responses={204: {"headers": _said("Tus-Version", "Tus-Extension", "Tus-Max-Size")}},
)
def tell_capabilities(request: Request, who: MaySend) -> Response:  # noqa: ARG001 - who asks must be known
    """Tell what of tus is spoken."""
    most = str(request.app.state.settings.max_stow_bytes)
    told = {**_TUS, "Tus-Version": VERSION, "Tus-Extension": EXTENSIONS, "Tus-Max-Size": most}
    return Response(status_code=204, headers=told)


@router.post(
    "",
    status_code=201,
    response_class=Response,
    tags=["intake"],
    dependencies=[SpeaksTus],
    responses={201: {"headers": _said("Location", "Upload-Expires"), "description": "Send the file to the Location."}},
)
def begin_upload(
    uploads: Uploads, who: MaySend, site_id: SiteId, upload_length: Size, upload_metadata: Metadata = ""
) -> Response:
    """Begin an upload of so many bytes: one Part-10 file, or one zip of them.

    Of the metadata only `sha256` is read, the SHA-256 of the whole file in hex; the file is taken when it agrees.
    """
    sender = Sender(site_id, Door.UPLOAD, who.name)
    one = uploads.begin(sender, size_bytes=upload_length, content_sha256=_sha256_of(upload_metadata))
    return Response(status_code=201, headers={**_told(one), "Location": f"{router.prefix}/{one.public_id}"})


@router.head(
    "/{upload_id}",
    response_class=Response,
    tags=["intake"],
    dependencies=[SpeaksTus],
    responses={200: {"headers": _said("Upload-Offset", "Upload-Length", "Upload-Expires"), "description": "Known."}},
)
def tell_offset(one: ThisUpload) -> Response:
    """Tell how much of an upload stands on the disk."""
    return Response(headers=_told(one))


@router.patch(
    "/{upload_id}",
    status_code=204,
    response_class=Response,
    tags=["intake"],
    dependencies=[SpeaksTus],
    responses={204: {"headers": _said("Upload-Offset", "Upload-Length", "Upload-Expires"), "description": "Written."}},
    openapi_extra={
        "requestBody": {"required": True, "content": {STREAM: {"schema": {"type": "string", "format": "binary"}}}}
    },
)
async def go_on(request: Request, uploads: Uploads, who: MaySend, one: ThisUpload, upload_offset: Offset) -> Response:
    """Write the body behind what is here. What came before a break stays: ask for the offset and go on there."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != STREAM:
        raise ServiceError(415, "media_type", f"Send the bytes as {STREAM}.")
    check_before_body(request, intake=request.app.state.intake, max_bytes=one.size_bytes)
    with one_more_body(request.app.state, request.app.state.settings, (one.site_id, who.name)):
        written = await uploads.append(request, one.public_id, at=upload_offset)
    return written if isinstance(written, Response) else Response(status_code=204, headers=_told(written))


@router.delete("/{upload_id}", status_code=204, response_class=Response, tags=["intake"], dependencies=[SpeaksTus])
def end_upload(uploads: Uploads, one: ThisUpload) -> Response:
    """Forget an upload and its bytes; what was taken from it stays."""
    uploads.drop(one.public_id)
    return Response(status_code=204, headers=_TUS)


@router.post("/{upload_id}/take", **UPLOAD)
async def take_upload(request: Request, uploads: Uploads, who: MaySend, one: ThisUpload) -> Response:
    """Take a file that is wholly here, and answer an outcome for each file in it; asked again, it answers again.

    `X-File-Name` and `Content-Type` as for an upload in one request.
    """
    with one_more_body(request.app.state, request.app.state.settings, (one.site_id, who.name)):
        return await uploads.take(request, one.public_id, Sender(one.site_id, Door.UPLOAD, who.name))


def _told(one: Unfinished) -> dict[str, str]:
    return {
        **_TUS,
        "Upload-Offset": str(one.offset_bytes),
        "Upload-Length": str(one.size_bytes),
        "Upload-Expires": formatdate(one.expires_at, usegmt=True),
    }


def _sha256_of(metadata: str) -> str | None:
    """Return the SHA-256 that a sender tells. Raises Invalid."""
    for pair in metadata.split(","):
        key, _, value = pair.strip().partition(" ")
        if key != "sha256":
            continue
        try:
            told = base64.b64decode(value, validate=True).decode("ascii").lower()
        except (binascii.Error, ValueError):
            told = ""
        if not _SHA256.fullmatch(told):
            raise Invalid("sha256 of Upload-Metadata is not the Base64 of 64 hexadecimal digits.", code="bad_sha256")
        return told
    return None
