"""CT and MR series as their reader and their center see them: in order, with what is wrong said plainly."""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from sqlalchemy import select

from service import tables
from service.reading.stacks import arranged
from service.roles import Role
from tests.service.reading.room import Room
from tests.volumes import make_enhanced, make_series


def send(room: Room, slices: list[Dataset]) -> str:
    for one in slices:
        assert room.bench.parts.send(one).is_kept
    with room.house.database.reading() as rx:
        where = tables.study.c.study_instance_uid == str(slices[0].StudyInstanceUID)
        return str(rx.execute(select(tables.study.c.public_id).where(where)).scalar_one())


def series_of(room: Room, public_id: str) -> dict[str, Any]:
    [series] = room.reader().case(public_id)["series"]
    return dict(series)


def uids(slices: list[Dataset]) -> list[str]:
    return [str(one.SOPInstanceUID) for one in slices]


def test_a_stack_hangs_in_the_order_of_positions_whatever_the_numbers_say(room: Room) -> None:
    slices = make_series(9)
    for number, one in zip((5, 3, 9, 2, 8, 6, 4, 7, 1), slices, strict=True):
        one.InstanceNumber = number
    public_id = send(room, [*slices[4:], *slices[:4]])
    before = series_of(room, public_id)
    room.score("findings")

    after = series_of(room, public_id)

    assert before["stacks"] == []
    assert [one["instance_number"] for one in before["instances"]] == list(range(1, 10))
    [stack] = after["stacks"]
    # The first by position has the number 5, the last 1: the numbers fall, so it is scrolled from the other end.
    assert [one["sop_instance_uid"] for one in after["instances"]] == uids(slices[::-1])
    assert (stack["why"], stack["notices"]) == (None, [])
    assert stack["slices"] == [[place, 1] for place in range(9)]


def test_gap_copies_and_tilt_are_told_with_their_numbers(room: Room) -> None:
    gap = make_series(12)
    tilted = make_series(12, cosines=(1, 0, 0, 0, 0.96, 0.28), step_mm=(0, 0, 3))
    public_ids = [send(room, [*gap[:5], *gap[7:]]), send(room, tilted)]
    room.score("findings")

    told = [series_of(room, public_id)["stacks"][0]["notices"] for public_id in public_ids]

    assert told[0] == [{"code": "slices_missing", "count": 2, "first": 5, "last": 8, "degrees": None}]
    [tilt] = told[1]
    assert (tilt["code"], tilt["degrees"]) == ("tilted", 16.26)


def test_scout_and_late_slice_stand_apart(room: Room) -> None:
    slices = make_series(9)
    [scout] = make_series(
        1, study=slices[0], cosines=(1, 0, 0, 0, 0, -1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    scout.SeriesInstanceUID = slices[0].SeriesInstanceUID
    public_id = send(room, [scout, *slices[:8]])
    room.score("findings")
    send(room, slices[8:])

    while_arriving = series_of(room, public_id)
    room.score("findings")
    settled = series_of(room, public_id)

    assert [(one["why"], len(one["slices"])) for one in while_arriving["stacks"]] == [
        (None, 8), ("localizer", 1), ("not_arranged", 1),
    ]  # fmt: skip
    assert [(one["why"], len(one["slices"])) for one in settled["stacks"]] == [(None, 9), ("localizer", 1)]
    assert [one["sop_instance_uid"] for one in settled["instances"]] == uids([*slices, scout])


def test_frames_of_an_enhanced_image_are_listed_by_position(room: Room) -> None:
    slices = make_series(5)
    public_id = send(room, [make_enhanced([slices[n] for n in (2, 0, 4, 1, 3)])])
    room.score("findings")

    [stack] = series_of(room, public_id)["stacks"]

    assert stack["slices"] == [[0, frame] for frame in (2, 4, 1, 5, 3)]


def test_slices_without_positions_hang_by_number_and_say_so(room: Room) -> None:
    slices = make_series(6)
    for one in slices:
        one.ImagePositionPatient = None
    public_id = send(room, slices[::-1])
    room.score("findings")

    series = series_of(room, public_id)

    [stack] = series["stacks"]
    assert (stack["why"], [notice["code"] for notice in stack["notices"]]) == ("unplaced", ["position_missing"])
    shown = [series["instances"][place]["instance_number"] for place, _ in stack["slices"]]
    assert shown == [1, 2, 3, 4, 5, 6]


def test_unscored_ct_tells_its_reader_that_no_package_reads_it(room: Room) -> None:
    public_id = send(room, make_series(9))
    room.score("findings")

    case = room.reader().case(public_id)

    assert [one["reason"] for one in case["unscored"]] == ["no_volume_package"]
    assert (case["item"]["state"], case["ai"]) == ("unscored", None)


def test_center_is_told_what_to_send_again_until_it_has(room: Room) -> None:
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    slices = make_series(12)
    public_id = send(room, [*slices[:5], *slices[7:]])
    room.score("findings")

    def look() -> tuple[str, list[tuple[str, int]]]:
        [study] = center.get("/api/center/studies").json()["items"]
        assert center.get(f"/api/center/studies/{public_id}").json()["attention"] == study["attention"]
        return study["stage"], [(one["code"], one["count"]) for one in study["attention"]]

    before = look()
    send(room, slices[5:7])
    room.score("findings")

    assert before == ("needs_attention", [("slices_missing", 2)])
    assert look() == ("received", [])


def test_center_is_told_of_slices_that_conflict_or_say_no_position(room: Room) -> None:
    center = room.house.signed_in(Role.SITE_PHYSICIAN)
    slices, other = make_series(9), make_series(9, radius_mm=3)[4]
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(other, keyword, getattr(slices[0], keyword))
    nowhere = make_series(9, study=slices[0])
    nowhere[2].ImagePositionPatient = None
    send(room, [*slices, other, *nowhere])
    room.score("findings")

    [study] = center.get("/api/center/studies").json()["items"]

    told = {one["code"]: one["count"] for one in study["attention"]}
    assert told == {"slices_conflict": 1, "slices_unplaced": 1}


def test_series_without_a_geometry_stands_as_it_came() -> None:
    assert arranged([], None) == ([], [])
