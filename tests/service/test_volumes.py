"""CT series through the real service: from C-STORE's intake to findings and SR, or to the reason why not."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from pydicom import Dataset, dcmread
from sqlalchemy import RowMapping

from service import tables
from tests.service.inference.packages import MR_RECIPE, write_package, write_volume_package
from tests.service.worker_site import Site, open_site, working
from tests.volumes import AIR_HU, make_mr_series, make_series


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("volumes")
    with ExitStack() as stack:
        site = stack.enter_context(open_site(folder, quiet_s={"default": 0.4}, decode_cpu_s=20))
        models = folder / "models"
        brains = write_volume_package(models, "brains", recipe=MR_RECIPE)
        site.release(write_package(models, "films"), write_volume_package(models, "volumes"), brains)
        stack.enter_context(working(site))
        yield site


def send(site: Site, slices: list[Dataset]) -> Dataset:
    for one in slices:
        assert site.parts.send(one).is_kept
    return slices[0]


def runs(site: Site, study: RowMapping) -> list[RowMapping]:
    return site.rows(tables.run, study["id"])


def geometry(site: Site, study: RowMapping) -> dict[str, Any]:
    [series] = [row for row in site.rows(tables.series, study["id"]) if not row["is_result"]]
    return dict(series["geometry"])


def test_ct_series_is_scored_as_one_volume_with_findings_and_sr(site: Site) -> None:
    slices = make_series(12)

    first = send(site, [slices[n] for n in (7, 0, 11, 3, 1, 2, 10, 9, 4, 5, 6, 8)])

    study = site.await_state(first, "scored")
    [run] = runs(site, study)
    assert (run["package"], run["outcome"], run["recipe"]) == ("volumes", "done", "ct_volume/1")
    assert run["provider"] == "CPUExecutionProvider"
    found = site.rows(tables.finding, study["id"])
    assert [row["presence"] for row in found] == ["present", "absent"]
    # The middle of the volume lies inside the ball: 300 HU in a window from -1000 to 400.
    assert found[0]["raw_score"] == pytest.approx(20 * (1300 / 1400) - 10, abs=0.01)
    [item] = site.rows(tables.worklist_item, study["id"])
    assert item["ai_priority"] == 2
    numbers = {row["id"]: row["instance_number"] for row in site.rows(tables.instance, study["id"])}
    [stack] = geometry(site, study)["stacks"]
    assert [numbers[instance] for instance, _ in stack["slices"]] == list(range(1, 13))
    assert (stack["is_volume"], stack["spacing_mm"], stack["shape"]) == (True, [3.0, 1.5, 1.25], [12, 48, 40])
    assert numbers[run["instance_id"]] == 7


def test_sr_of_a_volume_names_every_slice(site: Site) -> None:
    slices = make_series(10)
    study = site.await_state(send(site, slices), "scored")

    [stored] = [row for row in site.rows(tables.instance, study["id"]) if row["is_result"]]

    report = dcmread(io.BytesIO(site.parts.archive.path(stored["site_id"], stored["content_sha256"]).read_bytes()))
    [evidence] = report.CurrentRequestedProcedureEvidenceSequence
    [series] = evidence.ReferencedSeriesSequence
    assert {one.ReferencedSOPInstanceUID for one in series.ReferencedSOPSequence} == {
        str(one.SOPInstanceUID) for one in slices
    }
    words = [element.value for element in report.iterall() if element.keyword == "TextValue"]
    assert sum("the 10 images of its series" in text for text in words) == 2


def test_mr_series_is_scored_by_the_package_for_mr_alone(site: Site) -> None:
    slices = make_mr_series(12, size=(64, 64))

    study = site.await_state(send(site, slices[::-1]), "scored")

    [run] = runs(site, study)
    assert (run["package"], run["outcome"], run["recipe"]) == ("brains", "done", "mr_volume/1")
    assert [row["presence"] for row in site.rows(tables.finding, study["id"])] == ["present", "absent"]
    assert geometry(site, study)["stacks"][0]["is_volume"]


def test_phases_of_one_mr_series_are_told_apart_and_none_is_chosen(site: Site) -> None:
    slices = make_mr_series(9, EchoTime=10)
    later = make_mr_series(9, EchoTime=80, study=slices[0])
    for one in later:
        one.SeriesInstanceUID, one.FrameOfReferenceUID = slices[0].SeriesInstanceUID, slices[0].FrameOfReferenceUID

    study = site.await_state(send(site, [one for pair in zip(later, slices, strict=True) for one in pair]), "unscored")

    assert study["reason"] == "geometry_refused"
    kept = geometry(site, study)
    assert [(stack["shape"][0], stack["is_volume"]) for stack in kept["stacks"]] == [(9, True), (9, True)]
    assert [problem["code"] for problem in kept["problems"]] == ["several_stacks"]


def test_volume_without_the_ball_is_absent_not_missing(site: Site) -> None:
    study = site.await_state(send(site, make_series(12, radius_mm=0.0, ball_mm=(500, 0, 0))), "scored")

    assert AIR_HU == -1000
    assert [row["presence"] for row in site.rows(tables.finding, study["id"])] == ["absent", "present"]


def test_late_slice_closes_the_gap_and_the_volume_is_scored(site: Site) -> None:
    slices = make_series(12)
    study = site.await_state(send(site, [*slices[:5], *slices[6:]]), "unscored")
    assert study["reason"] == "geometry_refused"
    [run] = runs(site, study)
    assert (run["outcome"], run["detail"]) == ("not_applicable", "slices are missing between 5 and 7")
    [problem] = geometry(site, study)["stacks"][0]["problems"]
    assert (problem["code"], problem["count"], problem["first"], problem["last"]) == ("slices_missing", 1, 5, 7)

    send(site, slices[5:6])

    study = site.await_state(slices[0], "scored", revision=2)
    assert geometry(site, study)["stacks"][0]["problems"] == []


@pytest.mark.parametrize(
    ("attributes", "reason", "detail"),
    [
        ({"BodyPartExamined": "HEAD"}, "not_a_chest", "the package does not read this body part"),
        ({"BodyPartExamined": ""}, "out_of_scope", "the header does not name the body part"),
        ({"PatientAge": "003Y"}, "age_out_of_range", "the package does not speak for this age"),
        ({"RescaleType": "MGML"}, "out_of_scope", "the values are no Hounsfield units"),
        ({"RescaleSlope": None}, "contradictory_header", "no rescale from stored to modality values"),
        (
            {"PixelSpacing": None},
            "geometry_refused",
            "slices do not say how far their pixels lie apart (Pixel Spacing)",
        ),
    ],
)
def test_series_that_the_package_does_not_read_is_listed_with_its_reason(
    site: Site, attributes: dict[str, Any], reason: str, detail: str
) -> None:
    slices = make_series(9)
    for one in slices:
        for keyword, value in attributes.items():
            setattr(one, keyword, value)

    study = site.await_state(send(site, slices), "unscored")

    assert study["reason"] == reason
    assert [row["detail"] for row in runs(site, study)] == [detail]


def test_scout_beside_the_stack_is_kept_apart_and_the_stack_is_scored(site: Site) -> None:
    slices = make_series(9)
    [scout] = make_series(
        1, study=slices[0], cosines=(1, 0, 0, 0, 0, -1), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]
    )
    scout.SeriesInstanceUID = slices[0].SeriesInstanceUID

    study = site.await_state(send(site, [scout, *slices]), "scored")

    kept = geometry(site, study)
    assert [(one["why"], len(one["slices"])) for one in kept["apart"]] == [("localizer", 1)]
    assert len(runs(site, study)) == 1


def test_copies_of_slices_are_left_out_and_slices_that_differ_are_refused(site: Site) -> None:
    slices = make_series(9)
    copy = make_series(9)[4]
    copy.StudyInstanceUID, copy.SeriesInstanceUID = slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID
    copy.FrameOfReferenceUID = slices[0].FrameOfReferenceUID
    study = site.await_state(send(site, [*slices, copy]), "scored")
    assert [p["code"] for p in geometry(site, study)["stacks"][0]["problems"]] == ["duplicates"]

    others = make_series(9)
    other = make_series(9, radius_mm=5.0)[4]
    other.StudyInstanceUID, other.SeriesInstanceUID = others[0].StudyInstanceUID, others[0].SeriesInstanceUID
    other.FrameOfReferenceUID = others[0].FrameOfReferenceUID
    study = site.await_state(send(site, [*others, other]), "unscored")
    assert [p["code"] for p in geometry(site, study)["stacks"][0]["problems"]] == ["duplicates_differ"]
