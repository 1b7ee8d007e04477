"""Rules hold, win and are explained: pure, without a service."""

from __future__ import annotations

import itertools
import random
from collections.abc import Mapping

import pytest

from service.routing import study_decisions
from service.routing.rules import Decision, chosen_packages, due_minutes_of, floor_of, from_json, policy_of, to_json
from tests.service.routing.makers import asked, facts, rule, rules


def decided(text: str, **header: object) -> dict[str, object]:
    return {effect: one.value for effect, one in rules(text).decide(facts(**header)).items()}


def test_no_rules_decide_nothing() -> None:
    assert rules("").decide(facts()) == {}


@pytest.mark.parametrize(
    ("when", "header", "holds"),
    [
        ('modality = "DX"', {}, True),
        ('modality = ["CR", "dx"]', {}, True),
        ('modality = "CT"', {}, False),
        ('sender = "HANOI_ER*"', {}, True),
        ('sender = "HANOI_ER?"', {}, True),
        ('sender = "HANOI_ER"', {}, False),
        ('site = "Hanoi-1"', {}, True),
        ('study_description = "*NGỰC*"', {"study_description": "X-quang ngực thẳng"}, True),
        ('study_description = "*trauma*"', {"study_description": "CHEST PA"}, False),
        ('series_description = "a[bc]d"', {"series_description": "abd"}, False),
        ('series_description = "a[bc]d"', {"series_description": "A[BC]D "}, True),
        ('sop_class = "*Digital X-Ray*"', {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1"}, True),
        ('sop_class = "1.2.840.10008.5.1.4.1.1.1.1"', {"sop_class_uid": "1.2.840.10008.5.1.4.1.1.1.1"}, True),
        ('transfer_syntax = "Explicit*"', {}, True),
        ('image_type = "SECONDARY"', {"image_type": ["DERIVED", "SECONDARY"]}, True),
        ('requested_priority = "routine"', {}, True),
        ("age_years = { from = 18, below = 65 }", {"patient_age": "018Y"}, True),
        ("age_years = { from = 18, below = 65 }", {"patient_age": "065Y"}, False),
        ("age_years = { below = 1 }", {"patient_age": "006M"}, True),
        ('station_name = "ROOM-3"', {"station_name": "room-3"}, True),
        ('laterality = "L"', {"laterality": "L"}, True),
        ("", {}, True),
    ],
)
def test_a_condition_holds(when: str, header: dict[str, object], holds: bool) -> None:
    assert bool(decided(rule("quiet_s = 5", when), **header)) is holds


@pytest.mark.parametrize(
    "when", ['station_name = "*"', 'study_description = "*"', "age_years = { from = 0 }", 'sex = ["M", "*"]']
)
def test_what_is_unknown_matches_nothing_and_is_told_as_unknown(when: str) -> None:
    [trace] = rules(rule("quiet_s = 5", when)).explain(facts())

    assert decided(rule("quiet_s = 5", when)) == {}
    assert [(one.holds, one.found) for one in trace.conditions] == [(None, ())]
    assert not trace.matches


def test_every_condition_of_a_rule_must_hold() -> None:
    text = rule("quiet_s = 5", 'modality = "DX", sender = "OTHER"')

    assert decided(text) == {}


def test_the_first_matching_rule_that_sets_an_effect_wins_that_effect() -> None:
    text = (
        rule("priority = 'urgent'", name="one")
        + rule("priority = 'stat', quiet_s = 5", name="two")
        + rule("quiet_s = 9, due_minutes = { stat = 3 }", name="three")
    )
    found = rules(text).decide(facts())
    traces = rules(text).explain(facts())

    assert {effect: (one.value, one.rule, one.revision) for effect, one in found.items()} == {
        "priority": ("urgent", "one", 7), "quiet_s": (5.0, "two", 7), "due_minutes.stat": (3, "three", 7),
    }  # fmt: skip
    assert [(one.decides, one.too_late_for) for one in traces] == [
        (("priority",), ()), (("quiet_s",), ("priority",)), (("due_minutes.stat",), ("quiet_s",)),
    ]  # fmt: skip


def test_rules_choose_among_released_packages_and_release_none() -> None:
    only = rules(rule("packages = ['chest', 'unreleased']")).decide(facts())
    none = rules(rule("packages = []")).decide(facts())
    back = rules(rule("packages = [], add_packages = ['tb']")).decide(facts())

    assert list(chosen_packages({}, ["chest", "tb"])) == ["chest", "tb"]
    assert list(chosen_packages(only, ["chest", "tb"])) == ["chest"]
    assert list(chosen_packages(none, ["chest", "tb"])) == []
    assert {name: one.effect for name, one in chosen_packages(back, ["chest", "tb"]).items() if one} == {
        "tb": "add_packages"
    }


@pytest.mark.parametrize("seed", range(30))
def test_priority_and_due_times_of_a_study_do_not_depend_on_the_order_of_its_images(seed: int) -> None:
    chance = random.Random(seed)
    images = [
        {
            "priority": Decision("priority", chance.choice(["stat", "urgent", "routine"]), "r", 1),
            "due_minutes.stat": Decision("due_minutes.stat", chance.randint(1, 9), "r", 1),
        }
        for _ in range(4)
    ]
    ends = set()
    for order in itertools.permutations(images):
        study: dict[str, Decision] = {}
        for image in order:
            study = study_decisions(study, image)
        ends.add((floor_of(study), study["due_minutes.stat"].value))

    assert len(ends) == 1


def test_a_later_image_takes_no_urgency_back_but_its_waiting_time_counts() -> None:
    first = rules(rule("priority = 'stat', quiet_s = 5")).decide(facts())

    after = study_decisions(study_decisions({}, first), {})

    assert {effect: one.value for effect, one in after.items()} == {"priority": "stat"}


def test_packages_are_an_image_s_matter() -> None:
    assert study_decisions({}, rules(rule("packages = []")).decide(facts())) == {}


def test_decisions_survive_a_row() -> None:
    found = rules(rule("packages = ['a'], quiet_s = 5, priority = 'stat'")).decide(facts())

    assert from_json(to_json(found)) == found
    assert to_json({}) is None


def test_a_rule_may_ask_what_the_center_asked_for() -> None:
    text = rule("due_minutes = { urgent = 30 }", 'requested_priority = "urgent"')

    assert rules(text).asks_for("requested_priority")
    assert rules(text).decide(facts(asked(priority=3))) == {}
    assert rules(text).decide(facts(asked(priority=2)))


def test_a_long_text_against_a_costly_pattern_ends() -> None:
    text = rule("quiet_s = 5", 'study_description = "*a*a*a*a*a*a*a*a*b"')

    assert decided(text, study_description="a" * 1_000_000) == {}


@pytest.mark.parametrize("order", list(itertools.permutations(["blind", "triage", ""])))
def test_a_study_is_read_blind_when_any_image_asks_for_it_whatever_their_order(order: tuple[str, ...]) -> None:
    study: Mapping[str, Decision] = {}
    for word in order:
        study = study_decisions(study, rules(rule(f"reading_policy = '{word}'")).decide(facts()) if word else {})

    assert policy_of(study) == "blind"


def test_without_a_rule_a_study_has_no_policy_of_its_own() -> None:
    assert policy_of(rules(rule("priority = 'stat'")).decide(facts())) is None


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("urgent = 9000", {"stat": 60, "urgent": 1440, "routine": 1440}),
        ("routine = 30", {"stat": 30, "urgent": 30, "routine": 30}),
        ("stat = 5000, urgent = 20", {"stat": 20, "urgent": 20, "routine": 1440}),
        ("stat = 5", {"stat": 5, "urgent": 240, "routine": 1440}),
    ],
)
def test_a_more_urgent_class_is_never_due_later_than_a_less_urgent_one(said: str, expected: dict[str, int]) -> None:
    by_rule = rules(rule(f"due_minutes = {{ {said} }}")).decide(facts())

    assert due_minutes_of(by_rule, {"stat": 60, "urgent": 240, "routine": 1440}) == expected


def test_an_age_is_told_cut_off_so_that_nobody_seems_older_than_the_rule_found_him() -> None:
    [trace] = rules(rule("quiet_s = 5", "age_years = { from = 18 }")).explain(
        facts(patient_birth_date="20000115", study_date="20180101")
    )

    assert (trace.conditions[0].found, trace.conditions[0].holds) == (("17.9",), False)
