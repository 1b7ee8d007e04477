"""The parts of a STOW body that are DICOM files: split from the stream and spooled as they come."""

from __future__ import annotations

from collections import deque

from service.intake.batch import IN_FLIGHT
from service.intake.body import PIECE_BYTES
from service.intake.multipart import Event, MultipartReader, PartBegins, PartData
from service.intake.outcomes import Sender
from service.intake.part10 import Part10Splitter, Received, Turned
from service.intake.receive import Intake


class FileParts:
    """Each part is one Part-10 file. All that a piece needs costs at most one change of threads.

    Args:
        reader: Of the body.
        intake: Opens spool files.
        sender: Who sends.
    """

    def __init__(self, reader: MultipartReader, intake: Intake, sender: Sender) -> None:
        self.files: deque[Received | Turned] = deque()
        """What is wholly here and was not handed on yet."""
        self._reader = reader
        self._intake = intake
        self._sender = sender
        self._events: deque[Event] = deque()
        self._splitter: Part10Splitter | None = None

    @property
    def has_more(self) -> bool:
        """There is more to take of what was fed."""
        return bool(self._events)

    def is_quick(self, piece: bytes) -> bool:
        """Tell whether a piece is written sooner than a thread is woken and heard again: a slice of a CT is."""
        return len(piece) < PIECE_BYTES

    def take(self, piece: bytes) -> None:
        """Take the next bytes, up to a handful of files: each holds an open spool file. Raises BadMultipart."""
        if piece:
            self._events.extend(self._reader.feed(piece))
        while self._events and len(self.files) < IN_FLIGHT:
            self._work(self._events.popleft())

    def finish(self) -> None:
        """Say that the body is over. Raises BadMultipart when it is not whole."""
        self._reader.finish()

    def close(self) -> None:
        """Forget what was not handed on: the sender was not told that we have it."""
        if self._splitter is not None:
            self._splitter.abandon()
        for file in self.files:
            if isinstance(file, Received):
                file.spooled.abandon()

    def _work(self, event: Event) -> None:
        if isinstance(event, PartBegins):
            self._splitter = Part10Splitter(self._intake, self._sender)
            return
        assert self._splitter is not None  # noqa: S101 - the reader gives PartBegins first
        if isinstance(event, PartData):
            self._splitter.feed(event.data)
        else:
            self.files.append(self._splitter.finish())
            self._splitter = None
