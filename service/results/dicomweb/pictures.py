"""Borrows decode children for the web process: a few at a time, a short line before them, no pixel decoded here."""

from __future__ import annotations

import contextlib
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from anyio import CapacityLimiter

from preprocessing.header import to_json
from preprocessing.pictures import View
from service.archive import Archive
from service.errors import Busy
from service.inference.decoding import DecodeLimits, DecodePool, DecodeUnavailable
from service.results.dicomweb.frames import Frames
from service.results.dicomweb.records import StoredInstance
from service.settings import Settings

MAX_RESULT_BYTES = 256 << 20
"""A child writes no larger file; what would be larger is refused or given as it is stored."""


class NotDrawn(Exception):
    """The pixels cannot be shown or unpacked: no pinned decoder, damaged, too many. Holds a word for the log."""


class Pictures:
    """Decode children of the web process, started when the first picture is asked for.

    Args:
        settings: How many, how long the line, what one image may cost.
        typeface: Font for words in pictures.
    """

    def __init__(self, settings: Settings, typeface: Path | None) -> None:
        self._settings = settings
        self._typeface = typeface
        self._folder = settings.work_folder / "pictures" / "web"
        self._seats = threading.BoundedSemaphore(settings.picture_processes + settings.picture_queue)
        self._starting = threading.Lock()
        self._pool: DecodePool | None = None
        self.limiter = CapacityLimiter(settings.picture_processes)
        """Threads that a streamed answer may hold while it waits for a child, or recodes a file."""
        self.readers = CapacityLimiter(settings.picture_processes)
        """Threads that read the attributes of stored files."""

    @contextlib.contextmanager
    def seat(self) -> Iterator[None]:
        """Stand in line for the children. Raises Busy at once when the line is full."""
        if not self._seats.acquire(blocking=False):
            raise Busy("Too many pictures are being drawn; ask again in a few seconds.")
        try:
            yield
        finally:
            self._seats.release()

    def draw(self, archive: Archive, instance: StoredInstance, number: int, view: View) -> bytes:
        """Draw a frame, the first of which is 1. Raises NotDrawn, NoSuchFrame and Busy."""
        wish = {"number": number, "view": asdict(view), "typeface": str(self._typeface) if self._typeface else None}
        with self._made("picture", archive, instance, [number], wish) as file:
            return file.read()

    def unpacked_frames(self, archive: Archive, instance: StoredInstance, numbers: Sequence[int]) -> list[bytes]:
        """Return frames as native little endian samples. Raises NotDrawn, NoSuchFrame and Busy."""
        with self._made("frame", archive, instance, numbers, {}) as file:
            whole = file.read()
        size = len(whole) // len(numbers)
        return [whole[start : start + size] for start in range(0, len(whole), size)]

    def unpacked_file(self, archive: Archive, instance: StoredInstance) -> BinaryIO:
        """Return a compressed instance as an open file in Explicit VR Little Endian. Raises as the others."""
        count = Frames(archive, instance).count
        return self._made("file", archive, instance, range(1, count + 1), {})

    def close(self) -> None:
        """Kill the children."""
        with self._starting:
            if self._pool is not None:
                self._pool.close()

    def _made(
        self, wish: str, archive: Archive, instance: StoredInstance, numbers: Sequence[int], more: Mapping[str, Any]
    ) -> BinaryIO:
        """Have a child do something and return its result, open; nothing of it is left in the folder."""
        frames = Frames(archive, instance)
        path = archive.path(instance.site_id, instance.content_sha256)
        into = self._folder / secrets.token_hex(16)
        task = {
            "wish": wish,
            "path": str(path.absolute()),
            "header": to_json(instance.header),
            "frames": [frames.spans(number) for number in numbers],
            "into": str(into.absolute()),
            **more,
        }
        try:
            answer = self._children().ask(task)
            if "unavailable" in answer:
                raise Busy("The pictures cannot be drawn just now; ask again in a few seconds.")
            if "ok" not in answer:
                raise NotDrawn(str(answer.get("refused") or answer.get("died")))
            return into.open("rb")
        except DecodeUnavailable as error:
            raise Busy("The pictures cannot be drawn just now; ask again in a few seconds.") from error
        finally:
            into.unlink(missing_ok=True)

    def _children(self) -> DecodePool:
        with self._starting:
            if self._pool is None:
                self._folder.mkdir(parents=True, exist_ok=True)
                settings = self._settings
                limits = DecodeLimits(settings.decode_memory_bytes, settings.decode_cpu_s, settings.decode_wall_s)
                pool = DecodePool(
                    processes=settings.picture_processes, limits=limits, workspace_folder=settings.work_folder
                )
                pool.start()
                self._pool = pool
            return self._pool


def decoded_bytes(instance: StoredInstance, frames: int) -> int:
    """Return how large so many frames of an instance are when unpacked."""
    header = instance.header
    sample_bytes = max(1, (header.bits_allocated or 8) // 8)
    return (header.rows or 0) * (header.columns or 0) * (header.samples_per_pixel or 1) * sample_bytes * frames
