import io
from dataclasses import replace
from typing import Any

import pytest

from models.package import ModelPackage, load_package
from preprocessing.errors import Reason
from preprocessing.header import read_header, to_json
from service.inference.plan import FAILURES, TELLING, Planned, Site, most_telling, plan
from service.inference.records import Release, Run, StoredInstance
from service.routing import Decision
from tests.factories import dataset_bytes, make_ct_slice, make_radiograph
from tests.service.inference.packages import write_gate, write_package

NOW = 1_800_000_000.0


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelPackage]:
    folder = tmp_path_factory.mktemp("models")
    any_view = {"modalities": ["CR"], "body_parts": [], "views": [], "min_age_years": None, "max_age_years": 60.0}
    made = [
        write_package(folder, "adult_chest", gate="scope"),
        write_package(folder, "every_view", min_age_years=None, applies_to=any_view),
        write_package(folder, "with_trial", min_age_years=None, experimental=(1,)),
        write_package(folder, "trial_only", experimental=(0, 1), uncalibrated=True),
        write_gate(folder, "scope"),
    ]
    return {path.name: load_package(path) for path in made}


def radiograph(instance_id: int = 1, **attributes: Any) -> StoredInstance:
    return stored(instance_id, make_radiograph(**attributes))


def stored(instance_id: int, dataset: Any) -> StoredInstance:
    content = dataset_bytes(dataset)
    syntax = str(dataset.file_meta.TransferSyntaxUID)
    header = read_header(io.BytesIO(content), transfer_syntax_uid=syntax, offset=0, length=len(content))
    return StoredInstance(instance_id, 1, str(dataset.SOPInstanceUID), "0" * 64, syntax, to_json(header))


def planned_for(
    shelf: dict[str, ModelPackage],
    *instances: StoredInstance,
    released: tuple[str, ...] = ("adult_chest",),
    shows: tuple[str, ...] = (),
    damaged: tuple[int, ...] = (),
    adult: bool = False,
) -> tuple[list[Planned], list[Run]]:
    return plan(
        instances,
        damaged=damaged,
        site=Site(
            [Release(name, shelf[name].version, shelf[name].sha256, shows) for name in released],
            {package.sha256: package for package in shelf.values()},
            adult,
        ),
        now=NOW,
    )


def test_released_package_runs_on_a_frontal_adult_chest_behind_its_gate(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, radiograph())

    assert ended == []
    assert [(one.package_sha256, one.gate_sha256) for one in planned] == [
        (shelf["adult_chest"].sha256, shelf["scope"].sha256)
    ]
    assert (planned[0].view, planned[0].view_source) == ("pa", "view_position")


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"ViewPosition": "LL"}, Reason.LATERAL_VIEW),
        ({"BodyPartExamined": "HAND"}, Reason.NOT_A_CHEST),
        ({"PatientAge": "009Y"}, Reason.AGE_OUT_OF_RANGE),
        ({"PatientAge": "", "PatientBirthDate": ""}, Reason.AGE_UNKNOWN),
        ({"PresentationIntentType": "FOR PROCESSING"}, Reason.FOR_PROCESSING),
    ],
)
def test_image_out_of_the_package_s_scope_ends_with_its_reason(
    shelf: dict[str, ModelPackage], attributes: dict[str, str], reason: Reason
) -> None:
    planned, ended = planned_for(shelf, radiograph(**attributes))

    assert planned == []
    assert [(run.package, run.outcome, run.reason) for run in ended] == [(None, "not_applicable", reason)]


def test_ct_slice_is_of_the_wrong_modality(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, stored(1, make_ct_slice()))

    assert planned == []
    assert ended[0].reason is Reason.WRONG_MODALITY


def test_unknown_age_is_scored_and_noted_where_the_site_says_adult(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, radiograph(PatientAge="", PatientBirthDate=""), adult=True)

    assert ended == []
    assert planned[0].notes == ("unknown_age_as_adult",)


@pytest.mark.parametrize(("view", "note"), [("AP", "ap_view"), ("", "unknown_view")])
def test_view_that_needs_care_is_noted(shelf: dict[str, ModelPackage], view: str, note: str) -> None:
    planned, _ = planned_for(shelf, radiograph(ViewPosition=view, PatientOrientation=""))

    assert planned[0].notes == (note,)


def test_site_without_release_scores_nothing(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, radiograph(), released=())

    assert planned == []
    assert ended[0].reason is Reason.NO_RELEASE


def test_gate_by_itself_is_no_release(shelf: dict[str, ModelPackage]) -> None:
    _, ended = planned_for(shelf, radiograph(), released=("scope",))

    assert ended[0].reason is Reason.NO_RELEASE


def test_packages_side_by_side_each_follow_their_own_rules(shelf: dict[str, ModelPackage]) -> None:
    instances = (radiograph(1), radiograph(2, PatientAge="070Y"), radiograph(3, PatientAge="009Y"))

    planned, ended = planned_for(shelf, *instances, released=("adult_chest", "every_view"))

    names = {package.sha256: name for name, package in shelf.items()}
    assert [(one.instance_id, names[one.package_sha256]) for one in planned] == [
        (1, "adult_chest"),
        (1, "every_view"),
        (2, "adult_chest"),
        (3, "every_view"),
    ]
    assert ended == []


def test_damaged_instance_fails_and_the_others_go_on(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, radiograph(1), radiograph(2), damaged=(1,))

    assert [one.instance_id for one in planned] == [2]
    assert [(run.instance_id, run.outcome, run.reason) for run in ended] == [(1, "failed", Reason.STORED_FILE_DAMAGED)]


