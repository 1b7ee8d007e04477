"""Stands before every route: request id, who calls, security headers, one log line, no error that escapes."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import Access
from service.database import is_disk_full
from service.errors import Forbidden, NotSignedIn, disk_full_answer, internal_error_answer, service_error_answer
from service.logs import request_id
from service.metrics import HTTP_SECONDS

log = logging.getLogger("pandok.web")

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' blob: data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'; require-trusted-types-for 'script'"
)
"""RELIABILITY 4.5. WebAssembly decodes compressed films. The kit of the pages sets styles in the document; scripts
come as files from here only, and text that becomes markup or a script's address passes the pages' own rule."""
ONE_YEAR_S = 31_536_000

SECURITY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}


@dataclass(frozen=True, slots=True)
class Doorway:
    """What the gate needs to know of the application behind it."""

    access: Access
    open_paths: frozenset[str]
    """Exact paths that answer a stranger; everything else, known or not, answers 401."""
    open_prefixes: tuple[str, ...]
    """Beginnings of paths that do so too: the pages' own files."""
    stranger_page: Callable[[], Response]
    """What a stranger's browser is shown instead of a page."""


@dataclass(slots=True)
class _Answer:
    status: int = 0
    is_stream: bool = False
    """Lasts as long as a page is open: its duration says nothing of how quick we are."""


class Gate:
    """ASGI middleware around the whole application; deny by default."""

    def __init__(self, app: ASGIApp, *, doorway: Doorway) -> None:
        self._app = app
        self._doorway = doorway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        mark = request_id.set(secrets.token_hex(8))
        answer = _Answer()
        try:
            await self._answer(scope, receive, self._sealed(send, answer), answer)
        finally:
            _note(scope, answer, time.perf_counter() - started)
            request_id.reset(mark)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, answer: _Answer) -> None:
        try:
            refusal = await self._refusal(scope)
            await (refusal or self._app)(scope, receive, send)
        except ClientDisconnect:
            log.info("client went away")
        except Exception as failure:  # the HTTP handler: whatever happened, the caller hears a status and no detail
            log.exception("request failed")
            if answer.status:
                raise  # the answer has begun: only a broken connection tells the caller that it is not whole
            told = disk_full_answer() if is_disk_full(failure) else internal_error_answer()
            await told(scope, receive, send)

    async def _refusal(self, scope: Scope) -> ASGIApp | None:
        """Return the answer for those who may not pass; for others, note who calls."""
        if scope["path"] in self._doorway.open_paths or scope["path"].startswith(self._doorway.open_prefixes):
            return None
        headers = Headers(scope=scope)
        try:
            caller = await asyncio.to_thread(self._doorway.access.identify, headers, scope["method"])
        except Forbidden as refusal:
            return service_error_answer(refusal)
        if caller is not None:
            scope.setdefault("state", {})["caller"] = caller
            return None
        if scope["method"] == "GET" and "text/html" in headers.get("accept", ""):
            return self._doorway.stranger_page()
        return service_error_answer(NotSignedIn())

    def _sealed(self, send: Send, answer: _Answer) -> Send:
        """Return a `send` that puts the headers of every answer on it."""
        is_secure = self._doorway.access.is_secure

        async def sealed(message: Message) -> None:
            if message["type"] == "http.response.start":
                answer.status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    headers[name] = value
                answer.is_stream = headers.get("content-type", "").startswith("text/event-stream")
                headers.setdefault("Cache-Control", "no-store")
                headers["X-Request-Id"] = request_id.get() or ""
                if is_secure:
                    headers["Strict-Transport-Security"] = f"max-age={ONE_YEAR_S}"
            await send(message)

        return sealed


def _note(scope: Scope, answer: _Answer, seconds: float) -> None:
    """Log and measure by the route's template: paths and queries hold UIDs and names."""
    template = getattr(scope.get("route"), "path", None) or "none"
    caller = scope.get("state", {}).get("caller")
    method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE") else "other"
    if not answer.is_stream:
        HTTP_SECONDS.labels(method, template, str(answer.status)).observe(seconds)
    log.info(
        "answered",
        extra={
            "method": method,
            "route": template,
            "status": answer.status,
            "duration_ms": round(seconds * 1000, 1),
            "caller": caller.name if caller else "stranger",
        },
    )
