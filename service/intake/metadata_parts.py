"""A STOW body of metadata and bulk values: put aside, then made into files one by one (PS3.18 10.5.1)."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
from collections import deque
from collections.abc import Iterator
from typing import BinaryIO

from service.intake.batch import IN_FLIGHT
from service.intake.composed import Bulk, NotComposed, compose, named, uids_of
from service.intake.multipart import BadMultipart, MultipartReader, PartBegins, PartData
from service.intake.outcomes import IntakeReason, Sender
from service.intake.part10 import Part10Splitter, Received, Turned
from service.intake.receive import Intake
from service.native_model import DICOM_XML, Json, NotNative, from_xml
from service.settings import Settings

MAX_METADATA_BYTES = 8 << 20
"""Of one request: parsed, it takes many times its size in memory."""
_READ_BYTES = 1 << 20
_MOST = {b"{": 500_000, b"[": 500_000, b",": 2_000_000}
"""Of a document: what makes objects of it in memory."""
_SPACE = re.compile(r"[ \t\r\n]*")


class MetadataParts:
    """Parts of the root type are metadata, the others bulk values that these name by Content-Location.

    Works in a thread. Nothing can be kept before the body is whole: a bulk value may be its last part.

    Args:
        reader: Of the body.
        intake: Opens spool files.
        sender: Who sends.
        settings: Says where the parts wait.
        media_type: Of the metadata: `application/dicom+json` or `application/dicom+xml`.
    """

    def __init__(
        self, reader: MultipartReader, intake: Intake, sender: Sender, *, settings: Settings, media_type: str
    ) -> None:
        self.files: deque[Received | Turned] = deque()
        """What was made of the body and was not handed on yet."""
        self.has_more = False
        self._reader = reader
        self._intake = intake
        self._sender = sender
        self._folder = settings.spool_folder
        self._media_type = media_type
        self._aside: BinaryIO | None = None
        self._failure: Turned | None = None
        self._documents: list[tuple[int, int]] = []
        self._bulk: dict[str, Bulk] = {}
        self._begin = 0
        self._headers: PartBegins | None = None
        self._made: Iterator[Received | Turned] | None = None

    def is_quick(self, _piece: bytes) -> bool:
        """Nothing of this is sooner done than a thread is woken."""
        return False

    def take(self, piece: bytes) -> None:
        """Put the next bytes aside or, after the last ones, make a handful of files. Raises BadMultipart."""
        try:
            if piece:
                self._put_aside(piece)
        except OSError:
            self._failure = Turned(IntakeReason.OUT_OF_RESOURCES, "")
        while self._made is not None and len(self.files) < IN_FLIGHT:
            file = next(self._made, None)
            if file is None:
                self._made, self.has_more = None, False
            else:
                self.files.append(file)

    def finish(self) -> None:
        """Say that the body is over: what is left is to make its files. Raises BadMultipart when it is not whole."""
        self._reader.finish()
        self._made, self.has_more = self._files(), True

    def close(self) -> None:
        """Forget the parts, and what was not handed on."""
        for file in self.files:
            if isinstance(file, Received):
                file.spooled.abandon()
        if self._aside is not None:
            self._aside.close()

    def _put_aside(self, piece: bytes) -> None:
        for event in self._reader.feed(piece):
            if self._failure is not None:
                continue
            if self._aside is None:
                self._aside = tempfile.TemporaryFile(dir=self._folder)  # noqa: SIM115 - closed with the parts
            if isinstance(event, PartBegins):
                self._headers, self._begin = event, self._aside.tell()
            elif isinstance(event, PartData):
                self._check_room()
                self._aside.write(event.data)
            else:
                self._note(self._begin, self._aside.tell() - self._begin)

    def _check_room(self) -> None:
        """Asked for every piece: bulk values are put aside, composed and spooled, three times their size for a moment.

        Raises OSError.
        """
        if not self._intake.has_room():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _note(self, begin: int, length: int) -> None:
        """Note a part that is whole."""
        assert self._headers is not None  # noqa: S101 - the reader gives PartBegins first
        bulk = Bulk.of(self._headers)
        if bulk.media_type == self._media_type or (not bulk.media_type and not self._documents):
            self._documents.append((begin, length))
            if sum(size for _, size in self._documents) > MAX_METADATA_BYTES:
                raise BadMultipart(f"More than {MAX_METADATA_BYTES} bytes of metadata; send them in several.", 413)
        elif location := self._headers.headers.get("content-location", ""):
            self._bulk.setdefault(location, bulk).spans.append((begin, length))
        else:
            words = "a bulk part has no Content-Location, which the metadata would name it by"
            self._failure = Turned(IntakeReason.DAMAGED_HEADER, words)

    def _files(self) -> Iterator[Received | Turned]:
        if self._failure is not None or self._aside is None:
            yield self._failure or Turned(IntakeReason.NOT_DICOM, "the request holds no metadata")
            return
        wanted: set[str] = set()
        for begin, length in self._documents:
            try:
                for item in _items(_read(self._aside, begin, length), self._media_type):
                    wanted |= named(item)
                    yield self._made_of(item, self._aside)
            except NotNative:
                yield Turned(IntakeReason.DAMAGED_HEADER, "the metadata cannot be read; send them as PS3.18 F has it")
        if not self._documents:
            yield Turned(IntakeReason.NOT_DICOM, "the request holds no metadata")
        elif not wanted >= self._bulk.keys():
            yield Turned(IntakeReason.DAMAGED_HEADER, "no metadata name a bulk part that was sent")

    def _made_of(self, item: Json, aside: BinaryIO) -> Received | Turned:
        """Make one file and give it to the spool, as if it had come as a file."""
        splitter = Part10Splitter(self._intake, self._sender)
        try:
            with tempfile.TemporaryFile(dir=self._folder) as file:
                self._check_room()
                compose(item, self._bulk, aside, into=file)
                file.seek(0)
                while chunk := file.read(_READ_BYTES):
                    splitter.feed(chunk)
                return splitter.finish()
        except NotComposed as refusal:
            return Turned(IntakeReason.DAMAGED_HEADER, str(refusal), *uids_of(item))
        except OSError:
            return Turned(IntakeReason.OUT_OF_RESOURCES, "", *uids_of(item))
        finally:
            splitter.abandon()


def _read(file: BinaryIO, begin: int, length: int) -> bytes:
    file.seek(begin)
    return file.read(length)


def _items(document: bytes, media_type: str) -> Iterator[Json]:
    """Give the data sets of a document of metadata, one at a time. Raises NotNative."""
    if media_type == DICOM_XML:
        yield from_xml(document)
        return
    try:
        if any(document.count(sign) > most for sign, most in _MOST.items()):
            raise NotNative
        text = document.decode("utf-8-sig").strip()
        if text.startswith("{"):
            text = f"[{text}]"  # the standard has an array here; one instance is often sent bare
        yield from _array(text)
    except (ValueError, RecursionError) as error:
        raise NotNative from error


def _array(text: str) -> Iterator[Json]:
    """Parse an array element by element: only one is in memory as objects."""
    if not (text.startswith("[") and text.endswith("]")):
        raise ValueError("not an array")
    decoder, at = json.JSONDecoder(), _past_space(text, 1)
    while text[at] != "]":
        item, at = decoder.raw_decode(text, at)
        if not isinstance(item, dict):
            raise NotNative("not a data set")
        yield item
        at = _past_space(text, at)
        if text[at] == ",":
            at = _past_space(text, at + 1)
        elif text[at] != "]":
            raise ValueError("no comma")
    if at != len(text) - 1:
        raise ValueError("more than one array")


def _past_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at
