"""CT and MR series in the pipeline, step by step, at a site as it is shipped: only films are read."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from preprocessing.errors import Reason
from service import tables
from service.archive import Archive
from service.inference.records import note_death
from service.inference.volumes import members
from service.interventions import restart_study
from tests.factories import make_radiograph
from tests.service.pipeline_bench import PIXELS, Bench, Tools, open_bench, open_tools
from tests.volumes import make_series


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    with open_tools(tmp_path_factory.mktemp("tools")) as tools:
        yield tools


@pytest.fixture
def bench(tmp_path: Path, tools: Tools) -> Iterator[Bench]:
    with ExitStack() as stack:
        bench = stack.enter_context(open_bench(tmp_path, tools))
        bench.release("findings")
        yield bench


def test_ct_without_a_package_for_it_stands_in_the_list_with_its_reason_and_its_order(bench: Bench) -> None:
    slices = make_series(9)
    for one in slices[::-1]:
        assert bench.parts.send(one).is_kept

    bench.settle_and_score()

    assert bench.study() == ("unscored", "no_volume_package")
    run = bench.row(tables.run)
    assert (run["package"], run["outcome"]) == (None, "not_applicable")
    assert run["detail"] == "no package that reads CT or MR series is released for this site"
    assert bench.rows(tables.finding) == []
    assert len(bench.rows(tables.worklist_item)) == 1
    [stack] = bench.row(tables.series)["geometry"]["stacks"]
    uids = {row["id"]: row["sop_instance_uid"] for row in bench.rows(tables.instance)}
    assert [uids[key] for key, _ in stack["slices"]] == [str(one.SOPInstanceUID) for one in slices]
    assert stack["is_volume"]


def test_film_beside_a_ct_series_is_scored_as_ever(bench: Bench) -> None:
    slices = make_series(9)
    film = make_radiograph(PIXELS)
    film.StudyInstanceUID = slices[0].StudyInstanceUID
    for one in [*slices, film]:
        assert bench.parts.send(one).is_kept

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    runs = {(row["package"], row["outcome"], row["reason"]) for row in bench.rows(tables.run)}
    assert runs == {("findings", "done", None), (None, "not_applicable", "no_volume_package")}


def test_film_in_the_series_of_slices_is_scored_by_itself(bench: Bench) -> None:
    slices = make_series(9)
    film = make_radiograph(PIXELS)
    film.StudyInstanceUID, film.SeriesInstanceUID = slices[0].StudyInstanceUID, slices[0].SeriesInstanceUID
    for one in [*slices, film]:
        assert bench.parts.send(one).is_kept

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    [geometry] = [row["geometry"] for row in bench.rows(tables.series) if not row["is_result"]]
    assert geometry["apart"] == []


def test_series_with_a_damaged_file_is_failed_and_not_called_whole(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices = make_series(9)
    for one in slices:
        assert bench.parts.send(one).is_kept
    row = next(r for r in bench.rows(tables.instance) if r["sop_instance_uid"] == str(slices[4].SOPInstanceUID))
    is_intact = Archive.is_intact
    monkeypatch.setattr(
        Archive, "is_intact", lambda self, site, sha: sha != row["content_sha256"] and is_intact(self, site, sha)
    )

    bench.settle_and_score()

    assert bench.study() == ("unscored", "stored_file_damaged")
    assert [run["instance_id"] for run in bench.rows(tables.run)] == [row["id"]]


def test_slices_of_a_series_are_counted_once_however_often_its_revision_is_walked(bench: Bench) -> None:
    for one in make_series(9):
        assert bench.parts.send(one).is_kept
    (attempt,) = bench.settle()
    bench.score(attempt)
    before = bench.row(tables.series)["geometry"]

    bench.score(attempt)

    assert bench.row(tables.series)["geometry"] == before
    assert len(bench.rows(tables.run)) == 1
    assert members([]) == ()


def test_restart_gives_a_series_that_killed_its_decoder_another_chance(bench: Bench) -> None:
    for one in make_series(9):
        assert bench.parts.send(one).is_kept
    bench.settle_and_score()
    series, study = bench.row(tables.series), bench.row(tables.study)
    with bench.parts.database.transaction() as tx:
        for sha256 in (series["geometry"]["content_sha256"], "f" * 64):
            note_death(
                tx,
                site_id=series["site_id"],
                content_sha256=sha256,
                reason=Reason.DECODER_DIED,
                is_limit=True,
                decoders="theirs",
                now=bench.clock(),
            )

    assert restart_study(bench.parts.database, bench.parts.settings, study["public_id"], bench.clock())

    assert [row["content_sha256"] for row in bench.rows(tables.poison)] == ["f" * 64]
