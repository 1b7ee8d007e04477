"""The pages that the service shows without a build step, and signing in and out."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import Response

from service.access import Access
from service.errors import Invalid, NotFound, NotSignedIn, ServiceError

WEB_FOLDER = Path(__file__).parent / "pages_old"
PAGES = {"/": "worklist.html", "/upload": "upload.html", "/sign-in": "sign-in.html"}
OPEN_PATHS = frozenset(
    {
        "/sign-in",
        "/api/sign-in",
        "/assets/pandok.css",
        "/assets/pandok.svg",
        "/assets/sign-in.js",
        "/assets/words.js",
        "/assets/words.json",
    }
)
"""What a stranger needs in order to sign in; nothing here comes from the tables."""
MAX_SIGN_IN_BYTES = 1_024

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".json": "application/json",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the pages, read once."""

    content: bytes
    media_type: str
    etag: str


def load_assets(folder: Path = WEB_FOLDER) -> dict[str, Asset]:
    """Read every file of the pages by its name. Nothing else can be asked for, so no path can lead elsewhere."""
    assets = {}
    for path in sorted(folder.iterdir()):
        if path.suffix in _MEDIA_TYPES:
            content = path.read_bytes()
            etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
            assets[path.name] = Asset(content, _MEDIA_TYPES[path.suffix], etag)
    return assets


def asset_answer(asset: Asset, *, if_none_match: str | None = None, status: int = 200) -> Response:
    """Return a file of the pages, or 304 when the browser has it."""
    headers = {"ETag": asset.etag, "Cache-Control": "no-cache"}
    if status == 200 and if_none_match == asset.etag:
        return Response(status_code=304, headers=headers)
    return Response(asset.content, status_code=status, media_type=asset.media_type, headers=headers)


def stranger_page(assets: dict[str, Asset]) -> Response:
    """Return the page that tells a stranger how to get in."""
    response = asset_answer(assets["sign-in.html"], status=401)
    response.headers["Cache-Control"] = "no-store"
    return response


def pages_router(assets: dict[str, Asset]) -> APIRouter:
    """Return the routes of the pages. The gate has already turned strangers away from all but OPEN_PATHS."""
    router = APIRouter(include_in_schema=False)

    def add_page(path: str, name: str) -> None:
        def page(request: Request) -> Response:
            return asset_answer(assets[name], if_none_match=request.headers.get("if-none-match"))

        router.add_api_route(path, page, methods=["GET"], name=name)

    for path, name in PAGES.items():
        if name in assets:
            add_page(path, name)

    @router.get("/assets/{name}")
    def asset(name: str, request: Request) -> Response:
        if name not in assets or name.endswith(".html"):
            raise NotFound
        return asset_answer(assets[name], if_none_match=request.headers.get("if-none-match"))

    return router


sign_in_router = APIRouter(prefix="/api", tags=["access"])


@sign_in_router.post("/sign-in", status_code=204)
async def sign_in(request: Request) -> Response:
    """Change a one-time link's token, `{"token": "..."}`, into a session's cookie."""
    access: Access = request.app.state.access
    access.check_origin(request.headers)
    token = _token(await _small_body(request))
    session = await asyncio.to_thread(access.sign_in, token)
    if session is None:
        raise NotSignedIn("This link was used already or is too old. `pandok sign-in` prints a fresh one.")
    response = Response(status_code=204)
    response.set_cookie(
        access.cookie_name, session, path="/", secure=access.is_secure, httponly=True, samesite="strict"
    )
    return response


@sign_in_router.post("/sign-out", status_code=204)
def sign_out(request: Request) -> Response:
    """End the session."""
    access: Access = request.app.state.access
    access.sign_out(request.headers)
    response = Response(status_code=204, headers={"Clear-Site-Data": '"cache", "storage"'})
    response.delete_cookie(access.cookie_name, path="/", secure=access.is_secure, httponly=True, samesite="strict")
    return response


async def _small_body(request: Request) -> bytes:
    """Read a stranger's body, which may be as large as a stranger likes."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_SIGN_IN_BYTES:
            raise ServiceError(413, "too_large", "A sign-in is a short JSON object with a token.")
    return body


def _token(body: bytes) -> str:
    try:
        values = json.loads(body)
    except ValueError:
        values = None
    token = values.get("token") if isinstance(values, dict) else None
    if not isinstance(token, str) or not token:
        raise Invalid("A sign-in is a short JSON object with a token.")
    return token
