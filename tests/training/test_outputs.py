"""What the shipped package's channels may do, and how they are coded."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.outputs import check_output
from tests.training.evaluations import some_cases, some_evaluation, some_readings
from training.cases import ADULT_OPACITY, ANY_FINDING, CHILD_OPACITY, FINDINGS, NIH_FINDINGS
from training.output_texts import TEXTS
from training.outputs import evidence_of, make_outputs

READINGS = some_readings(some_cases(seed=9))
GOOD = dict.fromkeys(FINDINGS, 0.9)

_DIHEDRAL = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 0, 6, 7, 8, 9, 5], [2, 3, 4, 0, 1, 7, 8, 9, 5, 6],
    [3, 4, 0, 1, 2, 8, 9, 5, 6, 7], [4, 0, 1, 2, 3, 9, 5, 6, 7, 8], [5, 9, 8, 7, 6, 0, 4, 3, 2, 1],
    [6, 5, 9, 8, 7, 1, 0, 4, 3, 2], [7, 6, 5, 9, 8, 2, 1, 0, 4, 3], [8, 7, 6, 5, 9, 3, 2, 1, 0, 4],
    [9, 8, 7, 6, 5, 4, 3, 2, 1, 0],
]  # fmt: skip
_TURN = [
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 5, 7, 6, 2, 8, 3, 0, 9, 4], [5, 8, 0, 3, 7, 9, 6, 1, 4, 2],
    [8, 9, 1, 6, 0, 4, 3, 5, 2, 7], [9, 4, 5, 3, 1, 2, 6, 8, 7, 0], [4, 2, 8, 6, 5, 7, 3, 9, 0, 1],
    [2, 7, 9, 3, 8, 0, 6, 4, 1, 5], [7, 0, 4, 6, 9, 1, 3, 2, 5, 8],
]  # fmt: skip


def verhoeff(digits: str) -> int:
    """Return 0 for a number whose last digit is its Verhoeff check digit, as in every SNOMED CT identifier."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = _DIHEDRAL[check][_TURN[place % 8][int(digit)]]
    return check


def test_the_texts_are_in_the_channels_order() -> None:
    assert tuple(text.finding for text in TEXTS) == FINDINGS


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text.finding)
def test_a_code_has_its_check_digit_and_a_concept_identifiers_form(text: object) -> None:
    if text.code_scheme == "SCT":  # type: ignore[attr-defined]
        assert verhoeff(text.code_value) == 0  # type: ignore[attr-defined]
        assert text.code_value[-3:-1] == "00"  # type: ignore[attr-defined] # a concept of the international edition
    else:
        assert text.code_scheme in {"DCM", "99PANDOK"}  # type: ignore[attr-defined]


def test_a_wrong_snomed_code_would_be_noticed() -> None:
    assert verhoeff("60046008") == 0
    assert verhoeff("129614006") != 0


@pytest.mark.parametrize("language", ["en", "ko", "vi", "ru"])
def test_names_differ_within_a_language(language: str) -> None:
    names = [getattr(text.names, language) for text in TEXTS]

    assert len(set(names)) == len(FINDINGS)
    assert all(names)


def test_the_fourteen_are_experimental_however_well_they_do() -> None:
    outputs = {output.finding: output for output in make_outputs(READINGS, GOOD, {})}

    assert {finding for finding, output in outputs.items() if output.experimental} == set(NIH_FINDINGS)
    assert all(outputs[finding].raise_point is None for finding in NIH_FINDINGS)
    assert all(outputs[finding].raise_point is not None for finding in FINDINGS[:3])


@pytest.mark.parametrize(("low", "experimental"), [(0.69, True), (0.71, False)])
def test_an_output_that_val_does_not_support_is_experimental(low: float, experimental: bool) -> None:
    output = make_outputs(READINGS, {**GOOD, ADULT_OPACITY: low}, {})[FINDINGS.index(ADULT_OPACITY)]

    assert output.experimental is experimental
    assert (output.raise_point is None) is experimental
    assert output.priority_class == (3 if experimental else 2)


def test_an_output_that_was_not_judged_on_val_is_experimental() -> None:
    assert all(output.experimental for output in make_outputs(READINGS, {}, {}))


def test_an_output_that_could_not_be_calibrated_is_experimental() -> None:
    readings = list(READINGS)
    readings[0] = replace(readings[0], calibration=replace(readings[0].calibration, method="none"))

    assert make_outputs(readings, GOOD, {})[0].experimental


def test_every_output_passes_the_packages_own_check() -> None:
    evaluation, readings = some_evaluation()

    outputs = make_outputs(readings, GOOD, evidence_of(evaluation.findings))

    for output in outputs:
        check_output(output)


def test_evidence_is_the_test_films_figure() -> None:
    evaluation, _ = some_evaluation()
    row = evaluation.over_all()[ANY_FINDING]

    evidence = evidence_of(evaluation.findings)

    assert set(evidence) == set(FINDINGS)
    assert (evidence[ANY_FINDING].auroc, evidence[ANY_FINDING].films) == (row.auroc.value, row.films)
    assert evidence[ANY_FINDING].data == "test films of nih_cxr14_more and nih_cxr14_subset"
    assert evidence[CHILD_OPACITY].data == "test films of kermany_pneumonia"


def test_readings_in_another_order_are_refused() -> None:
    with pytest.raises(ValueError, match="channel 0"):
        make_outputs(READINGS[::-1], GOOD, {})


def test_only_adults_are_read_for_the_findings_of_adults() -> None:
    ages = {(text.min_age_years, text.max_age_years) for text in TEXTS[1:]}

    assert ages == {(18.0, None)}
    assert (TEXTS[0].min_age_years, TEXTS[0].max_age_years) == (1.0, 6.0)
