"""WADO-RS: what a client accepts and what is stored → parts of an answer, streamed (PS3.18 10.4)."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.uid import ExplicitVRLittleEndian

from service.archive import Archive
from service.results.dicomweb.accept import Accepted
from service.results.dicomweb.explicit import CONVERTIBLE, to_explicit
from service.results.dicomweb.records import StoredInstance

DICOM = "application/dicom"
EXPLICIT = str(ExplicitVRLittleEndian)
CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Chosen:
    """An instance and how it is sent."""

    instance: StoredInstance
    path: Path
    as_stored: bool


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
        as_stored = _way(instance.transfer_syntax_uid, accepted)
        path = archive.path(instance.site_id, instance.content_sha256)
        if as_stored is not None:
            chosen.append(Chosen(instance, path, as_stored))
    return chosen


def _way(stored: str, accepted: Sequence[Accepted]) -> bool | None:
    """Return whether to send as stored (True) or in Explicit VR Little Endian (False); None when neither is taken."""
    for one in accepted:
        if not one.takes(DICOM):
            continue
        asked = one.transfer_syntax
        if asked in ("*", stored):
            return True
        if asked in (None, EXPLICIT) and stored in CONVERTIBLE:
            return False
        # Compressed pixels are not decoded to answer: without a word about it they are given as they are (DWB-22).
        if asked is None:
            return True
    return None


def parts(chosen: Iterable[Chosen], base: str) -> Iterator[Part]:
    """Give one part for each instance, converted only when its turn comes."""
    for one in chosen:
        instance = one.instance
        converted = None
        if not one.as_stored:
            converted = to_explicit(
                one.path, transfer_syntax_uid=instance.transfer_syntax_uid, size_bytes=instance.size_bytes
            )
        syntax = instance.transfer_syntax_uid if converted is None else EXPLICIT
        yield Part(
            content_type=f"{DICOM}; transfer-syntax={syntax}",
            location=address(base, instance),
            body=_file(one.path) if converted is None else (converted,),
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
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk
