from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import RowMapping, update

from service import tables
from service.attempt import Attempt
from service.inference import revision_records
from service.interventions import cancel_study, end_as_failed, restart_study
from service.worklist.finding_records import current_findings, list_results
from service.worklist.records import update_item
from tests.service.pipeline_bench import Bench, Tools, open_bench, open_tools

OpenBench = Callable[..., Bench]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tools]:
    with open_tools(tmp_path_factory.mktemp("tools")) as tools:
        yield tools


@pytest.fixture
def open_one(tmp_path: Path, tools: Tools) -> Iterator[OpenBench]:
    with ExitStack() as stack:

        def open_one(*released: str, **policy: Any) -> Bench:
            context: AbstractContextManager[Bench] = open_bench(tmp_path, tools, **policy)
            bench = stack.enter_context(context)
            bench.release(*released)
            return bench

        yield open_one


def restart(bench: Bench) -> bool:
    public_id = bench.row(tables.study)["public_id"]
    return restart_study(bench.parts.database, bench.parts.settings, public_id, bench.clock())


def cancel(bench: Bench) -> bool:
    public_id = bench.row(tables.study)["public_id"]
    return cancel_study(bench.parts.database, bench.parts.settings, public_id, bench.clock())


# ------------------------------------------------------------ the straight path


