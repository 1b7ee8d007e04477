"""The ServiceError family, each with its HTTP status, and the handlers that turn them into answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from starlette.responses import Response


class ServiceError(Exception):
    """A refusal that a caller can act on.

    Args:
        status: HTTP status.
        code: One word for programs, `snake_case`.
        message: One or two sentences for people, without any patient attribute and without what the caller sent.
        retry_after_s: When to come back, for a refusal that passes by itself.
        detail: What a page needs to say it in its reader's language; it stands in the answer beside the message.
        headers: What a protocol wants to be told besides.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after_s: int | None = None,
        detail: Mapping[str, str | None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.headers = dict(headers or {})
        self.status = status
        self.code = code
        self.message = message
        self.retry_after_s = retry_after_s
        self.detail = dict(detail or {})


class Invalid(ServiceError):
    """The request says something that cannot be: 400."""

    def __init__(self, message: str, *, code: str = "invalid") -> None:
        super().__init__(400, code, message)


class NotSignedIn(ServiceError):
    """Nobody we know: 401."""

    def __init__(self, message: str | None = None, *, code: str = "not_signed_in") -> None:
        words = "Sign in with a one-time link (`pandok sign-in` prints one) or send a site's key."
        super().__init__(401, code, message or words)


class Forbidden(ServiceError):
    """Somebody we know, who may not do this: 403."""

    def __init__(self, message: str, *, code: str = "forbidden") -> None:
        super().__init__(403, code, message)


class NotFound(ServiceError):
    """Not there, or not there for this caller, which looks the same: 404."""

    def __init__(self, message: str = "There is nothing here that you may see.") -> None:
        super().__init__(404, "not_found", message)


class Conflict(ServiceError):
    """The thing is not in a state in which this can be done: 409."""

    def __init__(self, message: str, *, code: str = "conflict", detail: Mapping[str, str | None] | None = None) -> None:
        super().__init__(409, code, message, detail=detail)


class StorageFull(ServiceError):
    """No room to keep what was sent: 507."""

    def __init__(self) -> None:
        super().__init__(507, "out_of_resources", "Storage is full; keep the images and send again later.")


class Busy(ServiceError):
    """Not now: 503."""

    def __init__(self, message: str, *, retry_after_s: int = 5) -> None:
        super().__init__(503, "busy", message, retry_after_s=retry_after_s)


class TooManyTries(ServiceError):
    """Too many guesses: 429."""

    def __init__(self, retry_after_s: int) -> None:
        words = "Too many tries to sign in. Wait a minute, then try again."
        super().__init__(429, "too_many_tries", words, retry_after_s=retry_after_s)


def error_body(code: str, message: str) -> dict[str, str]:
    """Return the one JSON shape of every refusal."""
    return {"error": code, "message": message}


def service_error_answer(error: ServiceError) -> JSONResponse:
    """Return the answer that a ServiceError asks for."""
    headers = dict(error.headers)
    if error.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="pandok"'
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    body = {**error.detail, **error_body(error.code, error.message)}
    return JSONResponse(body, status_code=error.status, headers=headers)


def internal_error_answer() -> JSONResponse:
    """Return the answer to an error nobody expected. It says nothing about what was sent."""
    return JSONResponse(
        error_body("internal", "Something failed inside the service. The operator finds it in the log."),
        status_code=500,
    )


def disk_full_answer() -> JSONResponse:
    """Return the answer to what failed for want of room, which intake leaves for everything else."""
    words = "The disk of the service is full. Tell the operator, and try again when there is room."
    return JSONResponse(error_body("out_of_resources", words), status_code=507)


_WORDS = {
    404: ("not_found", "There is nothing here that you may see."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("too_large", "Larger than this service accepts."),
}


_NO_PAGES = ("/api/", "/dicomweb/", "/assets/")
"""What stands there answers programs."""


def add_handlers(app: FastAPI, missing_page: Callable[[], Response] | None = None) -> None:
    """Let the application answer refusals in one shape that never echoes input.

    Args:
        app: The application.
        missing_page: What a browser is shown at an address that is none of ours.
    """

    def on_service_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)  # noqa: S101 - registered for this type only; narrows for mypy
        return service_error_answer(error)

    def on_http_exception(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)  # noqa: S101 - as above
        is_page = request.method == "GET" and not request.url.path.startswith(_NO_PAGES)
        wants_page = is_page and "text/html" in request.headers.get("accept", "")
        if error.status_code == 404 and wants_page and missing_page is not None:
            return missing_page()
        code, words = _WORDS.get(error.status_code, ("refused", "The service cannot answer this request."))
        headers = dict(error.headers) if error.headers else None
        return JSONResponse(error_body(code, words), status_code=error.status_code, headers=headers)

    def on_invalid_request(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)  # noqa: S101 - as above
        fields = sorted({_field(e["loc"]) for e in error.errors()})
        words = f"Not as expected: {', '.join(fields)}. The service's /openapi.json describes every field."
        return JSONResponse(error_body("invalid", words), status_code=400)

    app.add_exception_handler(ServiceError, on_service_error)
    app.add_exception_handler(HTTPException, on_http_exception)
    app.add_exception_handler(RequestValidationError, on_invalid_request)


def _field(location: Sequence[int | str]) -> str:
    """Name a field by our own schema's words: a key that the caller made up (`extra forbidden`) is not repeated."""
    known = [part for part in location if isinstance(part, str)][:2]
    where = known[0] if known else "request"
    return f"{where} {known[1]}" if where in ("query", "path", "header") and len(known) > 1 else where
