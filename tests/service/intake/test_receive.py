"""The one intake: what is answered, and that it is durable before the answer."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import JPEGLosslessSV1
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from service import tables
from service.intake import records, settling
from service.intake.outcomes import Door, IntakeReason, Kind, NoRoom
from service.intake.spool import DatasetTooLarge
from service.intake.studies import fold
from tests.factories import (
    Clock,
    Parts,
    add_site,
    dataset_bytes,
    keep,
    make_ct_slice,
    make_radiograph,
    open_parts,
)


def rows(parts: Parts, table: str) -> list[dict[str, object]]:
    with parts.database.reading() as tx:
        return [dict(row) for row in tx.execute(select(tables.metadata.tables[table])).mappings()]


def test_stored_file_is_whole_and_readable_with_a_zero_preamble(parts: Parts) -> None:
    film = make_radiograph()

    outcome = parts.send(film)

    [instance] = rows(parts, "instance")
    path = parts.archive.path(parts.site_id, str(instance["content_sha256"]))
    stored = dcmread(path)
    assert outcome.kind is Kind.STORED
    assert path.read_bytes()[:132] == bytes(128) + b"DICM"
    assert stored.file_meta.MediaStorageSOPInstanceUID == film.SOPInstanceUID
    assert stored.file_meta.FileMetaInformationGroupLength == 640 - 132 - 12
    assert path.read_bytes()[640:] == dataset_bytes(film)
    assert parts.archive.is_intact(parts.site_id, str(instance["content_sha256"]))


def test_identical_resend_is_accepted_once(parts: Parts) -> None:
    film = make_radiograph()
    parts.send(film)

    again = parts.send(film)

    assert again.kind is Kind.DUPLICATE
    assert again.status == 0x0000
    assert len(rows(parts, "instance")) == 1


def test_same_uid_with_other_content_is_held_and_the_first_stays(parts: Parts) -> None:
    film = make_radiograph(seed=1)
    parts.send(film)
    [first] = rows(parts, "instance")
    other = make_radiograph(seed=2, SOPInstanceUID=film.SOPInstanceUID, StudyInstanceUID=film.StudyInstanceUID)

    outcomes = [parts.send(other), parts.send(other)]

    [held] = rows(parts, "problem")
    assert [o.status for o in outcomes] == [0x0111, 0x0111]
    assert not outcomes[0].is_kept
    assert rows(parts, "instance") == [first]
    assert (held["kind"], held["count"], held["reason"]) == ("held", 2, "conflict")
    assert parts.archive.is_intact(parts.site_id, str(held["content_sha256"]))


def test_the_same_bytes_under_another_transfer_syntax_are_held_and_the_stored_file_stays(parts: Parts) -> None:
    film = make_radiograph()
    parts.send(film)
    [first] = rows(parts, "instance")
    path = parts.archive.path(parts.site_id, str(first["content_sha256"]))
    before = path.read_bytes()

    spooled = parts.intake.open(parts.sender(), transfer_syntax_uid=JPEGLosslessSV1)
    spooled.write(dataset_bytes(film))
    outcome = keep(parts.intake, spooled, sop_class_uid=None, sop_instance_uid=None)

    assert outcome.status == 0x0111
    assert path.read_bytes() == before
    assert rows(parts, "instance") == [first]
    assert [row["reason"] for row in rows(parts, "problem")] == ["conflict"]
    assert list(parts.settings.spool_folder.glob("*.part")) == []


def test_a_stored_file_that_was_damaged_is_whole_again_when_its_image_comes_again(parts: Parts) -> None:
    film = make_radiograph()
    parts.send(film)
    [row] = rows(parts, "instance")
    path = parts.archive.path(parts.site_id, str(row["content_sha256"]))
    path.write_bytes(b"damaged")

    assert parts.send(film).kind is Kind.DUPLICATE
    assert parts.archive.is_intact(parts.site_id, str(row["content_sha256"]))


def test_site_may_ask_for_a_warning_on_conflict(tmp_path: Path) -> None:
    with open_parts(tmp_path, policy={"conflict_answer": "warn"}) as parts:
        film = make_radiograph(seed=1)
        parts.send(film)

        outcome = parts.send(make_radiograph(seed=2, SOPInstanceUID=film.SOPInstanceUID))

        assert (outcome.status, outcome.is_kept) == (0xB007, True)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"StudyInstanceUID": "../../etc/passwd"}, IntakeReason.INVALID_UID),
        ({"SeriesInstanceUID": "1." * 40 + "1"}, IntakeReason.INVALID_UID),
        ({"SOPClassUID": "1.2.840.10008.1.1"}, IntakeReason.CLASS_NOT_SUPPORTED),
        ({"SOPClassUID": "1.2.840.10008.1.3.10"}, IntakeReason.DICOMDIR),
    ],
)
@pytest.mark.filterwarnings("ignore:Invalid value for VR UI")
@pytest.mark.filterwarnings("ignore:The value length")
def test_unusable_uids_are_refused_with_a_row_for_the_operator(
    parts: Parts, change: dict[str, str], reason: IntakeReason
) -> None:
    film = make_radiograph(**change)

    outcome = parts.send(film)

    [problem] = rows(parts, "problem")
    assert (outcome.kind, outcome.reason) == (Kind.REFUSED, reason)
    assert problem["reason"] == reason.word
    assert rows(parts, "instance") == []
    assert list(parts.settings.spool_folder.iterdir()) == []


def test_object_without_pixels_that_names_no_series_is_refused(parts: Parts) -> None:
    film = make_radiograph(SeriesInstanceUID="")
    del film.PixelData

    assert parts.send(film).reason is IntakeReason.MISSING_UID


def test_image_that_names_no_study_is_held_and_the_sender_is_warned(parts: Parts) -> None:
    outcome = parts.send(make_radiograph(StudyInstanceUID=""))

    [held] = rows(parts, "problem")
    assert (outcome.kind, outcome.status, outcome.is_kept) == (Kind.HELD, 0xB007, True)
    assert (held["kind"], held["reason"]) == ("held", "no_study")
    assert parts.archive.is_intact(parts.site_id, str(held["content_sha256"]))
    assert rows(parts, "study") == []


def test_instance_that_differs_from_its_command_is_refused(parts: Parts) -> None:
    assert parts.send(make_radiograph(), sop_instance_uid="1.2.3").status == 0xA900


def test_instance_of_another_study_than_the_address_is_refused(parts: Parts) -> None:
    assert parts.send(make_radiograph(), study_instance_uid="1.2.3").reason is IntakeReason.STUDY_MISMATCH


def test_truncated_data_set_is_refused(parts: Parts) -> None:
    film = make_radiograph()
    spooled = parts.intake.open(parts.sender(), transfer_syntax_uid=str(film.file_meta.TransferSyntaxUID))
    spooled.write(dataset_bytes(film)[:-100])

    outcome = keep(parts.intake, spooled, sop_class_uid=None, sop_instance_uid=None)

    assert outcome.reason is IntakeReason.TRUNCATED
    assert list(parts.settings.spool_folder.iterdir()) == []


def test_data_set_larger_than_allowed_is_stopped_while_it_arrives(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_dataset_bytes=1_000) as parts:
        spooled = parts.intake.open(parts.sender(), transfer_syntax_uid="1.2.840.10008.1.2.1")

        with pytest.raises(DatasetTooLarge):
            spooled.write(bytes(1_001))

        spooled.abandon()


def test_full_disk_is_told_and_nothing_is_kept(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", full)
        outcome = parts.send(make_radiograph())

    assert outcome.status == 0xA700
    assert rows(parts, "instance") == []
    assert [p["reason"] for p in rows(parts, "problem")] == ["out_of_resources"]
    assert parts.send(make_radiograph()).kind is Kind.STORED


def test_disk_that_refuses_a_sync_takes_nothing_more(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(errno.EIO, "broken")

    under_way = parts.intake.open(parts.sender(), transfer_syntax_uid="1.2.840.10008.1.2.1")
    under_way.write(dataset_bytes(make_radiograph()))
    with monkeypatch.context() as disk:
        disk.setattr(os, "fsync", broken)
        first = parts.send(make_radiograph())
    second = keep(parts.intake, under_way, sop_class_uid=None, sop_instance_uid=None)

    assert (first.status, second.status) == (0xA700, 0xA700)
    assert not parts.intake.has_room()


def test_want_of_descriptors_passes_and_does_not_close_the_doors(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    opens = os.open

    def scarce(path: str, flags: int, mode: int = 0o777) -> int:
        if flags & os.O_DIRECTORY:
            raise OSError(errno.EMFILE, "too many open files")
        return opens(path, flags, mode)

    with monkeypatch.context() as machine:
        machine.setattr(os, "open", scarce)
        first = parts.send(make_radiograph())
    second = parts.send(make_radiograph(seed=1))

    assert (first.status, second.kind) == (0xA700, Kind.STORED)


def test_interrupted_naming_passes_and_does_not_close_the_doors(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(spooled: Path, target: Path) -> None:
        raise InterruptedError(errno.EINTR, "interrupted")

    with monkeypatch.context() as disk:
        disk.setattr(os, "link", interrupted)
        first = parts.send(make_radiograph())
    second = parts.send(make_radiograph(seed=1))

    assert (first.status, second.kind) == (0xA700, Kind.STORED)


@pytest.mark.parametrize(
    ("code", "takes_more"),
    [(sqlite3.SQLITE_IOERR_FSYNC, False), (sqlite3.SQLITE_IOERR_WRITE, True), (sqlite3.SQLITE_FULL, True)],
)
def test_disk_under_the_tables_that_refuses_is_told_as_full_and_a_refused_sync_is_final(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, code: int, takes_more: bool
) -> None:
    def refused(*_: object) -> None:
        cause = sqlite3.OperationalError("disk I/O error")
        cause.sqlite_errorcode = code
        raise OperationalError("COMMIT", None, cause)

    with monkeypatch.context() as disk:
        disk.setattr(records, "keep", refused)
        first = parts.send(make_radiograph())

    assert first.status == 0xA700
    assert parts.intake.has_room() is takes_more
    assert list(parts.archive.folder.rglob("*.dcm")) == []


def test_a_file_whose_rows_may_be_there_stays_when_their_commit_fails(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    film = make_radiograph()
    with monkeypatch.context() as disk:
        disk.setattr(parts.database, "transaction", _commits_and_fails(parts.database.transaction))
        refused = parts.send(film)

    [row] = rows(parts, "instance")
    assert refused.kind is Kind.REFUSED
    assert parts.archive.is_intact(parts.site_id, str(row["content_sha256"]))
    assert parts.send(film).kind is Kind.DUPLICATE


def _commits_and_fails(transaction: Callable[..., AbstractContextManager[Any]]) -> Callable[..., Any]:
    @contextmanager
    def failing(**asked: bool) -> Iterator[Any]:
        with transaction(**asked) as tx:
            yield tx
        if not asked.get("is_durable", True):  # the commit of instances, not the row of a problem
            raise OperationalError("COMMIT", None, sqlite3.OperationalError("lost the connection"))

    return failing


@pytest.mark.parametrize("keyword", ["InstanceNumber", "SeriesNumber"])
def test_number_that_no_column_holds_costs_neither_its_image_nor_others(parts: Parts, keyword: str) -> None:
    film = make_radiograph()
    tag = {"InstanceNumber": b"\x20\x00\x13\x00", "SeriesNumber": b"\x20\x00\x11\x00"}[keyword]
    sent = dataset_bytes(film).replace(tag + b"IS\x02\x001 ", tag + b"IS\x14\x00" + b"9" * 20)
    assert len(sent) == len(dataset_bytes(film)) + 18

    spooled = parts.intake.open(parts.sender(), transfer_syntax_uid=str(film.file_meta.TransferSyntaxUID))
    spooled.write(sent)
    outcome = keep(parts.intake, spooled, sop_class_uid=None, sop_instance_uid=None)

    table = "instance" if keyword == "InstanceNumber" else "series"
    assert outcome.kind is Kind.STORED
    assert [row[table + "_number"] for row in rows(parts, table)] == [None]


def test_too_little_free_space_closes_the_doors(tmp_path: Path) -> None:
    with open_parts(tmp_path, min_free_bytes=2**62, min_free_share=1) as parts:
        assert not parts.intake.has_room()
        with pytest.raises(NoRoom, match="storage is full"):  # a zip's later files come past no other check
            parts.intake.open(parts.sender(), transfer_syntax_uid="1.2.840.10008.1.2.1")


def test_many_senders_at_once_lose_and_double_nothing(parts: Parts) -> None:
    films = [make_radiograph(seed=i) for i in range(24)]

    with ThreadPoolExecutor(8) as senders:
        outcomes = list(senders.map(parts.send, [*films, *films]))

    stored = {row["sop_instance_uid"] for row in rows(parts, "instance")}
    assert stored == {film.SOPInstanceUID for film in films}
    assert sorted(o.kind.value for o in outcomes) == ["duplicate"] * 24 + ["stored"] * 24


def test_aborted_connection_is_seen_by_the_operator(parts: Parts) -> None:
    parts.intake.aborted(parts.sender())

    [problem] = rows(parts, "problem")
    assert (problem["kind"], problem["door"], problem["sender"]) == ("aborted", Door.DIMSE.value, "TESTER")


def settle(parts: Parts, clock: Clock) -> list[tuple[int, str]]:
    with parts.database.transaction() as tx:
        return [(s.number, s.by) for s in settling.settle_due(tx, clock())]


def test_study_settles_after_its_quiet_time_and_not_before(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)
    clock.advance(59)
    early = settle(parts, clock)

    clock.advance(2)

    assert early == []
    assert settle(parts, clock) == [(1, "quiet")]
    assert [s["state"] for s in rows(parts, "study")] == ["settled"]


def test_ct_waits_longer_than_a_radiograph_and_a_site_may_say_otherwise(tmp_path: Path, clock: Clock) -> None:
    with open_parts(tmp_path, clock, policy={"quiet_s": {"CR": 3}}) as parts:
        parts.send(make_ct_slice())
        parts.send(make_radiograph())
        clock.advance(3.5)
        first = settle(parts, clock)
        clock.advance(297)

        assert len(first) == 1
        assert settle(parts, clock) == [(1, "quiet")]


def test_late_image_makes_revision_two_of_the_same_study(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)
    clock.advance(61)
    settle(parts, clock)

    parts.send(make_radiograph(seed=5, StudyInstanceUID=film.StudyInstanceUID))
    [study] = rows(parts, "study")
    clock.advance(61)

    assert (study["state"], study["revision"], study["instance_count"]) == ("arriving", 2, 2)
    assert settle(parts, clock) == [(2, "quiet")]
    assert [i["revision"] for i in rows(parts, "instance")] == [1, 2]


def test_resend_after_settling_opens_no_revision(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)
    clock.advance(61)
    settle(parts, clock)

    parts.send(film)

    assert [s["state"] for s in rows(parts, "study")] == ["settled"]


def test_sender_may_say_that_a_study_is_done(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)

    with parts.database.transaction() as tx:
        known = settling.mark_done(
            tx, site_id=parts.site_id, study_instance_uid=film.StudyInstanceUID, expected_instances=None, now=clock()
        )

    assert known
    assert settle(parts, clock) == [(1, "done")]


def test_expected_count_settles_with_its_last_image(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)
    with parts.database.transaction() as tx:
        settling.mark_done(
            tx, site_id=parts.site_id, study_instance_uid=film.StudyInstanceUID, expected_instances=2, now=clock()
        )
    early = settle(parts, clock)

    parts.send(make_radiograph(seed=7, StudyInstanceUID=film.StudyInstanceUID))

    assert early == []
    assert settle(parts, clock) == [(1, "count")]


def test_images_past_the_expected_count_wait_for_quiet_and_make_one_revision(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    parts.send(film)
    with parts.database.transaction() as tx:
        settling.mark_done(
            tx, site_id=parts.site_id, study_instance_uid=film.StudyInstanceUID, expected_instances=1, now=clock()
        )
    settled = settle(parts, clock)

    for seed in range(1, 5):
        parts.send(make_radiograph(seed=seed, StudyInstanceUID=film.StudyInstanceUID))
        settled += settle(parts, clock)
        clock.advance(1)
    clock.advance(61)

    assert settled == [(1, "done")]
    assert settle(parts, clock) == [(2, "quiet")]


def test_study_that_no_worker_looked_at_for_hours_was_complete_when_it_fell_quiet(parts: Parts, clock: Clock) -> None:
    parts.send(make_radiograph())
    complete_at = clock() + 60
    clock.advance(5 * 3_600)

    settle(parts, clock)

    assert [row["settled_at"] for table in ("revision", "study") for row in rows(parts, table)] == [complete_at] * 2


def test_study_from_before_the_clock_was_set_back_settles(parts: Parts, clock: Clock) -> None:
    clock.advance(30 * 86_400)
    parts.send(make_radiograph())

    clock.advance(-30 * 86_400 + 61)

    assert settle(parts, clock) == [(1, "quiet")]


def test_study_that_never_falls_quiet_settles_at_the_limit(parts: Parts, clock: Clock) -> None:
    film = make_radiograph()
    for seed in range(40):
        parts.send(make_radiograph(seed=seed, StudyInstanceUID=film.StudyInstanceUID))
        clock.advance(50)
        if settled := settle(parts, clock):
            assert settled == [(1, "limit")]
            return
    pytest.fail("never settled")


def test_the_same_study_uid_at_two_sites_is_two_studies(parts: Parts) -> None:
    film = make_radiograph()
    parts.send(film)
    parts.site_id = add_site(parts.database, "other")

    assert parts.send(film).kind is Kind.STORED
    assert len(rows(parts, "study")) == 2


def test_study_takes_no_more_images_than_it_may_have(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_instances_per_study=1) as parts:
        film = make_radiograph()
        parts.send(film)

        outcome = parts.send(make_radiograph(seed=2, StudyInstanceUID=film.StudyInstanceUID))

        assert (outcome.kind, outcome.status) == (Kind.REFUSED, 0xA700)
        assert [p["reason"] for p in rows(parts, "problem")] == ["study_full"]
        assert len(list(parts.archive.folder.rglob("*.dcm"))) == 1


def test_content_that_another_study_holds_stays_when_it_is_refused(tmp_path: Path) -> None:
    """The refused copy takes the name over before it is refused: what was acknowledged stands under it."""
    with open_parts(tmp_path, max_instances_per_study=1) as parts:
        film = make_radiograph()
        parts.send(film)
        with parts.database.transaction() as tx:  # as if it were another study's, and this study full of others
            tx.execute(update(tables.instance).values(sop_instance_uid="1.2.3"))

        assert parts.send(film).kind is Kind.REFUSED

        assert len(list(parts.archive.folder.rglob("*.dcm"))) == 1


def test_a_spool_file_that_somebody_removed_ends_its_instance_alone(parts: Parts) -> None:
    film = make_radiograph()
    spooled = parts.intake.open(parts.sender(), transfer_syntax_uid=str(film.file_meta.TransferSyntaxUID))
    spooled.write(dataset_bytes(film))
    spooled.path.unlink()

    assert keep(parts.intake, spooled).kind is Kind.REFUSED

    assert parts.send(make_radiograph()).kind is Kind.STORED


def test_own_result_that_comes_back_changed_is_kept_aside_with_a_warning(parts: Parts) -> None:
    film = make_radiograph(seed=1)
    parts.send(film)
    with parts.database.transaction() as tx:
        tx.execute(update(tables.instance).values(is_result=True))

    outcome = parts.send(make_radiograph(seed=2, SOPInstanceUID=film.SOPInstanceUID))

    assert (outcome.status, outcome.is_kept) == (0xB007, True)


def test_images_of_two_patients_in_one_study_are_flagged(parts: Parts) -> None:
    film = make_radiograph()
    parts.send(film)
    parts.send(make_radiograph(seed=3, StudyInstanceUID=film.StudyInstanceUID, PatientID="OTHER"))

    [study] = rows(parts, "study")
    assert study["flags"] == ["patient_conflict"]


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("Nguyễn^Văn^An", "nguyen van an"),
        ("ИВАНОВ^Иван", "иванов иван"),
        ("Hong^Gildong=洪^吉洞=홍^길동", "hong gildong 洪 吉洞 홍 길동"),
    ],
)
def test_names_of_any_script_fold_to_what_people_type(name: str, folded: str) -> None:
    assert fold(name) == folded


def test_a_header_too_long_for_a_quick_look_is_read_all_the_same(parts: Parts) -> None:
    dataset = make_radiograph()
    block = dataset.private_block(0x0009, "TEST", create=True)
    for number in range(250):
        block.add_new(number, "SQ", [Dataset() for _ in range(20)])

    assert parts.send(dataset).is_kept
