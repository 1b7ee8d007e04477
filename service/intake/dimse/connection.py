"""One TCP or TLS connection: whole PDUs out of one bounded buffer, and the deadlines that end a silent peer."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import cast

from service.intake.dimse.pdus import HEADER_BYTES, AbortReason, Malformed, PduType
from service.intake.dimse.tls import client_certificate
from service.sites import PeerCertificate

_HEADER = struct.Struct(">BxL")
_KNOWN_TYPES = frozenset(PduType)

CLOSE_TIMEOUT_S = 5.0
"""How long the last bytes may take to leave before the connection is cut."""


class End(StrEnum):
    """Why nothing more will come."""

    CLOSED = "the sender closed the connection"
    ABORTED = "the sender aborted the association"
    FIRST_PDU_LATE = "no association request in time"
    IDLE = "the sender fell silent"
    TOO_SLOW = "the sender was too slow"
    STOPPING = "the service is stopping"


class Ended(Exception):
    """The connection is over."""

    def __init__(self, end: End) -> None:
        super().__init__(end.value)
        self.end = end


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a peer may take (RELIABILITY 5.9)."""

    first_pdu_s: float
    idle_s: float
    slow_window_s: float
    slow_rate_bytes_per_s: int


class Connection(asyncio.BufferedProtocol):
    """Receives straight into one buffer that never grows past its room; `check` finds whoever is late.

    Args:
        address: Where it comes from.
        patience: The deadlines.
        buffer_bytes: Room for what has not been read yet; at least one whole PDU with its header.
    """

    def __init__(self, address: str, patience: Patience, *, buffer_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._patience = patience
        self._transport: asyncio.Transport | None = None
        self._lost: asyncio.Future[None] = self._loop.create_future()
        self.address = address
        self.certificate: PeerCertificate | None = None
        """The client's, when it showed one over TLS."""
        self.is_in_message = False
        """Set by the association between the first and the last fragment of a message."""

        self._buffer = memoryview(bytearray(buffer_bytes))
        self._start = self._end = 0
        self._wanted_end = 0
        self._waiter: asyncio.Future[None] | None = None
        self._is_write_paused = False
        self._ended: End | None = None

        self._first_pdu_due: float | None = None
        self._last_byte_at = self._waiting_since = self._window_start = self._loop.time()
        self._window_bytes = 0
        self._closing_since: float | None = None

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport; over TLS, hands have been shaken."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by class
        secured = transport.get_extra_info("ssl_object")
        shown = secured.getpeercert(binary_form=True) if secured is not None else None
        self.certificate = client_certificate(shown) if shown else None
        now = self._loop.time()
        self._first_pdu_due = now + self._patience.first_pdu_s
        self._last_byte_at = self._waiting_since = self._window_start = now

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the loop's signature
        """Offer the free room behind what has arrived."""
        return self._buffer[self._end :]

    def buffer_updated(self, nbytes: int) -> None:
        """Count what arrived; stop reading when the room is used up."""
        self._end += nbytes
        self._window_bytes += nbytes
        self._last_byte_at = self._loop.time()
        if self._end == len(self._buffer) and self._transport is not None:
            self._transport.pause_reading()
        if self._end >= self._wanted_end:
            self._wake()

    def eof_received(self) -> bool:
        """The peer will send no more, so nothing can be completed: close."""
        self._finish(End.CLOSED)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the loop's signature
        """Wake whoever waits."""
        self._finish(End.CLOSED)
        if not self._lost.done():
            self._lost.set_result(None)

    def pause_writing(self) -> None:
        """The peer does not read its answers."""
        self._is_write_paused = True

    def resume_writing(self) -> None:
        """The peer reads again."""
        self._is_write_paused = False
        self._wake()

    # What the association calls

    def grow(self, buffer_bytes: int) -> None:
        """Give an accepted association the room for full data PDUs. No PDU may be held meanwhile."""
        buffer = memoryview(bytearray(max(buffer_bytes, len(self._buffer))))
        held = self._end - self._start
        buffer[:held] = self._buffer[self._start : self._end]
        self._buffer, self._start, self._end = buffer, 0, held
        self._read_on()

    async def next_pdu(self, limits: Mapping[int, int]) -> tuple[int, memoryview]:
        """Return type and body of the next PDU; the body is valid until the next call.

        Args:
            limits: The PDU types that may come now, each with the largest length that is believed.

        Raises:
            Malformed: Another type, or a length past its limit; found before any of the body is awaited.
            Ended: The connection is over.
        """
        await self._have(HEADER_BYTES)
        kind, length = _HEADER.unpack_from(self._buffer, self._start)
        if kind not in limits:
            reason = AbortReason.UNEXPECTED_PDU if kind in _KNOWN_TYPES else AbortReason.UNRECOGNIZED_PDU
            raise Malformed(reason, f"PDU type 0x{kind:02X} may not come now")
        if length > limits[kind]:
            raise Malformed(AbortReason.INVALID_PARAMETER, f"PDU type 0x{kind:02X} too long")
        await self._have(HEADER_BYTES + length)
        start = self._start + HEADER_BYTES
        self._start = start + length
        self._first_pdu_due = None
        return kind, self._buffer[start : self._start]

    async def send(self, data: bytes) -> None:
        """Send, and wait while the peer does not read. Raises Ended."""
        if self._transport is None or self._transport.is_closing():
            raise Ended(self._ended or End.CLOSED)
        self._transport.write(data)
        while self._is_write_paused:
            await self._wait()

    async def rest(self, seconds: float) -> None:
        """Let the others work, for so long at least. Raises Ended when the association must end.

        What a peer sent before it closed is still dealt with, as long as that needs no waiting.
        """
        await asyncio.sleep(seconds)
        if self._ended is not None and (seconds or self._ended is not End.CLOSED):
            raise Ended(self._ended)

    def say(self, data: bytes) -> None:
        """Send without waiting, from outside the association's own task; for bounded data to a peer that is quiet."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def close(self, last_words: bytes = b"") -> None:
        """Send the last words, then close; nothing more is read."""
        if self._transport is not None and not self._transport.is_closing():
            if last_words:
                self._transport.write(last_words)
            self._closing_since = self._loop.time()
            self._transport.close()
        self._finish(End.CLOSED)

    def expire(self, end: End) -> None:
        """Have the association end, with a word to the peer; cut where no word gets through."""
        if self._closing_since is None and not self._is_write_paused:
            self._finish(end)
        else:
            self.cut(end)

    def cut(self, end: End) -> None:
        """End at once, without waiting for the peer; whoever waits hears why."""
        self._finish(end)
        if self._transport is not None:
            self._transport.abort()

    @property
    def is_made(self) -> bool:
        """There was a connection: a handshake that the peer broke off makes none."""
        return self._transport is not None

    async def lost(self) -> None:
        """Wait until the connection is really gone."""
        await self._lost

    # Deadlines

    def check(self, now: float) -> End | None:
        """Return why the peer is out of time, or None. Called about every second, with the loop's time."""
        if self._closing_since is not None:
            return End.CLOSED if now - self._closing_since > CLOSE_TIMEOUT_S else None
        if self._first_pdu_due is not None:
            return End.FIRST_PDU_LATE if now > self._first_pdu_due else None
        if self._waiter is None:  # we are the ones who work
            self._window_start, self._window_bytes = now, 0
            return None
        if now - max(self._last_byte_at, self._waiting_since) > self._patience.idle_s:
            return End.IDLE
        if not self.is_in_message and self._start == self._end:
            self._window_start, self._window_bytes = now, 0
            return None
        if (window_s := now - self._window_start) < self._patience.slow_window_s:
            return None
        if self._window_bytes < self._patience.slow_rate_bytes_per_s * window_s:
            return End.TOO_SLOW
        self._window_start, self._window_bytes = now, 0
        return None

    def is_quiet(self, now: float, *, for_s: float) -> bool:
        """Tell whether the peer has been between two messages for so long."""
        waited = self._waiter is not None and now - max(self._last_byte_at, self._waiting_since) > for_s
        return waited and not self.is_in_message and self._start == self._end

    async def _have(self, wanted: int) -> None:
        """Wait until so many bytes stand at the start of what is unread."""
        while self._end - self._start < wanted:
            if self._ended is not None:
                raise Ended(self._ended)
            if self._start and (self._start == self._end or self._start + wanted > len(self._buffer)):
                held = self._end - self._start
                self._buffer[:held] = self._buffer[self._start : self._end]
                self._start, self._end = 0, held
                self._read_on()
            self._wanted_end = self._start + wanted
            await self._wait()

    async def _wait(self) -> None:
        if self._ended is not None:
            raise Ended(self._ended)
        self._waiter = self._loop.create_future()
        self._waiting_since = self._loop.time()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _finish(self, end: End) -> None:
        if self._ended is None:
            self._ended = end
        self._wake()

    def _read_on(self) -> None:
        if self._transport is not None and not self._transport.is_closing() and self._end < len(self._buffer):
            self._transport.resume_reading()
