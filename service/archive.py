"""DICOM files by content hash, a folder per site; a write is whole and durable, or it did not happen."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

PREAMBLE = bytes(128) + b"DICM"
"""Always zero: a preamble can make a DICOM file executable (PS3.10 section 7.5)."""

INCOMING = ".incoming"
"""Where files of a store stand until they are whole: what a crash leaves there belongs to nobody (`clear_incoming`)."""
FORGOTTEN_S = 3_600.0

_GROUP_LENGTH = 12
_CHUNK_BYTES = 1 << 20


class StoredFileDamaged(Exception):
    """A file of the archive is not what was stored."""


class Archive:
    """Content-addressed files: `<site>/<ab>/<sha256>.dcm`, named by the SHA-256 of the data set.

    Sites share no file, so that one site's retention or keys never touch another's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, site_id: int, content_sha256: str) -> Path:
        """Return where the data set with this hash is, or would be, stored."""
        return self.folder / str(site_id) / content_sha256[:2] / f"{content_sha256}.dcm"

    def place(self, spooled: Path, kept: Path, *, descriptor: int, site_id: int, content_sha256: str) -> bool:
        """Give a spool file its name in the archive, and in the spool another one; tell whether the name was free.

        Neither bytes, names nor the archive's folder are on the disk yet: who syncs the file and the spool folder can
        have it stored again after a loss of power (`restore`). A name that is taken may stand for acknowledged bytes,
        so it changes hands only after the new ones are on the disk.

        Args:
            spooled: The file's name in the spool, on the same file system; gone afterwards.
            kept: Its new name there.
            descriptor: The file, open.
            site_id: Whose it is.
            content_sha256: SHA-256 of its data set.

        Raises:
            OSError: The disk refuses.
        """
        target = self.path(site_id, content_sha256)
        try:
            _link(spooled, target)
        except FileExistsError:
            os.fsync(descriptor)
            os.link(spooled, kept)
            with _alone(target.parent):
                if self._stands_for_another(target, descriptor):
                    spooled.unlink()
                else:
                    spooled.replace(target)
            return False
        spooled.rename(kept)
        return True

    def take_back(self, descriptor: int, *, site_id: int, content_sha256: str) -> None:
        """Remove a name whose bytes were not synced, or are refused, unless it stands for another's by now."""
        target = self.path(site_id, content_sha256)
        with contextlib.suppress(OSError), _alone(target.parent):
            if os.path.samestat(target.stat(), os.fstat(descriptor)):
                target.unlink()

    def restore(self, kept: Path, *, site_id: int, content_sha256: str) -> None:
        """Give a file, whole and on the disk, its name in the archive once more. Raises OSError.

        The name is not on the disk yet: who lets go of the kept one syncs the file system before.
        """
        target = self.path(site_id, content_sha256)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = _incoming(self.folder)
        os.link(kept, temporary)
        with _alone(target.parent), kept.open("rb") as file:
            if not self._stands_for_another(target, file.fileno()):
                temporary.replace(target)
        temporary.unlink(missing_ok=True)  # two names of one file: nothing was replaced (rename(2))

    def claim(self, kept: Path, *, descriptor: int, site_id: int, content_sha256: str) -> None:
        """Let a name stand for this file, whose rows are the ones that count. Raises OSError.

        The same bytes under another file meta may have come first and be refused later.
        """
        target = self.path(site_id, content_sha256)
        with _alone(target.parent):
            if self._stands_for_another(target, descriptor):
                temporary = _incoming(self.folder)
                os.link(kept, temporary)
                temporary.replace(target)

    def _stands_for_another(self, target: Path, descriptor: int) -> bool:
        """Tell whether a name stands for the same data set, whole, under another file meta: another transfer syntax.

        Then the rows that were acknowledged speak of that one.
        """
        try:
            with target.open("rb") as file:
                offset = self.dataset_offset(file)
                file.seek(0)
                if file.read(offset) == os.pread(descriptor, offset, 0):
                    return False
        except (FileNotFoundError, StoredFileDamaged):
            return False
        return self._has_content(target, target.stem)

    def put(self, site_id: int, part10: bytes) -> str:
        """Store a whole Part-10 file durably and return the SHA-256 of its data set."""
        offset = _dataset_offset(part10[: len(PREAMBLE) + _GROUP_LENGTH])
        content_sha256 = hashlib.sha256(memoryview(part10)[offset:]).hexdigest()
        write_durably(self.path(site_id, content_sha256), part10, root=self.folder)
        return content_sha256

    def is_intact(self, site_id: int, content_sha256: str) -> bool:
        """Read the stored file again and tell whether its data set still has this hash.

        Raises OSError when it cannot be read just now: that says nothing about the file.
        """
        return self._has_content(self.path(site_id, content_sha256), content_sha256)

    def _has_content(self, path: Path, content_sha256: str) -> bool:
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                file.seek(self.dataset_offset(file))
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
        except (FileNotFoundError, StoredFileDamaged):
            return False
        return digest.hexdigest() == content_sha256

    def dataset_offset(self, file: BinaryIO) -> int:
        """Return where the data set begins in a stored file, open at any place.

        Raises:
            StoredFileDamaged: The file does not begin as we write it.
        """
        file.seek(0)
        return _dataset_offset(file.read(len(PREAMBLE) + _GROUP_LENGTH))


def _dataset_offset(head: bytes) -> int:
    """Group 2 of our files always opens with its length (0002,0000) UL, in explicit little endian."""
    start = len(PREAMBLE)
    if head[128:start] != b"DICM" or head[start : start + 8] != b"\x02\x00\x00\x00UL\x04\x00":
        raise StoredFileDamaged("no file meta group")
    return start + _GROUP_LENGTH + int.from_bytes(head[start + 8 : start + 12], "little")


def _link(name: Path, target: Path) -> None:
    """Give a file another name, in a folder that is made when it is missing and not synced."""
    try:
        os.link(name, target)
    except FileNotFoundError:
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(name, target)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep everybody else, in this process and others, from changing what a name of this folder stands for."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_durably(target: Path, content: bytes, *, root: Path) -> None:
    """Write a file so that after a crash it is whole or not there; the root and what is missing below it are made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _incoming(root)
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_names(target, root)


def _incoming(root: Path) -> Path:
    """Return a new name in the folder where files of a store stand until they are whole."""
    folder = root / INCOMING
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{secrets.token_hex(8)}.part"


def clear_incoming(root: Path) -> None:
    """Remove what processes left half done in a store that died over it."""
    for path in (root / INCOMING).glob("*.part"):
        with contextlib.suppress(FileNotFoundError):
            if time.time() - path.stat().st_ctime > FORGOTTEN_S:
                path.unlink()


def _sync_names(target: Path, root: Path) -> None:
    """Write a file's name and its folders' to the disk; who made a folder a moment ago need not have synced it."""
    sync_folders(folder for folder in target.parents if folder.is_relative_to(root.parent))


def make_durable_folder(folder: Path) -> None:
    """Make a folder and its parents, each synced into its own parent."""
    if folder.is_dir():
        return
    make_durable_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    sync_folders([folder.parent])


def sync_folders(folders: Iterable[Path]) -> None:
    """Write the names in these folders to the disk."""
    for folder in folders:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