def test_settled_study_ends_scored_with_findings_in_the_worklist(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert bench.row(tables.revision)["state"] == "scored"
    run = bench.row(tables.run)
    assert (run["outcome"], run["package"], run["provider"]) == ("done", "findings", "CPUExecutionProvider")
    assert run["package_sha256"] == bench.tools.packages["findings"].sha256
    assert [row["presence"] for row in bench.rows(tables.finding)] == ["present", "absent"]
    item = bench.row(tables.worklist_item)
    assert (item["ai_priority"], item["priority_class"]) == (2, 2)
    assert bench.steps == ["begin", "verify", "plan", "prepare", "gate", "infer", "judge", "publish", "finish"]


def test_scored_study_has_a_report_and_an_overlay(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()

    bench.settle_and_score()

    results = [row for row in bench.rows(tables.instance) if row["is_result"]]
    assert len(results) == 2
    run_id = bench.row(tables.run)["id"]
    assert {row["run_id"] for row in results} == {run_id}


def test_every_released_package_runs_beside_the_others(open_one: OpenBench) -> None:
    bench = open_one("findings", "second")
    bench.send()

    bench.settle_and_score()

    runs = {row["package"]: row["outcome"] for row in bench.rows(tables.run)}
    assert runs == {"findings": "done", "second": "done"}
    assert len(bench.rows(tables.finding)) == 4


def test_study_walked_twice_ends_as_if_walked_once(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.score(attempt)
    before = {name: [dict(row) for row in bench.rows(tables.metadata.tables[name])] for name in ("run", "finding")}
    with bench.parts.database.transaction() as tx:
        tx.execute(update(tables.revision).values(state="running"))  # as after a crash before the last step

    bench.score(attempt)

    after = {name: [dict(row) for row in bench.rows(tables.metadata.tables[name])] for name in ("run", "finding")}
    assert after == before
    assert len([row for row in bench.rows(tables.instance) if row["is_result"]]) == 2


# ------------------------------------------------------------ revisions


def test_late_image_makes_revision_two_and_only_the_new_image_is_decoded(open_one: OpenBench) -> None:
    bench = open_one("findings")
    first = bench.send(seed=100)
    bench.settle_and_score()
    decoded = bench.tools.pool.decoded

    bench.send(seed=101, study=first)
    bench.settle_and_score()

    assert bench.tools.pool.decoded == decoded + 1
    assert [(row["number"], row["state"]) for row in bench.rows(tables.revision)] == [(1, "scored"), (2, "scored")]
    revision = bench.rows(tables.revision)[1]["id"]
    assert len([row for row in bench.rows(tables.run) if row["revision_id"] == revision]) == 2
    assert bench.study() == ("scored", None)


def test_older_revision_ends_as_superseded_when_a_newer_one_has_settled(open_one: OpenBench) -> None:
    bench = open_one("findings")
    first = bench.send()
    (older,) = bench.settle()
    newer: list[Attempt] = []

    def late_image() -> None:
        bench.send(seed=1, study=first)
        newer.extend(bench.settle())

    bench.before["gate"] = late_image
    bench.score(older)

    assert [row["state"] for row in bench.rows(tables.revision)] == ["superseded", "settled"]
    assert bench.study() == ("settled", None)
    bench.score(newer[0])
    assert [row["state"] for row in bench.rows(tables.revision)] == ["superseded", "scored"]
    assert bench.study() == ("scored", None)


def test_study_whose_late_images_still_arrive_stays_arriving_when_the_older_revision_ends(
    open_one: OpenBench,
) -> None:
    bench = open_one("findings")
    first = bench.send()
    (attempt,) = bench.settle()
    bench.before["finish"] = lambda: bench.send(seed=1, study=first)

    bench.score(attempt)

    assert bench.row(tables.revision)["state"] == "scored"
    assert bench.study() == ("arriving", None)


# ------------------------------------------------------------ unscored, with a reason


@pytest.mark.parametrize(
    ("released", "attributes", "reason"),
    [
        ("findings", {"ViewPosition": "LL"}, "lateral_view"),
        ("findings", {"BodyPartExamined": "HAND"}, "not_a_chest"),
        ("findings", {"PatientAge": "", "PatientBirthDate": ""}, "age_unknown"),
        ("findings", {"PatientAge": "003Y"}, "age_out_of_range"),
        ("findings", {"PatientID": "REFUSE"}, "upside_down"),
        ("behind_wall", {}, "not_a_chest"),
        ("nan", {}, "model_failed"),
        ("gate", {}, "no_release"),
    ],
)
def test_study_that_cannot_be_scored_is_listed_with_its_reason(
    open_one: OpenBench, released: str, attributes: dict[str, str], reason: str
) -> None:
    bench = open_one(released)
    bench.send(**attributes)

    bench.settle_and_score()

    assert bench.study() == ("unscored", reason)
    assert bench.row(tables.revision)["state"] == "unscored"
    assert bench.rows(tables.finding) == []
    assert bench.row(tables.worklist_item)["ai_priority"] is None


def test_unknown_age_is_scored_and_marked_where_the_site_wants_it(open_one: OpenBench) -> None:
    bench = open_one("findings", unknown_age="adult")
    bench.send(PatientAge="", PatientBirthDate="")

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert "unknown_age_as_adult" in bench.row(tables.run)["notes"]


def test_failed_model_hides_neither_the_case_nor_the_other_model(open_one: OpenBench) -> None:
    bench = open_one("findings", "nan")
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert bench.row(tables.revision)["reason"] == "model_failed"
    runs = {row["package"]: (row["outcome"], row["reason"]) for row in bench.rows(tables.run)}
    assert runs == {"findings": ("done", None), "nan": ("failed", "model_failed")}


def test_lateral_beside_a_frontal_view_does_not_keep_the_study_from_being_scored(open_one: OpenBench) -> None:
    bench = open_one("findings")
    frontal = bench.send()
    bench.send(seed=1, study=frontal, ViewPosition="LL")

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert bench.row(tables.revision)["reason"] is None
    outcomes = [(row["outcome"], row["reason"]) for row in bench.rows(tables.run)]
    assert sorted(outcomes) == [("done", None), ("not_applicable", "lateral_view")]


def test_damaged_file_is_found_told_and_not_scored(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    stored = bench.row(tables.instance)
    path = bench.parts.archive.path(bench.parts.site_id, stored["content_sha256"])
    content = bytearray(path.read_bytes())
    content[-10] ^= 1
    path.write_bytes(content)

    bench.settle_and_score()

    assert bench.study() == ("unscored", "stored_file_damaged")
    problem = bench.row(tables.problem)
    assert (problem["kind"], problem["reason"]) == ("damaged", "stored_file_damaged")
    assert problem["sop_instance_uid"] == stored["sop_instance_uid"]


# ------------------------------------------------------------ what readers see


def seen_by_readers(bench: Bench) -> list[str]:
    study_id = bench.row(tables.study)["id"]
    with bench.parts.database.reading() as rx:
        return [row["finding"] for row in current_findings(rx, [study_id])[study_id]]


def published(bench: Bench) -> list[RowMapping]:
    return [row for row in bench.rows(tables.instance) if row["is_result"]]


def test_experimental_finding_is_kept_for_the_record_until_the_release_shows_it(open_one: OpenBench) -> None:
    bench = open_one("trial")
    bench.send()
    bench.settle_and_score()
    hidden = [(row["finding"], row["presence"], row["shown"]) for row in bench.rows(tables.finding)]
    before = seen_by_readers(bench)

    bench.release("trial", shows=["finding_1"])
    assert restart(bench)
    bench.score(Attempt(1, 1, 2))

    assert hidden == [("finding_0", "present", True), ("finding_1", "present", False)]
    assert before == ["finding_0"]
    assert seen_by_readers(bench) == ["finding_0", "finding_1"]
    assert [row["evidence"] is not None for row in bench.rows(tables.finding)] == [True, True]


def test_page_offers_the_results_of_the_newest_attempt(open_one: OpenBench) -> None:
    bench = open_one()
    bench.release("trial", shows=["finding_1"])
    bench.send()
    bench.settle_and_score()
    older = {row["sop_instance_uid"] for row in published(bench)}

    bench.release("trial", shows=[])
    assert restart(bench)
    bench.score(Attempt(1, 1, 2))

    with bench.parts.database.reading() as rx:
        offered = {row["sop_instance_uid"] for row in list_results(rx, bench.row(tables.study)["id"])}
    assert len(published(bench)) == 4
    assert len(offered) == 2
    assert not offered & older


def test_shown_experimental_finding_raises_nothing(open_one: OpenBench) -> None:
    bench = open_one()
    bench.release("trial_only", shows=["finding_0", "finding_1"])
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert [row["presence"] for row in bench.rows(tables.finding)] == ["present", "present"]
    assert bench.row(tables.worklist_item)["ai_priority"] is None
    assert len(published(bench)) == 2


def test_package_of_experiments_leaves_the_study_unscored_and_publishes_nothing(open_one: OpenBench) -> None:
    bench = open_one("trial_only")
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("unscored", "no_release")
    runs = {row["package"]: (row["outcome"], row["shown"]) for row in bench.rows(tables.run)}
    assert runs == {"trial_only": ("done", []), None: ("not_applicable", None)}
    assert [row["raw_score"] is not None for row in bench.rows(tables.finding)] == [True, True]
    assert seen_by_readers(bench) == []
    assert published(bench) == []


def test_failure_of_what_readers_do_not_see_is_no_failure_of_their_study(open_one: OpenBench) -> None:
    bench = open_one("findings", "trial_nan")
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert bench.row(tables.revision)["reason"] is None
    runs = {row["package"]: row["outcome"] for row in bench.rows(tables.run)}
    assert runs == {"findings": "done", "trial_nan": "failed"}
    assert len(published(bench)) == 2


def test_present_finding_below_its_raise_point_leaves_the_priority_alone(open_one: OpenBench) -> None:
    bench = open_one("careful")
    bench.send()

    bench.settle_and_score()

    assert bench.study() == ("scored", None)
    assert [row["presence"] for row in bench.rows(tables.finding)] == ["present", "absent"]
    assert bench.row(tables.worklist_item)["ai_priority"] is None


# ------------------------------------------------------------ poison


@pytest.mark.parametrize(
    ("patient_id", "deaths", "reason"), [("ABORT", 2, "decoder_died"), ("SPIN", 1, "limit_exceeded")]
)
def test_image_that_kills_its_decoder_is_set_aside_and_its_study_goes_on(
    open_one: OpenBench, patient_id: str, deaths: int, reason: str
) -> None:
    bench = open_one("findings")
    deadly = bench.send(PatientID=patient_id)
    bench.send(seed=1, study=deadly)
    decoded = bench.tools.pool.decoded

    bench.settle_and_score()

    poison = bench.row(tables.poison)
    assert (poison["deaths"], poison["last_reason"]) == (deaths, reason)
    assert poison["quarantined_at"] is not None
    assert bench.tools.pool.decoded == decoded + deaths + 1
    problem = bench.row(tables.problem)
    assert (problem["kind"], problem["reason"]) == ("quarantined", reason)
    assert bench.study() == ("scored", None)
    assert bench.row(tables.revision)["reason"] == reason


def test_quarantined_image_is_never_decoded_again_until_an_operator_restarts(open_one: OpenBench) -> None:
    bench = open_one("findings")
    deadly = bench.send(PatientID="ABORT")
    bench.settle_and_score()
    assert bench.study() == ("unscored", "decoder_died")
    decoded = bench.tools.pool.decoded

    bench.send(seed=2, study=deadly)
    bench.settle_and_score()
    assert bench.tools.pool.decoded == decoded + 1  # the new image only

    assert restart(bench)
    bench.score(Attempt(1, 2, 2))
    assert bench.tools.pool.decoded == decoded + 3  # two more deaths
    assert len(bench.rows(tables.problem)) == 1


def test_quarantined_image_is_tried_again_by_other_decoders(open_one: OpenBench) -> None:
    bench = open_one("findings")
    deadly = bench.send(PatientID="ABORT")
    bench.settle_and_score()
    decoded, old = bench.tools.pool.decoded, bench.tools.pool.decoders
    bench.tools.pool.decoders = "imagecodecs of tomorrow"

    bench.send(seed=2, study=deadly)
    try:
        bench.settle_and_score()
    finally:
        bench.tools.pool.decoders = old

    assert bench.tools.pool.decoded == decoded + 3  # the new image, and two more deaths of the old one
    poison = bench.row(tables.poison)
    assert (poison["deaths"], poison["decoders"]) == (2, "imagecodecs of tomorrow")


# ------------------------------------------------------------ steps that fail


@pytest.mark.parametrize("step", ["verify", "plan", "prepare", "judge"])
def test_step_that_fails_for_good_leaves_the_study_unscored_and_tells_the_operator(
    open_one: OpenBench, step: str
) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.before[step] = lambda: fail_step(bench, step)

    bench.score(attempt)

    assert bench.study() == ("unscored", "pipeline_failed")
    assert step in (bench.row(tables.revision)["detail"] or "")
    problem = bench.row(tables.problem)
    assert (problem["kind"], problem["reason"]) == ("dead_letter", "pipeline_failed")
    assert bench.row(tables.worklist_item)["state"] == "scheduled"


def fail_step(bench: Bench, name: str) -> None:
    from service.attempt import StepFailed

    raise StepFailed(name)


def test_failed_publishing_keeps_the_findings_in_the_worklist(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.before["publish"] = lambda: fail_step(bench, "publish")

    bench.score(attempt)

    assert bench.study() == ("scored", None)
    assert bench.row(tables.worklist_item)["ai_priority"] == 2
    assert bench.row(tables.problem)["kind"] == "dead_letter"


def test_swept_workspace_is_made_again_where_it_is_missed(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send(seed=200)
    (attempt,) = bench.settle()
    bench.before["judge"] = bench.before["publish"] = lambda: bench.tools.workspace.sweep(now=1e12, max_age_s=0)

    bench.score(attempt)

    assert bench.study() == ("scored", None)
    assert len([row for row in bench.rows(tables.instance) if row["is_result"]]) == 2
    assert bench.rows(tables.problem) == []


def test_dead_letter_is_told_once_and_only_for_the_attempt_that_counts(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()

    def end(attempt: Attempt) -> bool:
        parts = bench.parts
        return end_as_failed(parts.database, attempt, "gone", now=bench.clock(), settings=parts.settings)

    assert not end(Attempt(attempt.study_id, attempt.revision, 7))
    assert end(attempt)
    assert not end(attempt)
    assert bench.study() == ("unscored", "pipeline_failed")
    assert len(bench.rows(tables.problem)) == 1


# ------------------------------------------------------------ the operator


def test_restart_scores_again_and_replaces_findings(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    bench.settle_and_score()
    bench.release("second")

    assert restart(bench)
    assert bench.study() == ("settled", None)
    bench.score(Attempt(1, 1, 2))

    assert bench.study() == ("scored", None)
    assert {row["package"] for row in bench.rows(tables.run)} == {"findings", "second"}
    assert len(bench.rows(tables.finding)) == 4
    assert bench.row(tables.revision)["attempt"] == 2


def test_run_of_a_package_that_no_longer_serves_is_gone_after_a_restart(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    bench.settle_and_score()
    with bench.parts.database.transaction() as tx:
        tx.execute(update(tables.release).values(until=bench.clock()))
    bench.release("second")

    assert restart(bench)
    bench.score(Attempt(1, 1, 2))

    assert [row["package"] for row in bench.rows(tables.run)] == ["second"]
    assert {row["run_id"] for row in bench.rows(tables.finding)} == {bench.row(tables.run)["id"]}


def test_restarted_study_is_not_touched_by_the_attempt_before(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.before["infer"] = lambda: restart(bench)

    bench.score(attempt)

    assert bench.study() == ("settled", None)
    assert bench.row(tables.revision)["attempt"] == 2
    assert bench.steps[-1] == "infer"


@pytest.mark.parametrize(
    ("act", "state", "number"), [(restart, "settled", 2), (cancel, "canceled", 1)], ids=["restart", "cancel"]
)
def test_operator_s_word_given_while_an_attempt_begins_is_not_overwritten(
    open_one: OpenBench, act: Callable[[Bench], bool], state: str, number: int
) -> None:
    bench = open_one("findings")
    bench.send()
    bench.settle()
    with bench.parts.database.reading() as tx:
        seen = revision_records.find_revision(tx, 1, 1)
    assert seen is not None

    act(bench)
    bench.pipeline.begin(seen)

    revision = bench.row(tables.revision)
    assert (revision["state"], revision["attempt"]) == (state, number)


def test_cancel_acts_on_a_running_revision(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.before["gate"] = lambda: cancel(bench)

    bench.score(attempt)

    assert bench.study() == ("unscored", "canceled")
    assert bench.row(tables.revision)["state"] == "canceled"
    assert bench.steps[-1] == "gate"
    assert bench.rows(tables.finding) == []


def test_cancel_in_the_last_moment_is_not_overwritten(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    (attempt,) = bench.settle()
    bench.before["finish"] = lambda: cancel(bench)

    bench.score(attempt)

    assert bench.study() == ("unscored", "canceled")


def test_operator_can_neither_cancel_what_ended_nor_restart_what_arrives(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()

    assert not restart(bench)
    assert not cancel(bench)
    bench.settle_and_score()
    assert not cancel(bench)
    assert not restart_study(bench.parts.database, bench.parts.settings, "nobody", bench.clock())


def test_canceled_study_can_be_restarted(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    bench.settle()

    assert cancel(bench)
    assert restart(bench)
    bench.score(Attempt(1, 1, 2))

    assert bench.study() == ("scored", None)


def test_worklist_keeps_what_the_center_asked_for(open_one: OpenBench) -> None:
    bench = open_one("findings")
    bench.send()
    with bench.parts.database.transaction() as tx:
        tx.execute(update(tables.study).values(center_priority=1))
        update_item(tx, study_id=1, now=bench.clock(), settings=bench.parts.settings)

    bench.settle_and_score()

    assert bench.row(tables.worklist_item)["priority_class"] == 1
