"""`/live` and `/ready` tell the truth."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from sqlalchemy import insert

from service import tables
from service.health import LISTENER_FRESH_S, WORKER_FRESH_S, write_beat
from tests.service.house import House, open_house


def be_well(house: House, alarm: str | None = None) -> None:
    with house.database.transaction() as tx:
        values = {"started_at": house.clock(), "seen_at": house.clock(), "provider": "CPUExecutionProvider"}
        tx.execute(insert(tables.executor).values(id=f"w{house.clock()}", alarm=alarm, **values))
    write_beat(house.settings, house.clock())


def failed(house: House) -> set[str]:
    answer = house.with_key().get("/ready")
    bad = {name for name, check in answer.json()["checks"].items() if not check["ok"]}
    assert answer.status_code == (503 if bad else 200)
    return bad


def test_a_service_with_all_its_parts_is_ready(house: House) -> None:
    be_well(house)

    assert failed(house) == set()
    assert house.with_key().get("/ready").json()["status"] == "ready"


def test_a_web_process_alone_lives_and_is_not_ready(house: House) -> None:
    assert house.stranger.get("/live").json() == {"status": "alive"}
    assert failed(house) == {"worker", "listener"}


def test_a_worker_that_fell_silent_does_not_count(house: House) -> None:
    be_well(house)
    house.clock.advance(WORKER_FRESH_S + 1)
    write_beat(house.settings, house.clock())

    assert failed(house) == {"worker"}


def test_a_listener_that_fell_silent_does_not_count(house: House) -> None:
    be_well(house)
    house.clock.advance(LISTENER_FRESH_S + 1)

    assert failed(house) == {"listener"}


def test_a_listener_that_takes_nothing_does_not_count(house: House) -> None:
    be_well(house)
    write_beat(house.settings, house.clock(), takes_instances=False)

    assert failed(house) == {"listener"}


def test_an_alarm_is_loud_and_does_not_stop_the_intake(house: House) -> None:
    be_well(house, alarm="cuda was asked for and is missing")

    answer = house.with_key().get("/ready")

    assert answer.status_code == 200
    assert answer.json()["status"] == "alarm"
    assert answer.json()["alarms"] == ["cuda was asked for and is missing"]


@pytest.mark.parametrize("folder", ["archive", "spool"])
def test_a_folder_that_is_gone_is_told(house: House, folder: str) -> None:
    be_well(house)
    shutil.rmtree(house.settings.data_folder / folder)

    assert failed(house) == {folder}


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_told(house: House) -> None:
    be_well(house)
    house.settings.archive_folder.chmod(0o500)

    assert failed(house) == {"archive"}


def test_tables_of_another_version_are_told(house: House) -> None:
    be_well(house)
    with house.database.transaction() as tx:
        tx.exec_driver_sql("UPDATE alembic_version SET version_num = 'older'")

    assert failed(house) == {"database"}


@pytest.mark.parametrize(
    ("setting", "alarm"),
    [("dicom_processes", "1 of 2 listener processes run"), ("worker_processes", "1 of 2 workers run")],
)
def test_too_few_processes_of_a_part_are_an_alarm(tmp_path: Path, setting: str, alarm: str) -> None:
    with open_house(tmp_path, **{setting: 2}) as house:
        be_well(house)

        answer = house.with_key().get("/ready")

    assert answer.status_code == 200
    assert answer.json()["alarms"] == [alarm]


def test_dicom_that_is_open_to_the_world_by_wish_is_an_alarm(tmp_path: Path) -> None:
    with open_house(tmp_path, dicom_host="0.0.0.0", allow_plain_dicom=True) as house:
        be_well(house)

        [alarm] = house.with_key().get("/ready").json()["alarms"]

    assert "open to whoever knows an AE title" in alarm


def test_at_the_soft_mark_the_service_is_ready_and_loud(tmp_path: Path) -> None:
    with open_house(tmp_path, low_free_bytes=2**62, low_free_share=1.0) as house:
        be_well(house)

        answer = house.with_key().get("/ready")

    assert answer.status_code == 200
    assert "nothing is scored again" in answer.json()["alarms"][0]


def test_asking_leaves_nothing_behind(house: House) -> None:
    be_well(house)
    before = sorted(house.settings.data_folder.rglob("*"))

    failed(house)

    assert sorted(house.settings.data_folder.rglob("*")) == before


def test_metrics_are_shown(house: House) -> None:
    client = house.signed_in()
    client.get("/api/worklist")

    text = client.get("/metrics").text

    assert 'pandok_http_seconds_count{method="GET",route="/api/worklist",status="200"}' in text
