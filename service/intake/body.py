"""A request's body as a stream with limits: bytes, silence and slowness; never held whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Hashable, Iterator
from contextlib import contextmanager

from starlette.datastructures import State
from starlette.requests import Request
from starlette.types import Message, Receive

from service.errors import Busy, ServiceError
from service.intake.dimse.seats import Seats
from service.intake.receive import Intake
from service.settings import Settings

PIECE_BYTES = 1 << 20
"""So much is waited for before a thread is woken: each change of threads costs more than hashing 64 KiB, and a slice
of a CT comes whole."""
GATHER_S = 0.02
"""How long the next bytes may take before those that are here are written."""


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
    """Yield the body as it comes, gathered so that a thread is worth waking; the next piece comes meanwhile.

    Only waiting counts as silence or slowness, not our own writing. Whatever came before a failure is yielded before it
    is raised.

    Raises:
        BodyRefused: Too many bytes, a silent or a too slow sender (RELIABILITY 5.9).
        SenderLeft: The connection ended.
    """
    arriving = _Arriving(request.receive, _Pace(settings), max_bytes)
    piece = await arriving.piece()
    while not arriving.is_over:
        following = asyncio.create_task(arriving.piece())
        try:
            yield piece
            piece = await following
        finally:
            following.cancel()
    if piece:
        yield piece
    if arriving.failure is not None:
        raise arriving.failure


class _Arriving:
    """A body on its way in."""

    def __init__(self, receive: Receive, pace: _Pace, max_bytes: int) -> None:
        self.is_over = False
        self.failure: BodyRefused | SenderLeft | None = None
        self._receive = receive
        self._pace = pace
        self._max_bytes = max_bytes
        self._left_bytes = max_bytes

    async def piece(self) -> bytes:
        """Return what comes until it is worth it, or no more comes at once; sets the failure of the rest."""
        chunks: list[bytes] = []
        size_bytes = 0
        try:
            while not self.is_over and size_bytes < PIECE_BYTES:
                chunk = await self._chunk(is_first=not chunks)
                if chunk is None:
                    break
                chunks.append(chunk)
                size_bytes += len(chunk)
        except (BodyRefused, SenderLeft) as failure:
            self.failure, self.is_over = failure, True
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def _chunk(self, *, is_first: bool) -> bytes | None:
        """Return the next bytes; None when others are at hand and these do not come at once."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        message: Message = {}
        try:
            async with asyncio.timeout(self._pace.idle_timeout_s if is_first else GATHER_S):
                message = await self._receive()
        except TimeoutError:
            if is_first:
                raise BodyRefused(408, "Nothing came for too long; nothing of the unfinished file was kept.") from None
        if message.get("type") == "http.disconnect":
            raise SenderLeft
        chunk: bytes = message.get("body", b"")
        self._pace.waited(loop.time() - began, len(chunk))
        self._left_bytes -= len(chunk)
        if self._left_bytes < 0:
            raise BodyRefused(413, too_large(self._max_bytes))
        self.is_over = bool(message) and not message.get("more_body", False)
        return chunk if message else None


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