def test_release_that_is_not_on_the_worker_fails_by_name(shelf: dict[str, ModelPackage]) -> None:
    present = {name: package for name, package in shelf.items() if name != "adult_chest"}

    planned, ended = plan(
        [radiograph()],
        damaged=(),
        site=Site(
            [Release("adult_chest", "1.0.0", shelf["adult_chest"].sha256)],
            {package.sha256: package for package in present.values()},
            False,
        ),
        now=NOW,
    )

    assert planned == []
    assert [(run.package, run.outcome, run.reason) for run in ended] == [("adult_chest", "failed", Reason.MODEL_FAILED)]


def test_package_never_runs_without_its_gate(shelf: dict[str, ModelPackage]) -> None:
    package = shelf["adult_chest"]

    planned, ended = plan(
        [radiograph()],
        damaged=(),
        site=Site([Release(package.name, package.version, package.sha256)], {package.sha256: package}, False),
        now=NOW,
    )

    assert planned == []
    assert [(run.package, run.reason) for run in ended] == [("adult_chest", Reason.MODEL_FAILED)]


@pytest.mark.parametrize(
    ("shows", "shown"),
    [((), ("finding_0",)), (("finding_1",), ("finding_0", "finding_1")), (("other",), ("finding_0",))],
)
def test_readers_see_experimental_findings_only_where_the_release_shows_them(
    shelf: dict[str, ModelPackage], shows: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    planned, ended = planned_for(shelf, radiograph(), released=("with_trial",), shows=shows)

    assert ended == []
    assert [one.shown for one in planned] == [shown]


def test_package_of_experiments_runs_for_the_record_and_the_image_stands_unscored(
    shelf: dict[str, ModelPackage],
) -> None:
    planned, ended = planned_for(shelf, radiograph(), released=("trial_only",))

    assert [one.shown for one in planned] == [()]
    assert [(run.package, run.outcome, run.reason) for run in ended] == [(None, "not_applicable", Reason.NO_RELEASE)]


def test_package_of_experiments_beside_another_hides_no_reason(shelf: dict[str, ModelPackage]) -> None:
    planned, ended = planned_for(shelf, radiograph(PatientAge="070Y"), released=("every_view", "trial_only"))

    assert [one.shown for one in planned] == [()]
    assert [run.reason for run in ended] == [Reason.AGE_OUT_OF_RANGE]


def test_image_is_scored_only_when_an_output_that_readers_see_speaks_for_the_age(
    shelf: dict[str, ModelPackage],
) -> None:
    package = shelf["with_trial"]
    adults_only = replace(package, outputs=(replace(package.outputs[0], min_age_years=18.0), package.outputs[1]))
    changed = {**shelf, "with_trial": adults_only}

    hidden, ended = planned_for(changed, radiograph(PatientAge="009Y"), released=("with_trial",))
    seen, _ = planned_for(changed, radiograph(PatientAge="009Y"), released=("with_trial",), shows=("finding_1",))

    assert (hidden, [run.reason for run in ended]) == ([], [Reason.AGE_OUT_OF_RANGE])
    assert [one.shown for one in seen] == [("finding_0", "finding_1")]


def test_plan_survives_the_engine_s_json(shelf: dict[str, ModelPackage]) -> None:
    planned, _ = planned_for(shelf, radiograph(ViewPosition="AP"), released=("adult_chest", "trial_only"))

    assert [Planned.from_json(one.to_json()) for one in planned] == planned


def test_every_reason_has_its_place_in_the_order_of_telling() -> None:
    assert sorted(TELLING) == sorted(Reason)
    assert Reason.MODEL_FAILED in FAILURES
    assert Reason.LATERAL_VIEW not in FAILURES


def test_failure_tells_more_than_a_lateral_view(shelf: dict[str, ModelPackage]) -> None:
    _, ended = planned_for(shelf, radiograph(1, ViewPosition="LL"), radiograph(2), damaged=(2,))

    worst = most_telling(ended)

    assert worst is not None
    assert worst.reason is Reason.STORED_FILE_DAMAGED


def test_a_rule_leaves_packages_out_and_says_which_rule(shelf: dict[str, ModelPackage]) -> None:
    none = {"packages": Decision("packages", (), "no AI here", 4)}
    one = {"packages": Decision("packages", ("every_view",), "this one", 4)}
    back = {**none, "add_packages": Decision("add_packages", ("adult_chest",), "back", 4)}

    for decisions, planned_names, ended_reasons, rules in (
        (none, [], [Reason.RULED_OUT], ["no AI here"]),
        (one, ["every_view"], [], ["this one"]),
        (back, ["adult_chest"], [], ["back"]),
    ):
        names = {package.sha256: name for name, package in shelf.items()}
        releases = [Release(n, shelf[n].version, shelf[n].sha256) for n in ("adult_chest", "every_view")]
        site = Site(releases, {p.sha256: p for p in shelf.values()}, False, {1: decisions})
        planned, ended = plan([radiograph(1)], damaged=(), site=site, now=NOW)

        assert [names[run.package_sha256] for run in planned] == planned_names
        assert [run.reason for run in ended] == ended_reasons
        assert [decision.rule for run in [*planned, *ended] for decision in run.routing] == rules
        assert [Planned.from_json(run.to_json()) for run in planned] == planned
