"""Web upload: one file or one zip in, in one request or as a file that came in pieces; one outcome per file out."""

from __future__ import annotations

import asyncio
import tempfile
import zipfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import BinaryIO
from urllib.parse import unquote

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from service.intake.batch import Answer, Batch
from service.intake.body import PIECE_BYTES, BodyRefused, SenderLeft, check_before_body, pieces
from service.intake.outcomes import IntakeReason, Kind, Sender
from service.intake.part10 import Part10Splitter, Received, Turned
from service.intake.receive import Intake
from service.intake.stow import CLIENT_CLOSED, RETRY_AFTER_S, nothing_kept_status
from service.intake.zips import ZIP_MAGICS, EntryRefused, Limits, Zip, ZipRefused
from service.settings import Settings

_MAX_NAME_LENGTH = 400


async def upload(request: Request, *, intake: Intake, settings: Settings, sender: Sender) -> Response:
    """Keep what one request brings and answer when every file of it is durable or refused.

    Args:
        request: Its body, not yet read, is a Part-10 file or a zip of them.
        intake: Keeps and refuses.
        settings: Limits.
        sender: Who sends.
    """
    check_before_body(request, intake=intake, max_bytes=settings.max_stow_bytes)
    name, batch, status = name_of(request), Batch(intake, sender), None
    try:
        async with aclosing(pieces(request, settings=settings, max_bytes=settings.max_stow_bytes)) as body:
            first = await anext(body, b"")
            if _is_zip(request, first):
                await _spool_zip(_joined(first, body), name, batch, intake=intake, settings=settings)
            else:
                await _take_file(_joined(first, body), name, batch)
    except BodyRefused as refusal:
        status = refusal.status
        reason = IntakeReason.TOO_LARGE if status == 413 else IntakeReason.TRUNCATED
        await batch.refuse(name, reason, refusal.words)
    except SenderLeft:
        await asyncio.to_thread(intake.aborted, sender, detail="the connection ended inside an upload")
        return Response(status_code=CLIENT_CLOSED)
    return report(await batch.answers(), status)


async def take_whole(
    file: BinaryIO, size_bytes: int, request: Request, *, intake: Intake, settings: Settings, sender: Sender
) -> list[Answer]:
    """Keep what a file brings that is wholly here; it stays where it is. Return an answer for each file in it.

    Args:
        file: Stands at its beginning.
        size_bytes: Its length.
        request: Its headers tell name and media type, as those of an upload in one request do.
        intake: Keeps and refuses.
        settings: Limits.
        sender: Who sends.
    """
    name, batch = name_of(request), Batch(intake, sender)
    body = _pieces_of(file)
    first = await anext(body, b"")
    if _is_zip(request, first):
        await _take_zip(file, size_bytes, name, batch, settings)
    else:
        await _take_file(_joined(first, body), name, batch)
    return await batch.answers()


async def _pieces_of(file: BinaryIO) -> AsyncIterator[bytes]:
    while piece := await asyncio.to_thread(file.read, PIECE_BYTES):
        yield piece


def name_of(request: Request) -> str:
    """Return how the sender calls its file: only for the answer."""
    return unquote(request.headers.get("x-file-name", ""))[:_MAX_NAME_LENGTH]


def _is_zip(request: Request, first: bytes) -> bool:
    if first[128:132] == b"DICM":  # a DICOM file with a zip's first bytes in its preamble, which is not read
        return False
    return first.startswith(ZIP_MAGICS) or request.headers.get("content-type", "").startswith("application/zip")


async def _take_file(body: AsyncIterator[bytes], name: str, batch: Batch) -> None:
    splitter = await batch.splitter()
    try:
        async for piece in body:
            await asyncio.to_thread(splitter.feed, piece)
        await batch.add(name, splitter.finish())
    finally:
        splitter.abandon()


async def _joined(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for piece in rest:
        yield piece


async def _spool_zip(
    body: AsyncIterator[bytes], name: str, batch: Batch, *, intake: Intake, settings: Settings
) -> None:
    """Spool the zip into a file without a name, so that a crash leaves nothing behind, then take its files."""
    try:
        file = tempfile.TemporaryFile(dir=settings.spool_folder, buffering=0)  # noqa: SIM115 - closed below
    except OSError:
        await batch.refuse(name, IntakeReason.OUT_OF_RESOURCES)
        return
    with file:
        if not await _spool(body, file, intake):
            await batch.refuse(name, IntakeReason.OUT_OF_RESOURCES)
            return
        await _take_zip(file, file.tell(), name, batch, settings)


async def _take_zip(file: BinaryIO, size_bytes: int, name: str, batch: Batch, settings: Settings) -> None:
    limits = Limits(settings.max_zip_entries, settings.max_zip_ratio)
    try:
        opened = await asyncio.to_thread(Zip, file, size_bytes=size_bytes, limits=limits)
        if not opened.entries:
            await batch.refuse(name, IntakeReason.NOT_DICOM, "the zip is empty")
        await _take_entries(opened, batch)
    except ZipRefused as refusal:
        await batch.refuse(name, refusal.reason, refusal.words)


async def _take_entries(opened: Zip, batch: Batch) -> None:
    for taken, entry in enumerate(opened.entries):
        splitter = await batch.splitter()
        try:
            file = await asyncio.to_thread(_read_entry, opened, entry, splitter)
        except ZipRefused as refusal:
            words = f"{refusal.words}; {len(opened.entries) - taken} files of it were not taken"
            raise ZipRefused(refusal.reason, words) from None
        await batch.add(entry.filename, file)


async def _spool(body: AsyncIterator[bytes], file: BinaryIO, intake: Intake) -> bool:
    """Write the zip to the disk; False when the disk refuses, or would leave too little room for what else comes."""
    try:
        async for piece in body:
            if not intake.has_room():
                return False
            await asyncio.to_thread(_write, file, piece)
    except OSError:
        return False
    return True


def _write(file: BinaryIO, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]


def _read_entry(opened: Zip, entry: zipfile.ZipInfo, splitter: Part10Splitter) -> Received | Turned:
    try:
        for data in opened.read(entry):
            splitter.feed(data)
        return splitter.finish()
    except EntryRefused as refusal:
        return Turned(refusal.reason, refusal.words)
    finally:
        splitter.abandon()


def upload_status(answers: Sequence[Answer]) -> int:
    """Return the HTTP status: 200 all kept, 202 some, and for none what they share or 409."""
    kept = sum(answer.outcome.is_kept for answer in answers)
    if kept:
        return 200 if kept == len(answers) else 202
    return nothing_kept_status({answer.outcome.reason for answer in answers}, otherwise=409)


def report(answers: Sequence[Answer], status: int | None = None) -> Response:
    """Return what an upload's sender hears; without a status, the one that the outcomes ask for."""
    kinds = Counter(answer.outcome.kind for answer in answers)
    status = status or upload_status(answers)
    headers = {"Retry-After": str(RETRY_AFTER_S)} if status == 503 else None
    said = {
        "files": [
            {
                "name": answer.name,
                "outcome": answer.outcome.kind.value,
                "kept": answer.outcome.is_kept,
                "reason": answer.outcome.reason.word if answer.outcome.reason else None,
                "message": answer.message,
                "study_instance_uid": answer.outcome.study_instance_uid,
                "sop_instance_uid": answer.outcome.sop_instance_uid,
            }
            for answer in answers
        ],
        "totals": {"files": len(answers), **{kind.value: kinds[kind] for kind in Kind}},
    }
    return JSONResponse(said, status_code=status, headers=headers)
