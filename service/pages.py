"""The pages of the reading room, as the build left them: one document, and files named by their content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from service.errors import NotFound

DIST_FOLDER = Path(__file__).parent / "web" / "dist"
PAGES = (
    "/",
    "/sign-in",
    "/welcome",
    "/worklist",
    "/read/{id}",
    "/upload",
    "/center",
    "/center/{id}",
    "/reports/{id}",
    "/settings",
    "/admin",
)
"""Addresses that open the app; what it shows there it asks of /api. Any other address is not there."""
OPEN_PATHS = frozenset({"/sign-in", "/api/sign-in"})
"""What a stranger needs in order to sign in; nothing here comes from the tables."""
OPEN_PREFIXES = ("/assets/",)
"""The app's own files hold no word about anybody."""

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".wasm": "application/wasm",
    ".woff2": "font/woff2",
}
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_FOREVER = "public, max-age=31536000, immutable"
_NOT_BUILT = (
    "<!doctype html><title>Pandok</title><p>The pages were not built. Install the project again without "
    "<code>PANDOK_WEB=skip</code>; the service itself works."
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of the pages, with the smaller copies that the build made of it."""

    path: Path
    media_type: str
    etag: str
    is_named_by_content: bool
    copies: tuple[tuple[str, Path], ...]
    """Content coding and file, the smallest first."""


@dataclass(frozen=True, slots=True)
class Assets:
    """What the build left. Only these names can be asked for, so no path can lead elsewhere."""

    document: bytes
    files: dict[str, Asset]


def load_assets(folder: Path = DIST_FOLDER) -> Assets:
    """List the built files once; without a build, the pages say so."""
    document = folder / "index.html"
    if not document.is_file():
        return Assets(_NOT_BUILT.encode(), {})
    files = {}
    for path in sorted((folder / "assets").iterdir()):
        if path.suffix in _MEDIA_TYPES:
            files[path.name] = _asset(path)
    return Assets(document.read_bytes(), files)


def _asset(path: Path) -> Asset:
    """Describe one file. Vite ends a name with a dash and eight letters made of the content."""
    copies = [(coding, path.with_name(path.name + ending)) for coding, ending in _ENCODINGS]
    return Asset(
        path=path,
        media_type=_MEDIA_TYPES[path.suffix],
        etag=f'"{hashlib.sha256(path.read_bytes()).hexdigest()[:32]}"',
        is_named_by_content=len(path.stem) > 9 and path.stem[-9] == "-",
        copies=tuple((coding, copy) for coding, copy in copies if copy.is_file()),
    )


def asset_answer(asset: Asset, request: Request) -> Response:
    """Return a file of the pages in the smallest coding that the browser takes, or 304 when it has it."""
    headers = {
        "ETag": asset.etag,
        "Cache-Control": _FOREVER if asset.is_named_by_content else "no-cache",
        "Vary": "Accept-Encoding",
    }
    if request.headers.get("if-none-match") == asset.etag:
        return Response(status_code=304, headers=headers)
    takes = {part.split(";")[0].strip() for part in request.headers.get("accept-encoding", "").split(",")}
    for coding, copy in asset.copies:
        if coding in takes:
            return FileResponse(copy, media_type=asset.media_type, headers={**headers, "Content-Encoding": coding})
    return FileResponse(asset.path, media_type=asset.media_type, headers=headers)


def document_answer(assets: Assets, *, status: int = 200) -> Response:
    """Return the one document. It is never kept: it names the files of this version."""
    headers = {"Cache-Control": "no-store"}
    return Response(assets.document, status_code=status, media_type="text/html; charset=utf-8", headers=headers)


def stranger_page(assets: Assets) -> Response:
    """Return the app to a stranger, who is told by it how to get in."""
    return document_answer(assets, status=401)


def pages_router(assets: Assets) -> APIRouter:
    """Return the routes of the pages. The gate has already turned strangers away from all that is not open."""
    router = APIRouter(include_in_schema=False)

    def page() -> Response:
        return document_answer(assets)

    for path in PAGES:
        router.add_api_route(path, page, methods=["GET"], name=f"page {path}")

    @router.get("/assets/{name}")
    def asset(name: str, request: Request) -> Response:
        if name not in assets.files:
            raise NotFound
        return asset_answer(assets.files[name], request)

    return router
