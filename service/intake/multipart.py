"""A multipart/related body as a stream of part events, on python-multipart's low-level parser."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import MultipartParser, parse_options_header

from service.errors import Invalid, ServiceError

MAX_PART_HEADER_BYTES = 8_192
_MAX_PART_HEADERS = 16
_MAX_BOUNDARY_BYTES = 70
"""RFC 2046 section 5.1.1."""


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The headers of a part have been read; its data follows."""

    headers: Mapping[str, str]
    """By their names in lower case; of two of a name the last."""


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part, valid as long as the chunk that was fed."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The part is whole: its closing boundary has been read."""


Event = PartBegins | PartData | PartEnds


class BadMultipart(Exception):
    """The body is not what its Content-Type says. Holds a sentence for the sender.

    Args:
        words: What is wrong.
        status: HTTP status when nothing else decides it.
    """

    def __init__(self, words: str, status: int = 400) -> None:
        super().__init__(words)
        self.words = words
        self.status = status


def boundary_of(content_type: str | None, *, accepted: Sequence[str]) -> tuple[bytes, str]:
    """Return the boundary of a multipart/related Content-Type, and its root type, which is one of `accepted`.

    A missing `type` parameter counts as the first of them: senders forget it, and each part is checked by its bytes.

    Raises:
        ServiceError: 415 for another media type, 400 for a missing or impossible boundary.
    """
    media_type, parameters = parse_options_header(content_type)
    root = parameters.get(b"type", accepted[0].encode()).split(b";")[0].strip().lower().decode("latin-1")
    if media_type.lower() != b"multipart/related" or root not in accepted:
        words = (
            f'Send multipart/related; type="{accepted[0]}"; boundary=... with one DICOM Part 10 file in each part, '
            f"or metadata and bulk values under the type {' or '.join(accepted[1:])}."
        )
        raise ServiceError(415, "unsupported_media_type", words)
    boundary = parameters.get(b"boundary", b"")
    if not 0 < len(boundary) <= _MAX_BOUNDARY_BYTES or b"\r" in boundary or b"\n" in boundary:
        raise Invalid("The Content-Type names no usable multipart boundary.", code="bad_boundary")
    return boundary, root


class MultipartReader:
    """Takes a body in pieces of any size and gives its events; parts may span pieces.

    Args:
        boundary: As the Content-Type names it.
        max_parts: More parts than this is an error.
    """

    def __init__(self, boundary: bytes, *, max_parts: int) -> None:
        self._max_parts = max_parts
        self._parts = 0
        self._header_bytes = 0
        self._header_name = self._header_value = b""
        self._headers: dict[str, str] = {}
        self._is_ended = False
        self._events: list[Event] = []
        self._failure: BadMultipart | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": lambda: self._events.append(PartBegins(self._headers)),
                "on_part_data": lambda data, start, end: self._events.append(PartData(memoryview(data)[start:end])),
                "on_part_end": lambda: self._events.append(PartEnds()),
                "on_end": self._on_end,
            },
            max_header_count=_MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    def feed(self, data: bytes) -> list[Event]:
        """Return the events of the next bytes, in order. What was whole before an error is still given.

        Raises:
            BadMultipart: At the call after the events before the error were given.
        """
        if self._failure is not None:
            raise self._failure
        self._events = []
        try:
            self._parser.write(data)
        except MultipartParseError:
            self._failure = BadMultipart(
                "The multipart body is damaged: a boundary or a part's headers cannot be read."
            )
        except BadMultipart as failure:
            self._failure = failure
        return self._events

    def finish(self) -> None:
        """Say that the body is over. Raises BadMultipart when it ended before its closing boundary."""
        if self._failure is not None:
            raise self._failure
        if not self._is_ended:
            raise BadMultipart("The multipart body ends before its closing boundary; send it again.")

    def _on_part_begin(self) -> None:
        self._parts += 1
        self._header_bytes, self._headers = 0, {}
        if self._parts > self._max_parts:
            raise BadMultipart(f"More than {self._max_parts} parts in one request; send them in several.", 413)

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += self._bounded(data, start, end)

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += self._bounded(data, start, end)

    def _on_header_end(self) -> None:
        name = self._header_name.decode("latin-1").strip().lower()
        self._headers[name] = self._header_value.decode("latin-1").strip()
        self._header_name = self._header_value = b""

    def _bounded(self, data: bytes, start: int, end: int) -> bytes:
        self._header_bytes += end - start
        if self._header_bytes > MAX_PART_HEADER_BYTES:
            raise BadMultipart(f"The headers of a part are longer than {MAX_PART_HEADER_BYTES} bytes.")
        return data[start:end]

    def _on_end(self) -> None:
        self._is_ended = True
