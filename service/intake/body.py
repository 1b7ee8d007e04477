"""A request's body as a stream with limits: bytes, silence and slowness; never held whole."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Hashable, Iterator
from contextlib import contextmanager

from starlette.datastructures import State
from starlette.requests import ClientDisconnect, Request

from service.errors import Busy, ServiceError
from service.intake.dimse.seats import Seats
from service.intake.receive import Intake
from service.settings import Settings

BUFFER_BYTES = 1 << 20
"""What one body may hold in memory while a thread writes and hashes the piece before it."""


PIECE_BYTES = 256 << 10
"""So much is waited for before a thread is woken: each change of threads costs more than hashing 64 KiB."""
GATHER_S = 0.02
"""How long at most."""


class BodyRefused(Exception):
    """The rest of the body is not read.

    Args:
        status: HTTP status: 408 or 413.
        words: What the sender is told.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
        self.words = words


class SenderLeft(Exception):
    """The connection ended inside the body; nobody waits for an answer."""


@contextmanager
def one_more_body(state: State, settings: Settings, origin: Hashable) -> Iterator[None]:
    """Hold one of this process's places for a body that is being received.

    Args:
        state: The application's.
        settings: As many places as DICOM associations may be open, in all and for one peer.
        origin: Who sends: no one sender can keep all others out.

    Raises:
        Busy: 503, all places are taken, or all of this sender's.
    """
    seats: Seats | None = getattr(state, "bodies", None)
    if seats is None:
        seats = state.bodies = Seats(total=settings.max_associations, each=settings.max_associations_per_peer)
    if not seats.take(origin):
        words = "Too many senders at once" if seats.are_taken else "Too many requests of yours at once"
        raise Busy(f"{words}; send again in a few seconds.")
    try:
        yield
    finally:
        seats.leave(origin)


def check_before_body(request: Request, *, intake: Intake, max_bytes: int) -> None:
    """Refuse what can be refused before a byte of the body has been read.

    Raises:
        ServiceError: 415 for a content encoding (RELIABILITY section 2, row 3), 413 by the declared length, 507 when
            storage is full, 503 when too much waits.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise ServiceError(415, "content_encoding", "Send the body as it is, without Content-Encoding.")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > max_bytes:
        raise ServiceError(413, "too_large", too_large(max_bytes))
    intake.check_room()


def too_large(max_bytes: int) -> str:
    """Return what a sender of too many bytes is told."""
    return f"More than {max_bytes} bytes in one request; send the files in several requests."


async def pieces(request: Request, *, settings: Settings, max_bytes: int) -> AsyncGenerator[bytes]:
    """Yield the body as it comes: small pieces from a slow sender, larger ones from a quick one.

    Only time in which the sender kept us waiting counts as silence or slowness, not our own writing. Whatever came
    before a failure is yielded before it is raised.

    Raises:
        BodyRefused: Too many bytes, a silent or a too slow sender (RELIABILITY 5.9).
        SenderLeft: The connection ended.
    """
    buffer = _Buffer()
    filling = asyncio.create_task(buffer.fill(request, _Pace(settings), max_bytes))
    try:
        while piece := await buffer.take():
            yield piece
        await filling
    finally:
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)


class _Buffer:
    """What has come and was not taken yet: receiving goes on while a thread writes."""

    def __init__(self) -> None:
        self._chunks: list[bytes] = []
        self._size_bytes = 0
        self._is_over = False
        self._changed = asyncio.Condition()

    async def fill(self, request: Request, pace: _Pace, max_bytes: int) -> None:
        """Receive the body to its end; raises what `pieces` raises."""
        stream = aiter(request.stream())
        left_bytes = max_bytes
        try:
            while (chunk := await _next(stream, pace)) is not None:
                left_bytes -= len(chunk)
                if left_bytes < 0:
                    raise BodyRefused(413, too_large(max_bytes))
                async with self._changed:
                    await self._changed.wait_for(lambda: self._size_bytes < BUFFER_BYTES)
                    self._chunks.append(chunk)
                    self._size_bytes += len(chunk)
                    self._changed.notify_all()
        finally:
            async with self._changed:
                self._is_over = True
                self._changed.notify_all()

    async def take(self) -> bytes:
        """Return all that has come, as soon as it is worth it; empty at the end."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._is_over or self._size_bytes > 0)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(GATHER_S):
                    await self._changed.wait_for(lambda: self._is_over or self._size_bytes >= PIECE_BYTES)
            piece = b"".join(self._chunks)
            self._chunks, self._size_bytes = [], 0
            self._changed.notify_all()
        return piece


class _Pace:
    """How long the sender kept us waiting, and how much came for it."""

    def __init__(self, settings: Settings) -> None:
        self.idle_timeout_s = settings.association_idle_timeout_s
        self._window_s = settings.slow_rate_window_s
        self._rate = settings.slow_rate_bytes_per_s
        self._waited_s = 0.0
        self._bytes = 0

    def waited(self, seconds: float, size_bytes: int) -> None:
        """Note a wait and what it brought; raises BodyRefused when a window's average is too slow."""
        self._waited_s += seconds
        self._bytes += size_bytes
        if self._waited_s >= self._window_s:
            if self._bytes < self._rate * self._waited_s:
                raise BodyRefused(408, "The connection is too slow; nothing of the unfinished file was kept.")
            self._waited_s, self._bytes = 0.0, 0


async def _next(stream: AsyncIterator[bytes], pace: _Pace) -> bytes | None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    try:
        async with asyncio.timeout(pace.idle_timeout_s):
            chunk = await anext(stream, None)
    except TimeoutError:
        raise BodyRefused(408, "Nothing came for too long; nothing of the unfinished file was kept.") from None
    except ClientDisconnect:
        raise SenderLeft from None
    pace.waited(loop.time() - began, len(chunk) if chunk else 0)
    return chunk
