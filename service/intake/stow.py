"""STOW-RS: a multipart body in, one Store Instances Response out (PS3.18 section 10.5 and Annex I)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from service.accept import parse_accept
from service.errors import Invalid
from service.intake.batch import Answer, Batch
from service.intake.body import BodyRefused, SenderLeft, check_before_body, pieces
from service.intake.file_parts import FileParts
from service.intake.metadata_parts import MetadataParts
from service.intake.multipart import BadMultipart, MultipartReader, boundary_of
from service.intake.outcomes import IntakeReason, Kind, Outcome, Sender
from service.intake.receive import Intake
from service.native_model import DICOM_XML, to_xml
from service.settings import Settings

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
ACCEPTED = (DICOM, DICOM_JSON, DICOM_XML)
"""Root types of a body: files, or metadata with their bulk values."""
RETRY_AFTER_S = 30
CLIENT_CLOSED = 499
"""Nobody reads this answer; the number is for our own metrics."""

_UNREADABLE = (
    IntakeReason.NOT_DICOM,
    IntakeReason.DAMAGED_HEADER,
    IntakeReason.TRUNCATED,
    IntakeReason.LIMIT_EXCEEDED,
)
_MAX_WARNINGS = 5


async def store(
    request: Request,
    *,
    intake: Intake,
    settings: Settings,
    sender: Sender,
    base: str,
    study_instance_uid: str | None = None,
) -> Response:
    """Keep the instances of one request and answer when every one of them is durable or refused.

    Args:
        request: Its body has not been read.
        intake: Keeps and refuses.
        settings: Limits.
        sender: Who sends.
        base: Address of the DICOMweb service, for Retrieve URLs.
        study_instance_uid: The study that the address names, if it names one.
    """
    boundary, root = boundary_of(request.headers.get("content-type"), accepted=ACCEPTED)
    check_before_body(request, intake=intake, max_bytes=settings.max_stow_bytes)
    batch = Batch(intake, sender, study_instance_uid=study_instance_uid)
    reader = MultipartReader(boundary, max_parts=settings.max_stow_parts)
    parts: FileParts | MetadataParts = FileParts(reader, intake, sender)
    if root != DICOM:
        parts = MetadataParts(reader, intake, sender, settings=settings, media_type=root)
    status = None
    try:
        await _receive(request, parts, batch, settings)
    except (BodyRefused, BadMultipart) as refusal:
        status = refusal.status
        reason = IntakeReason.TOO_LARGE if status == 413 else IntakeReason.TRUNCATED
        await batch.refuse("", reason, refusal.words)
    except SenderLeft:
        await batch.answers()  # whole parts stay: the sender will send them again and be told so
        await asyncio.to_thread(intake.aborted, sender, detail="the connection ended inside a STOW request")
        return Response(status_code=CLIENT_CLOSED)
    answers = await batch.answers()
    accept = request.headers.get("accept")
    if not answers:
        raise Invalid("The request holds no part; put one DICOM Part 10 file in each part.", code="no_parts")
    status = status or store_status([answer.outcome for answer in answers])
    return _response(answers, base, status, is_xml=_wants_xml(accept))


async def _receive(request: Request, parts: FileParts | MetadataParts, batch: Batch, settings: Settings) -> None:
    try:
        async with aclosing(pieces(request, settings=settings, max_bytes=settings.max_stow_bytes)) as body:
            async for piece in body:
                await _take(piece, parts, batch)
        parts.finish()
        if parts.has_more:
            await _take(b"", parts, batch)
    finally:
        parts.close()


async def _take(piece: bytes, parts: FileParts | MetadataParts, batch: Batch) -> None:
    """Take a piece, and hand on the files that became whole by it."""
    while True:
        if parts.is_quick(piece):
            parts.take(piece)
        else:
            await asyncio.to_thread(parts.take, piece)
        while parts.files:
            await batch.add("", parts.files[0])
            parts.files.popleft()
        if not parts.has_more:
            return
        piece = b""


def store_status(outcomes: Sequence[Outcome]) -> int:
    """Return the HTTP status for a body that was read to its end (DWB-2)."""
    reasons = {outcome.reason for outcome in outcomes}
    if reasons == {None}:
        return 200
    if any(outcome.is_kept for outcome in outcomes):
        return 202
    return nothing_kept_status(reasons, otherwise=400 if reasons <= set(_UNREADABLE) else 409)


def nothing_kept_status(reasons: set[IntakeReason | None], *, otherwise: int) -> int:
    """Return the HTTP status when no file was kept: what they all share, or `otherwise`."""
    alike = {
        IntakeReason.OUT_OF_RESOURCES: 507,
        IntakeReason.OVERLOADED: 503,
        IntakeReason.TOO_LARGE: 413,
        IntakeReason.PROCESSING_FAILURE: 503,
    }
    if len(reasons) == 1:
        (reason,) = reasons
        return alike.get(reason, otherwise) if reason else otherwise
    return otherwise


def _wants_xml(accept: str | None) -> bool:
    """Tell whether the sender likes XML better; one that takes neither is still told in JSON what was stored."""
    taken = (one for one in parse_accept(accept) if one.takes(DICOM_XML) or one.takes(DICOM_JSON))
    first = next(taken, None)
    return first is not None and not first.takes(DICOM_JSON)


def _response(answers: Sequence[Answer], base: str, status: int, *, is_xml: bool) -> Response:
    outcomes = [answer.outcome for answer in answers]
    studies = {o.study_instance_uid for o in outcomes if o.is_kept and o.kind is not Kind.HELD}
    study_url = f"{base}/studies/{studies.pop()}" if len(studies) == 1 else None
    headers = {}
    if study_url is not None:
        headers["Location"] = headers["Content-Location"] = study_url
    if status == 503:
        headers["Retry-After"] = str(RETRY_AFTER_S)
    if words := list(dict.fromkeys(answer.message for answer in answers if answer.message)):
        # Failed SOP Sequence has no place for text; PS3.18 lets the Warning header carry it.
        headers["Warning"] = ", ".join(f'299 pandok "{message}"' for message in words[:_MAX_WARNINGS])
    module = store_instances_response(outcomes, base=base, study_url=study_url)
    if is_xml:
        return Response(to_xml(module), status_code=status, headers=headers, media_type=DICOM_XML)
    return JSONResponse(module, status_code=status, headers=headers, media_type=DICOM_JSON)


def store_instances_response(outcomes: Sequence[Outcome], *, base: str, study_url: str | None) -> dict[str, object]:
    """Return the Store Instances Response Module as DICOM JSON (PS3.18 Annex I.2)."""
    stored: list[object] = []
    failed: list[object] = []
    other: list[object] = []
    for outcome in outcomes:
        if outcome.is_kept:
            stored.append(_stored_item(outcome, base))
        elif outcome.sop_class_uid and outcome.sop_instance_uid:
            failed.append({**_reference(outcome), "00081197": _element("US", _failure_reason(outcome))})
        else:
            other.append({"00081197": _element("US", _failure_reason(outcome))})
    module: dict[str, object] = {"00081190": _element("UR", study_url)}
    for tag, items in (("00081198", failed), ("00081199", stored), ("0008119A", other)):
        if items:
            module[tag] = {"vr": "SQ", "Value": items}
    return module


def _stored_item(outcome: Outcome, base: str) -> dict[str, object]:
    url = (
        f"{base}/studies/{outcome.study_instance_uid}/series/{outcome.series_instance_uid}"
        f"/instances/{outcome.sop_instance_uid}"
    )
    is_held = outcome.kind is Kind.HELD  # kept for an operator: there is no address that gives it
    item = {**_reference(outcome), "00081190": _element("UR", None if is_held else url)}
    if outcome.reason is not None:
        item["00081196"] = _element("US", outcome.status)
    return item


def _failure_reason(outcome: Outcome) -> int:
    return outcome.status or IntakeReason.PROCESSING_FAILURE.status


def _reference(outcome: Outcome) -> dict[str, object]:
    return {"00081150": _element("UI", outcome.sop_class_uid), "00081155": _element("UI", outcome.sop_instance_uid)}


def _element(vr: str, value: str | int | None) -> dict[str, object]:
    return {"vr": vr} if value is None else {"vr": vr, "Value": [value]}
