"""Outputs and operating points → findings."""

from __future__ import annotations

import numpy as np
import pytest

from models.package import Calibration, OperatingPoint
from preprocessing.errors import Reason
from service.results.findings import Finding, Presence, ai_priority, judge_findings, not_evaluated
from tests.service.results.makers import PLACEMENT, TESTED, heat_map, make_experiment, make_output, make_package


def judge(
    *logits: float, outputs: tuple[object, ...] = (), age: float | None = 40.0, adult: bool = False
) -> list[Finding]:
    package = make_package(outputs or None)  # type: ignore[arg-type]  # an empty tuple asks for the usual outputs
    return list(judge_findings(package, np.array(logits, np.float32), age_years=age, unknown_age_as_adult=adult))


def test_a_probability_at_the_operating_point_is_present() -> None:
    [finding, _] = judge(0.0, -5.0)

    assert finding.presence is Presence.PRESENT
    assert finding.probability == 0.5


def test_a_probability_below_the_operating_point_is_absent() -> None:
    [finding, _] = judge(-0.01, -5.0)

    assert finding.presence is Presence.ABSENT
    assert finding.threshold == 0.5
    assert finding.operating_point == "balanced"


def test_the_threshold_is_of_the_calibrated_probability() -> None:
    output = make_output(
        0,
        "opacity",
        calibration=Calibration("platt", 2.0, -1.0, "3"),
        operating_point=OperatingPoint("sensitive", 0.6, 0.95, 0.8, "validation"),
    )

    [below] = judge(0.70, outputs=(output,))
    [above] = judge(0.71, outputs=(output,))

    assert (below.presence, above.presence) == (Presence.ABSENT, Presence.PRESENT)


@pytest.mark.parametrize(
    ("age", "adult", "reason"),
    [
        (17.99, False, Reason.AGE_OUT_OF_RANGE),
        (18.0, False, None),
        (64.9, False, None),
        (65.0, False, Reason.AGE_OUT_OF_RANGE),
        (None, False, Reason.AGE_UNKNOWN),
        (None, True, None),
        (3.0, True, Reason.AGE_OUT_OF_RANGE),
    ],
)
def test_an_output_speaks_only_for_its_ages(age: float | None, adult: bool, reason: Reason | None) -> None:
    output = make_output(0, "opacity", min_age_years=18.0, max_age_years=65.0)

    [finding] = judge(3.0, outputs=(output,), age=age, adult=adult)

    assert finding.reason is reason
    assert (finding.presence is Presence.NOT_EVALUATED) == (reason is not None)
    assert (finding.probability is None) == (reason is not None)
    assert finding.raw_score == 3.0


def test_an_output_without_ages_speaks_for_everybody() -> None:
    [finding] = judge(3.0, outputs=(make_output(0, "opacity"),), age=None)

    assert finding.presence is Presence.PRESENT


@pytest.mark.parametrize("raw", [float("nan"), float("inf"), float("-inf")])
def test_a_score_that_is_no_number_is_never_absent(raw: float) -> None:
    [finding] = judge(raw, outputs=(make_output(0, "opacity"),))

    assert finding.presence is Presence.NOT_EVALUATED
    assert finding.reason is Reason.MODEL_FAILED


def test_every_output_is_reported_when_a_run_failed() -> None:
    findings = not_evaluated(make_package(), Reason.MODEL_FAILED)

    assert [f.finding for f in findings] == ["lung_opacity", "any_finding"]
    assert {f.presence for f in findings} == {Presence.NOT_EVALUATED}


def test_only_present_findings_have_a_place() -> None:
    findings = judge_findings(
        make_package(),
        np.array([2.0, -2.0], np.float32),
        age_years=40.0,
        unknown_age_as_adult=False,
        heat_map=heat_map(),
        placement=PLACEMENT,
    )

    assert [f.place is not None for f in findings] == [True, False]


def test_priority_is_the_most_urgent_class_of_present_findings() -> None:
    outputs = (
        make_output(0, "a", priority_class=3),
        make_output(1, "b", priority_class=2),
        make_output(2, "c", priority_class=1),
    )

    assert ai_priority(judge(1.0, 1.0, -1.0, outputs=outputs), outputs) == 2
    assert ai_priority(judge(1.0, 1.0, 1.0, outputs=outputs), outputs) == 1


@pytest.mark.parametrize("changed", [{"experimental": True}, {"raise_point": None}, {"min_age_years": 60.0}])
def test_priority_is_not_raised_by(changed: dict[str, object]) -> None:
    outputs = (make_output(0, "a", **changed),)

    assert ai_priority(judge(5.0, outputs=outputs), outputs) is None


@pytest.mark.parametrize(("raw", "raises"), [(0.0, False), (1.38, False), (1.39, True), (5.0, True)])
def test_a_present_finding_raises_its_case_only_from_the_raise_point_on(raw: float, raises: bool) -> None:
    outputs = (make_output(0, "a", raise_point=OperatingPoint("specific", 0.8, 0.7, 0.95, "validation")),)

    [finding] = judge(raw, outputs=outputs)

    assert finding.presence is Presence.PRESENT
    assert finding.raises_priority is raises
    assert ai_priority([finding], outputs) == (2 if raises else None)


def test_what_readers_do_not_see_is_judged_all_the_same() -> None:
    package = make_package((make_output(0, "opacity"), make_experiment(1, "mass"), make_experiment(2, "nodule")))

    findings = judge_findings(
        package,
        np.array([1.0, 2.0, 3.0], np.float32),
        age_years=40.0,
        unknown_age_as_adult=False,
        shown=("opacity", "nodule"),
    )

    assert [(f.presence, f.shown) for f in findings] == [(Presence.PRESENT, shown) for shown in (True, False, True)]
    assert [f.evidence for f in findings] == [None, None, TESTED]
    assert ai_priority(findings, package.outputs) == 2


def test_a_score_without_calibration_is_told_from_a_probability() -> None:
    [finding] = judge(1.0, outputs=(make_experiment(0, "mass", calibration=Calibration("none", 1.0, 0.0, "1")),))

    assert not finding.calibrated
    assert not finding.raises_priority


def test_absent_findings_leave_the_priority_alone() -> None:
    outputs = (make_output(0, "a"),)

    assert ai_priority(judge(-5.0, outputs=outputs), outputs) is None
