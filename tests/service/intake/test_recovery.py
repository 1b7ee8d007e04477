"""After a loss of power: what was acknowledged and had no rows on the disk has them again after the next start."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from preprocessing.windows import HeaderRefused
from service import tables
from service.intake import commit, recovery
from service.intake.outcomes import Kind
from service.intake.spool import KEPT, Spooled, kept_path, read_kept
from service.receiving import make_intake
from service.write_back import sync_file_system
from tests.factories import Parts, make_radiograph, open_parts


@pytest.fixture
def powered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """A service that never lets go of a name in the spool, as when the power fails before the next second."""
    monkeypatch.setattr(commit, "RELEASE_S", 3600.0)
    monkeypatch.setattr(commit.Committer, "_release", lambda _: None)
    with open_parts(tmp_path) as parts:
        parts.send(make_radiograph())
    monkeypatch.undo()
    return parts


def kept(parts: Parts) -> list[Path]:
    return list(parts.settings.spool_folder.glob(f"*{KEPT}"))


def lose_rows(parts: Parts) -> None:
    with parts.database.transaction() as tx:
        for table in (tables.instance, tables.series, tables.worklist_item, tables.study):
            tx.execute(delete(table))


def start_again(parts: Parts) -> list[tuple[str, str, str]]:
    intake = make_intake(parts.settings, parts.database, parts.archive, parts.clock)
    intake.start()
    intake.stop()
    with parts.database.reading() as rx:
        return [(row.content_sha256, row.door, row.sender) for row in rx.execute(select(tables.instance))]


def test_rows_that_were_lost_are_written_again(powered: Parts) -> None:
    [path] = kept(powered)
    named = read_kept(path)
    lose_rows(powered)
    assert named is not None
    powered.archive.path(powered.site_id, named[1]).unlink()

    assert start_again(powered) == [(named[1], "dimse", "TESTER")]
    assert powered.archive.is_intact(powered.site_id, named[1])
    assert kept(powered) == []


def test_rows_that_are_there_are_not_written_twice(powered: Parts) -> None:
    assert len(start_again(powered)) == 1
    assert kept(powered) == []


def test_after_the_death_of_a_process_alone_what_is_stored_is_not_read_again(
    powered: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recovery, "_store_again", None)

    assert len(start_again(powered)) == 1
    assert kept(powered) == []


@pytest.mark.parametrize("stands", [None, b"torn"])
def test_rows_whose_file_lost_its_name_have_it_again(powered: Parts, stands: bytes | None) -> None:
    [path] = kept(powered)
    named = read_kept(path)
    assert named is not None
    target = powered.archive.path(powered.site_id, named[1])
    target.unlink()
    if stands is not None:
        target.write_bytes(stands)

    assert len(start_again(powered)) == 1
    assert powered.archive.is_intact(powered.site_id, named[1])
    assert kept(powered) == []


@pytest.mark.parametrize("are_rows_lost", [False, True])
def test_a_disk_that_refuses_to_sync_after_the_start_leaves_the_names(
    powered: Parts, monkeypatch: pytest.MonkeyPatch, are_rows_lost: bool
) -> None:
    def refuse(_: Path) -> None:
        raise OSError(errno.EIO, "refused")

    if are_rows_lost:
        lose_rows(powered)
    monkeypatch.setattr(commit, "sync_file_system", refuse)
    intake = make_intake(powered.settings, powered.database, powered.archive, powered.clock)
    intake.start()
    intake.stop()

    assert len(kept(powered)) == 1
    assert not intake.has_room()  # what the disk holds is unknown
    assert len(start_again(powered)) == 1


@pytest.mark.parametrize("place", [0, 130, 300, 2_000])
def test_a_file_that_is_not_whole_was_never_acknowledged(powered: Parts, place: int) -> None:
    lose_rows(powered)
    [path] = kept(powered)
    content = bytearray(path.read_bytes())
    content[place] ^= 0xFF
    path.write_bytes(content)

    assert start_again(powered) == []
    assert kept(powered) == []


def test_what_the_tables_refuse_is_kept_for_the_next_start(powered: Parts) -> None:
    lose_rows(powered)
    [path] = kept(powered)
    nobodys = path.with_name(path.name.replace(f".{powered.site_id}.dimse.", ".999.dimse."))
    path.rename(nobodys)

    assert start_again(powered) == []
    assert kept(powered) == [nobodys]


def test_what_a_newer_reader_refuses_is_kept_for_the_next_start(
    powered: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    lose_rows(powered)

    def refuse(*_: object, **__: object) -> None:
        raise HeaderRefused("limit")

    monkeypatch.setattr(recovery, "read_header", refuse)

    assert start_again(powered) == []
    assert len(kept(powered)) == 1
    monkeypatch.undo()
    assert len(start_again(powered)) == 1


def test_names_go_once_rows_and_archive_are_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []

    def noted(name: str, do: Callable[..., None]) -> Callable[..., None]:
        def call(*given: object) -> None:
            assert kept(parts)
            done.append(name)
            do(*given)

        return call

    with open_parts(tmp_path) as parts:
        monkeypatch.setattr(commit, "sync_file_system", noted("archive", sync_file_system))
        monkeypatch.setattr(parts.database, "make_durable", noted("rows", parts.database.make_durable))
        outcome = parts.send(make_radiograph())

    assert outcome.kind is Kind.STORED
    assert done == ["archive", "rows"]
    assert kept(parts) == []


def test_rows_are_committed_only_after_the_file_is_synced(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    may_end, sync = threading.Event(), os.fsync
    committed: list[int] = []

    def slow(descriptor: int) -> None:
        with parts.database.reading() as rx:
            committed.append(len(rx.execute(select(tables.instance)).all()))
        may_end.wait(0.3)
        with parts.database.reading() as rx:
            committed.append(len(rx.execute(select(tables.instance)).all()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)

    assert parts.send(make_radiograph()).kind is Kind.STORED
    assert set(committed) == {0}


def test_a_name_in_the_spool_tells_whose_it_is_and_fits(parts: Parts) -> None:
    sender = parts.sender()
    for name in ("PACS 1/../x", "Nguyễn " * 40):
        spooled = Spooled(
            parts.settings.spool_folder,
            sender=type(sender)(sender.site_id, sender.door, name),
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            max_bytes=10,
        )
        path = kept_path(spooled, "ab" * 32)
        spooled.path.rename(path)
        named = read_kept(path)
        spooled.close()

        assert named is not None
        assert (named[0].site_id, named[0].door, named[1]) == (sender.site_id, sender.door, "ab" * 32)
        assert name.startswith(named[0].name)
        assert len(named[0].name) >= min(len(name), 30)
    assert read_kept(Path("odd.kept")) is None
