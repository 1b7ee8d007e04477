"""Bytes that are arriving: one file each, beside the archive, hashed as they are written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from pathlib import Path

from service.archive import PREAMBLE, make_durable_folder
from service.intake.outcomes import Door, Sender
from service.write_back import start_writing

IMPLEMENTATION_CLASS_UID = "2.25.130428370265418906271594823650912734561"
IMPLEMENTATION_VERSION_NAME = "PANDOK"

DATASET_OFFSET = 640
"""Where every data set begins in our files: group 2 is padded to a fixed size, since the UIDs in it are known
only after the bytes behind it have been read."""

KEPT = ".kept"
"""Ends the name of a file that stands in the archive and whose rows may not be on the disk yet."""

WRITE_BACK_BYTES = 4 << 20
"""The disk begins to write when so many bytes have arrived."""
_NAME_BYTES = 48
"""So much of a sender's name stands in a file's name."""

STALE_AFTER_S = 300.0
"""No sender may be silent, and no commit may take, nearly as long. Clocks jump, so it must not be locked either."""


class DatasetTooLarge(Exception):
    """More bytes than one instance may have."""


class Spooled:
    """One instance on its way in. Nothing here has been acknowledged.

    Args:
        folder: The spool folder.
        sender: Who sends it.
        transfer_syntax_uid: How the data set is encoded.
        max_bytes: Largest data set that is kept.
    """

    def __init__(self, folder: Path, *, sender: Sender, transfer_syntax_uid: str, max_bytes: int) -> None:
        self.sender = sender
        self.transfer_syntax_uid = transfer_syntax_uid
        self.path = folder / f"{secrets.token_hex(16)}.part"
        self.size_bytes = 0
        self._max_bytes = max_bytes
        self._given_bytes = 0
        self._digest = hashlib.sha256()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self.descriptor = os.open(self.path, flags, 0o600)
        fcntl.flock(self.descriptor, fcntl.LOCK_SH)  # `clear_spool` leaves it, whatever a clock says of its age
        os.lseek(self.descriptor, DATASET_OFFSET, os.SEEK_SET)

    @property
    def content_sha256(self) -> str:
        """SHA-256 of the data-set bytes so far, in hex."""
        return self._digest.hexdigest()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append data-set bytes. Raises OSError when the disk refuses, DatasetTooLarge past the limit."""
        view = memoryview(data)
        self.size_bytes += len(view)
        if self.size_bytes > self._max_bytes:
            raise DatasetTooLarge
        self._digest.update(view)
        while view:
            view = view[os.write(self.descriptor, view) :]
        if self.size_bytes - self._given_bytes >= WRITE_BACK_BYTES:
            start_writing(self.descriptor, DATASET_OFFSET + self._given_bytes, self.size_bytes - self._given_bytes)
            self._given_bytes = self.size_bytes

    def finish(self, *, sop_class_uid: str, sop_instance_uid: str) -> None:
        """Write preamble and file meta before the data set. Raises OSError."""
        meta = file_meta(
            sop_class_uid=sop_class_uid,
            sop_instance_uid=sop_instance_uid,
            transfer_syntax_uid=self.transfer_syntax_uid,
            size_bytes=DATASET_OFFSET - len(PREAMBLE),
        )
        os.pwrite(self.descriptor, PREAMBLE + meta, 0)

    def close(self) -> None:
        """Close the file; its bytes stay."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def abandon(self) -> None:
        """Forget the bytes: the sender was not told that we have them."""
        self.close()
        self.path.unlink(missing_ok=True)


def kept_path(spooled: Spooled, content_sha256: str) -> Path:
    """Return a name in the spool that says whose the bytes are and what they must be."""
    sender = spooled.sender
    name = sender.name.encode()[:_NAME_BYTES].hex()
    words = (spooled.path.stem, str(sender.site_id), sender.door.value, name, content_sha256)
    return spooled.path.with_name(".".join(words) + KEPT)


def read_kept(path: Path) -> tuple[Sender, str] | None:
    """Return sender and SHA-256 that such a name tells; None when it is no such name."""
    try:
        _, site_id, door, name, content_sha256 = path.name.removesuffix(KEPT).split(".")
        return Sender(int(site_id), Door(door), bytes.fromhex(name).decode(errors="ignore")), content_sha256
    except ValueError:
        return None


def file_meta(*, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, size_bytes: int) -> bytes:
    """Return a file meta group (PS3.10 section 7.1) of exactly `size_bytes`, padded by our private information."""
    body = b"".join(
        (
            _element(0x0001, b"OB", b"\x00\x01"),
            _element(0x0002, b"UI", _uid(sop_class_uid)),
            _element(0x0003, b"UI", _uid(sop_instance_uid)),
            _element(0x0010, b"UI", _uid(transfer_syntax_uid)),
            _element(0x0012, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
            _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME.encode()),
            _element(0x0100, b"UI", _uid(IMPLEMENTATION_CLASS_UID)),
        )
    )
    group_length = size_bytes - 12
    padding = group_length - len(body) - 12
    body += _element(0x0102, b"OB", bytes(padding))
    return _element(0x0000, b"UL", group_length.to_bytes(4, "little")) + body


def _uid(uid: str) -> bytes:
    return uid.encode("ascii") + b"\x00" * (len(uid) % 2)


def _element(element: int, vr: bytes, value: bytes) -> bytes:
    tag = b"\x02\x00" + element.to_bytes(2, "little")
    if len(value) % 2:
        value += b" "
    if vr == b"OB":
        return tag + vr + b"\x00\x00" + len(value).to_bytes(4, "little") + value
    return tag + vr + len(value).to_bytes(2, "little") + value


def prepare_spool(folder: Path) -> None:
    """Make the spool folder and clear what a crash left behind."""
    make_durable_folder(folder)
    clear_spool(folder)


def clear_spool(folder: Path) -> None:
    """Remove what processes left behind that died; none of it was acknowledged."""
    for leftover in folder.glob("*.part"):
        with contextlib.suppress(FileNotFoundError):  # another process was quicker, or it has its name in the archive
            if time.time() - leftover.stat().st_mtime > STALE_AFTER_S and not _is_in_use(leftover):
                leftover.unlink()


def _is_in_use(path: Path) -> bool:
    """Tell whether a living process fills a file: its lock ends with it. Raises FileNotFoundError."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
