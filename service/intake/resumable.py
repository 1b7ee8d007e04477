"""Uploads that go on after a broken connection: what stands on the disk counts, and is never sent twice.

A file comes in as many requests as its link needs, each at the place where the one before ended; then the sender says
that it shall be taken, and it goes the way of every upload. Until the sender has the outcomes and takes the upload
away, it may ask for them again: what is kept twice is kept once.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, aclosing, contextmanager
from dataclasses import replace
from io import FileIO
from pathlib import Path

from fastapi import Request
from starlette.responses import Response

from service.database import Database
from service.errors import Busy, Conflict, NotFound, ServiceError, StorageFull
from service.intake import resumable_records as records
from service.intake.body import BodyRefused, SenderLeft, pieces, too_large
from service.intake.outcomes import IntakeReason, Sender
from service.intake.part_files import held, make_part_file, path_in
from service.intake.receive import Intake
from service.intake.resumable_records import Unfinished
from service.intake.stow import CLIENT_CLOSED
from service.intake.uploads import report, take_whole
from service.settings import Settings

NOTE_S = 5.0
"""How often what has come is synced and noted, so that a crash costs a slow link no more than that."""
TAKEN_KEEP_S = 3_600.0
"""So long the outcomes of a file that was taken may be asked for again."""
PASSING = frozenset({IntakeReason.OUT_OF_RESOURCES, IntakeReason.OVERLOADED, IntakeReason.PROCESSING_FAILURE})
"""Refusals that say nothing of a file: while there is one, the whole stays, to be taken again."""


class Resumable:
    """The uploads of an installation.

    Args:
        intake: Keeps and refuses what the files bring.
        database: Our tables.
        settings: Limits.
        clock: Seconds since 1970 UTC.
    """

    def __init__(self, intake: Intake, database: Database, settings: Settings, clock: Callable[[], float]) -> None:
        self._intake = intake
        self._database = database
        self._settings = settings
        self._clock = clock

    def begin(self, sender: Sender, *, size_bytes: int, content_sha256: str | None) -> Unfinished:
        """Make room for a file. Raises ServiceError: 413 too large, 503 too many, 507 no room for what was promised."""
        if size_bytes > self._settings.max_stow_bytes:
            raise ServiceError(413, "too_large", too_large(self._settings.max_stow_bytes))
        self._intake.check_room()
        self._check_promises(size_bytes)
        one = Unfinished(
            secrets.token_hex(16), sender.site_id, sender.name, size_bytes, 0, content_sha256, self._until()
        )
        try:
            make_part_file(self._path(one.public_id))
        except OSError:
            raise StorageFull from None
        try:
            self._note_new(one)
        except BaseException:
            self._path(one.public_id).unlink()
            raise
        return one

    def _check_promises(self, size_bytes: int) -> None:
        """Other doors must not be closed by what uploads may still bring. Raises StorageFull."""
        with self._database.reading() as rx:
            promised = size_bytes + records.promised_bytes(rx)
        if self._intake.pressure().spare_bytes < promised:
            raise StorageFull

    def _note_new(self, one: Unfinished) -> None:
        with self._database.transaction() as tx:
            if records.count(tx, one.site_id) >= self._settings.max_resumable_uploads:
                raise Busy("Too many unfinished uploads of this site; finish or delete some.", retry_after_s=60)
            records.add(tx, one, now=self._clock())

    def find(self, public_id: str) -> Unfinished:
        """Return an upload as far as its bytes are really here. Raises NotFound."""
        with self._database.reading() as rx:
            one = records.find(rx, public_id)
        if one is None:
            raise _unknown()
        try:
            size_bytes = self._path(public_id).stat().st_size
        except FileNotFoundError:
            raise _unknown() from None
        return replace(one, offset_bytes=min(one.offset_bytes, size_bytes))

    async def append(self, request: Request, public_id: str, *, at: int) -> Unfinished | Response:
        """Write a request's body behind what is here; return the upload as it stands then.

        Args:
            request: Its body, not yet read (`check_before_body`), is the rest of the file or a part of it.
            public_id: The upload.
            at: Where the sender believes that the body belongs.

        Raises:
            ServiceError: 404; 409 it belongs elsewhere; 423 another request is writing; 408, 413, 507 the body was not
                taken to its end. What came before is kept: ask for the offset and go on there.
        """
        with _alone(self._path(public_id)) as file:
            one = await asyncio.to_thread(self.find, public_id)
            if at != one.offset_bytes:
                raise Conflict("The upload does not stand there; ask for its offset and go on there.", code="offset")
            growing = _Growing(self, file, one)
            most = one.size_bytes - one.offset_bytes
            failure: BodyRefused | SenderLeft | None = None
            try:
                try:
                    async with aclosing(pieces(request, settings=self._settings, max_bytes=most)) as body:
                        async for piece in body:
                            self._intake.check_room()
                            await asyncio.to_thread(growing.write, piece)
                except (BodyRefused, SenderLeft) as ended:
                    failure = ended
                finally:
                    one = await asyncio.to_thread(growing.note)
            except OSError:
                raise StorageFull from None
        if isinstance(failure, SenderLeft):
            return Response(status_code=CLIENT_CLOSED)
        if failure is not None:
            words = "Stopped before its end; ask for the offset and go on there."
            raise ServiceError(failure.status, "stopped", words)
        return one

    async def take(self, request: Request, public_id: str, sender: Sender) -> Response:
        """Take a file that is wholly here as an upload in one request is taken; return an outcome for each file.

        Raises:
            ServiceError: 404; 409 not wholly here, or not what its sender says it is; 423.
        """
        self._intake.check_room()
        with _alone(self._path(public_id)) as file:
            one = await asyncio.to_thread(self.find, public_id)
            if one.offset_bytes != one.size_bytes:
                raise Conflict("The upload is not wholly here; ask for its offset and go on there.", code="not_whole")
            if one.content_sha256 and one.content_sha256 != await asyncio.to_thread(_sha256, file):
                words = "What arrived is not what its SHA-256 says; delete this upload and send the file again."
                raise Conflict(words, code="hash_differs")
            file.seek(0)
            answers = await take_whole(
                file, one.size_bytes, request, intake=self._intake, settings=self._settings, sender=sender
            )
            if not any(answer.outcome.reason in PASSING for answer in answers):
                await asyncio.to_thread(self._mark_taken, public_id)
        return report(answers)

    def drop(self, public_id: str) -> None:
        """Forget an upload and its bytes. Raises NotFound, ServiceError (423)."""
        path = self._path(public_id)
        with _alone(path):
            self.find(public_id)
            with self._database.transaction() as tx:
                records.remove(tx, public_id)
            path.unlink()

    def note(self, file: FileIO, one: Unfinished) -> Unfinished:
        """Sync what has come of an upload, then write down how much that is."""
        offset_bytes = file.tell()
        os.fdatasync(file.fileno())
        one = replace(one, offset_bytes=offset_bytes, expires_at=self._until())
        with self._database.transaction() as tx:
            records.advance(tx, one.public_id, offset_bytes=offset_bytes, expires_at=one.expires_at)
        return one

    def _mark_taken(self, public_id: str) -> None:
        with self._database.transaction() as tx:
            now = self._clock()
            records.mark_taken(tx, public_id, now=now, expires_at=now + TAKEN_KEEP_S)

    def _path(self, public_id: str) -> Path:
        return path_in(self._settings.spool_folder, public_id)

    def _until(self) -> float:
        return self._clock() + 3_600 * self._settings.resumable_hours


class _Growing:
    """An upload while a request writes to it."""

    def __init__(self, uploads: Resumable, file: FileIO, one: Unfinished) -> None:
        self._uploads = uploads
        self._file = file
        self._one = one
        self._noted_at = time.monotonic()
        self._is_suspect = False
        file.truncate(one.offset_bytes)
        file.seek(one.offset_bytes)

    def write(self, piece: bytes) -> None:
        view = memoryview(piece)
        while view:
            view = view[self._file.write(view) :]
        if time.monotonic() - self._noted_at >= NOTE_S:
            self.note()

    def note(self) -> Unfinished:
        if self._is_suspect:
            raise OSError(errno.EIO, "a sync failed; what it left out may never come to the disk")
        self._is_suspect = True
        self._one = self._uploads.note(self._file, self._one)
        self._is_suspect = False
        self._noted_at = time.monotonic()
        return self._one


@contextmanager
def _alone(path: Path) -> Iterator[FileIO]:
    """Open an upload's file for one request alone. Raises ServiceError: 404, 423 while another one has it."""
    with ExitStack() as stack:
        try:
            file = stack.enter_context(held(path))
        except FileNotFoundError:
            raise _unknown() from None
        except BlockingIOError:
            raise ServiceError(
                423, "in_use", "Another request is at this upload; try again in a few seconds."
            ) from None
        yield file


def _unknown() -> NotFound:
    return NotFound("There is no such upload; begin again.")


def _sha256(file: FileIO) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()
