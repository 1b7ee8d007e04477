"""The archive's names: what they stand for when disks fail and the same bytes come twice."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from service.archive import Archive

SHA256 = "ab" * 32


def spooled(folder: Path, content: bytes) -> tuple[Path, int]:
    path = folder / f"{len(list(folder.iterdir()))}.part"
    path.write_bytes(content)
    return path, os.open(path, os.O_RDWR)


def test_a_new_name_is_given_before_the_sync_and_a_taken_one_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, target = Archive(tmp_path / "archive"), tmp_path / "archive" / "1" / "ab" / f"{SHA256}.dcm"
    seen: list[bytes | None] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(target.read_bytes() if target.exists() else None)
        sync(descriptor)

    first, second = spooled(tmp_path, b"first"), spooled(tmp_path, b"second")
    target.parent.mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", watched)
    archive.place(*first, 1, SHA256)
    archive.place(*second, 1, SHA256)

    assert seen == [b"first", b"first", b"first", b"second"]  # file and folder, twice
    assert not first[0].exists()
    assert not second[0].exists()


def test_a_name_whose_bytes_were_refused_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path / "archive")
    archive.path(1, SHA256).parent.mkdir(parents=True)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="no space"):
            archive.place(*spooled(tmp_path, b"film"), 1, SHA256)

    assert not archive.path(1, SHA256).exists()


def test_a_name_that_another_sender_renewed_meanwhile_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive(tmp_path / "archive")
    target = archive.path(1, SHA256)
    target.parent.mkdir(parents=True)
    other = spooled(tmp_path, b"durable")

    def full(descriptor: int) -> None:
        monkeypatch.undo()
        archive.place(*other, 1, SHA256)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        archive.place(*spooled(tmp_path, b"refused"), 1, SHA256)

    assert target.read_bytes() == b"durable"
