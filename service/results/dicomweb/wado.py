"""WADO-RS: what a client accepts and what is stored → parts of an answer, streamed (PS3.18 10.4)."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import BinaryIO

from pydicom.uid import ExplicitVRLittleEndian

from preprocessing.decoders import LOSSY_TRANSFER_SYNTAXES, SUPPORTED_TRANSFER_SYNTAXES, is_encapsulated
from service.accept import Accepted
from service.archive import Archive
from service.results.dicomweb.explicit import CONVERTIBLE, to_explicit
from service.results.dicomweb.records import StoredInstance

DICOM = "application/dicom"
EXPLICIT = str(ExplicitVRLittleEndian)
CHUNK_BYTES = 1 << 20


UNPACKABLE = frozenset(uid for uid in SUPPORTED_TRANSFER_SYNTAXES if is_encapsulated(uid))
"""Compressed pixels that a decode child can turn into native ones."""

Unpack = Callable[[StoredInstance], BinaryIO | None]
"""Gives a compressed instance as an open file in Explicit VR Little Endian; None when that cannot be done."""


class Way(Enum):
    """How an instance is sent."""

    AS_STORED = auto()
    RECODED = auto()
    """The same native pixels, the data set in Explicit VR Little Endian."""
    UNPACKED = auto()
    """Compressed pixels decoded."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """An instance and how it is sent."""

    instance: StoredInstance
    path: Path
    way: Way


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer."""

    content_type: str
    location: str | None
    body: Iterable[bytes]


def choose(archive: Archive, instances: Iterable[StoredInstance], accepted: Sequence[Accepted]) -> list[Chosen]:
    """Return the instances that can be given in a way that the client takes; the others are left out (206 or 406)."""
    chosen = []
    for instance in instances:
        way = _way(instance.transfer_syntax_uid, accepted)
        if way is not None:
            chosen.append(Chosen(instance, archive.path(instance.site_id, instance.content_sha256), way))
    return chosen


def _way(stored: str, accepted: Sequence[Accepted]) -> Way | None:
    """Return how to send what is stored in a transfer syntax; None when the client takes no way of it (DWB-22)."""
    for one in accepted:
        if not one.takes(DICOM):
            continue
        asked = one.transfer_syntax
        if asked in ("*", stored) or (asked is None and stored == EXPLICIT):
            return Way.AS_STORED
        if asked in (None, EXPLICIT) and stored in CONVERTIBLE:
            return Way.RECODED
        if stored in UNPACKABLE and (asked == EXPLICIT or (asked is None and stored not in LOSSY_TRANSFER_SYNTAXES)):
            return Way.UNPACKED
        if asked is None:
            return Way.AS_STORED  # lossy, or nothing we could unpack: it is given as it is
    return None


def parts(chosen: Iterable[Chosen], base: str, unpack: Unpack) -> Iterator[Part]:
    """Give one part for each instance, converted only when its turn comes; what cannot be converted goes as stored."""
    for one in chosen:
        instance = one.instance
        body: Iterable[bytes] | None = None
        if one.way is Way.RECODED:
            body = to_explicit(
                one.path, transfer_syntax_uid=instance.transfer_syntax_uid, size_bytes=instance.size_bytes
            )
        elif one.way is Way.UNPACKED and (unpacked := unpack(instance)) is not None:
            body = _pieces(unpacked)
        syntax = instance.transfer_syntax_uid if body is None else EXPLICIT
        yield Part(
            content_type=f"{DICOM}; transfer-syntax={syntax}",
            location=address(base, instance),
            body=_file(one.path) if body is None else body,
        )


def address(base: str, instance: StoredInstance) -> str:
    """Return where an instance is retrieved."""
    study, series, uid = instance.study_instance_uid, instance.series_instance_uid, instance.sop_instance_uid
    return f"{base}/studies/{study}/series/{series}/instances/{uid}"


def new_boundary() -> str:
    """Return a boundary that no file has: nobody can guess it."""
    return secrets.token_hex(16)


def multipart(pieces: Iterable[Part], boundary: str) -> Iterator[bytes]:
    """Give the body of a multipart/related answer (RFC 2387), in few large pieces."""
    gathered: list[bytes] = []
    size = 0
    for piece in _multipart(pieces, boundary):
        gathered.append(piece)
        size += len(piece)
        # Each piece that we give costs a change of threads, so small instances travel together.
        if size >= CHUNK_BYTES:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


def _multipart(pieces: Iterable[Part], boundary: str) -> Iterator[bytes]:
    for part in pieces:
        location = f"Content-Location: {part.location}\r\n" if part.location else ""
        yield f"--{boundary}\r\nContent-Type: {part.content_type}\r\n{location}\r\n".encode("latin-1", "replace")
        yield from part.body
        yield b"\r\n"
    yield f"--{boundary}--\r\n".encode()


def _file(path: Path) -> Iterator[bytes]:
    yield from _pieces(path.open("rb"))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
