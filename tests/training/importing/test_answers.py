"""Answers: what may be said of a model, and the outputs that follow from it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from models.outputs import check_output
from training.importing import ImportRefused
from training.importing.answers import Answers, OutputAnswer, finding_key, make_output, read_answers
from training.importing.published import LABELS

MEASURED = {
    "calibration": {"method": "platt", "slope": 1.5, "intercept": -0.2, "version": "1"},
    "operating_point": {"name": "ours", "threshold": 0.3, "sensitivity": 0.9, "specificity": 0.8, "chosen_on": "val"},
    "evidence": {"auroc": 0.9, "low": 0.85, "high": 0.94, "films": 200, "positives": 80, "data": "our films"},
}


def written(folder: Path, answers: object) -> Path:
    path = folder / "answers.json"
    path.write_text(json.dumps(answers), encoding="utf-8")
    return path


def test_nothing_said_is_an_uncalibrated_experimental_output_that_raises_nothing() -> None:
    output = make_output(0, OutputAnswer(channel=4, finding="odd_shadow"))

    check_output(output)
    assert (output.channel, output.experimental, output.raise_point, output.evidence) == (0, True, None, None)
    assert (output.calibration.method, output.operating_point.threshold) == ("none", 0.5)
    assert (output.operating_point.sensitivity, output.operating_point.specificity) == (None, None)
    assert (output.code_value, output.code_scheme, output.code_meaning) == ("odd_shadow", "99PANDOK", "odd shadow")
    assert output.names.en == output.names.ko == "Odd shadow"
    assert (output.min_age_years, output.max_age_years) == (18.0, None)


def test_all_findings_of_torchxrayvision_have_names_in_every_language() -> None:
    for label in LABELS:
        names = make_output(0, OutputAnswer(channel=0, finding=finding_key(label))).names
        assert len({names.en, names.ko, names.vi, names.ru}) == 4, label


def test_what_is_said_stands(tmp_path: Path) -> None:
    said = {
        "channel": 2, "finding": "nodule", "experimental": False, "min_age_years": None, "max_age_years": 90,
        "code": {"value": "1", "scheme": "99OURS", "meaning": "Ours"},
        "names": {"en": "a", "ko": "b", "vi": "c", "ru": "d"}, **MEASURED,
    }  # fmt: skip
    path = written(tmp_path, {"version": "2.0.1", "value_range": [-1024, 1024], "outputs": [said]})

    answers = read_answers(path)

    assert (answers.version, answers.value_range, answers.scores) == ("2.0.1", (-1024.0, 1024.0), None)
    assert answers.outputs is not None
    output = make_output(0, answers.outputs[0])
    check_output(output)
    assert (output.experimental, output.code_scheme, output.names.vi) == (False, "99OURS", "c")
    assert (output.operating_point.threshold, output.calibration.slope) == (0.3, 1.5)
    assert output.evidence is not None
    assert (output.min_age_years, output.max_age_years) == (None, 90.0)
    assert output.raise_point is None


@pytest.mark.parametrize("left_out", sorted(MEASURED))
def test_an_output_that_is_not_wholly_measured_must_be_experimental(tmp_path: Path, left_out: str) -> None:
    said: dict[str, Any] = {"channel": 0, "finding": "nodule", "experimental": False, **MEASURED}
    del said[left_out]

    with pytest.raises(ImportRefused, match="nodule: only an output with"):
        read_answers(written(tmp_path, {"outputs": [said]}))


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"score": "logits"}, "score"),
        ({"scores": "softmax"}, "scores"),
        ({"value_range": [0]}, "value_range"),
        ({"outputs": [{"finding": "mass"}]}, "channel"),
        ({"outputs": [{"channel": 0, "finding": "Mass!"}]}, "not of the form"),
        ({"outputs": [{"channel": "0", "finding": "mass"}]}, "channel"),
        ([], "answers"),
    ],
)
def test_answers_of_another_form_are_refused_with_the_place(tmp_path: Path, answers: object, words: str) -> None:
    with pytest.raises(ImportRefused, match=words):
        read_answers(written(tmp_path, answers))


def test_no_file_of_answers_is_no_answer_and_a_missing_one_is_refused(tmp_path: Path) -> None:
    assert read_answers(None) == Answers()
    with pytest.raises(ImportRefused, match="cannot be read"):
        read_answers(tmp_path / "answers.json")


@pytest.mark.parametrize(
    ("label", "key"),
    [("Pleural_Thickening", "pleural_thickening"), ("Lung Opacity", "lung_opacity"), ("COVID-19", "covid_19")],
)
def test_labels_become_keys(label: str, key: str) -> None:
    assert finding_key(label) == key


@pytest.mark.parametrize("label", ["", "1", "결절", "x"])
def test_a_label_without_a_usable_name_is_refused(label: str) -> None:
    with pytest.raises(ImportRefused, match="no usable name"):
        finding_key(label)
