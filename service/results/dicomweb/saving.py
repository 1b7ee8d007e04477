"""Answers that spare the line: what the client has already, a range of a value, JSON packed (RFC 9110)."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

from anyio import CapacityLimiter, to_thread
from fastapi import Request
from starlette.responses import Response, StreamingResponse

from service.results.dicomweb.records import StoredInstance

PACKED_FROM_BYTES = 16_384
"""A shorter answer is as soon there unpacked."""
WHOLE_UP_TO_BYTES = 262_144
"""So much of an answer is made before its first byte is sent."""
_RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")


def tag_of_bytes(instances: Iterable[StoredInstance], *form: object) -> str:
    """Return the entity tag of what is made of stored files in a form: weak, since a boundary is new each time."""
    digest = hashlib.sha256(repr(form).encode())
    for instance in instances:
        digest.update(instance.content_sha256.encode())
    return f'W/"{digest.hexdigest()[:32]}"'


def has_already(request: Request, tag: str) -> bool:
    """Tell whether the client named this entity tag as one that it has."""
    named = request.headers.get("if-none-match", "")
    return tag in (one.strip() for one in named.split(",")) or named.strip() == "*"


def not_changed(tag: str) -> Response:
    """Return the answer to a client that has it already."""
    return Response(status_code=304, headers={"ETag": tag})


def takes_packed(request: Request) -> bool:
    """Tell whether the client takes gzip."""
    codings = (one.strip().lower() for one in request.headers.get("accept-encoding", "").split(","))
    return any(re.fullmatch(r"(gzip|\*)(\s*;\s*q=(1(\.0*)?|0?\.0*[1-9][0-9]*))?", one) for one in codings)


def packed(body: Iterable[bytes]) -> Iterator[bytes]:
    """Pack a body with gzip as it goes."""
    packer = zlib.compressobj(level=1, wbits=31)
    for piece in body:
        if out := packer.compress(piece):
            yield out
    yield packer.flush()


def json_answer(
    request: Request,
    pieces: Iterable[bytes],
    media_type: str,
    headers: dict[str, str],
    *,
    limiter: CapacityLimiter | None = None,
) -> Response:
    """Answer with JSON as it is made, packed when the client takes that and it is worth it.

    A short answer goes whole: each piece of a stream costs a change of threads.
    """
    body = iter(pieces)
    headers = {**headers, "Vary": "Accept, Accept-Encoding"}
    begun: list[bytes] = []
    size_bytes, is_whole = 0, False
    while size_bytes < WHOLE_UP_TO_BYTES and not is_whole:
        piece = next(body, None)
        is_whole = piece is None
        begun.append(piece or b"")
        size_bytes += len(begun[-1])
    whole = _after(begun, body)
    if takes_packed(request) and size_bytes >= PACKED_FROM_BYTES:
        whole = packed(whole)
        headers["Content-Encoding"] = "gzip"
    if is_whole:
        return Response(b"".join(whole), media_type=media_type, headers=headers)
    return StreamingResponse(streamed(whole, limiter), media_type=media_type, headers=headers)


def streamed(body: Iterable[bytes], limiter: CapacityLimiter | None) -> Iterable[bytes] | AsyncIterator[bytes]:
    """Return a body whose pieces are made in threads of its own, so that waiting ones keep nobody else waiting."""
    return body if limiter is None else _in_threads(iter(body), limiter)


async def _in_threads(body: Iterator[bytes], limiter: CapacityLimiter) -> AsyncIterator[bytes]:
    while (piece := await to_thread.run_sync(next, body, None, limiter=limiter)) is not None:
        yield piece


def _after(begun: Sequence[bytes], body: Iterator[bytes]) -> Iterator[bytes]:
    yield b"".join(begun)
    yield from body


def value_answer(
    request: Request, body: Iterator[bytes], size_bytes: int, *, media_type: str, headers: dict[str, str]
) -> Response:
    """Answer with one value or with the range of it that the client asks for; what is no single range asks for all."""
    headers = {**headers, "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", "").replace(" ", ""))
    if asked is None or not (asked[1] or asked[2]) or (asked[1] and asked[2] and int(asked[2]) < int(asked[1])):
        headers["Content-Length"] = str(size_bytes)
        return StreamingResponse(body, media_type=media_type, headers=headers)
    first = int(asked[1]) if asked[1] else max(0, size_bytes - int(asked[2]))
    last = min(int(asked[2]) if asked[1] and asked[2] else size_bytes - 1, size_bytes - 1)
    if first > last:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{size_bytes}"})
    headers |= {"Content-Range": f"bytes {first}-{last}/{size_bytes}", "Content-Length": str(last + 1 - first)}
    part = _cut(body, first, last + 1)
    return StreamingResponse(part, status_code=206, media_type=media_type, headers=headers)


def _cut(body: Iterator[bytes], begin: int, end: int) -> Iterator[bytes]:
    at = 0
    for piece in body:
        if at >= end:
            return
        if at + len(piece) > begin:
            yield piece[max(0, begin - at) : end - at]
        at += len(piece)
