"""The archive's names: what they stand for when disks fail and the same bytes come twice."""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path

import pytest

from service import archive as stores
from service.archive import INCOMING, Archive, clear_incoming
from tests.factories import make_radiograph, part10

SHA256 = "ab" * 32


def spooled(folder: Path, content: bytes) -> tuple[Path, int]:
    path = folder / f"{len(list(folder.iterdir()))}.part"
    path.write_bytes(content)
    return path, os.open(path, os.O_RDWR)


def place(archive: Archive, file: tuple[Path, int], *, sha256: str = SHA256) -> Path:
    kept = file[0].with_suffix(".kept")
    archive.place(file[0], kept, descriptor=file[1], site_id=1, content_sha256=sha256)
    return kept


def test_a_new_name_stands_at_once_and_a_taken_one_changes_hands_after_the_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive, target = Archive(tmp_path / "archive"), tmp_path / "archive" / "1" / "ab" / f"{SHA256}.dcm"
    seen: list[bytes] = []
    sync = os.fsync

    def watched(descriptor: int) -> None:
        seen.append(target.read_bytes())
        sync(descriptor)

    first, second = spooled(tmp_path, b"first"), spooled(tmp_path, b"second")
    target.parent.mkdir(parents=True)
    monkeypatch.setattr(os, "fsync", watched)
    kept = [place(archive, first), place(archive, second)]

    assert seen == [b"first"]  # of the second, before it took the name
    assert [path.read_bytes() for path in (*kept, target)] == [b"first", b"second", b"second"]
    assert not first[0].exists()
    assert not second[0].exists()


def test_a_name_whose_bytes_were_refused_is_taken_back_and_another_senders_is_not(tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive")
    first, second = spooled(tmp_path, b"refused"), spooled(tmp_path, b"durable")
    place(archive, first)
    archive.take_back(first[1], site_id=1, content_sha256=SHA256)
    is_gone = not archive.path(1, SHA256).exists()

    place(archive, first := spooled(tmp_path, b"refused"))
    place(archive, second)
    archive.take_back(first[1], site_id=1, content_sha256=SHA256)

    assert is_gone
    assert archive.path(1, SHA256).read_bytes() == b"durable"


@pytest.mark.parametrize("stands", [None, b"torn", b"kept"])
def test_a_kept_file_gets_its_name_again_whatever_stands_there(tmp_path: Path, stands: bytes | None) -> None:
    archive, (kept, _) = Archive(tmp_path / "archive"), spooled(tmp_path, b"kept")
    target = archive.path(1, SHA256)
    target.parent.mkdir(parents=True)
    if stands == b"kept":
        target.hardlink_to(kept)
    elif stands is not None:
        target.write_bytes(stands)

    archive.restore(kept, site_id=1, content_sha256=SHA256)

    assert kept.samefile(target)
    assert list(target.parent.iterdir()) == [target]


def test_a_result_stays_where_a_folder_was_made_for_an_instance_a_moment_ago(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`place` leaves its folders to a later sync, and nobody stores a result again after a loss of power."""
    archive, content = Archive(tmp_path / "archive"), part10(make_radiograph())
    sha256 = hashlib.sha256(content[archive.dataset_offset(io.BytesIO(content)) :]).hexdigest()
    place(archive, spooled(tmp_path, b"instance"), sha256=f"{sha256[:2]}{'0' * 62}")
    synced: list[Path] = []
    monkeypatch.setattr("service.archive.sync_folders", synced.extend)

    assert archive.put(1, content) == sha256

    folder = archive.path(1, sha256).parent
    assert synced == [folder, folder.parent, archive.folder, tmp_path]


def test_what_a_crash_left_half_stored_goes_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive, content = Archive(tmp_path / "archive"), part10(make_radiograph())
    sha256 = archive.put(1, content)
    left = archive.folder / INCOMING / "ab.part"
    left.write_bytes(content[:500])

    clear_incoming(archive.folder)
    assert left.exists()
    monkeypatch.setattr(stores, "FORGOTTEN_S", -1.0)
    clear_incoming(archive.folder)

    assert not left.exists()
    assert archive.is_intact(1, sha256)


def test_a_name_of_the_same_bytes_under_another_syntax_is_not_given_away(tmp_path: Path) -> None:
    archive, content = Archive(tmp_path / "archive"), part10(make_radiograph())
    sha256 = archive.put(1, content)
    other = content.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    assert len(other) == len(content)
    assert other != content

    again = spooled(tmp_path, other)
    kept = place(archive, again, sha256=sha256)
    archive.restore(kept, site_id=1, content_sha256=sha256)

    assert archive.path(1, sha256).read_bytes() == content
    assert not again[0].exists()
    assert list((archive.folder / INCOMING).iterdir()) == []


def test_the_file_whose_rows_count_takes_the_name_from_the_same_bytes_under_another_syntax(tmp_path: Path) -> None:
    archive, content = Archive(tmp_path / "archive"), part10(make_radiograph())
    sha256 = hashlib.sha256(content[archive.dataset_offset(io.BytesIO(content)) :]).hexdigest()
    other = content.replace(b"1.2.840.10008.1.2.1\x00", b"1.2.840.10008.1.2.5\x00")
    place(archive, spooled(tmp_path, other), sha256=sha256)
    late = spooled(tmp_path, content)
    kept = place(archive, late, sha256=sha256)
    assert archive.path(1, sha256).read_bytes() == other

    archive.claim(kept, descriptor=late[1], site_id=1, content_sha256=sha256)

    assert archive.path(1, sha256).read_bytes() == content
