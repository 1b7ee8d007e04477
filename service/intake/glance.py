"""A file's header and nothing else: what the rules' tester looks at, and keeps nothing of."""

from __future__ import annotations

from pathlib import Path

from preprocessing.elements import HeaderRefused
from preprocessing.header import InstanceHeader
from service.intake.outcomes import Door, Sender
from service.intake.part10 import Part10Splitter, Turned
from service.intake.receive import HEADER_REASONS, read_spooled
from service.intake.spool import Spooled


class GlanceRefused(ValueError):
    """The file has no header that can be read; the text says why, without anything of it."""


class Glance:
    """Takes one Part-10 file in pieces of any size and reads its header.

    Args:
        folder: Where the data set waits while it is read, as a file without a name: a crash leaves nothing behind.
        max_bytes: Largest data set that is looked at.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._splitter = Part10Splitter(self, Sender(0, Door.UPLOAD, ""))

    def open(self, sender: Sender, *, transfer_syntax_uid: str) -> Spooled:
        """Open the file without a name. Raises OSError."""
        spooled = Spooled(
            self._folder, sender=sender, transfer_syntax_uid=transfer_syntax_uid, max_bytes=self._max_bytes
        )
        spooled.path.unlink()
        return spooled

    def feed(self, data: bytes) -> None:
        """Take the next bytes."""
        self._splitter.feed(data)

    def header(self) -> InstanceHeader:
        """Return the header, now that all of the file has been fed. Raises GlanceRefused."""
        file = self._splitter.finish()
        if isinstance(file, Turned):
            raise GlanceRefused(file.detail or file.reason.comment)
        try:
            return read_spooled(file.spooled)
        except HeaderRefused as refusal:
            raise GlanceRefused(HEADER_REASONS[refusal.kind].comment) from None
        except OSError:
            raise GlanceRefused("the file could not be put aside to be read") from None
        finally:
            file.spooled.abandon()

    def close(self) -> None:
        """Forget what was fed."""
        self._splitter.abandon()
