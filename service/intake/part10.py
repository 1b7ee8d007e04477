"""One Part-10 file as a stream: file meta read in bounded space, data set forwarded to the spool."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from service.intake.dimse.capabilities import TRANSFER_SYNTAXES
from service.intake.outcomes import IntakeReason, NoRoom, Sender
from service.intake.spool import DatasetTooLarge, Spooled
from service.intake.verify import MEDIA_STORAGE_DIRECTORY, is_valid_uid

MAX_FILE_META_BYTES = 65_536
"""Group 2 of real files is a few hundred bytes; only private information (0002,0102) can make it long."""

_HEAD_BYTES = 132
_LONG_VRS = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))

_OTHER_KINDS = (
    (b"%PDF", "a PDF, not a DICOM image; send the original .dcm file"),
    (b"PK\x03\x04", "a zip archive; unpack it and send its files"),
    (b"\x00\x05\x16\x07", "a by-product of macOS, not a DICOM image; leave it out"),
    (b"\x1f\x8b", "compressed with gzip; unpack it and send the .dcm file"),
    (b"7z\xbc\xaf", "a 7z archive; unpack it and send its files"),
    (b"Rar!", "a RAR archive; unpack it and send its files"),
    (b"\xff\xd8\xff", "a JPEG picture; send the original .dcm file"),
    (b"\x89PNG", "a PNG picture; send the original .dcm file"),
    (b"MZ", "a program, not a DICOM image; leave it out"),
    (b"\x7fELF", "a program, not a DICOM image; leave it out"),
)


class Opens(Protocol):
    """Gives a spool file for a data set."""

    def open(self, sender: Sender, *, transfer_syntax_uid: str) -> Spooled:
        """Open one. Raises OSError."""
        ...


class _Step(Enum):
    MORE = auto()  # an element was read; another may follow
    END = auto()  # the data set begins here
    WAIT = auto()  # the element is not whole yet


@dataclass(frozen=True, slots=True)
class Received:
    """A whole file in the spool, not yet verified. The data set's own UIDs count: real files' group 2 often differs."""

    spooled: Spooled


@dataclass(frozen=True, slots=True)
class Turned:
    """A file that is refused before any of it could be verified; UIDs are what its group 2 says."""

    reason: IntakeReason
    detail: str
    sop_class_uid: str | None = None
    sop_instance_uid: str | None = None


class Part10Splitter:
    """Takes one file in pieces of any size; ends in exactly one of Received and Turned.

    Args:
        intake: Opens the spool file once the transfer syntax is known.
        sender: Who sends the file.
    """

    def __init__(self, intake: Opens, sender: Sender) -> None:
        self._intake = intake
        self._sender = sender
        self._head = bytearray()
        self._meta_start: int | None = None
        self._next_element = 0
        self._meta: dict[int, bytes] = {}
        self._spooled: Spooled | None = None
        self._turned: Turned | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Take the next bytes. Never raises for bad data or a full disk: the end tells."""
        if self._turned is not None:
            return
        if self._spooled is not None:
            self._write(data)
            return
        room = _HEAD_BYTES + MAX_FILE_META_BYTES - len(self._head)
        self._head += data[:room]
        rest = memoryview(data)[room:]
        is_full = len(self._head) >= _HEAD_BYTES + MAX_FILE_META_BYTES
        self._read_head(is_full=is_full, is_end=False)
        if rest:  # only when the head is full: by now the file is open or turned away
            self.feed(rest)

    def finish(self) -> Received | Turned:
        """Say what the file was, now that all of it has been fed. A Received spool file is the caller's."""
        if self._turned is None and self._spooled is None:
            self._read_head(is_full=False, is_end=True)
        if self._turned is not None:
            return self._turned
        assert self._spooled is not None  # noqa: S101 - _read_head at the end leaves one of the two
        spooled, self._spooled = self._spooled, None
        return Received(spooled)

    def abandon(self) -> None:
        """Forget what was fed: the rest of the file will not come."""
        if self._spooled is not None:
            self._spooled.abandon()
            self._spooled = None

    def _read_head(self, *, is_full: bool, is_end: bool) -> None:
        """Read preamble and file meta as far as they are here; open the spool file when the data set begins."""
        head = self._head
        if len(head) < _HEAD_BYTES and not is_end:
            return
        if self._meta_start is None:
            self._meta_start = self._next_element = _where_file_meta_starts(bytes(head[:_HEAD_BYTES]))
        if self._meta_start < 0:
            self._turn(IntakeReason.NOT_DICOM, _what_it_is(bytes(head[:_HEAD_BYTES])))
            return
        while (step := self._element(is_end=is_end)) is _Step.MORE:
            pass
        if step is _Step.END:
            self._open()
        elif is_end:
            self._turn(IntakeReason.TRUNCATED)
        elif is_full:
            self._turn(IntakeReason.LIMIT_EXCEEDED, "the file meta group is too long; export the image again")

    def _element(self, *, is_end: bool) -> _Step:
        """Take one element of group 2."""
        head, at = self._head, self._next_element
        if len(head) < at + 8:
            return _Step.END if is_end and len(head) == at else self._short_tail(at)
        if head[at : at + 2] != b"\x02\x00" or self._is_past_group_length(at):
            return _Step.END
        vr = bytes(head[at + 4 : at + 6])
        if vr in _LONG_VRS:
            value_at, length = at + 12, int.from_bytes(head[at + 8 : at + 12], "little")
            if len(head) < value_at:
                return _Step.WAIT
        elif vr.isalpha() and vr.isupper():
            value_at, length = at + 8, int.from_bytes(head[at + 6 : at + 8], "little")
        else:  # some old consoles write group 2 in implicit VR
            value_at, length = at + 8, int.from_bytes(head[at + 4 : at + 8], "little")
        if len(head) < value_at + length:
            return _Step.WAIT
        self._meta[int.from_bytes(head[at + 2 : at + 4], "little")] = bytes(head[value_at : value_at + length])
        self._next_element = value_at + length
        return _Step.MORE

    def _short_tail(self, at: int) -> _Step:
        """A data set shorter than one element header is still a data set; its reader will say what is wrong."""
        group = bytes(self._head[at : at + 2])
        return _Step.END if len(group) == 2 and group != b"\x02\x00" else _Step.WAIT

    def _is_past_group_length(self, at: int) -> bool:
        """A deflated data set may begin with the bytes of group 2: there, a group length that fits decides."""
        declared = self._meta.get(0x0000)
        if declared is None or len(declared) != 4 or 0x0010 not in self._meta or self._meta_start is None:
            return False
        is_at_end = at == self._meta_start + 12 + int.from_bytes(declared, "little")
        vr = bytes(self._head[at + 4 : at + 6])
        return is_at_end and not (vr.isalpha() and vr.isupper())

    def _open(self) -> None:
        transfer_syntax_uid = self._uid(0x0010)
        if self._uid(0x0002) == MEDIA_STORAGE_DIRECTORY:
            self._turn(IntakeReason.DICOMDIR)
        elif transfer_syntax_uid is None:
            detail = "the file does not name its transfer syntax; export it again"
            self._turn(IntakeReason.TRANSFER_SYNTAX_NOT_SUPPORTED, detail)
        elif transfer_syntax_uid not in TRANSFER_SYNTAXES:
            self._turn(IntakeReason.TRANSFER_SYNTAX_NOT_SUPPORTED)
        else:
            dataset = bytes(self._head[self._next_element :])
            self._head.clear()
            try:
                self._spooled = self._intake.open(self._sender, transfer_syntax_uid=transfer_syntax_uid)
                self._write(dataset)
            except NoRoom as full:
                self._turn(full.reason)
            except OSError:
                self._turn(IntakeReason.OUT_OF_RESOURCES)

    def _write(self, data: bytes | memoryview) -> None:
        assert self._spooled is not None  # noqa: S101 - opened before the first data-set byte
        try:
            self._spooled.write(data)
        except DatasetTooLarge:
            self._turn(IntakeReason.TOO_LARGE)
        except OSError:
            self._turn(IntakeReason.OUT_OF_RESOURCES)

    def _turn(self, reason: IntakeReason, detail: str = "") -> None:
        self._head.clear()
        self.abandon()
        self._turned = Turned(reason, detail, self._uid(0x0002), self._uid(0x0003))

    def _uid(self, element: int) -> str | None:
        text = self._meta.get(element, b"").rstrip(b"\x00 ").decode("ascii", errors="replace")
        return text if is_valid_uid(text) else None


