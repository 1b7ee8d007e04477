import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from sqlalchemy import select

from service import tables
from service.interventions import cancel_study, restart_study
from tests.service.inference.packages import write_gate, write_package
from tests.service.worker_site import Site, open_site, until, working


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("worker")
    with ExitStack() as stack:
        site = stack.enter_context(open_site(folder))
        site.release(
            write_package(folder / "models", "tiny", gate="tiny_gate"), write_gate(folder / "models", "tiny_gate")
        )
        (folder / "models/broken/configs").mkdir(parents=True)
        (folder / "models/broken/configs/metadata.json").write_text("not JSON")
        stack.enter_context(working(site))
        yield site


def test_study_is_scored_after_its_quiet_time_beside_a_broken_package_that_serves_nobody(site: Site) -> None:
    film = site.send(seed=1)

    study = site.await_state(film, "scored")

    (revision,) = site.rows(tables.revision, study["id"])
    assert (revision["state"], revision["settled_by"]) == ("scored", "quiet")
    assert len(site.rows(tables.finding, study["id"])) == 2
    with site.parts.database.reading() as tx:
        executor = tx.execute(select(tables.executor)).mappings().one()
    assert (executor["provider"], executor["alarm"]) == ("CPUExecutionProvider", None)
    assert abs(executor["seen_at"] - time.time()) < 20


def test_late_image_is_scored_as_revision_two(site: Site) -> None:
    film = site.send(seed=2)
    site.await_state(film, "scored")

    site.send(seed=3, study=film)

    study = site.await_state(film, "scored", revision=2)
    assert [row["state"] for row in site.rows(tables.revision, study["id"])] == ["scored", "scored"]


def test_worker_lives_on_after_an_image_that_kills_its_decoder(site: Site) -> None:
    deadly = site.send(seed=4, PatientID="ABORT")
    kind = site.send(seed=5)

    assert site.await_state(deadly, "unscored")["reason"] == "decoder_died"
    site.await_state(kind, "scored")


def test_restart_is_taken_up(site: Site) -> None:
    film = site.send(seed=6)
    study = site.await_state(film, "scored")

    assert restart_study(site.parts.database, site.parts.settings, study["public_id"], time.time())

    site.await_state(film, "scored")
    (revision,) = site.rows(tables.revision, study["id"])
    assert revision["attempt"] == 2
    assert len(site.rows(tables.run, study["id"])) == 1


def test_cancel_ends_a_running_study_and_frees_the_worker(site: Site) -> None:
    film = site.send(seed=7, PatientID="SLEEP")
    study = site.await_state(film, "settled")
    until(lambda: site.rows(tables.revision, study["id"])[0]["state"] == "running")

    assert cancel_study(site.parts.database, site.parts.settings, study["public_id"], time.time())

    assert site.study(film)["reason"] == "canceled"
    until(lambda: site.rows(tables.revision, study["id"])[0]["finished_at"] is not None)
    other = site.send(seed=8)
    site.await_state(other, "scored")
    assert site.study(film)["reason"] == "canceled"
