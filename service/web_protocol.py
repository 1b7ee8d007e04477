"""HTTP/1.1 as uvicorn speaks it, with an end to the wait for headers and to their size (RELIABILITY section 2, row 8).

uvicorn leaves both to a proxy. Whoever drips headers would hold a connection for ever, and whoever sends them without
end would fill the memory.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_TOO_LATE = b"HTTP/1.1 408 Request Timeout\r\n"
_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\n"


class GuardedProtocol(HttpToolsProtocol):
    """One connection. What arrives in the read that begins a request counts for nothing: that is bounded already."""

    header_timeout_s: ClassVar[float] = 10.0
    """From the connection, or from the first byte of a later request, to the end of its headers."""
    max_header_bytes: ClassVar[int] = 65_536

    _header_bytes = 0
    _is_in_headers = False
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._headers_are_here()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take the next bytes, unless they are too many for headers."""
        if self._is_in_headers:
            self._header_bytes += len(data)
            if self._header_bytes > self.max_header_bytes:
                self._refuse(_TOO_LARGE)
                return
        super().data_received(data)

    def on_message_begin(self) -> None:
        """Begin to count."""
        self._is_in_headers, self._header_bytes = True, 0
        if self._deadline is None:
            self._wait()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Stop counting."""
        self._headers_are_here()
        super().on_headers_complete()

    def _wait(self) -> None:
        self._deadline = self.loop.call_later(self.header_timeout_s, self._refuse, _TOO_LATE)

    def _headers_are_here(self) -> None:
        self._is_in_headers = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._headers_are_here()
        if not self.transport.is_closing():
            self.transport.write(status + b"Connection: close\r\nContent-Length: 0\r\n\r\n")
            self.transport.close()