def _where_file_meta_starts(head: bytes) -> int:
    """Return where group 2 starts in a file that begins so, or -1.

    Some libraries write group 2 without preamble and prefix; its transfer syntax is as clear as in any other file.
    """
    if head[128:] == b"DICM":
        return _HEAD_BYTES
    is_bare_meta = head[:2] == b"\x02\x00" and head[3:4] == b"\x00" and head[4:6] in (b"UL", b"OB", b"UI")
    return 0 if is_bare_meta else -1


def _what_it_is(head: bytes) -> str:
    """Tell the sender what the file looks like instead of DICOM."""
    if not head:
        return "the file is empty; send it again"
    for magic, words in _OTHER_KINDS:
        if head.startswith(magic):
            return words
    if _looks_like_bare_dataset(head):
        return "a bare data set without file meta; export it as a DICOM Part 10 file"
    if head.isascii() and not any(byte < 9 for byte in head):
        return "a text file, not a DICOM image; leave it out"
    return IntakeReason.NOT_DICOM.comment


def _looks_like_bare_dataset(head: bytes) -> bool:
    """Group 8 in either byte order, with a low element number: how a data set without file meta begins."""
    return (head[:2] == b"\x08\x00" and head[3:4] == b"\x00") or head[:3] == b"\x00\x08\x00"
