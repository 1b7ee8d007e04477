"""Back-pressure: two marks, each by bytes and by share, and studies that have waited too long."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from service.errors import Busy
from service.intake.outcomes import IntakeReason
from service.intake.pressure import Level, measure
from service.intake.stow import nothing_kept_status
from service.interventions import check_may_score_again
from service.settings import GIB, Settings
from tests.driver import wait_until
from tests.factories import Parts, make_radiograph, open_parts, part10
from tests.service.intake.doors import BOUNDARY, STOW_TYPE, first_values, open_door, related, values
from tests.service.intake.waiting import add_waiting


@pytest.mark.parametrize(
    ("total_gib", "free_gib", "level"),
    [
        (500, 250, Level.NONE),  # a laptop, half full
        (500, 25, Level.NONE),  # 95 % used, and still 25 GiB
        (500, 19, Level.LOW),
        (500, 4.9, Level.FULL),
        (16, 8, Level.NONE),  # a small machine, half full: its shares count
        (16, 3, Level.LOW),
        (16, 1.5, Level.FULL),
        (20_000, 19, Level.LOW),  # a large archive is not refused with 2 TiB to spare
        (20_000, 2_000, Level.NONE),
    ],
)
def test_the_lesser_of_bytes_and_share_is_the_mark(
    parts: Parts, monkeypatch: pytest.MonkeyPatch, total_gib: float, free_gib: float, level: Level
) -> None:
    used = shutil._ntuple_diskusage(int(total_gib * GIB), 0, int(free_gib * GIB))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: used)

    found = measure(Settings(data_folder=parts.settings.data_folder), parts.database, parts.clock())

    assert found.level is level


def test_a_study_that_waits_too_long_asks_senders_to_come_back(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_waiting_s=60.0) as parts, open_door(parts) as door:
        add_waiting(parts, 61.0)

        with pytest.raises(Busy):
            parts.intake.check_room()
        answer = door.upload(b"")

        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert parts.intake.has_room()  # of disk: reading and signing go on


def test_past_the_hard_mark_a_request_under_way_is_refused_its_further_images(tmp_path: Path) -> None:
    with open_parts(tmp_path, max_waiting_s=60.0) as parts, open_door(parts) as door:
        first, begun, late = (related(part10(make_radiograph(seed=seed)), end=False) for seed in range(3))

        def body() -> Iterator[bytes]:
            yield first + begun[:500]
            wait_until("the first is stored", lambda: door.rows("instance"))
            add_waiting(parts, 61.0)
            yield begun[500:] + late + f"--{BOUNDARY}--\r\n".encode()

        answer = door.client.post("/dicomweb/studies", content=body(), headers={"Content-Type": STOW_TYPE})

        assert answer.status_code == 202
        assert len(values(answer.json(), "00081199")) == 2  # one had begun before
        assert first_values(values(answer.json(), "00081198"), "00081197") == [IntakeReason.OVERLOADED.status]


def test_a_request_of_which_nothing_was_kept_for_too_much_work_is_asked_to_come_back() -> None:
    assert nothing_kept_status({IntakeReason.OVERLOADED}, otherwise=409) == 503


@pytest.mark.parametrize(
    "columns",
    [
        {"state": "running"},
        {"state": "scored"},
        {"attempt": 2},  # restarted just now: it settled long ago
        {"attempt": 2, "queued_ago_s": 1.0},
    ],
    ids=["running", "scored", "restarted", "queued again"],
)
def test_only_what_waits_for_a_worker_counts(tmp_path: Path, columns: dict[str, object]) -> None:
    with open_parts(tmp_path, max_waiting_s=60.0) as parts:
        add_waiting(parts, 9_999.0, **columns)

        assert measure(parts.settings, parts.database, parts.clock()).level is Level.NONE


def test_at_the_soft_mark_images_come_in_and_nothing_is_scored_again(tmp_path: Path) -> None:
    with open_parts(tmp_path, low_free_bytes=2**62, low_free_share=1.0) as parts:
        pressure = parts.intake.pressure()

        parts.intake.check_room()
        assert pressure.level is Level.LOW
        with pytest.raises(Busy, match="scored again"):
            check_may_score_again(pressure)
